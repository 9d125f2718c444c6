// SPDX-License-Identifier: BSL-1.0
#include "krait/asyncio/gather.hpp"

namespace krait::asyncio::detail {
inline namespace KRAIT_BACKEND {

void gathering::begin(std::size_t number) {
  for (std::size_t i = 0; i < number; ++i) {
    if (access::state_of(children[i].future).loop != loop) {
      throw value_error("The future belongs to a different loop than the one specified as the loop argument");
    }
  }
  // Of one that is there several times, the first child waits: that stands last in its list then.
  count = number;
  for (std::size_t i = 0; i < number; ++i) {
    child& made = children[i];
    future_state& waited = access::state_of(made.future);
    if (waited.done()) {
      ++left;
      continue;
    }
    if (waiter* const last = waited.waiters.last(); last != waited.waiters.end() && last->task == nullptr &&
                                                    static_cast<callback*>(last)->run == &child_done &&
                                                    static_cast<child*>(last)->of == this) {
      continue;
    }
    loop->ready.reserve();
    retain();
    ++left;
    made.of = this;
    made.on_behalf_of = this;
    made.run = &child_done;
    made.drop = [](callback& dropped) noexcept {
      gathering& its = *static_cast<child&>(dropped).of;
      its.loop->ready.unreserve();
      its.release();
    };
    waited.waiters.push_back(made);
  }
  if (left == 0) {
    finish(nullptr);
  }
  for (std::size_t i = 0; i < number; ++i) {
    if (children[i].future.done()) {
      count_down(access::state_of(children[i].future));
    }
  }
}

void gathering::child_done(callback& self) {
  auto& ended = static_cast<child&>(self);
  gathering& its = *ended.of;
  its.count_down(access::state_of(ended.future));
  its.loop->ready.unreserve();
  its.release();
}

void gathering::count_down(future_state& ended) {
  ended.retrieved = true;
  --left;
  if (!done()) {
    if (!keep_exceptions && ended.status != status::finished) {
      fail(ended.exception);
    } else if (left == 0) {
      finish(&ended);
    }
  }
}

void gathering::finish(const future_state* last) {
  if (cancel_requested) {
    return fail(last->status == status::cancelled ? last->exception
                                                  : std::make_exception_ptr(cancelled_error()));
  }
  try {
    collect(*this);
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
    any = self.children[i].future.cancel(message) || any;
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
    until.arm(self.loop->after(*delay));
  }
  here.wait();
}

}  // namespace KRAIT_BACKEND
}  // namespace krait::asyncio::detail
