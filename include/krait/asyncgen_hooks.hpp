// SPDX-License-Identifier: BSL-1.0
#pragma once

// What an event loop is told of asynchronous generators: of each that is first iterated, and of each that is
// dropped before its end.

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace krait {

// What hooks are given is told apart by its type, in other shared objects, too.
#pragma GCC visibility push(default)
/// An async_generator of any type, as hooks see it: `aclose<DriverYield, DriverSend>(object)` closes it.
/// Who wants to remember it keeps its weak_from_this().
class async_generator_object : public std::enable_shared_from_this<async_generator_object> {
 public:
  async_generator_object() = default;
  async_generator_object(const async_generator_object&) = delete;
  async_generator_object& operator=(const async_generator_object&) = delete;
  virtual ~async_generator_object() = default;

  virtual std::string_view name() const = 0;
  /// "<async_generator object NAME at 0x...>".
  virtual std::string repr() const = 0;
};
#pragma GCC visibility pop

/// What an event loop wants to know of asynchronous generators. Each generator remembers those that
/// were set in the thread where its first operation was made.
struct async_generator_hooks {
  /// Called once per generator, when its first operation is made; what it throws comes out there.
  std::function<void(async_generator_object&)> firstiter;

  /// Given a generator that was dropped before its end, still alive, for it to be closed by and by: with
  /// krait::aclose(), or as what it was, which async_generator<...>::from_object() makes of it again. It
  /// is called once; dropped a second time, it is closed on the spot. What it throws goes to the
  /// unraisable hook.
  std::function<void(std::shared_ptr<async_generator_object>)> finalizer;
};

/// Sets this thread's hooks, and returns what they were. Python: sys.set_asyncgen_hooks.
async_generator_hooks set_asyncgen_hooks(async_generator_hooks hooks);
/// Python: sys.get_asyncgen_hooks.
async_generator_hooks get_asyncgen_hooks();

namespace detail {

/// As set_asyncgen_hooks(); null: none. Throws std::bad_alloc, but not on a thread that had hooks before.
std::shared_ptr<const async_generator_hooks> exchange_asyncgen_hooks(
    std::shared_ptr<const async_generator_hooks> hooks);

/// This thread's hooks; null if none are set.
std::shared_ptr<const async_generator_hooks> current_asyncgen_hooks();

/// Gives a dropped generator to the finalizer; what that throws is reported.
void finalize(const async_generator_hooks& hooks, std::shared_ptr<async_generator_object> object) noexcept;

}  // namespace detail
}  // namespace krait
