// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the tests of the rules have in common.

#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <krait/krait.hpp>

namespace support {

using state = krait::generator_state;

/// What happened, in order.
class journal {
 public:
  void operator()(const std::string& event) { text_ += text_.empty() ? event : ", " + event; }
  const std::string& text() const { return text_; }
  void clear() { text_.clear(); }

 private:
  std::string text_;
};

/// Notes the end of a scope. Python: finally.
class at_end {
 public:
  at_end(journal& log, std::string event) : log_(log), event_(std::move(event)) {}
  at_end(const at_end&) = delete;
  at_end& operator=(const at_end&) = delete;
  ~at_end() { log_(event_); }

 private:
  journal& log_;
  std::string event_;
};

/// "Type: text" for krait's own exceptions, the text for others, "none" for null.
inline std::string text_of(const std::exception_ptr& exception) {
  return exception == nullptr ? "none" : krait::describe(exception);
}

/// The exception whose handler is running. Python: sys.exception().
inline std::string handled() {
  return text_of(std::current_exception());
}

/// What `call` throws; null if nothing.
template <class Call>
std::exception_ptr raised_by(Call call) {
  try {
    call();
  } catch (...) {
    return std::current_exception();
  }
  return nullptr;
}

/// Python: isinstance(exception, Exception).
template <class Exception>
bool is_a(const std::exception_ptr& exception) {
  return exception != nullptr && krait::detail::holds<Exception>(exception);
}

/// The value that the stop_iteration thrown by `call` carries; empty if it carries none.
template <class Return, class Call>
std::optional<Return> stop_value(Call call) {
  try {
    call();
  } catch (krait::stop_iteration<Return>& stop) {
    return stop.has_value() ? std::optional<Return>(std::move(stop.value())) : std::nullopt;
  }
  throw std::logic_error("it went on");
}

/// What a runtime_error, made of an escaped stop_iteration, names as its cause; null if `exception` is none.
/// Python: __cause__.
inline std::exception_ptr cause_of(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const std::nested_exception& nested) {
    return nested.nested_ptr();
  } catch (...) {
    return nullptr;
  }
}

/// While alive, keeps what is reported to the unraisable hook.
class unraisables {
 public:
  unraisables()
      : previous_(krait::set_unraisable_hook(
            [this](const krait::unraisable& event) { events_.push_back(event); })) {}
  unraisables(const unraisables&) = delete;
  unraisables& operator=(const unraisables&) = delete;
  ~unraisables() { krait::set_unraisable_hook(std::move(previous_)); }

  std::size_t count() const { return events_.size(); }
  const krait::unraisable& at(std::size_t i) const { return events_.at(i); }
  std::string text() const {
    journal all;
    for (const krait::unraisable& event : events_) {
      all(text_of(event.exception));
    }
    return all.text();
  }

 private:
  std::vector<krait::unraisable> events_;
  krait::unraisable_hook previous_;
};

/// The two ways to delegate to a generator: it is given away, or lent.
struct given {
  template <class Generator>
  static Generator&& pass(Generator& generator) {
    return std::move(generator);
  }
};
struct lent {
  template <class Generator>
  static Generator& pass(Generator& generator) {
    return generator;
  }
};

}  // namespace support
