// SPDX-License-Identifier: BSL-1.0
#include "krait/asyncio/threads.hpp"

#include <memory>
#include <thread>
#include <utility>

#include "krait/asyncio/timeout.hpp"

namespace krait::asyncio {
namespace detail {
inline namespace KRAIT_BACKEND {

namespace {
struct default_pool final : executor {
  std::shared_ptr<thread_pool> pool;
  explicit default_pool(std::shared_ptr<thread_pool> with) noexcept : pool(std::move(with)) {}
  ~default_pool() override { pool->shutdown(false); }
};
}  // namespace

thread_pool& default_executor(loop_state& of) {
  if (of.executor_shut) {
    throw runtime_error("Executor shutdown has been called");
  }
  if (of.executor == nullptr) {
    of.executor = std::make_unique<default_pool>(std::make_shared<thread_pool>());
  }
  return *static_cast<default_pool&>(*of.executor).pool;
}

}  // namespace KRAIT_BACKEND
}  // namespace detail

inline namespace KRAIT_BACKEND {

void event_loop::set_default_executor(std::shared_ptr<thread_pool> pool) {
  state_->check_open();
  state_->executor = std::make_unique<detail::default_pool>(std::move(pool));
}

void shutdown_default_executor(std::optional<duration> most) {
  detail::loop_state& loop = *detail::this_task().loop;
  loop.executor_shut = true;
  if (loop.executor == nullptr) {
    return;
  }
  const auto ended = create_future<void>();
  auto waiting = std::make_unique<detail::awaited_elsewhere<void>>(loop, ended,
                                                                   std::make_shared<detail::came_of<void>>());
  std::thread([box = loop.inbox, place = waiting.get(),
               pool = static_cast<detail::default_pool&>(*loop.executor).pool] {
    pool->shutdown();
    box->post(*place);
  }).detach();
  waiting.release();  // is the loop's
  try {
    wait_for(ended, most);
  } catch (const timeout_error&) {
    loop.report("The executor did not finish joining its threads in time", nullptr);
  }
}

#if defined(__cpp_lib_jthread)
void cancel_on_stop(const any_task& task, std::stop_token token) {
  // Changed by the loop's thread alone; it goes by the inbox at most once.
  struct request : detail::callback {
    detail::task_state* cancels;    ///< null: it has ended
    std::shared_ptr<request> held;  ///< itself, while it is on its way

    explicit request(detail::task_state& of) : cancels(&of) {
      run = [](callback& self) {
        auto& its = static_cast<request&>(self);
        const auto mine = std::move(its.held);
        if (its.cancels != nullptr) {
          its.cancels->cancel({});
        }
      };
      drop = [](callback& self) noexcept { static_cast<request&>(self).held.reset(); };
    }
  };
  auto& state = static_cast<detail::task_state&>(detail::access::state_of(task));
  const auto to = std::make_shared<request>(state);
  const auto send = [to, box = state.loop->inbox] {
    to->held = to;
    if (!box->post(*to)) {
      to->held.reset();
    }
  };
  const auto asked = std::make_shared<std::stop_callback<decltype(send)>>(std::move(token), send);
  task.add_done_callback([to, asked] { to->cancels = nullptr; });
}
#endif

}  // namespace KRAIT_BACKEND
}  // namespace krait::asyncio
