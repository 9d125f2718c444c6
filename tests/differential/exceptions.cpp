// SPDX-License-Identifier: BSL-1.0
#include "exceptions.hpp"

#include <concepts>

namespace differential {

namespace {

template <class Exception>
bool handled_is_a() {
  try {
    throw;
  } catch (const Exception&) {
    return true;
  } catch (...) {
    return false;
  }
}

/// "'TYPE' object has no attribute ...": what a type is called is the language's affair.
std::string without_type(const std::string& text) {
  const std::size_t end = text.rfind("' object has no attribute ");
  return end == std::string::npos ? text : std::string(text).replace(0, end, "'?");
}

template <class Exception>
std::string text_of(const Exception& exception) {
  if constexpr (std::derived_from<Exception, krait::stop_iteration<value>>) {
    return exception.has_value() ? repr(exception.value()) : repr(value());
  } else {
    return without_type(exception.what());
  }
}

template <class Exception>
std::string with_causes(exception_type type, const Exception& exception) {
  std::string text = name(type);
  if constexpr (!std::same_as<Exception, krait::generator_exit> &&
                !std::same_as<Exception, krait::stop_async_iteration>) {
    text += "(" + text_of(exception) + ")";
  }
  if (const auto* nested = dynamic_cast<const std::nested_exception*>(&exception)) {
    if (nested->nested_ptr() != nullptr) {
      text += " from " + describe(nested->nested_ptr());
    }
  }
  return text;
}

}  // namespace

bool handled_is(exception_type type) {
  switch (type) {
    case exception_type::generator_exit:
      return handled_is_a<krait::generator_exit>();
    case exception_type::stop_iteration:
      return handled_is_a<krait::stop_iteration<>>();
    case exception_type::runtime_error:
      return handled_is_a<krait::runtime_error>();
    case exception_type::value_error:
      return handled_is_a<krait::value_error>();
    case exception_type::type_error:
      return handled_is_a<krait::type_error>();
    case exception_type::attribute_error:
      return handled_is_a<krait::attribute_error>();
    case exception_type::a:
      return handled_is_a<a>();
    case exception_type::b:
      return handled_is_a<b>();
    case exception_type::c:
      return handled_is_a<c>();
    case exception_type::gx:
      return handled_is_a<gx>();
    case exception_type::sx:
      return handled_is_a<sx>();
    case exception_type::stop_async_iteration:
      return handled_is_a<krait::stop_async_iteration>();
    case exception_type::exception:
      return handled_is_a<std::exception>();
    case exception_type::base_exception:
      break;
  }
  return true;
}

std::string describe_handled() {
  try {
    throw;
  } catch (const gx& e) {
    return with_causes(exception_type::gx, e);
  } catch (const krait::generator_exit& e) {
    return with_causes(exception_type::generator_exit, e);
  } catch (const sx& e) {
    return with_causes(exception_type::sx, e);
  } catch (const krait::stop_iteration<value>& e) {
    return with_causes(exception_type::stop_iteration, e);
  } catch (const krait::stop_async_iteration& e) {
    return with_causes(exception_type::stop_async_iteration, e);
  } catch (const krait::runtime_error& e) {
    return with_causes(exception_type::runtime_error, e);
  } catch (const krait::value_error& e) {
    return with_causes(exception_type::value_error, e);
  } catch (const krait::type_error& e) {
    return with_causes(exception_type::type_error, e);
  } catch (const krait::attribute_error& e) {
    return with_causes(exception_type::attribute_error, e);
  } catch (const b& e) {
    return with_causes(exception_type::b, e);
  } catch (const a& e) {
    return with_causes(exception_type::a, e);
  } catch (const c& e) {
    return with_causes(exception_type::c, e);
  } catch (const std::exception& e) {
    return std::string("a std::exception(") + e.what() + ")";
  } catch (...) {
    return "an unknown exception";
  }
}

std::string describe(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (...) {
    return describe_handled();
  }
}

}  // namespace differential
