// SPDX-License-Identifier: BSL-1.0
#include "stack/overflow.hpp"

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
// A handler that was there before may not have asked for the alternate stack, and rely on as much room as
// threads' stacks have. So krait's signal stacks are large, as only what is touched of them costs, and
// guarded. On a smaller one, which is somebody else's and meant for another signal, such a handler is not
// called: it is put in charge again, and the fault happens again, before it.
//
// The handler is there from the first arena on. Whoever installs another one later replaces it, or may call
// it.
//
// Libraries that are loaded while a program runs may each have a krait of their own, and be unloaded in any
// order:
//
//      host <-- previous -- krait of A <-- previous -- krait of B <== SIGSEGV
//
// When A goes, B must not go on to remember it. The two know nothing of each other; but each has a note in
// its program headers that leads to its link in this chain, so whoever goes finds those that remember it.

#include <link.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "krait/detail/resident.hpp"
#include "krait/stack.hpp"
#include "stack/arena.hpp"

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
  line& decimal(std::size_t number) noexcept {
    const auto end = std::to_chars(text_ + length_, text_ + sizeof text_, number);
    length_ = static_cast<std::size_t>(end.ptr - text_);
    return *this;
  }
  line& introduction_of(const void* resident) noexcept {
    length_ += introduce(resident, text_ + length_, sizeof text_ - length_);
    return *this;
  }

  void write_to_stderr() const noexcept {
    if (::write(STDERR_FILENO, text_, length_) < 0) {
      // There is nobody to tell.
    }
  }

 private:
  char text_[512];
  std::size_t length_ = 0;
};

/// If a fault at `address` is a stack that overflowed, that is lies in the guard of the very stack that the
/// thread is on, writes the message, and returns true.
bool report_overflow(const std::byte* address, const std::byte* stack_pointer) noexcept {
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
      return false;
    }
    line message;
    message.text("krait: stack overflow in ");
    const void* const resident = resident_of(memory.top());
    if (resident != nullptr) {
      message.introduction_of(resident);
    } else {
      message.text("what uses a stack_pool's stack");
    }
    const bool asked_for_none = as_lodger(resident) != nullptr;
    message.text(": its stack has ")
        .decimal(each->size)
        .text(" bytes: raise ")
        .text(asked_for_none ? "KRAIT_STACK_SIZE, or call set_default_stack_options()\n"
                             : "stack_options::size\n");
    message.write_to_stderr();
    return true;
  }
  return false;
}

void on_fault(int signal, siginfo_t* info, void* context);

}  // namespace

/// What the kraits of a process know of each other's handlers. No two versions may differ but behind the end.
struct link {
  void (*handler)(int, siginfo_t*, void*) = &on_fault;
  const struct sigaction* previous = nullptr;  ///< one of the two; null: not installed
  struct sigaction remembered[2] = {};
};

}  // namespace krait::detail

extern "C" {
[[gnu::used, gnu::visibility("hidden")]] constinit krait::detail::link krait_fault_link;
}

// A note of type 1 by "krait": how far it is from there to the link.
asm(R"(
  .pushsection .note.krait, "a", %note
  .balign 4
  .long 6, 4, 1
  .asciz "krait"
  .balign 4
  .long krait_fault_link - .
  .popsection
)");

namespace krait::detail {
namespace {

const struct sigaction* previous_of(const link& one) noexcept {
  return __atomic_load_n(&one.previous, __ATOMIC_ACQUIRE);
}

/// Others may be faulting meanwhile.
void remember(link& one, const struct sigaction& previous) noexcept {
  struct sigaction& place = one.remembered[one.previous == &one.remembered[0] ? 1 : 0];
  place = previous;
  __atomic_store_n(&one.previous, &place, __ATOMIC_RELEASE);
}

std::atomic<bool> installed = false;

/// What threads need for their signals at least: see above.
constexpr std::size_t signal_stack_size = std::size_t{1} << 20;
constexpr std::size_t signal_stack_guard = std::size_t{64} << 10;

/// Does this thread handle its signals on an alternate stack that is small?
bool is_cramped() noexcept {
  stack_t current = {};
  return ::sigaltstack(nullptr, &current) == 0 && (current.ss_flags & SS_ONSTACK) != 0 &&
         current.ss_size < signal_stack_size;
}

/// What would have happened without this handler.
void pass_on(int signal, siginfo_t* info, void* context, bool overflown) noexcept {
  const struct sigaction& previous = *previous_of(krait_fault_link);
  const bool by_hardware = info->si_code > 0;  // not by kill() or the like
  const auto handler = previous.sa_handler;    // the same place, and the same two constants, as sa_sigaction
  const bool wants_room = (previous.sa_flags & SA_ONSTACK) == 0 && !overflown;
  if (handler == SIG_DFL || handler == SIG_IGN || (wants_room && is_cramped())) {
    ::sigaction(signal, &previous, nullptr);
    installed = false;  // until the next arena is made
    if (!by_hardware) {
      ::syscall(SYS_rt_tgsigqueueinfo, ::getpid(), ::syscall(SYS_gettid), signal, info);
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
  const bool overflown = info->si_code > 0 && report_overflow(static_cast<const std::byte*>(info->si_addr),
                                                              stack_pointer_in(context));
  pass_on(signal, info, context, overflown);
  errno = error;
}

bool wanted() noexcept {
  static const bool answer = [] {
    const char* const wish = std::getenv("KRAIT_OVERFLOW_HANDLER");
    return wish == nullptr || std::strcmp(wish, "off") != 0;
  }();
  return answer;
}

/// Calls `visit` with the links of all kraits in this process.
template <class Visit>
void for_each_link(Visit visit) noexcept {
  const auto look_into = [](dl_phdr_info* object, std::size_t, void* data) {
    for (const auto* header = object->dlpi_phdr; header != object->dlpi_phdr + object->dlpi_phnum; ++header) {
      if (header->p_type != PT_NOTE || header->p_align > 4) {
        continue;
      }
      const auto padded = [](std::size_t size) { return (size + 3) / 4 * 4; };
      auto* place = reinterpret_cast<std::byte*>(object->dlpi_addr + header->p_vaddr);
      for (std::byte* const end = place + header->p_memsz; place < end;) {
        const auto& note = *reinterpret_cast<const ElfW(Nhdr)*>(place);
        std::byte* const name = place + sizeof note;
        std::byte* const text = name + padded(note.n_namesz);
        place = text + padded(note.n_descsz);
        if (note.n_type == 1 && note.n_namesz == 6 && std::memcmp(name, "krait", 6) == 0) {
          (*static_cast<Visit*>(data))(
              *reinterpret_cast<link*>(text + *reinterpret_cast<const std::int32_t*>(text)));
        }
      }
    }
    return 0;
  };
  ::dl_iterate_phdr(look_into, &visit);
}

}  // namespace

void watch_for_overflows() noexcept {
  struct sigaction previous = {};
  if (installed || !wanted() || ::sigaction(SIGSEGV, nullptr, &previous) != 0) {
    return;
  }
  // The former handler runs from within this one, with the signals blocked that it asked for.
  remember(krait_fault_link, previous);
  struct sigaction action = previous;
  action.sa_sigaction = &on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | (previous.sa_flags & (SA_NODEFER | SA_RESTART));
  installed = ::sigaction(SIGSEGV, &action, nullptr) == 0;
}

void stop_watching_for_overflows() noexcept {
  const struct sigaction* const previous = previous_of(krait_fault_link);
  if (previous == nullptr) {
    return;
  }
  struct sigaction current = {};
  if (::sigaction(SIGSEGV, nullptr, &current) == 0 && current.sa_sigaction == &on_fault) {
    ::sigaction(SIGSEGV, previous, nullptr);
  }
  for_each_link([previous](link& other) {
    const struct sigaction* const theirs = previous_of(other);
    if (theirs != nullptr && theirs->sa_sigaction == &on_fault) {
      remember(other, *previous);
    }
  });
}

void* install_signal_stack() noexcept {
  stack_t current = {};
  if (!wanted() || ::sigaltstack(nullptr, &current) != 0 || (current.ss_flags & SS_DISABLE) == 0) {
    return nullptr;
  }
  void* const memory = ::mmap(nullptr, signal_stack_guard + signal_stack_size, PROT_NONE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    return nullptr;
  }
  stack_t mine = {};
  mine.ss_sp = static_cast<std::byte*>(memory) + signal_stack_guard;
  mine.ss_size = signal_stack_size;
  if (::mprotect(mine.ss_sp, signal_stack_size, PROT_READ | PROT_WRITE) == 0 &&
      ::sigaltstack(&mine, nullptr) == 0) {
    return mine.ss_sp;
  }
  ::munmap(memory, signal_stack_guard + signal_stack_size);
  return nullptr;
}

void remove_signal_stack(void* given) noexcept {
  stack_t current = {};
  if (::sigaltstack(nullptr, &current) == 0 && current.ss_sp == given) {
    stack_t none = {};
    none.ss_flags = SS_DISABLE;
    if (::sigaltstack(&none, nullptr) != 0) {
      return;  // in use this moment
    }
  }
  ::munmap(static_cast<std::byte*>(given) - signal_stack_guard, signal_stack_guard + signal_stack_size);
}

}  // namespace krait::detail
