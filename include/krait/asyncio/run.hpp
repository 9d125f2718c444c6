// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "krait/asyncio/event_loop.hpp"

namespace krait::asyncio {
inline namespace KRAIT_BACKEND {

/// A loop that runs several functions, one after the other. Python: asyncio.Runner.
class runner {
 public:
  explicit runner(run_options options = {}) : options_(options) {}

  /// As event_loop::run_until_complete(). Throws runtime_error, too, if it is closed.
  template <class F>
  auto run(F&& main) {
    return get_loop().run_until_complete(std::forward<F>(main));
  }

  /// Made when it is first asked for. Throws runtime_error if this is closed.
  event_loop& get_loop() {
    if (closed_) {
      throw runtime_error("Runner is closed");
    }
    if (!loop_) {
      loop_.emplace(options_);
    }
    return *loop_;
  }

  /// Closes the loop. Does nothing the second time.
  void close() {
    closed_ = true;
    if (loop_) {
      loop_->close();
    }
  }

 private:
  run_options options_;
  std::optional<event_loop> loop_;
  bool closed_ = false;
};

/// Runs `main()` in a task of a new loop and returns what it returns. In the end, all other tasks are cancelled and
/// waited for. Throws what leaves main; runtime_error if a loop runs on this thread. Python: `asyncio.run(main())`.
template <class F>
auto run(F&& main, run_options options = {}) {
  if (detail::loop_state::running_here() != nullptr) {
    throw runtime_error("asyncio.run() cannot be called from a running event loop");
  }
  runner once(options);
  return once.run(std::forward<F>(main));
}

}  // namespace KRAIT_BACKEND
}  // namespace krait::asyncio
