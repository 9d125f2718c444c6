// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>

#include <krait/krait.hpp>

#include "scenario.hpp"

namespace {

using krait::generator;
using krait::stack_options;

/// Calls itself without end, or nearly.
[[gnu::noinline]] std::size_t recurse(std::size_t depth) {
  volatile char local[200];
  local[depth % sizeof local] = 1;
  return depth == 0 ? 0 : recurse(depth - 1) + static_cast<std::size_t>(local[0]);
}

const auto without_end = [](krait::yielder<std::size_t>& yield) { yield(recurse(SIZE_MAX)); };

generator<std::size_t> endless() {
  return without_end;
}
generator<std::size_t> endless(const stack_options& options) {
  return {std::allocator_arg, options, without_end};
}
generator<std::size_t> endless(krait::stack_source& source) {
  return {std::allocator_arg, source, without_end};
}

/// Locals larger than the guard.
generator<std::size_t> oversized() {
  return [](auto& yield) {
    volatile char local[1024 * 1024];
    local[0] = 1;
    yield(static_cast<std::size_t>(local[0]));
  };
}

/// Ended by the signal itself. A sanitizer has a handler of its own that makes a report of it.
bool ended_by_fault(const ending& end) {
  return probes::sanitized ? !end.status.exited_with(0) : end.status.killed_by(SIGSEGV);
}

/// The message, and nothing else unless a sanitizer reports too.
bool names(const ending& end, const std::string& name, const std::string& size) {
  const std::string first_line = end.text.substr(0, end.text.find('\n') + 1);
  const std::string before = "krait: stack overflow in <generator object " + name + " at 0x";
  const std::string after = ">: its stack has " + size + " bytes: raise stack_options::size\n";
  return first_line.starts_with(before) && first_line.ends_with(after) &&
         (probes::sanitized || end.text == first_line);
}

/// Of the stacks of those that say nothing.
const std::string default_size = std::to_string(krait::default_stack_options().size);

const scenario default_stack("default stack", [] { return static_cast<int>(endless().next()); });
const scenario large_stack("large stack",
                           [] { return static_cast<int>(endless(stack_options{.size = 1 << 20}).next()); });
const scenario own_pool("own pool", [] {
  krait::stack_pool pool({.size = 100'000, .guard = 64 * 1024});
  auto g = endless(pool);
  return static_cast<int>(g.next());
});
const scenario large_frame("large frame", [] { return static_cast<int>(oversized().next()); });
const scenario renamed("renamed", [] {
  auto g = endless();
  g.set_name(std::string(5000, 'n'));
  return static_cast<int>(g.next());
});
const scenario foreign_source("foreign source", [] {
  probes::counting_source source;
  return static_cast<int>(endless(source).next());
});
const scenario other_thread("other thread", [] {
  std::thread([] { static_cast<void>(endless().next()); }).join();
  return 0;
});

generator<std::size_t> third() {
  return [](auto& yield) {
    yield(1);
    yield.from(endless());
  };
}
generator<std::size_t> second() {
  return [](auto& yield) { yield.from(third()); };
}
generator<std::size_t> first() {
  return [](auto& yield) { yield.from(second()); };
}
const scenario delegate("delegate", [] {
  auto g = first();
  g.next();
  return static_cast<int>(g.next());
});
const scenario nested("nested", [] {
  generator<std::size_t> outer = [](auto& yield) {
    generator<std::size_t> bystander = third();
    bystander.next();
    yield(recurse(SIZE_MAX));
  };
  outer.set_name("outer");
  return static_cast<int>(outer.next());
});
const scenario many("many", [] {
  std::vector<generator<std::size_t>> all;
  for (int i = 0; i < 3000; ++i) {  // more than one arena holds
    all.push_back(third());
    all.back().next();
  }
  return static_cast<int>(all[1234].next() + all[2999].next());
});

}  // namespace

TEST_CASE("a stack overflow names the generator, its stack's size and the option to raise it") {
  for (const char* const guards : {"KRAIT_GUARDS=", "KRAIT_GUARDS=mprotect"}) {
    CAPTURE(guards);
    for (const scenario* each : {&default_stack, &large_stack, &own_pool, &delegate, &nested, &many}) {
      const ending end = each->run({guards});
      CAPTURE(end.text);
      CHECK(ended_by_fault(end));
      CHECK(names(end, each == &nested ? "outer" : "endless",
                  each == &large_stack ? "1048576"
                  : each == &own_pool  ? "102400"
                                       : default_size));
    }
  }
}

TEST_CASE("a frame larger than the guard overflows no less") {
  const ending end = large_frame.run();
  CAPTURE(end.text);
  CHECK(ended_by_fault(end));
  CHECK(names(end, "oversized", default_size));
}

TEST_CASE("a name that is very long is cut in the message") {
  const ending end = renamed.run();
  CHECK(ended_by_fault(end));
  CHECK(names(end, std::string(300, 'n'), default_size));
}

TEST_CASE("a stack overflow on another thread is reported as well") {
  const ending end = other_thread.run();
  CAPTURE(end.text);
  CHECK(ended_by_fault(end));
  CHECK(names(end, "endless", default_size));
}

TEST_CASE("a pool's stack that a user's source hands on is reported without a name") {
  const ending end = foreign_source.run();
  CAPTURE(end.text);
  CHECK(ended_by_fault(end));
  CHECK(end.text.starts_with("krait: stack overflow in what uses a stack_pool's stack: its stack has " +
                             default_size + " bytes: raise"));
}

TEST_CASE("with KRAIT_OVERFLOW_HANDLER=off there is the signal only") {
  const ending end = default_stack.run({"KRAIT_OVERFLOW_HANDLER=off"});
  CHECK(ended_by_fault(end));
  CHECK_FALSE(end.says("krait: "));
}

namespace {

const scenario only_resumed("only resumed", [] {
  auto g = endless();
  std::thread([&g] { static_cast<void>(g.next()); }).join();
  return 0;
});

const scenario null_dereference("null dereference", [] {
  generator<int> g = [](auto& yield) {
    volatile int* volatile nowhere = nullptr;
    yield(*nowhere);
  };
  return g.next();
});
const scenario foreign_guard("foreign guard", [] {
  krait::stack_pool pool;
  const krait::stack neighbour = pool.allocate();
  generator<int> g(std::allocator_arg, pool, [&](auto& yield) {
    const krait::stack mine = pool.allocate();
    static_cast<void>(mine);
    yield(std::to_integer<int>(*const_cast<volatile std::byte*>(neighbour.limit - 1)));
  });
  return g.next();
});

}  // namespace

TEST_CASE("a thread that has taken no stack itself dies of the signal, without the message") {
  const ending end = only_resumed.run();
  CHECK(ended_by_fault(end));
  if (!probes::sanitized) {  // a sanitizer gives each thread a stack for signals
    CHECK(end.text.empty());
  }
}

TEST_CASE("other faults in a body are not called a stack overflow") {
  for (const scenario* each : {&null_dereference, &foreign_guard}) {
    const ending end = each->run();
    CAPTURE(end.text);
    CHECK(ended_by_fault(end));
    CHECK_FALSE(end.says("krait: stack overflow"));
  }
}

namespace {

using process::on_fault;
using process::say;

void give_up(int) {
  say("plain handler\n");
  ::_exit(7);
}

const void* volatile body_stack = nullptr;

/// Is the address that faulted below a local variable of the body, within its stack and guard?
void look_and_give_up(int, siginfo_t* info, void*) {
  const auto size = static_cast<std::ptrdiff_t>(krait::default_stack_options().size);
  const auto distance =
      static_cast<const std::byte*>(body_stack) - static_cast<const std::byte*>(info->si_addr);
  say(distance > size / 2 && distance <= size + 4 * 1024 ? "at the guard\n" : "elsewhere\n");
  ::_exit(8);
}

int overflow_noted() {
  generator<std::size_t> g = [](auto& yield) {
    body_stack = __builtin_frame_address(0);  // a sanitizer may keep locals elsewhere
    yield(recurse(SIZE_MAX));
  };
  g.set_name("noted");
  return static_cast<int>(g.next());
}

const scenario plain_before("plain handler before", [] {
  on_fault(&give_up, SA_ONSTACK);
  return overflow_noted();
});
const scenario informed_before("informed handler before", [] {
  on_fault(&look_and_give_up, SA_ONSTACK);
  return overflow_noted();
});
const scenario installed_after("handler after", [] {
  take_a_stack();
  on_fault(&give_up, SA_ONSTACK);
  return overflow_noted();
});

void once(int) {
  say("once\n");
}
const scenario reset_handler("handler with SA_RESETHAND", [] {
  on_fault(&once, static_cast<int>(SA_RESETHAND) | SA_ONSTACK);
  return overflow_noted();
});
const scenario until_default("handler that restores the default", [] {
  on_fault(
      [](int) {
        say("crash reporter\n");
        std::signal(SIGSEGV, SIG_DFL);
      },
      SA_ONSTACK);
  return overflow_noted();
});

std::byte* volatile page_to_open = nullptr;

/// What a garbage collector or a debugger's target does: faults are part of the plan.
const scenario recovering("handler that recovers", [] {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  void* const memory = ::mmap(nullptr, 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  static std::size_t opened = page;
  on_fault(
      [](int, siginfo_t* info, void*) {
        if (info->si_addr != page_to_open) {
          ::_exit(9);
        }
        ::mprotect(page_to_open, opened, PROT_READ | PROT_WRITE);
      },
      SA_ONSTACK);
  generator<int> g = [&](auto& yield) {
    for (std::size_t i = 0; i < 3; ++i) {
      page_to_open = static_cast<std::byte*>(memory) + i * page;
      *const_cast<volatile std::byte*>(page_to_open) = std::byte{1};
      yield(static_cast<int>(i));
    }
  };
  return g.next() + g.next() + g.next() == 3 ? 0 : 1;
});

const scenario sent_ignored("sent and ignored", [] {
  std::signal(SIGSEGV, SIG_IGN);
  take_a_stack();
  ::kill(::getpid(), SIGSEGV);
  ::raise(SIGSEGV);
  return 0;
});
const scenario ignored("fault while ignored", [] {
  std::signal(SIGSEGV, SIG_IGN);
  return overflow_noted();
});
const scenario sent("sent", [] {
  take_a_stack();
  ::raise(SIGSEGV);
  return 0;
});

}  // namespace

TEST_CASE("a handler that was there before gets the signal after the message") {
  const ending plain = plain_before.run();
  CHECK(plain.status.exited_with(7));
  CHECK(plain.text.starts_with("krait: stack overflow in <generator object noted at 0x"));
  CHECK(plain.text.ends_with("raise stack_options::size\nplain handler\n"));
  const ending informed = informed_before.run();
  CAPTURE(informed.text);
  CHECK(informed.status.exited_with(8));
  CHECK(informed.text.ends_with("raise stack_options::size\nat the guard\n"));
}

TEST_CASE("a handler that is installed later replaces krait's") {
  const ending end = installed_after.run();
  CHECK(end.status.exited_with(7));
  CHECK(end.text == "plain handler\n");
}

TEST_CASE("a handler that gives way to the default is followed by the signal") {
  const ending reset = reset_handler.run();
  CHECK(reset.status.killed_by(SIGSEGV));
  CHECK(reset.text.ends_with("raise stack_options::size\nonce\n"));
  const ending restored = until_default.run();
  CHECK(restored.status.killed_by(SIGSEGV));
  CHECK(restored.text.ends_with("raise stack_options::size\ncrash reporter\n"));
}

TEST_CASE("a handler that repairs what was wrong is called each time, and the body goes on") {
  const ending end = recovering.run();
  CHECK(end.status.exited_with(0));
  CHECK(end.text.empty());
}

TEST_CASE("a SIGSEGV that somebody sends does what it would without krait") {
  CHECK(sent_ignored.run().status.exited_with(0));
  const ending by_default = sent.run();
  CHECK(ended_by_fault(by_default));
  CHECK_FALSE(by_default.says("krait: "));
  const ending fault = ignored.run();
  CHECK(fault.status.killed_by(SIGSEGV));
  CHECK(fault.text.starts_with("krait: stack overflow in <generator object noted at 0x"));
}

namespace {

using process::readable;
using process::set_signal_stack;
using process::signal_stack;

const scenario signal_stack_freed("signal stack freed", [] {
  void* given = nullptr;
  std::thread([&given] {
    const bool none = (signal_stack().ss_flags & SS_DISABLE) != 0;
    take_a_stack();
    given = none && readable(signal_stack().ss_sp) ? signal_stack().ss_sp : nullptr;
  }).join();
  return given != nullptr && !readable(given) ? 0 : 1;
});

const scenario signal_stack_kept("signal stack kept", [] {
  static char mine[64 * 1024];
  std::thread([] {
    set_signal_stack(mine, sizeof mine);
    take_a_stack();
    if (signal_stack().ss_sp != mine) {
      std::_Exit(1);
    }
    static_cast<void>(endless().next());
  }).join();
  return 0;
});

const scenario signal_stack_replaced("signal stack replaced", [] {
  static char mine[64 * 1024];
  static bool kept = false;
  take_a_stack();
  pthread_key_t last;  // made after krait's, so destroyed after krait's when a thread ends
  ::pthread_key_create(&last, [](void*) { kept = signal_stack().ss_sp == mine; });
  std::thread([&] {
    ::pthread_setspecific(last, mine);
    take_a_stack();
    set_signal_stack(mine, sizeof mine);
  }).join();
  return kept ? 0 : 1;
});

}  // namespace

TEST_CASE("a thread that takes a stack is given one for its signals, unless it has one, until it ends") {
  if (!probes::sanitized) {  // a sanitizer gives each thread one, and takes it away
    CHECK(signal_stack_freed.run().status.exited_with(0));
    CHECK(signal_stack_replaced.run().status.exited_with(0));
  }
  const ending kept = signal_stack_kept.run();
  CHECK(ended_by_fault(kept));
  CHECK(names(kept, "endless", default_size));
}
