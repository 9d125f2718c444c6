// SPDX-License-Identifier: BSL-1.0
#include "krait/detail/frame.hpp"

#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <ostream>
#include <typeinfo>
#include <utility>

#include "debugger.hpp"
#include "krait/generator.hpp"
#include "krait/warnings.hpp"
#include "sanitizers.hpp"
#include "valgrind.hpp"

/// Linked into programs of which some function is compiled with -fsplit-stack.
extern "C" [[gnu::weak]] void __morestack();  // NOLINT(bugprone-reserved-identifier)

namespace krait {
namespace detail {

frame* const foreign_delegate = nullptr;

std::string frame::repr() const {
  char address[2 + 2 * sizeof(void*) + 1];
  std::snprintf(address, sizeof address, "%p", static_cast<const void*>(this));
  static constexpr const char* type_names[] = {"generator", "coroutine", "async_generator"};
  return std::string("<") + type_names[static_cast<int>(rest().kind)] + " object " + rest().name + " at " +
         address + ">";
}

void frame::rename(std::string_view new_name) {
  char* const copy = new char[new_name.size() + 1];
  new_name.copy(copy, new_name.size());
  copy[new_name.size()] = '\0';
  free_name();
  rest().name = copy;
  owns_name = true;
}

void frame::free_name() noexcept {
  if (owns_name) {
    delete[] rest().name;
  }
}

void frame::detach_delegate() noexcept {
  frame& child = **rest().delegate;
  child.root = &child;
  child.rest().delegator = nullptr;
  child.leaf = std::exchange(leaf, this);
}

std::exception_ptr take_pending(frame& self) {
  if (self.rest().exception != nullptr) {
    return std::exchange(self.rest().exception, nullptr);
  }
  return std::make_exception_ptr(generator_exit());
}

namespace {

/// How an error begins or ends with which of the three objects it is about.
std::string noun(kind kind) {
  static constexpr const char* nouns[] = {"generator", "coroutine", "async generator"};
  return nouns[static_cast<int>(kind)];
}
std::string noun(const frame& self) {
  return noun(self.rest().kind);
}

}  // namespace

void throw_already_executing(const frame& self) {
  throw value_error(noun(self) + " already executing");
}
void throw_moved_from(kind kind) {
  throw value_error(noun(kind) + " was moved from");
}
void throw_not_just_started(const frame& self) {
  throw type_error("can't send non-None value to a just-started " + noun(self));
}
void throw_cannot_send_none(const frame& self) {
  throw type_error(std::string("can't send None to ") +
                   (self.rest().kind == kind::async_generator ? "an " : "a ") + noun(self) +
                   " whose Send type has no None: use send()");
}
void throw_cannot_reuse_coroutine() {
  throw runtime_error("cannot reuse already awaited coroutine");
}
void throw_being_awaited() {
  throw runtime_error("coroutine is being awaited already");
}
void throw_no_value() {
  throw type_error("what was delegated to ended without a value, and there is no None to return");
}
void throw_no_exception() {
  throw type_error("exceptions must be classes or instances deriving from BaseException, not NoneType");
}
void throw_yield_elsewhere() {
  // Where a function is compiled with -fsplit-stack, it may run on a piece of stack that this has allocated.
  // (It takes generators' stacks for an overflow of the thread's.)
  throw runtime_error(&__morestack != nullptr
                          ? "yield called outside the generator it belongs to, or by a function that is "
                            "compiled with -fsplit-stack, which generators cannot run with"
                          : "yield called outside the generator it belongs to");
}

void throw_unusable_stack(std::size_t needed, stack memory) {
  if (memory.size < needed) {
    throw value_error("the generator's body needs a stack of " + std::to_string(needed) + " bytes and got " +
                      std::to_string(memory.size) + ": raise stack_options::size");
  }
  throw value_error("a stack must end at a multiple of 16 bytes");
}

void throw_has_no_send(const std::type_info& type) {
  throw attribute_error("'" + type_name(type) + "' object has no attribute 'send'");
}

namespace {

/// For destructors. An error's text takes memory; where there is none, that is the error.
template <class Error>
std::exception_ptr made(const frame& self, const char* text) noexcept {
  try {
    return std::make_exception_ptr(Error(noun(self) + text));
  } catch (...) {
    return std::current_exception();
  }
}

}  // namespace

std::exception_ptr already_executing(const frame& self) {
  return made<value_error>(self, " already executing");
}
std::exception_ptr ignored_exit(const frame& self) {
  return made<runtime_error>(self, " ignored GeneratorExit");
}

std::exception_ptr raised_exception(const frame& self) noexcept {
  const std::exception_ptr handled = std::current_exception();
  return handled != nullptr ? handled : made<runtime_error>(self, " raised a foreign exception");
}

std::exception_ptr stop_iteration_escaped(const frame& self) noexcept {
  try {
    std::throw_with_nested(runtime_error(noun(self) + " raised StopIteration"));
  } catch (...) {
    return std::current_exception();
  }
}

void warn_never_awaited(const frame& self) noexcept {
  try {
    warn("coroutine '" + std::string(self.rest().name) + "' was never awaited");
  } catch (...) {
    report_ignored(self, "finalizing coroutine", std::current_exception());
  }
}

bool is_generator_exit(const std::exception_ptr& exception) noexcept {
  return holds<generator_exit>(exception);
}

void forced_unwind_reached_base(const frame& self) noexcept {
  std::fprintf(stderr,
               "krait: a thread was cancelled or exited while running %s; "
               "that cannot be unwound beyond the generator's stack\n",
               self.repr().c_str());
  std::abort();
}

void report_ignored_while_closing(const frame& self, std::exception_ptr exception) noexcept {
  report_ignored(self, "closing generator", std::move(exception));
}

void report_ignored(const frame& self, const char* while_doing, std::exception_ptr exception) noexcept {
  std::string message;
  try {
    message = std::string("Exception ignored while ") + while_doing + " " + self.repr();
  } catch (...) {  // out of memory: then without the message
  }
  report_unraisable(std::move(exception), std::move(message));
}

// Who is alive. A pool keeps a word above each of its stacks for the address of the frame that lives there,
// so there is no list to keep: dump_generators() looks at each stack. Frames on stacks from elsewhere are
// listed, and linked for debuggers, which cannot look into a map.

namespace {

bool is_pool(const stack_source& source) noexcept {
  return typeid(source) == typeid(stack_pool);
}

constinit std::mutex foreign_mutex;

std::map<const frame*, foreign_frame>& foreign() {
  static auto& frames = *new std::map<const frame*, foreign_frame>;
  return frames;
}

}  // namespace

void enlist_at(frame& self, const stack_source& source) {
  if (is_pool(source)) {
    __atomic_store_n(&resident_above(self.rest().memory.top()), &self, __ATOMIC_RELEASE);
    return;
  }
  const std::lock_guard lock(foreign_mutex);
  foreign_frame& entry = foreign()[&self];
  sanitizers::add_root(self.rest().memory.limit, self.rest().memory.size);
  entry = {&self, foreign_frames, &foreign_frames, valgrind::know_stack(self.rest().memory)};
  if (entry.next != nullptr) {
    entry.next->link = &entry.next;
  }
  foreign_frames = &entry;
}

void delist_from(frame& self, const stack_source& source) noexcept {
  if (is_pool(source)) {
    __atomic_store_n(&resident_above(self.rest().memory.top()), nullptr, __ATOMIC_RELAXED);
    return;
  }
  const std::lock_guard lock(foreign_mutex);
  const auto found = foreign().find(&self);
  const foreign_frame& entry = found->second;
  valgrind::forget_stack(entry.stack);
  sanitizers::remove_root(self.rest().memory.limit, self.rest().memory.size);
  *entry.link = entry.next;
  if (entry.next != nullptr) {
    entry.next->link = entry.link;
  }
  foreign().erase(found);
}

stack allocate_stack_from(stack_source& source) {
  const stack memory = source.allocate();
  if (!is_pool(source)) {
    valgrind::reuse_stack(memory);
  }
  return memory;
}

namespace {

/// Looks at frames that another thread may be destroying, and at what is left of them.
[[gnu::no_sanitize_address]] void show_stack_that_waits_for(const frame& self) noexcept {
  if (self.stage == stage::started && self.own.resume_at == nullptr) {
    const stack_identity& resumer = self.identities->caller;
    sanitizers::add_root(resumer.bottom, resumer.size);
  }
}

}  // namespace

void show_waiting_stacks() noexcept {
  for_each_pooled_stack(
      [](std::byte* top, void*) {
        if (const frame* self = __atomic_load_n(&resident_above(top), __ATOMIC_ACQUIRE)) {
          show_stack_that_waits_for(*self);
        }
      },
      nullptr);
  const std::lock_guard lock(foreign_mutex);
  for (const foreign_frame* each = foreign_frames; each != nullptr; each = each->next) {
    show_stack_that_waits_for(*each->self);
  }
}

}  // namespace detail

void dump_generators(std::ostream& out) {
  static constexpr const char* state_names[] = {"created", "running", "suspended", "closed"};
  const auto write = [&out](const detail::frame& self) {
    out << self.repr() << ' ' << state_names[static_cast<int>(self.state())] << ", "
        << detail::used_of(self.rest().memory) << " bytes of stack used";
    if (self.rest().delegate == &detail::foreign_delegate) {
      out << ", delegating to an iterator";
    } else if (self.rest().delegate != nullptr && *self.rest().delegate != nullptr) {
      out << ", delegating to " << (*self.rest().delegate)->repr();
    }
    out << '\n';
  };

  detail::for_each_pooled_stack(
      [](std::byte* top, void* data) {
        if (const detail::frame* self = __atomic_load_n(&detail::resident_above(top), __ATOMIC_ACQUIRE)) {
          (*static_cast<decltype(write)*>(data))(*self);
        }
      },
      const_cast<void*>(static_cast<const void*>(&write)));
  const std::lock_guard lock(detail::foreign_mutex);
  for (const detail::foreign_frame* each = detail::foreign_frames; each != nullptr; each = each->next) {
    write(*each->self);
  }
}

}  // namespace krait
