// SPDX-License-Identifier: BSL-1.0
#include "krait/async_generator.hpp"

#include <pthread.h>

#include <memory>
#include <new>
#include <string>
#include <utility>

#include "unloading.hpp"

namespace krait {

namespace {

/// Where a thread's hooks are, for as long as it has any. Behind a key, as objects that are thread_local take
/// of the scarce space for what libraries bring along that are loaded while a program runs, and keep such a
/// library loaded. So they last until the thread's own thread_local objects are gone, too.
struct thread_hooks {
  using kept = std::shared_ptr<const async_generator_hooks>;

  pthread_key_t key;
  bool known = ::pthread_key_create(&key, [](void* ending) { delete static_cast<kept*>(ending); }) == 0;

  static const thread_hooks& instance() noexcept {
    static thread_hooks only;
    return only;
  }

  kept* mine() const noexcept { return known ? static_cast<kept*>(::pthread_getspecific(key)) : nullptr; }
};

}  // namespace

// A caller may be resumed by another thread between two calls: neither this nor current_asyncgen_hooks() is
// to become a part of it.
[[gnu::noinline]] async_generator_hooks set_asyncgen_hooks(async_generator_hooks wanted) {
  async_generator_hooks before = get_asyncgen_hooks();
  const thread_hooks& hooks = thread_hooks::instance();
  detail::expect_unloading();
  std::unique_ptr<thread_hooks::kept> fresh;
  if (wanted.firstiter || wanted.finalizer) {
    fresh = std::make_unique<thread_hooks::kept>(
        std::make_shared<const async_generator_hooks>(std::move(wanted)));
  }
  thread_hooks::kept* const former = hooks.mine();
  if (fresh.get() != former) {
    if (!hooks.known || ::pthread_setspecific(hooks.key, fresh.get()) != 0) {
      throw std::bad_alloc();
    }
    static_cast<void>(fresh.release());
    delete former;
  }
  return before;
}

async_generator_hooks get_asyncgen_hooks() {
  const auto current = detail::current_asyncgen_hooks();
  return current == nullptr ? async_generator_hooks() : *current;
}

namespace detail {

[[gnu::noinline]] std::shared_ptr<const async_generator_hooks> current_asyncgen_hooks() {
  const thread_hooks::kept* const mine = thread_hooks::instance().mine();
  return mine != nullptr ? *mine : nullptr;
}

void forget_hooks() noexcept {
  const thread_hooks& hooks = thread_hooks::instance();
  delete hooks.mine();
  if (hooks.known) {
    ::pthread_key_delete(hooks.key);
  }
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
