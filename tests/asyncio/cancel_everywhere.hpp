// SPDX-License-Identifier: BSL-1.0
#pragma once

// A scenario is run again and again, and one of its tasks, the victim, cancelled at another point each time, until that
// comes too late. A point is between any two entries of the ready queue, wherever something has happened since the last
// one: so each wait of the victim is cancelled where it has just begun, and where it has been woken and has not run yet,
// and before and behind each step of whoever runs meanwhile.
//
// What looks there is a callback that stands in front of each entry in turn.

#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include <krait/asyncio.hpp>

#include "support/tasks.hpp"

namespace asyncio_tests {

/// How a victim is made, and how often it is cancelled.
struct attack {
  bool eager = false;
  bool twice = false;  ///< and at the next point once more
  int at = 0;          ///< the point
};

/// What a scenario is given. It makes the victim, and sees to it that all has ended when it returns.
class scene : asyncio::detail::callback {
  using queue = asyncio::detail::ready_queue;

 public:
  scene(asyncio::event_loop& loop, attack how) : loop_(loop.state()), how_(how) {
    loop_.ready.reserve();
    callback::run = [](callback& self) { static_cast<scene&>(self).look(); };
  }
  ~scene() {
    if (queued) {
      loop_.ready.erase(place);
    } else {
      loop_.ready.unreserve();
    }
  }

  template <class F>
  asyncio::task<void> victim(F body) {
    loop_.queue(*this);  // before it starts
    const auto made = asyncio::create_task(std::move(body), {.name = "victim", .eager = how_.eager});
    victim_ = &static_cast<asyncio::detail::task_state&>(asyncio::detail::access::state_of(made));
    handle_ = made;
    waits_ = how_.eager && !made.done() ? 1 : 0;
    return made;
  }

  /// Waits until the victim has ended: by itself, or cancelled.
  void until_done() const {
    asyncio::wait(std::vector{handle_});
    if (!handle_.cancelled()) {
      CHECK(text_of(handle_.exception()) == "none");
    }
  }

  bool cancelled() const noexcept { return cancelled_; }
  int waits() const noexcept { return waits_; }

 private:
  void look() {
    if (ahead_ != 0 && reinterpret_cast<void*>(ahead_ & ~queue::mask) == of_victim() && !victim_->done()) {
      ++waits_;
    }
    const bool is_woken = victim_->waiting != nullptr && victim_->waiting->state != waiter::stage::waiting;
    if (points_ == 0 || ahead_ != 0 || is_woken != woken_) {
      woken_ = is_woken;
      if (points_ == how_.at || (how_.twice && points_ == how_.at + 1)) {
        cancelled_ = victim_->cancel({}) || cancelled_;
      }
      ++points_;
    }
    ahead_ = 0;
    if (victim_->done() || points_ > how_.at + (how_.twice ? 1 : 0)) {
      return;
    }
    queue& ready = loop_.ready;
    if (ready.head() == loop_.turn_end) {  // the first of the next turn
      queued = true;
      ready.push_front(static_cast<callback*>(this), queue::called);
      place = loop_.turn_end = ready.head();
      return;
    }
    ahead_ = ready.front();
    ready.pop();
    queued = true;
    ready.push_front(static_cast<callback*>(this), queue::called);
    place = ready.head();
    void* const what = reinterpret_cast<void*>(ahead_ & ~queue::mask);
    ready.push_front(what, static_cast<queue::tag>(ahead_ & queue::mask));
    if ((ahead_ & queue::mask) == queue::called) {
      static_cast<callback*>(what)->place = ready.head();
    }
  }

  /// As it stands in the queue.
  void* of_victim() const noexcept { return victim_; }

  asyncio::detail::loop_state& loop_;
  attack how_;
  asyncio::task<void> handle_;
  asyncio::detail::task_state* victim_ = nullptr;
  queue::entry ahead_ = 0;
  bool woken_ = false;
  bool cancelled_ = false;
  int points_ = 0;
  int waits_ = 0;
};

/// What all runs of a scenario came to.
struct attacks {
  int waits = 0;  ///< of a lazy victim that is left alone
  int cancellations = 0;
};

/// `scenario(scene&)` in a task of a loop of its own, for each point: the victim lazy and eager, cancelled once and
/// twice.
template <class Scenario>
attacks cancel_everywhere(Scenario scenario) {
  attacks all;
  for (const bool eager : {false, true}) {
    for (const bool twice : {false, true}) {
      for (attack how{.eager = eager, .twice = twice};; ++how.at) {
        CAPTURE(how.eager);
        CAPTURE(how.twice);
        CAPTURE(how.at);
        asyncio::run_options options;
        options.debug = true;  // so that whoever is not woken is no endless wait
        asyncio::event_loop loop(options);
        loop.set_slow_callback_duration(std::chrono::hours(1));
        const reports told(loop);
        scene here(loop, how);
        loop.run_until_complete([&] {
          scenario(here);
          CHECK(asyncio::all_tasks().size() == 1);
        });
        CHECK(told.log.text() == "");
        CHECK(loop.state().timers.size() == 0);
        if (!here.cancelled()) {
          all.waits = eager ? all.waits : here.waits();
          break;
        }
        ++all.cancellations;
      }
    }
  }
  return all;
}

}  // namespace asyncio_tests
