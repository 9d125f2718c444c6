// SPDX-License-Identifier: BSL-1.0
#include "krait/async_generator.hpp"

#include <pthread.h>

#include <memory>
#include <new>
#include <string>
#include <utility>

#include "krait/hooks.hpp"
#include "stack/unloading.hpp"

// The C++ runtime's: calls `function(object)` with the destructors of the thread's thread_local objects.
extern "C" int __cxa_thread_atexit(void (*function)(void*), void* object, void* library) noexcept;  // NOLINT
extern "C" [[gnu::visibility("hidden")]] void* __dso_handle;                                        // NOLINT

namespace krait {

namespace {

/// A thread's hooks, from when it first sets some. Like an object that is thread_local they go when the
/// thread ends, and a generator may be iterated after that, by another such object. But they are found by a
/// key, as a variable would take of the scarce space for what libraries bring along that are loaded while a
/// program runs; and whoever asks for hooks does not make any, as what is destroyed with a thread keeps the
/// library that it is in loaded.
struct thread_hooks {
  std::shared_ptr<const async_generator_hooks> set;

  static pthread_key_t key() noexcept {
    static const pthread_key_t only = [] {
      pthread_key_t made;
      return ::pthread_key_create(&made, nullptr) == 0 ? made : none;
    }();
    return only;
  }

  /// Null if there are none yet; gone() if none can be any more.
  static thread_hooks* mine() noexcept { return static_cast<thread_hooks*>(::pthread_getspecific(key())); }
  static thread_hooks* gone() noexcept {
    static char place;
    return reinterpret_cast<thread_hooks*>(&place);
  }

  /// Throws std::bad_alloc.
  static thread_hooks* make() {
    auto made = std::make_unique<thread_hooks>();
    if (::pthread_setspecific(key(), made.get()) != 0) {
      throw std::bad_alloc();
    }
    const auto end = [](void* ending) {
      ::pthread_setspecific(key(), gone());
      delete static_cast<thread_hooks*>(ending);
    };
    if (::__cxa_thread_atexit(end, made.get(), &__dso_handle) != 0) {
      ::pthread_setspecific(key(), nullptr);
      throw std::bad_alloc();
    }
    return made.release();
  }

  static constexpr pthread_key_t none = static_cast<pthread_key_t>(-1);
};

}  // namespace

async_generator_hooks set_asyncgen_hooks(async_generator_hooks wanted) {
  const bool none = !wanted.firstiter && !wanted.finalizer;
  const auto before = detail::exchange_asyncgen_hooks(
      none ? nullptr : std::make_shared<const async_generator_hooks>(std::move(wanted)));
  return before == nullptr ? async_generator_hooks() : *before;
}

async_generator_hooks get_asyncgen_hooks() {
  const auto current = detail::current_asyncgen_hooks();
  return current == nullptr ? async_generator_hooks() : *current;
}

namespace detail {

// A caller may be resumed by another thread between two calls: neither this nor current_asyncgen_hooks() is
// to become a part of it.
[[gnu::noinline]] std::shared_ptr<const async_generator_hooks> exchange_asyncgen_hooks(
    std::shared_ptr<const async_generator_hooks> hooks) {
  thread_hooks* mine = thread_hooks::mine();
  if (mine == nullptr && hooks != nullptr) {
    mine = thread_hooks::make();
  }
  return mine == nullptr || mine == thread_hooks::gone() ? nullptr
                                                         : std::exchange(mine->set, std::move(hooks));
}

[[gnu::noinline]] std::shared_ptr<const async_generator_hooks> current_asyncgen_hooks() {
  const thread_hooks* const mine = thread_hooks::mine();
  return mine != nullptr && mine != thread_hooks::gone() ? mine->set : nullptr;
}

void forget_hooks() noexcept {
  ::pthread_key_delete(thread_hooks::key());
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

namespace {}  // namespace

void warn_operation_never_awaited(async_method method, std::string_view name) noexcept {
  static constexpr const char* methods[] = {"coroutine method 'asend' of", "coroutine method 'athrow' of",
                                            "coroutine method 'aclose' of"};
  warn_never_awaited(methods[static_cast<int>(method)], name, "coroutine method");
}

void warn_call_never_awaited(std::string_view name) noexcept {
  warn_never_awaited("coroutine", name, "coroutine");
}

void finalize(const async_generator_hooks& hooks, std::shared_ptr<async_generator_object> object) noexcept {
  std::string repr;
  try {
    repr = object->repr();
    hooks.finalizer(std::move(object));
  } catch (...) {
    report_ignored(std::current_exception(), "finalizing generator", repr);
  }
}

}  // namespace detail
}  // namespace krait
