// SPDX-License-Identifier: BSL-1.0
#include "krait/asyncio/thread_pool.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "krait/exceptions.hpp"

namespace krait::asyncio {

// The threads share it: they may outlive the pool, where nobody waits for them.
struct thread_pool::shared {
  std::mutex lock;
  std::condition_variable changed;
  std::deque<std::function<void()>> posted;
  std::vector<std::thread> threads;
  std::size_t most;
  std::size_t idle = 0;
  bool shut = false;

  explicit shared(std::size_t count) : most(count) {}

  void run() {
    std::unique_lock guard(lock);
    for (;;) {
      ++idle;
      changed.wait(guard, [this] { return shut || !posted.empty(); });
      --idle;
      if (posted.empty()) {
        return;
      }
      std::function<void()> next = std::move(posted.front());
      posted.pop_front();
      guard.unlock();
      next();
      next = nullptr;
      guard.lock();
    }
  }
};

thread_pool::thread_pool(std::size_t threads)
    : shared_(std::make_shared<shared>(
          threads != 0 ? threads : std::min<std::size_t>(32, std::thread::hardware_concurrency() + 4))) {}

thread_pool::~thread_pool() {
  shutdown();
}

void thread_pool::post(std::function<void()> function) {
  const std::lock_guard guard(shared_->lock);
  if (shared_->shut) {
    throw runtime_error("cannot schedule new futures after shutdown");
  }
  shared_->posted.push_back(std::move(function));
  if (shared_->idle < shared_->posted.size() && shared_->threads.size() < shared_->most) {
    try {
      shared_->threads.emplace_back([self = shared_] { self->run(); });
    } catch (...) {
      if (shared_->threads.empty()) {
        shared_->posted.pop_back();
        throw;
      }
    }
  }
  shared_->changed.notify_one();
}

void thread_pool::shutdown(bool wait) {
  std::vector<std::thread> ending;
  {
    const std::lock_guard guard(shared_->lock);
    shared_->shut = true;
    ending.swap(shared_->threads);
  }
  shared_->changed.notify_all();
  for (std::thread& each : ending) {
    if (wait) {
      each.join();
    } else {
      each.detach();
    }
  }
}

}  // namespace krait::asyncio
