// SPDX-License-Identifier: BSL-1.0
#pragma once

// One after the other, as they are done: as_completed; and whichever is done first: staggered_race.

#include <cstddef>
#include <exception>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "krait/asyncio/event_loop.hpp"
#include "krait/asyncio/gather.hpp"
#include "krait/asyncio/locks.hpp"

namespace krait::asyncio {
inline namespace KRAIT_BACKEND {

/// What as_completed() returns: the futures, each when it is done. A range, once; it can be moved only. To iterate it
/// is to call next() until none is left.
template <class Future>
class completions {
  struct shared {
    std::vector<std::optional<Future>> done;  // none: the time is over. There is room for all
    std::size_t taken = 0;
    semaphore there{0};
    std::vector<std::pair<Future, callback_id>> waiting;
    std::size_t left = 0;
    std::optional<handle> alarm;

    void put(std::optional<Future> next) noexcept {
      done.push_back(std::move(next));
      there.release();
    }
    void forget() noexcept {
      for (const auto& [each, id] : waiting) {
        each.remove_done_callback(id);
      }
      waiting.clear();
      if (alarm) {
        alarm->cancel();
      }
    }
  };

 public:
  class iterator {
   public:
    using value_type = Future;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::input_iterator_tag;

    iterator() = default;
    explicit iterator(completions& of) : of_(&of) { ++*this; }
    const Future& operator*() const noexcept { return *item_; }
    iterator& operator++() {
      item_.reset();
      if (of_->shared_->left != 0) {
        item_ = of_->next();
      }
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const noexcept { return !item_.has_value(); }

   private:
    completions* of_ = nullptr;
    std::optional<Future> item_;
  };

  completions(std::vector<Future> all, std::optional<duration> delay) {
    shared_->left = all.size();
    shared_->done.reserve(all.size());
    shared_->waiting.reserve(all.size());
    for (Future& each : all) {
      const callback_id id = each.add_done_callback([to = std::weak_ptr(shared_), each] {
        if (const auto its = to.lock()) {
          std::erase_if(its->waiting, [&](const auto& waited) { return waited.first == each; });
          its->put(each);
        }
      });
      shared_->waiting.emplace_back(std::move(each), id);
    }
    if (delay && !shared_->waiting.empty()) {
      shared_->alarm = get_running_loop().call_later(*delay, [to = std::weak_ptr(shared_)] {
        if (const auto its = to.lock()) {
          for (std::size_t i = its->waiting.size(); i > 0; --i) {
            its->put(std::nullopt);
          }
          its->forget();
        }
      });
    }
  }
  completions(completions&&) noexcept = default;
  completions& operator=(completions&&) = delete;
  ~completions() {
    if (shared_ != nullptr) {
      shared_->forget();
    }
  }

  /// How many are to come.
  std::size_t size() const noexcept { return shared_->left; }

  /// Waits for the next one and returns it, done. Throws timeout_error, for each that is not done when the time is
  /// over; cancelled_error, and then none is lost; stop_iteration if none is left; runtime_error outside of a task, if
  /// it has to wait.
  Future next() {
    if (shared_->left == 0) {
      throw stop_iteration<>();
    }
    shared_->there.acquire();
    std::optional<Future> done = std::move(shared_->done[shared_->taken++]);
    --shared_->left;
    if (!done) {
      throw timeout_error();
    }
    return *std::move(done);
  }

  iterator begin() { return iterator(*this); }
  std::default_sentinel_t end() const noexcept { return {}; }

 private:
  std::shared_ptr<shared> shared_ = std::make_shared<shared>();
};

/// The futures of a range, each when it is done, and once; callables are called in tasks of their own. What is not done
/// `delay` after this call (none: for ever) is a timeout_error, at each further step; nothing is cancelled.
///
/// Throws runtime_error if a task is to be made, or there is a delay, and no loop runs; std::bad_alloc. Python:
/// `asyncio.as_completed(xs, timeout=delay)`.
template <std::ranges::input_range R>
[[nodiscard]] auto as_completed(R&& each, std::optional<duration> delay = {}) {
  using reference = std::ranges::range_reference_t<R>;
  using element_type = decltype(ensure_future(std::declval<reference>()));
  std::vector<element_type> all;
  for (auto&& x : each) {
    if constexpr (detail::a_future<reference>) {
      if (std::ranges::find(all, x) != all.end()) {
        continue;
      }
    }
    all.push_back(ensure_future(std::forward<decltype(x)>(x)));
  }
  return completions<element_type>(std::move(all), delay);
}

/// What came of a staggered_race().
template <class T>
struct race_result {
  std::optional<detail::element<T>> winner;    ///< none: all have failed
  std::optional<std::size_t> index;            ///< whose that is
  std::vector<std::exception_ptr> exceptions;  ///< of each that was started; null: it has not failed
};

/// Calls functions in tasks, each when the one before has failed, or after `delay` (none: only then), until one
/// returns: then the others are cancelled, and waited for. Throws cancelled_error, with which all are cancelled, when
/// they have ended; keyboard_interrupt and system_exit; runtime_error outside of a task; std::bad_alloc. Python:
/// asyncio.staggered.staggered_race().
template <class T>
race_result<T> staggered_race(const std::vector<std::function<T()>>& functions,
                              std::optional<duration> delay) {
  race_result<T> result;
  result.exceptions.reserve(functions.size());
  std::vector<task<void>> runners;
  runners.reserve(functions.size());
  std::exception_ptr
      raised;  // outside of them: to be thrown when all have ended, as they refer to this stack
  event changed;
  std::size_t running = 0;
  const auto cancel_all = [&](const std::string& message) {
    for (const task<void>& each : runners) {
      if (!(each == current_task())) {
        each.cancel(message);
      }
    }
  };
  const auto start = [&](std::size_t i) {
    ++running;
    // Also of one that is cancelled before it has begun.
    std::shared_ptr<void> end(nullptr, [&](std::nullptr_t) {
      --running;
      changed.set();
    });
    runners.push_back(create_task([&, i, end = std::move(end)] {
      result.exceptions.emplace_back();
      try {
        std::optional<detail::element<T>> value;
        if constexpr (std::is_void_v<T>) {
          functions[i]();
          value.emplace();
        } else {
          value.emplace(functions[i]());
        }
        if (!result.index) {
          result.winner = std::move(value);
          result.index = i;
          cancel_all({});
        }
      } catch (...) {
        result.exceptions[i] = std::current_exception();
        changed.set();
        if (detail::leaves_loop(result.exceptions[i])) {
          throw;
        }
      }
    }));
  };
  const auto wait_until = [&](auto condition) {
    while (!condition()) {
      changed.clear();
      try {
        changed.wait();
      } catch (const cancelled_error& error) {
        raised = std::current_exception();
        cancel_all(error.message());
      }
    }
  };
  try {
    for (std::size_t i = 0; i < functions.size() && !result.index && raised == nullptr; ++i) {
      start(i);
      bool due = false;
      std::optional<handle> alarm;
      if (delay && i + 1 < functions.size()) {
        alarm = get_running_loop().call_later(*delay, [&] {
          due = true;
          changed.set();
        });
      }
      wait_until([&] {
        return due || result.index || raised != nullptr ||
               (result.exceptions.size() > i && result.exceptions[i] != nullptr);
      });
      if (alarm) {
        alarm->cancel();
      }
    }
  } catch (...) {
    raised = std::current_exception();
    cancel_all({});
  }
  wait_until([&] { return running == 0; });
  if (raised != nullptr) {
    std::rethrow_exception(raised);
  }
  return result;
}

}  // namespace KRAIT_BACKEND
}  // namespace krait::asyncio
