// SPDX-License-Identifier: BSL-1.0
#include "krait/detail/frame/residence.hpp"

// Who is alive. A frame on a pool's stack is that stack's resident. Frames on stacks from elsewhere are
// listed, and linked for debuggers, which cannot look into a map.

#include <functional>
#include <map>
#include <mutex>
#include <ostream>
#include <string>
#include <string_view>
#include <typeinfo>

#include "debugger/debugger.hpp"
#include "krait/inspect.hpp"
#include "stack/sanitizers.hpp"
#include "stack/valgrind.hpp"

namespace krait {
namespace detail {

namespace {

bool is_pool(const stack_source& source) noexcept {
  return typeid(source) == typeid(stack_pool);
}

constinit std::mutex unpooled_mutex;

std::map<const frame*, unpooled_frame>& unpooled() {
  static auto& frames = *new std::map<const frame*, unpooled_frame>;
  return frames;
}

}  // namespace

void enlist_at(frame& self, const stack_source& source) {
  if (is_pool(source)) {
    move_in(self.rest().memory.top(), &self);
    return;
  }
  const std::lock_guard lock(unpooled_mutex);
  unpooled_frame& entry = unpooled()[&self];
  sanitizers::add_root(self.rest().memory.limit, self.rest().memory.size);
  entry = {&self, unpooled_frames, &unpooled_frames, valgrind::know_stack(self.rest().memory)};
  if (entry.next != nullptr) {
    entry.next->link = &entry.next;
  }
  unpooled_frames = &entry;
}

void delist_from(frame& self, const stack_source& source) noexcept {
  if (is_pool(source)) {
    move_out(self.rest().memory.top());
    return;
  }
  const std::lock_guard lock(unpooled_mutex);
  const auto found = unpooled().find(&self);
  const unpooled_frame& entry = found->second;
  valgrind::forget_stack(entry.stack);
  sanitizers::remove_root(self.rest().memory.limit, self.rest().memory.size);
  *entry.link = entry.next;
  if (entry.next != nullptr) {
    entry.next->link = entry.link;
  }
  unpooled().erase(found);
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
[[gnu::no_sanitize_address]] void show_stack_that_waits_for(const void* resident) noexcept {
  if (const lodger* const other = as_lodger(resident)) {
    const stack waiting = other->has->waits_for(*other);
    if (waiting.limit != nullptr) {
      sanitizers::add_root(waiting.limit, waiting.size);
    }
    return;
  }
  const frame& self = *static_cast<const frame*>(resident);
  if (self.stage == stage::started && self.own.resume_at == nullptr) {
    const stack_identity& resumer = self.identities->caller;
    sanitizers::add_root(resumer.bottom, resumer.size);
  }
}

}  // namespace

void show_waiting_stacks() noexcept {
  for_each_pooled_stack(
      [](std::byte* top, void*) {
        if (const void* const self = resident_of(top)) {
          show_stack_that_waits_for(self);
        }
      },
      nullptr);
  const std::lock_guard lock(unpooled_mutex);
  for (const unpooled_frame* each = unpooled_frames; each != nullptr; each = each->next) {
    show_stack_that_waits_for(each->self);
  }
}

const frame* frame_around(const void* address) noexcept {
  struct search {
    const void* address;
    const frame* found = nullptr;

    void try_one(const frame* each) noexcept {
      const stack& memory = each->rest().memory;
      if (std::less_equal<>()(static_cast<const void*>(memory.limit), address) &&
          std::less<>()(address, static_cast<const void*>(memory.top()))) {
        found = each;
      }
    }
  } wanted{address};
  for_each_pooled_stack(
      [](std::byte* top, void* data) {
        const void* const self = resident_of(top);
        if (self != nullptr && as_lodger(self) == nullptr) {
          static_cast<search*>(data)->try_one(static_cast<const frame*>(self));
        }
      },
      &wanted);
  const std::lock_guard lock(unpooled_mutex);
  for (const unpooled_frame* each = unpooled_frames; each != nullptr; each = each->next) {
    wanted.try_one(each->self);
  }
  return wanted.found;
}

}  // namespace detail

void dump_generators(std::ostream& out) {
  static constexpr const char* state_names[] = {"created", "running", "suspended", "closed"};
  const auto write = [&out](const detail::frame& self) {
    out << self.repr() << ' ' << state_names[static_cast<int>(self.state())] << ", "
        << detail::used_of(self.rest().memory) << " bytes of stack used";
    if (self.rest().delegate == &detail::frameless_delegate) {
      out << ", delegating to an iterator";
    } else if (self.rest().delegate != nullptr && *self.rest().delegate != nullptr) {
      out << ", delegating to " << (*self.rest().delegate)->repr();
    }
    out << '\n';
  };
  const auto write_any = [&](const void* resident) {
    const detail::lodger* const other = detail::as_lodger(resident);
    if (other == nullptr) {
      return write(*static_cast<const detail::frame*>(resident));
    }
    if (const std::string state = other->has->state(*other); !state.empty()) {
      char text[512];
      out << std::string_view(text, detail::introduce(resident, text, sizeof text)) << ' ' << state << ", "
          << detail::used_of(other->memory) << " bytes of stack used\n";
    }
  };

  detail::for_each_pooled_stack(
      [](std::byte* top, void* data) {
        if (const void* const self = detail::resident_of(top)) {
          (*static_cast<decltype(write_any)*>(data))(self);
        }
      },
      const_cast<void*>(static_cast<const void*>(&write_any)));
  const std::lock_guard lock(detail::unpooled_mutex);
  for (const detail::unpooled_frame* each = detail::unpooled_frames; each != nullptr; each = each->next) {
    write(*each->self);
  }
}

}  // namespace krait
