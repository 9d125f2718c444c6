// SPDX-License-Identifier: BSL-1.0

// A handler that was there before krait's and did not ask for the alternate stack has as much room as it had,
// also where krait's runs there.

#include <doctest/doctest.h>

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <thread>

#include <krait/krait.hpp>

#include "scenario.hpp"

namespace {

using process::readable;

std::byte* volatile page_to_open = nullptr;
const void* volatile handled_at = nullptr;
std::size_t needed = 0;

/// Writes to `bytes` of stack.
[[gnu::noinline]] void use_stack(std::size_t bytes) {
  volatile char local[4096];
  for (volatile char& each : local) {
    each = 'h';
  }
  if (bytes > sizeof local) {
    use_stack(bytes - sizeof local);
  }
  local[0] = 'i';
}

/// Opens the page, as a collector's write barrier does.
void open_page(int, siginfo_t* info, void*) {
  handled_at = __builtin_frame_address(0);
  use_stack(needed);
  if (info->si_addr != page_to_open || ::mprotect(page_to_open, 4096, PROT_READ | PROT_WRITE) != 0) {
    ::_exit(9);
  }
}

void handle_on_own_stack() {
  process::on_fault(&open_page);
}

/// Faults, and is repaired by the handler; so many times.
void fault(int times) {
  for (int i = 0; i < times; ++i) {
    void* const memory = ::mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    page_to_open = static_cast<std::byte*>(memory);
    *const_cast<volatile std::byte*>(page_to_open) = std::byte{1};
  }
}

const scenario in_need("handler in need of stack", [] {
  handle_on_own_stack();
  take_a_stack();
  for (const std::size_t each : {std::size_t{70} << 10, std::size_t{200} << 10, std::size_t{900} << 10}) {
    needed = each;
    fault(2);
    std::thread([] {
      take_a_stack();
      fault(2);
    }).join();
    krait::generator<int> g = [](auto& yield) {
      needed = std::min(needed, std::size_t{200} << 10);
      fault(2);
      yield(1);
    };
    g.next();
  }
  return 0;
});

const scenario without_end("handler without end", [] {
  handle_on_own_stack();
  take_a_stack();
  needed = SIZE_MAX;
  fault(1);
  return 0;
});

const scenario guarded("guarded signal stack", [] {
  take_a_stack();
  const stack_t current = process::signal_stack();
  auto* const limit = static_cast<std::byte*>(current.ss_sp);
  for (std::ptrdiff_t below = 1; below <= 64 * 1024; below += 1024) {
    if (readable(limit - below)) {
      return 1;
    }
  }
  return readable(limit) && readable(limit + current.ss_size - 1) ? 0 : 2;
});

// The host's own alternate stack is small: good for the handler of another signal that it was made for.
alignas(64) std::array<std::byte, 64 * 1024> small_stack;

const scenario cramped("cramped signal stack", [] {
  process::set_signal_stack(small_stack.data() + 48 * 1024, 16 * 1024);
  handle_on_own_stack();
  take_a_stack();
  needed = 200 * 1024;
  fault(3);
  if (process::within(handled_at, small_stack.data(), small_stack.size())) {
    return 1;
  }
  const bool spared = std::all_of(small_stack.begin(), small_stack.begin() + 48 * 1024,
                                  [](std::byte each) { return each == std::byte{0}; });
  struct sigaction action = {};
  ::sigaction(SIGSEGV, nullptr, &action);
  return spared && action.sa_sigaction == &open_page ? 0 : 2;
});

const scenario sent("sent to a cramped handler", [] {
  process::set_signal_stack(small_stack.data(), 16 * 1024);
  process::on_fault([](int, siginfo_t* info, void*) {
    ::_exit(info->si_code == SI_QUEUE && info->si_value.sival_int == 4711 ? 7 : 8);
  });
  take_a_stack();
  ::sigqueue(::getpid(), SIGSEGV, sigval{4711});
  return 0;
});

}  // namespace

TEST_CASE("a handler that did not ask for the alternate stack has room there for what it needs") {
  if (!probes::sanitized) {
    CHECK(in_need.run().status.exited_with(0));
  }
}

TEST_CASE("a handler that needs more than there is faults at a guard") {
  if (!probes::sanitized) {
    CHECK(without_end.run().status.killed_by(SIGSEGV));
    CHECK(guarded.run().status.exited_with(0));
  }
}

TEST_CASE("a handler that did not ask for the alternate stack is not called on one that is not large") {
  if (!probes::sanitized) {
    CHECK(cramped.run().status.exited_with(0));
    CHECK(sent.run().status.exited_with(7));
  }
}
