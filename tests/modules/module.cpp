// SPDX-License-Identifier: BSL-1.0
#include "module.hpp"

#include <exception>
#include <stdexcept>
#include <utility>

namespace {

numbers make(int n) {
  return [n](auto& yield) {
    for (int i = 0; i < n; ++i) {
      try {
        throw i;
      } catch (int thrown) {
        yield(thrown);
        try {
          throw;
        } catch (int again) {
          if (again != i) {
            throw std::logic_error("another's exception");
          }
        }
      }
    }
    return std::string("done");
  };
}

numbers delegating(numbers inner) {
  return [inner = std::move(inner)](auto& yield) mutable { return yield.from(std::move(inner)) + "!"; };
}

std::string drain(numbers& given) {
  std::string seen;
  try {
    for (;;) {
      seen += std::to_string(given.next()) + " ";
    }
  } catch (const krait::stop_iteration<std::string>& end) {
    return seen + end.value();
  }
}

int next_in_handler(numbers& given) {
  try {
    throw std::string("mine");
  } catch (const std::string&) {
    const int item = given.next();
    try {
      throw;
    } catch (const std::string& again) {
      return again == "mine" ? item : -1;
    }
  }
}

krait::generator<int> catching(std::string& log) {
  return [&log](auto& yield) {
    for (int answer = 0;;) {
      try {
        yield(answer);
      } catch (const krait::generator_exit&) {
        log += "generator_exit ";
        throw;
      } catch (const krait::value_error&) {
        log += "value_error ";
        answer = 1;
      } catch (const std::out_of_range&) {
        throw krait::type_error("not in range");
      }
    }
  };
}

void close(krait::generator<int>& given) {
  given.close();
}

int raise_value_error(krait::generator<int>& given) {
  return given.throw_(krait::value_error("a value"));
}

std::string raise_out_of_range(krait::generator<int>& given) {
  try {
    given.throw_(std::out_of_range("a place"));
  } catch (const krait::type_error& error) {
    return error.what();
  }
  return "";
}

krait::generator<int> escaping() {
  return [](auto& yield) {
    yield(0);
    throw krait::stop_iteration<int>(1);
  };
}

bool is_escape(krait::generator<int>& given) {
  try {
    given.next();
    given.next();
  } catch (const krait::runtime_error& error) {
    try {
      std::rethrow_if_nested(error);
    } catch (const krait::stop_iteration<>&) {
      return true;
    }
  }
  return false;
}

krait::contextmanager<int> manager(std::string& log) {
  return [&log](auto& yield) {
    try {
      yield(42);
      log += "left ";
    } catch (const krait::value_error&) {
      log += "swallowed ";
    }
  };
}

std::optional<int> with(krait::contextmanager<int> given, bool raise) {
  return krait::with(std::move(given), [raise](int value) {
    if (raise) {
      throw krait::value_error("inside");
    }
    return value;
  });
}

using items = krait::async_generator<int>;

int next_of(items& given) {
  auto operation = given.anext();
  try {
    operation.next();
  } catch (const krait::stop_iteration<int>& item) {
    return item.value();
  }
  return -1;
}

std::shared_ptr<krait::async_generator_object> dropped() {
  std::shared_ptr<krait::async_generator_object> kept;
  const auto before =
      krait::set_asyncgen_hooks({nullptr, [&kept](std::shared_ptr<krait::async_generator_object> object) {
                                   kept = std::move(object);
                                 }});
  {
    items one = [](auto& yield) {
      yield(1);
      yield(2);
    };
    next_of(one);
  }
  krait::set_asyncgen_hooks(before);
  return kept;
}

bool reclaim(const std::shared_ptr<krait::async_generator_object>& object) {
  try {
    items same = items::from_object(object);
    return next_of(same) == 2;
  } catch (const krait::value_error&) {
    return false;
  }
}

int slow_switches(int n) {
  krait::generator<int> g = [](auto& yield) {
    for (int slow = 0;;) {
      yield(slow);
      slow += krait::detail::exceptions_active() ? 1 : 0;
    }
  };
  int slow = 0;
  for (int i = 0; i < n; ++i) {
    slow += krait::detail::exceptions_active() ? 1 : 0;
    static_cast<void>(g.resume());
  }
  return slow + g.next();
}

}  // namespace

[[gnu::visibility("hidden")]] extern const module_functions functions_here;
const module_functions functions_here = {make,
                                         delegating,
                                         drain,
                                         next_in_handler,
                                         catching,
                                         close,
                                         raise_value_error,
                                         raise_out_of_range,
                                         escaping,
                                         is_escape,
                                         manager,
                                         with,
                                         dropped,
                                         reclaim,
                                         slow_switches};
