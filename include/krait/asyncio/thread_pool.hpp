// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace krait::asyncio {

/// Threads that call functions, first come, first served. Each is made when a function comes and none is free. Any thread
/// may use it. Python: concurrent.futures.ThreadPoolExecutor.
class thread_pool {
 public:
  /// At most so many threads; 0: as many as there are processors, and four, but no more than 32.
  explicit thread_pool(std::size_t threads = 0);
  thread_pool(const thread_pool&) = delete;
  thread_pool& operator=(const thread_pool&) = delete;
  /// Waits for all that was posted.
  ~thread_pool();

  /// Throws runtime_error after shutdown(); std::bad_alloc; std::system_error if there is no thread for it.
  void post(std::function<void()> function);

  /// Nothing can be posted any more; what was is done. `wait`: returns when it has been, and the threads have ended.
  void shutdown(bool wait = true);

 private:
  struct shared;
  std::shared_ptr<shared> shared_;
};

}  // namespace krait::asyncio
