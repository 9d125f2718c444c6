// SPDX-License-Identifier: BSL-1.0
#include "krait/detail/frame/errors.hpp"

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <typeinfo>
#include <utility>

#include "krait/exceptions.hpp"
#include "krait/hooks.hpp"

/// Linked into programs of which some function is compiled with -fsplit-stack.
extern "C" [[gnu::weak]] void __morestack();  // NOLINT(bugprone-reserved-identifier)

namespace krait::detail {

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
std::exception_ptr error_about(const frame& self, const char* text) noexcept {
  try {
    return std::make_exception_ptr(Error(noun(self) + text));
  } catch (...) {
    return std::current_exception();
  }
}

}  // namespace

std::exception_ptr already_executing(const frame& self) {
  return error_about<value_error>(self, " already executing");
}
std::exception_ptr ignored_exit(const frame& self) {
  return error_about<runtime_error>(self, " ignored GeneratorExit");
}

std::exception_ptr raised_exception(const frame& self) noexcept {
  const std::exception_ptr handled = std::current_exception();
  return handled != nullptr ? handled : error_about<runtime_error>(self, " raised a foreign exception");
}

std::exception_ptr stop_iteration_escaped(const frame& self) noexcept {
  try {
    std::throw_with_nested(runtime_error(noun(self) + " raised StopIteration"));
  } catch (...) {
    return std::current_exception();
  }
}

namespace {

/// For a message; without what it takes memory for, if there is none.
std::string described(const char* noun, const frame& self) noexcept {
  std::string text = noun;
  try {
    text += " " + self.repr();
  } catch (const std::bad_alloc&) {
  }
  return text;
}

}  // namespace

void warn_never_awaited(const frame& self) noexcept {
  warn_never_awaited("coroutine", self.rest().name, described("coroutine", self));
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
  report_ignored(std::move(exception), "closing", described("generator", self));
}

}  // namespace krait::detail
