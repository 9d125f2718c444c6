// SPDX-License-Identifier: BSL-1.0
#include "krait/async_generator.hpp"

#include <memory>
#include <string>
#include <utility>

namespace krait {

namespace {

// A generator may be iterated when the thread's variables are being destroyed, by one of them or by a static
// object. This one is trivially destroyed, so it can be asked to the end. It is also asked so that a thread
// which sets no hooks has no object that is to be destroyed: such a one keeps the library that it is in
// loaded.
constinit thread_local enum : unsigned char { never_set, there, gone } hooks_are = never_set;

thread_local struct thread_hooks {
  std::shared_ptr<const async_generator_hooks> set;
  thread_hooks() noexcept { hooks_are = there; }
  ~thread_hooks() { hooks_are = gone; }
} hooks;

}  // namespace

// A caller may be resumed by another thread between two calls: neither this nor current_asyncgen_hooks() is
// to become a part of it.
[[gnu::noinline]] async_generator_hooks set_asyncgen_hooks(async_generator_hooks wanted) {
  async_generator_hooks before = get_asyncgen_hooks();
  const bool none = !wanted.firstiter && !wanted.finalizer;
  if (hooks_are == there || (hooks_are == never_set && !none)) {
    hooks.set = none ? nullptr : std::make_shared<const async_generator_hooks>(std::move(wanted));
  }
  return before;
}

async_generator_hooks get_asyncgen_hooks() {
  const auto current = detail::current_asyncgen_hooks();
  return current == nullptr ? async_generator_hooks() : *current;
}

namespace detail {

[[gnu::noinline]] std::shared_ptr<const async_generator_hooks> current_asyncgen_hooks() {
  return hooks_are == there ? hooks.set : nullptr;
}

void throw_cannot_reuse_operation(async_method method) {
  throw runtime_error(method == async_method::asend ? "cannot reuse already awaited __anext__()/asend()"
                                                    : "cannot reuse already awaited aclose()/athrow()");
}

void throw_async_generator_running(async_method method) {
  static constexpr const char* names[] = {"anext", "athrow", "aclose"};
  throw runtime_error(std::string(names[static_cast<int>(method)]) +
                      "(): asynchronous generator is already running");
}

void throw_started_with_value() {
  throw runtime_error("can't send non-None value to a just-started coroutine");
}
void throw_cannot_be_sent() {
  throw type_error("what was sent is not of the type that the async generator's yield returns");
}
void throw_async_not_just_started() {
  throw type_error("can't send non-None value to a just-started async generator");
}
void throw_async_cannot_send_none() {
  throw type_error("can't send None to an async generator whose Send type has no None: use asend()");
}
void throw_of_another_type() {
  throw value_error("an async_generator of another type");
}

void throw_stop_async_iteration_escaped() {
  std::throw_with_nested(runtime_error("async generator raised StopAsyncIteration"));
}

namespace {

/// "KIND WHICH'NAME' was never awaited"; an error in that is reported.
void warn_never_awaited(const char* kind, const char* which, std::string_view name) noexcept {
  try {
    warn(std::string(kind) + " " + which + "'" + std::string(name) + "' was never awaited");
  } catch (...) {
    report_unraisable(std::current_exception(), std::string("Exception ignored while finalizing ") + kind);
  }
}

}  // namespace

void warn_operation_never_awaited(async_method method, std::string_view name) noexcept {
  static constexpr const char* methods[] = {"'asend' of ", "'athrow' of ", "'aclose' of "};
  warn_never_awaited("coroutine method", methods[static_cast<int>(method)], name);
}

void warn_call_never_awaited(std::string_view name) noexcept {
  warn_never_awaited("coroutine", "", name);
}

void finalize(const async_generator_hooks& hooks, std::shared_ptr<async_generator_object> object) noexcept {
  std::string message;
  try {
    message = "Exception ignored while finalizing generator " + object->repr();
    hooks.finalizer(std::move(object));
  } catch (...) {
    report_unraisable(std::current_exception(), std::move(message));
  }
}

}  // namespace detail
}  // namespace krait
