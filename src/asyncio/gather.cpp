// SPDX-License-Identifier: BSL-1.0
#include "krait/asyncio/gather.hpp"

namespace krait::asyncio::detail {
inline namespace KRAIT_BACKEND {

void gathering::begin(std::vector<any_future> futures) {
  for (const any_future& each : futures) {
    if (access::state_of(each).loop != loop) {
      throw value_error("The future belongs to a different loop than the one specified as the loop argument");
    }
  }
  // One child each, also of one that is there several times.
  children = std::make_unique<child[]>(futures.size());
  for (any_future& each : futures) {
    child* const end = children.get() + count;
    child* const known =
        std::find_if(children.get(), end, [&](const child& before) { return before.future == each; });
    if (known != end) {
      ++known->times;
      continue;
    }
    loop->ready.reserve();
    child& made = children[count++];
    made.of = this;
    made.on_behalf_of = this;
    made.future = std::move(each);
    made.run = &child_done;
    made.drop = [](callback& dropped) noexcept {
      gathering& its = *static_cast<child&>(dropped).of;
      its.loop->ready.unreserve();
      its.release();
    };
    retain();
  }
  left = count;
  for (std::size_t i = 0; i < count; ++i) {
    future_state& waited = access::state_of(children[i].future);
    if (!waited.done()) {
      waited.waiters.push_back(children[i]);
    }
  }
  if (count == 0) {
    finish(nullptr);
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (children[i].future.done()) {
      count_down(children[i]);
    }
  }
}

void gathering::child_done(callback& self) {
  auto& ended = static_cast<child&>(self);
  ended.of->count_down(ended);
}

void gathering::count_down(child& ended) {
  future_state& its = access::state_of(ended.future);
  its.retrieved = true;
  --left;
  if (!done()) {
    if (!keep_exceptions && its.status != status::finished) {
      fail(its.exception);
    } else if (left == 0) {
      finish(&its);
    }
  }
  loop->ready.unreserve();
  release();
}

void gathering::finish(const future_state* last) {
  if (cancel_requested) {
    return fail(last->status == status::cancelled ? last->exception
                                                  : std::make_exception_ptr(cancelled_error()));
  }
  try {
    collect();
    complete(status::finished);
  } catch (...) {
    fail(std::current_exception());
  }
}

bool gathering::cancel_children(future_state& state, const std::string& message) {
  auto& self = static_cast<gathering&>(state);
  self.retrieved = true;
  if (self.done()) {
    return false;
  }
  bool any = false;
  for (std::size_t i = 0; i < self.count; ++i) {
    for (int again = 0; again < self.children[i].times; ++again) {
      any = self.children[i].future.cancel(message) || any;
    }
  }
  self.retrieved = false;
  self.cancel_requested = self.cancel_requested || any;
  return any;
}

void wait_some(const std::vector<any_future>& all, std::optional<duration> delay, return_when when) {
  task_state& self = this_task();
  if (all.empty()) {
    throw value_error("Set of Tasks/Futures is empty.");
  }
  parked here(self);
  std::size_t left = all.size();
  const auto wake = [&] {
    if (here.state == waiter::stage::waiting) {
      self.loop->wake(here);
    }
  };
  struct registration {
    any_future of;
    callback_id id;
    registration(const any_future& waited, task_state& by, std::function<void()> function)
        : of(waited), id(add_done_callback(access::state_of(waited), std::move(function), &by)) {}
    registration(registration&& other) noexcept : of(std::move(other.of)), id(other.id) {}
    ~registration() {
      if (of) {
        of.remove_done_callback(id);
      }
    }
  };
  // What has been queued cannot be removed: it must not refer to this stack.
  const auto alive = std::make_shared<std::function<void(future_state&)>>();
  *alive = [&](future_state& done) {
    const bool failed = when == return_when::first_exception && done.status == status::failed;
    done.retrieved = done.retrieved || failed;
    if (--left == 0 || failed || when == return_when::first_completed) {
      wake();
    }
  };
  struct scope {
    std::function<void(future_state&)>& function;
    ~scope() { function = nullptr; }
  } end{*alive};
  std::vector<registration> registered;
  for (const any_future& each : all) {
    registered.emplace_back(each, self, [alive, waited = each] {
      if (*alive != nullptr) {
        (*alive)(access::state_of(waited));
      }
    });
  }
  struct alarm : timer {
    const decltype(wake)& ring;
    alarm(loop_state& of, const decltype(wake)& what) : timer(of), ring(what) {
      run = [](callback& me) { static_cast<alarm&>(me).ring(); };
    }
  } until(*self.loop, wake);
  if (delay) {
    until.arm(self.loop->now() + *delay / std::chrono::nanoseconds(1));
  }
  here.wait();
}

}  // namespace KRAIT_BACKEND
}  // namespace krait::asyncio::detail
