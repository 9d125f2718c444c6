// SPDX-License-Identifier: BSL-1.0
#include "krait/exceptions.hpp"

#include <cxxabi.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <typeinfo>
#include <utility>

#include "hook.hpp"

namespace krait {

generator_exit::~generator_exit() = default;
const char* generator_exit::what() const noexcept {
  return "GeneratorExit";
}

namespace {

// Never destroyed: generators with static storage may still report.
detail::hook<unraisable_hook>& the_hook() {
  static auto& hook = *new detail::hook<unraisable_hook>;
  return hook;
}

void write_to_stderr(const unraisable& event) {
  const std::string text = event.message + ":\n" + detail::describe(event.exception) + "\n";
  std::fputs(text.c_str(), stderr);
}

}  // namespace

unraisable_hook set_unraisable_hook(unraisable_hook hook) {
  return the_hook().exchange(std::move(hook));
}

namespace detail {

std::string type_name(const std::type_info& type) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> name(
      abi::__cxa_demangle(type.name(), nullptr, nullptr, &status), &std::free);
  return name != nullptr ? name.get() : type.name();
}

void throw_value_does_not_convert(const std::type_info& from, const std::type_info& to) {
  throw type_error("the value of a StopIteration is of type '" + type_name(from) +
                   "', which does not convert to '" + type_name(to) + "'");
}

namespace {

/// The type that was thrown, without the wrapper that std::throw_with_nested makes of it.
std::string thrown_type_name(const std::type_info& type) {
  std::string name = type_name(type);
  for (const std::string_view wrapper : {"std::_Nested_exception<", "std::__nested<"}) {
    if (name.starts_with(wrapper)) {
      name.pop_back();
      name.erase(0, wrapper.size());
    }
  }
  return name;
}

}  // namespace

std::string describe(const std::exception_ptr& exception) {
  if (exception == nullptr) {
    return "a foreign exception";
  }
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& e) {
    return thrown_type_name(typeid(e)) + ": " + e.what();
  } catch (const generator_exit& e) {
    return thrown_type_name(typeid(e)) + ": " + e.what();
  } catch (...) {
    const std::type_info* const type = abi::__cxa_current_exception_type();
    return type != nullptr ? thrown_type_name(*type) : "a foreign exception";
  }
}

void report_unraisable(std::exception_ptr exception, std::string message) noexcept {
  try {
    const unraisable_hook hook = the_hook().get();
    if (exception == nullptr) {
      exception = std::make_exception_ptr(runtime_error("a foreign exception"));
    }
    const unraisable event{std::move(exception), std::move(message)};
    if (!hook) {
      write_to_stderr(event);
      return;
    }
    try {
      hook(event);
    } catch (...) {
      write_to_stderr({std::current_exception(), "Exception ignored in krait's unraisable hook"});
    }
  } catch (...) {
    std::fputs("krait: out of memory while reporting an exception that could not be raised\n", stderr);
  }
}

}  // namespace detail
}  // namespace krait
