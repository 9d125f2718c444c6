// SPDX-License-Identifier: BSL-1.0
#pragma once

// What tests look through: objects that count themselves, stacks that are counted, what would otherwise go to
// stderr, child processes that may crash.

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <krait/krait.hpp>

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif

namespace probes {

/// Does a sanitizer run along? It ends the process when it gets no memory of its own, and its redzones make
/// frames larger.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool address_sanitized = true;
#elif defined(__has_feature)  // Clang's; and the sanitizers' headers define it for GCC
inline constexpr bool address_sanitized = __has_feature(address_sanitizer);
#else
inline constexpr bool address_sanitized = false;
#endif
#if defined(__SANITIZE_THREAD__)
inline constexpr bool thread_sanitized = true;
#elif defined(__has_feature)
inline constexpr bool thread_sanitized = __has_feature(thread_sanitizer);
#else
inline constexpr bool thread_sanitized = false;
#endif
inline constexpr bool sanitized = address_sanitized || thread_sanitized;

/// Does the program run under valgrind? That knows few mappings, and forbids to look below a stack pointer.
inline bool on_valgrind() {
#if defined(RUNNING_ON_VALGRIND)
  return RUNNING_ON_VALGRIND != 0;
#else
  return false;
#endif
}

/// While alive, valgrind says nothing of what it sees on this thread.
struct valgrind_silenced {
#if defined(VALGRIND_DISABLE_ERROR_REPORTING)
  valgrind_silenced() { VALGRIND_DISABLE_ERROR_REPORTING; }
  ~valgrind_silenced() { VALGRIND_ENABLE_ERROR_REPORTING; }
#else
  valgrind_silenced() {}
#endif
  valgrind_silenced(const valgrind_silenced&) = delete;
  valgrind_silenced& operator=(const valgrind_silenced&) = delete;
};

/// How often objects of a kind were copied and moved, and how many are there.
struct tally {
  int live = 0;
  int copies = 0;
  int moves = 0;
};

/// Enters itself in a tally.
class counted {
 public:
  explicit counted(tally& where, int number = 0) : tally_(&where), value(number) { ++tally_->live; }
  counted(const counted& other) : tally_(other.tally_), value(other.value) {
    ++tally_->live;
    ++tally_->copies;
  }
  counted(counted&& other) noexcept : tally_(other.tally_), value(std::exchange(other.value, -1)) {
    ++tally_->live;
    ++tally_->moves;
  }
  counted& operator=(const counted&) = delete;
  ~counted() { --tally_->live; }

 private:
  tally* tally_;

 public:
  int value;
};

/// Calls a function when it is destroyed.
template <class Function>
class at_exit {
 public:
  explicit at_exit(Function function) : function_(std::move(function)) {}
  at_exit(const at_exit&) = delete;
  at_exit& operator=(const at_exit&) = delete;
  ~at_exit() { function_(); }

 private:
  Function function_;
};

/// The text of an exception, or "int 3" and the like for those that are no std::exception.
inline std::string text_of(const std::exception_ptr& exception) {
  if (exception == nullptr) {
    return "none";
  }
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& e) {
    return e.what();
  } catch (const krait::generator_exit& e) {
    return e.what();
  } catch (int e) {
    return "int " + std::to_string(e);
  } catch (...) {
    return "unknown";
  }
}

/// The text of the exception whose handler is running.
inline std::string handled() {
  return text_of(std::current_exception());
}

/// A line of dump_generators() without what it says of the use of stack. Nothing is left of one that does
/// not.
inline std::string without_stack_used(const std::string& line) {
  static constexpr std::string_view words = " bytes of stack used";
  const std::size_t end = line.find(words);
  const std::size_t number = end == std::string::npos ? end : line.rfind(", ", end);
  return number == std::string::npos || std::atoi(&line[number + 2]) < 128
             ? ""
             : line.substr(0, number) + line.substr(end + words.size());
}

/// While alive, keeps what is reported to the unraisable hook.
class unraisables {
 public:
  unraisables()
      : previous_(krait::set_unraisable_hook(
            [this](const krait::unraisable& event) { events_.push_back(event); })) {}
  ~unraisables() { krait::set_unraisable_hook(std::move(previous_)); }
  unraisables(const unraisables&) = delete;
  unraisables& operator=(const unraisables&) = delete;

  std::size_t count() const { return events_.size(); }
  std::string text(std::size_t i) const { return text_of(events_.at(i).exception); }
  const std::string& message(std::size_t i) const { return events_.at(i).message; }

 private:
  std::vector<krait::unraisable> events_;
  krait::unraisable_hook previous_;
};

/// What is written to stderr while `function` runs.
template <class Function>
std::string stderr_of(Function function) {
  std::FILE* const file = std::tmpfile();
  if (file == nullptr) {
    throw std::bad_alloc();
  }
  std::fflush(stderr);
  const int kept = ::dup(STDERR_FILENO);
  ::dup2(::fileno(file), STDERR_FILENO);
  function();
  std::fflush(stderr);
  ::dup2(kept, STDERR_FILENO);
  ::close(kept);
  std::rewind(file);
  std::string text;
  for (int c; (c = std::fgetc(file)) != EOF;) {
    text.push_back(static_cast<char>(c));
  }
  std::fclose(file);
  return text;
}

/// A source that knows how many of its stacks are out, and can fail.
class counting_source final : public krait::stack_source {
 public:
  explicit counting_source(krait::stack_options options = {}) : pool_(options) {}

  krait::stack allocate() override {
    if (failing) {
      throw std::bad_alloc();
    }
    ++allocated;
    return pool_.allocate();
  }
  void deallocate(krait::stack memory) noexcept override {
    ++deallocated;
    pool_.deallocate(memory);
  }

  int live() const { return allocated - deallocated; }

  int allocated = 0;
  int deallocated = 0;
  bool failing = false;

 private:
  krait::stack_pool pool_;
};

/// How a child process ended.
class child_status {
 public:
  explicit child_status(int status) : status_(status) {}
  bool exited_with(int code) const { return WIFEXITED(status_) && WEXITSTATUS(status_) == code; }
  bool killed_by(int signal) const { return WIFSIGNALED(status_) && WTERMSIG(status_) == signal; }

 private:
  int status_;
};

inline child_status wait_for(pid_t child) {
  int status = -1;
  while (::waitpid(child, &status, 0) == -1 && errno == EINTR) {
  }
  return child_status(status);
}

/// Runs `function` in a child process, which exits with the number it returns; 200 if it throws.
template <class Function>
child_status in_child(Function function) {
  std::cout.flush();
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    for (const int signal : {SIGSEGV, SIGBUS, SIGABRT, SIGILL}) {
      std::signal(signal, SIG_DFL);
    }
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    ::alarm(120);
    int code = 200;
    try {
      code = function();
    } catch (...) {
    }
    std::_Exit(code);
  }
  return wait_for(child);
}

}  // namespace probes
