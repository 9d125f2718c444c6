// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the tests of coroutines and asynchronous generators have in common: who drives them, by hand or to
// the end, and an event loop in little.

#include <exception>
#include <iterator>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <krait/krait.hpp>

#include "support/support.hpp"

namespace driver {

inline std::string text_of(const std::string& value) {
  return value;
}
inline std::string text_of(int value) {
  return std::to_string(value);
}
template <class T>
std::string text_of(const std::optional<T>& value) {
  return value.has_value() ? text_of(*value) : "None";
}

/// What driving by hand comes to:
///     "-> 5"                        went out to the driver
///     "StopIteration(5)"            ended with that result, or with none: "StopIteration()"
///     "krait::runtime_error: text"  was raised
template <class Call>
std::string told(Call call) {
  const auto stopped = [](auto& stop) {
    return "StopIteration(" + (stop.has_value() ? text_of(stop.value()) : "") + ")";
  };
  try {
    if constexpr (std::is_void_v<decltype(call())>) {
      call();
      return "-> None";
    } else {
      return "-> " + text_of(call());
    }
  } catch (krait::stop_iteration<int>& stop) {
    return stopped(stop);
  } catch (krait::stop_iteration<std::string>& stop) {
    return stopped(stop);
  } catch (krait::stop_iteration<std::optional<int>>& stop) {
    return stopped(stop);
  } catch (krait::stop_iteration<std::optional<std::string>>& stop) {
    return stopped(stop);
  } catch (const krait::stop_iteration<>&) {
    return "StopIteration()";
  } catch (const krait::stop_async_iteration&) {
    return "StopAsyncIteration";
  } catch (...) {
    return support::text_of(std::current_exception());
  }
}

/// Gives `text` to the driver, and waits to be resumed.
inline krait::awaitable_generator<std::string> waiting(std::string text) {
  return [text = std::move(text)](auto& yield) { yield(text); };
}

/// Waits for its turn.
inline krait::awaitable_generator<void> sleep() {
  return [](auto& yield) { yield(); };
}

/// Runs a coroutine to its end: whatever waits is resumed at once. Returns what it returns.
template <class Yield, class Send, class Return>
Return run(krait::coroutine<Yield, Send, Return> c) {
  for (;;) {
    const auto step = c.resume();
    if (step.returned()) {
      if constexpr (std::is_void_v<Return>) {
        return;
      } else {
        return *step.result();
      }
    }
  }
}

/// Runs a function that awaits what waits for its turn.
template <class Body>
void run_async(Body body) {
  run(krait::coroutine<void>(std::move(body)));
}

/// Raised in what is to end before it is done.
struct cancelled_error {};

/// While alive, keeps the warnings.
class warnings {
 public:
  warnings()
      : previous_(krait::set_warning_hook([this](const std::string& message) { messages_(message); })) {}
  warnings(const warnings&) = delete;
  warnings& operator=(const warnings&) = delete;
  ~warnings() { krait::set_warning_hook(std::move(previous_)); }

  const std::string& text() const { return messages_.text(); }
  void clear() { messages_.clear(); }

 private:
  support::journal messages_;
  krait::warning_hook previous_;
};

/// While alive, sets hooks of asynchronous generators.
class hooked {
 public:
  explicit hooked(krait::async_generator_hooks hooks)
      : previous_(krait::set_asyncgen_hooks(std::move(hooks))) {}
  hooked(const hooked&) = delete;
  hooked& operator=(const hooked&) = delete;
  ~hooked() { krait::set_asyncgen_hooks(std::move(previous_)); }

 private:
  krait::async_generator_hooks previous_;
};

/// Tasks that take turns, and the asynchronous generators that they iterate.
class event_loop {
 public:
  using coroutine = krait::coroutine<void>;

  void create_task(coroutine body) { tasks_.push_back({std::move(body), "a task failed"}); }

  /// Runs `main`, then ends the other tasks, and closes all generators. Throws what leaves `main`.
  void run(coroutine main) {
    while (main.resume().yielded()) {
      turn_of_all();
    }
    for (task& each : tasks_) {
      each.cancelled = each.body.suspended();
      each.when_it_fails = "unhandled exception during shutdown";
    }
    run_all();
    shutdown_asyncgens();
  }

  /// Closes all generators that were iterated and have not ended.
  void shutdown_asyncgens() {
    for (const auto& weak : std::exchange(generators_, {})) {
      if (const auto generator = weak.lock()) {
        tasks_.push_back({krait::aclose<void>(*generator),
                          "an error occurred during closing of asynchronous generator " + generator->repr()});
      }
    }
    run_all();
  }

  /// What went wrong in tasks: "MESSAGE: exception".
  const std::string& reports() const { return reports_.text(); }

 private:
  struct task {
    coroutine body;
    std::string when_it_fails;
    bool cancelled = false;

    /// Has it ended?
    bool turn() {
      const auto error = std::make_exception_ptr(cancelled_error());
      return (std::exchange(cancelled, false) ? body.resume_with(error) : body.resume()).returned();
    }
  };

  void turn_of_all() {
    for (auto it = tasks_.begin(); it != tasks_.end();) {
      bool ended = true;
      try {
        ended = it->turn();
      } catch (const cancelled_error&) {
      } catch (...) {
        reports_(it->when_it_fails + ": " + support::handled());
      }
      it = ended ? tasks_.erase(it) : std::next(it);
    }
  }
  void run_all() {
    while (!tasks_.empty()) {
      turn_of_all();
    }
  }

  std::list<task> tasks_;
  std::vector<std::weak_ptr<krait::async_generator_object>> generators_;
  support::journal reports_;
  hooked hooks_{
      {[this](krait::async_generator_object& made) { generators_.push_back(made.weak_from_this()); },
       [this](const std::shared_ptr<krait::async_generator_object>& dropped) {
         create_task(krait::aclose<void>(*dropped));
       }}};
};

}  // namespace driver
