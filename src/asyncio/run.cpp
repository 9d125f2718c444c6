// SPDX-License-Identifier: BSL-1.0
#include "krait/asyncio/run.hpp"

#include <signal.h>
#include <unistd.h>

#include <sys/syscall.h>

namespace krait::asyncio {
namespace detail {
inline namespace KRAIT_BACKEND {

namespace {
bool ctrl_c_is_free() noexcept {
  struct sigaction present{};
  return ::syscall(SYS_gettid) == ::getpid() && ::sigaction(SIGINT, nullptr, &present) == 0 &&
         (present.sa_flags & SA_SIGINFO) == 0 && present.sa_handler == SIG_DFL;
}
}  // namespace

interruptible_scope::interruptible_scope(event_loop& loop, any_task main)
    : loop_(loop), main_(std::move(main)) {
  if (ctrl_c_is_free()) {
    const auto interrupt = [count = count_, task = main_] {
      if (++*count > 1 || task.done()) {
        throw keyboard_interrupt();
      }
      task.cancel();
    };
    loop_.state().watch_signal(SIGINT, interrupt, false);
    installed_ = true;
  }
}

interruptible_scope::~interruptible_scope() {
  if (installed_) {
    loop_.remove_signal_handler(SIGINT);
  }
}

}  // namespace KRAIT_BACKEND
}  // namespace detail

inline namespace KRAIT_BACKEND {

event_loop& runner::get_loop() {
  if (closed_) {
    throw runtime_error("Runner is closed");
  }
  if (loop_ == nullptr) {
    context_ = copy_context();
    loop_ = make_ ? make_(options_) : std::make_unique<event_loop>(options_);
  }
  return *loop_;
}

void runner::close() {
  closed_ = true;
  if (loop_ != nullptr && !loop_->is_closed()) {
    detail::loop_state& loop = loop_->state();
    loop.drain();
    loop.shut_async_generators();
    if (loop.executor != nullptr) {
      loop_->run_until_complete([] { shutdown_default_executor(std::chrono::seconds(300)); });
    }
    loop_->close();
  }
}

runner::~runner() {
  try {
    close();
  } catch (...) {
    loop_->state().report("exception while the event loop was closed", std::current_exception());
  }
}

}  // namespace KRAIT_BACKEND
}  // namespace krait::asyncio
