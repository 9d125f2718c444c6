// SPDX-License-Identifier: BSL-1.0
#include "krait/exceptions.hpp"

#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <string_view>
#include <typeinfo>
#include <utility>

namespace krait {

generator_exit::~generator_exit() = default;
const char* generator_exit::what() const noexcept {
  return "GeneratorExit";
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

}  // namespace detail

std::string describe(const std::exception_ptr& exception) {
  if (exception == nullptr) {
    return "None";
  }
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& e) {
    return detail::thrown_type_name(typeid(e)) + ": " + e.what();
  } catch (const generator_exit& e) {
    return detail::thrown_type_name(typeid(e)) + ": " + e.what();
  } catch (...) {
    const std::type_info* const type = abi::__cxa_current_exception_type();
    return type != nullptr ? detail::thrown_type_name(*type) : "a foreign exception";
  }
}

}  // namespace krait
