// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace krait::asyncio {

/// Threads that call functions, first come, first served. Each is made when a function comes and none is free. Any
/// thread may use it. Python: concurrent.futures.ThreadPoolExecutor.
class thread_pool {
 public:
  /// At most so many threads; 0: as many as there are processors, and four, but no more than 32. None is made yet.
  /// Throws std::bad_alloc.
  explicit thread_pool(std::size_t threads = 0);
  thread_pool(const thread_pool&) = delete;
  thread_pool& operator=(const thread_pool&) = delete;
  /// As shutdown(): waits for all that was posted.
  ~thread_pool();

  /// Has a thread call it; it must not throw. Throws runtime_error after shutdown(); std::bad_alloc; std::system_error
  /// if there is no thread for it. Python: `pool.submit(f)`.
  void post(std::function<void()> function);

  /// Nothing can be posted any more; what was is done. `wait`: returns when it has been, and the threads have ended, of
  /// which the caller is none. Python: `pool.shutdown(wait)`.
  void shutdown(bool wait = true);

 private:
  struct shared;
  std::shared_ptr<shared> shared_;
};

}  // namespace krait::asyncio
