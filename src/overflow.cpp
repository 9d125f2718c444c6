// SPDX-License-Identifier: BSL-1.0
#include "overflow.hpp"

// A generator that runs out of stack hits the guard below it, which is a SIGSEGV. What would tell the user
// what happened and what to do about it is gone from sight by then, so a handler says it, and lets the signal
// take its course:
//
//      SIGSEGV --> on_fault --> did a generator hit its own guard?  yes: one line to stderr
//                     |
//                     +------> whoever was to handle it before: the user's own handler, or the default:
//                              back to the faulting instruction, which faults again and ends the process
//                              there, core dump and all
//
// A handler needs stack itself: the thread's alternate signal stack, which krait gives to each thread that
// takes a stack from a pool and has none. It takes no lock: a frame is found through the list of arenas
// (arena.hpp). A thread that only resumes what others made has no alternate stack, unless somebody else gave
// it one, and dies of the same signal without a word.
//
// The handler is there from the first arena on. Whoever installs another one later replaces it, or may call
// it.

#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "arena.hpp"
#include "krait/detail/frame.hpp"

namespace krait::detail {
namespace {

/// Where the thread's stack pointer was when it faulted; null where nobody knows how to ask.
const std::byte* stack_pointer_in([[maybe_unused]] const void* context) noexcept {
#if defined(__x86_64__)
  const auto sp = static_cast<const ucontext_t*>(context)->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
  const auto sp = static_cast<const ucontext_t*>(context)->uc_mcontext.sp;
#elif defined(__riscv)
  const auto sp = static_cast<const ucontext_t*>(context)->uc_mcontext.__gregs[REG_SP];
#else
  const std::uintptr_t sp = 0;
#endif
  return reinterpret_cast<const std::byte*>(sp);
}

/// The line that is written: nothing here may allocate, or lock.
class line {
 public:
  line& text(std::string_view part) noexcept {
    length_ += part.copy(text_ + length_, sizeof text_ - length_);
    return *this;
  }
  line& decimal(std::size_t number) noexcept { return add(number, 10); }
  line& address(const void* place) noexcept {
    return text("0x").add(reinterpret_cast<std::uintptr_t>(place), 16);
  }

  void write_to_stderr() const noexcept {
    if (::write(STDERR_FILENO, text_, length_) < 0) {
      // There is nobody to tell.
    }
  }

 private:
  line& add(std::uintptr_t number, int base) noexcept {
    const auto end = std::to_chars(text_ + length_, text_ + sizeof text_, number, base);
    length_ = static_cast<std::size_t>(end.ptr - text_);
    return *this;
  }

  char text_[512];
  std::size_t length_ = 0;
};

/// Writes the message if a fault at `address` is a stack that overflowed: it lies in the guard of the very
/// stack that the thread is on.
void report_overflow(const std::byte* address, const std::byte* stack_pointer) noexcept {
  for (const arena* each = __atomic_load_n(&krait_arenas, __ATOMIC_ACQUIRE); each != nullptr;
       each = each->next) {
    const std::byte* const base = __atomic_load_n(&each->base, __ATOMIC_ACQUIRE);
    const auto offset = static_cast<std::size_t>(address - base);
    if (base == nullptr || address < base || offset >= each->slots * each->stride()) {
      continue;
    }
    const std::size_t slot = offset / each->stride();
    const stack memory = each->stack_in(slot);
    const bool on_it = stack_pointer >= memory.limit - each->guard && stack_pointer < memory.top();
    if (offset % each->stride() >= each->guard || (stack_pointer != nullptr && !on_it)) {
      return;
    }
    line message;
    message.text("krait: stack overflow in ");
    if (const frame* const self = __atomic_load_n(&resident_above(memory.top()), __ATOMIC_ACQUIRE)) {
      const std::string_view name = self->rest().name;
      message.text("<generator object ").text(name.substr(0, 300)).text(" at ").address(self).text(">");
    } else {
      message.text("what uses a stack_pool's stack");
    }
    message.text(": its stack has ").decimal(each->size).text(" bytes: raise stack_options::size\n");
    message.write_to_stderr();
    return;
  }
}

bool installed = false;
struct sigaction previous;

/// What would have happened without this handler.
void pass_on(int signal, siginfo_t* info, void* context) noexcept {
  const bool by_hardware = info->si_code > 0;  // not by kill() or the like
  const auto handler = previous.sa_handler;    // the same place, and the same two constants, as sa_sigaction
  if (handler == SIG_DFL || handler == SIG_IGN) {
    ::sigaction(signal, &previous, nullptr);
    if (!by_hardware) {
      ::raise(signal);  // arrives when this handler returns
    }
    return;
  }
  if ((previous.sa_flags & static_cast<int>(SA_RESETHAND)) != 0) {
    struct sigaction reset = {};
    reset.sa_handler = SIG_DFL;
    ::sigaction(signal, &reset, nullptr);
  }
  if ((previous.sa_flags & SA_SIGINFO) != 0) {
    previous.sa_sigaction(signal, info, context);
  } else {
    handler(signal);
  }
}

void on_fault(int signal, siginfo_t* info, void* context) {
  const int error = errno;
  if (info->si_code > 0) {
    report_overflow(static_cast<const std::byte*>(info->si_addr), stack_pointer_in(context));
  }
  pass_on(signal, info, context);
  errno = error;
}

bool wanted() noexcept {
  static const bool answer = [] {
    const char* const wish = std::getenv("KRAIT_OVERFLOW_HANDLER");
    return wish == nullptr || std::strcmp(wish, "off") != 0;
  }();
  return answer;
}

/// For a library that has krait in it and is unloaded: the handler must not outlive its code.
[[gnu::destructor]] void stop_watching() noexcept {
  struct sigaction current = {};
  if (installed && ::sigaction(SIGSEGV, nullptr, &current) == 0 && current.sa_sigaction == &on_fault) {
    ::sigaction(SIGSEGV, &previous, nullptr);
  }
}

}  // namespace

void watch_for_overflows() noexcept {
  if (installed || !wanted() || ::sigaction(SIGSEGV, nullptr, &previous) != 0) {
    return;
  }
  // The former handler runs from within this one, with the signals blocked that it asked for.
  struct sigaction action = previous;
  action.sa_sigaction = &on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | (previous.sa_flags & (SA_NODEFER | SA_RESTART));
  installed = ::sigaction(SIGSEGV, &action, nullptr) == 0;
}

namespace {
/// Enough for handlers that walk the stack; only what is used of it becomes memory.
constexpr std::size_t signal_stack_size = std::size_t{64} << 10;
}  // namespace

void signal_stack::install() noexcept {
  stack_t current = {};
  if (!wanted() || ::sigaltstack(nullptr, &current) != 0 || (current.ss_flags & SS_DISABLE) == 0) {
    return;
  }
  void* const memory = ::mmap(nullptr, signal_stack_size, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    return;
  }
  stack_t mine = {};
  mine.ss_sp = memory;
  mine.ss_size = signal_stack_size;
  if (::sigaltstack(&mine, nullptr) == 0) {
    memory_ = memory;
  } else {
    ::munmap(memory, signal_stack_size);
  }
}

void signal_stack::remove() noexcept {
  if (memory_ == nullptr) {
    return;
  }
  stack_t current = {};
  if (::sigaltstack(nullptr, &current) == 0 && current.ss_sp == memory_) {
    stack_t none = {};
    none.ss_flags = SS_DISABLE;
    if (::sigaltstack(&none, nullptr) != 0) {
      return;  // in use this moment
    }
  }
  ::munmap(memory_, signal_stack_size);
  memory_ = nullptr;
}

}  // namespace krait::detail
