// SPDX-License-Identifier: BSL-1.0
#pragma once

// What a run of a program has besides the bodies that run: slots with krait's objects, the operations
// on them, and the trace of what is observed.

#include <algorithm>
#include <cctype>
#include <concepts>
#include <cstddef>
#include <exception>
#include <krait/krait.hpp>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "exceptions.hpp"
#include "interpreter.hpp"

namespace differential {

using generator = krait::generator<value, value, value>;
using awaitable_generator = krait::awaitable_generator<value, value, value>;
using coroutine = krait::coroutine<value, value, value>;
using async_generator = krait::async_generator<value, value, value, value>;
using asend_operation = decltype(std::declval<async_generator&>().anext());
using athrow_operation = decltype(std::declval<async_generator&>().athrow(nullptr));
using aclose_operation = decltype(std::declval<async_generator&>().aclose());
using coroutine_wrapper = krait::coroutine_wrapper<value, value, value>;

// What managers are made of: nothing is sent to these.
using manager_generator = krait::generator<value>;
using async_manager_generator = krait::async_generator<value, void, value, value>;

template <class T>
concept operation_object = std::same_as<T, asend_operation> || std::same_as<T, athrow_operation> ||
                           std::same_as<T, aclose_operation>;

/// What a slot may hold.
struct object {
  using any = std::variant<generator, awaitable_generator, coroutine, async_generator, asend_operation,
                           athrow_operation, aclose_operation, coroutine_wrapper>;

  template <class T>
  explicit object(T&& made, std::shared_ptr<object> made_of = nullptr)
      : of(std::move(made_of)), is(std::forward<T>(made)) {}

  std::shared_ptr<object> of;  ///< whose operation it is, or which coroutine is wrapped
  any is;
};

constexpr std::size_t longest_trace = 1000;
constexpr int most_steps = 4;  ///< of an asynchronous generator's operation that is driven to its end

template <class... Parts>
std::string join(const Parts&... parts) {
  std::string all;
  (all.append(parts), ...);
  return all;
}

inline std::string label_of(const operation& op) {
  std::string label = join(name(op.kind), " ", std::to_string(op.slot));
  if (op.kind == operation_kind::send) {
    label += " " + repr(op.sent);
  }
  return label;
}

inline bool is_true(const value& v) {
  return v.index() == 1 ? std::get<int>(v) != 0 : v.index() == 2;
}

/// The call of a method that returns a value, perhaps, or none.
template <class Function>
value value_of_call(Function function) {
  using returned = decltype(function());
  if constexpr (std::is_void_v<returned>) {
    function();
    return {};
  } else if constexpr (std::same_as<returned, std::optional<value>>) {
    return function().value_or(value());
  } else {
    return function();
  }
}

/// The call of an operation's method. Its result has another type than what generators return.
template <class Function>
value operated(Function function) {
  try {
    return value_of_call(function);
  } catch (const krait::stop_iteration<value>&) {
    throw;
  } catch (const krait::stop_iteration<std::optional<value>>& end) {
    throw krait::stop_iteration<value>(end.has_value() ? end.value().value_or(value()) : value());
  } catch (const krait::stop_iteration<>&) {
    throw krait::stop_iteration<value>();
  }
}

/// What is suspended where, without addresses.
inline std::string without_address(const std::string& text) {
  const std::size_t address = text.find(" at 0x");
  return address == std::string::npos ? text : text.substr(0, address) + ">";
}

/// One run of a program: its generators, and what has been observed of them.
class world {
 public:
  world(const program& source, coverage& counts) : program_(source), counts_(counts) {
    slots_.resize(static_cast<std::size_t>(source.slots));
    krait::set_unraisable_hook([this](const krait::unraisable& event) {
      const std::string exception = describe(event.exception);
      trace(without_address(event.message) + ": " + exception);
      count("unraisable: " + outcome_of(exception));
    });
    krait::set_warning_hook([this](const std::string& message) {
      trace("warning: " + message);
      count("warning: " + message.substr(0, message.find(" '")));
    });
    if (source.finalizer.has_value()) {
      krait::set_asyncgen_hooks(
          {[this](krait::async_generator_object& begun) {
             trace("firstiter " + std::string(begun.name()));
             count("firstiter");
           },
           [this](std::shared_ptr<krait::async_generator_object> dropped) { finalize(std::move(dropped)); }});
    }
  }
  ~world() {
    krait::set_asyncgen_hooks({});
    krait::set_warning_hook(nullptr);
    krait::set_unraisable_hook(nullptr);
  }
  world(const world&) = delete;
  world& operator=(const world&) = delete;

  std::string run_driver() {
    for (const operation& op : program_.driver) {
      try {
        perform(op);
      } catch (...) {
        const std::string exception = describe_handled();
        trace(label_of(op) + " ! " + exception);
        count(join("driver ", name(op.kind), ": ", outcome_of(exception)));
      }
      trace(states());
    }
    trace("end");
    clear_slots();
    std::string observed = trace_;
    while (!revived_.empty()) {
      std::exchange(revived_, {});
      clear_slots();
    }
    return observed;
  }

  void trace(const std::string& entry) {
    if (entries_++ < longest_trace) {
      if (!trace_.empty()) {
        trace_ += "; ";
      }
      trace_ += entry;
    }
  }

  void count(const std::string& feature) { ++counts_[feature]; }

  /// What C++ has several types for, or functions, takes turns.
  int next_turn() noexcept { return turn_++; }

  /// A new object of a body, of any of krait's types that have one. (In interpreter.cpp, which runs bodies.)
  template <class T>
  T make(int body);

  /// Passes `use` a new object of the type that the body is of.
  template <class Use>
  decltype(auto) with_new(int body, Use use) {
    switch (body_at(body).kind) {
      case body_kind::generator:
        return use(make<generator>(body));
      case body_kind::awaitable:
        return use(make<awaitable_generator>(body));
      case body_kind::coroutine:
        return use(make<coroutine>(body));
      case body_kind::async_generator:
        break;
    }
    return use(make<async_generator>(body));
  }

  std::shared_ptr<object> slot(int number) {
    std::shared_ptr<object> held = at(number);
    if (held == nullptr) {
      trace(join("empty ", std::to_string(number)));
    }
    return held;
  }

  /// An operation's result, traced. What it raises comes out.
  value perform(const operation& op) {
    switch (op.kind) {
      case operation_kind::make: {
        with_new(op.number, [&](auto made) { put(op.slot, share(std::move(made))); });
        count("new");
        return {};
      }
      case operation_kind::make_anext:
        make_operation(op, [](async_generator& of) { return of.anext(); });
        return {};
      case operation_kind::make_asend:
        make_operation(op, [&](async_generator& of) { return of.asend(op.sent); });
        return {};
      case operation_kind::make_athrow:
        make_operation(op, [&](async_generator& of) { return of.athrow(make_exception(*op.exception)); });
        return {};
      case operation_kind::make_aclose:
        make_operation(op, [](async_generator& of) { return of.aclose(); });
        return {};
      case operation_kind::make_wrapper:
        make_of<coroutine>(op, [](coroutine& of) { return of.await(); });
        return {};
      case operation_kind::drop:
        count("drop");
        drop(op.slot);
        return {};
      case operation_kind::state: {
        std::string state(1, state_of(at(op.slot)));
        count("state: " + state);
        trace(label_of(op) + " = " + state + awaiting(at(op.slot)));
        return {};
      }
      case operation_kind::loop:
        loop(op);
        return {};
      default: {
        std::optional<value> result = resume(op);
        if (!result.has_value()) {
          return {};
        }
        count(join(name(op.kind), ": ", result->index() == 0 ? "None" : "value"));
        trace(label_of(op) + " = " + repr(*result));
        return std::move(*result);
      }
    }
  }

  /// Passes `use` a new exception. Its text tells it from all others.
  template <class Use>
  decltype(auto) with_new_exception(const exception_spec& spec, Use use) {
    if (!spec.label.has_value()) {
      return with_exception(spec.type, nullptr, use);
    }
    const std::string text = join(std::to_string(*spec.label), ".", std::to_string(++exceptions_made_));
    return with_exception(spec.type, &text, use);
  }

  std::exception_ptr make_exception(const exception_spec& spec) {
    return with_new_exception(spec,
                              [](auto exception) { return std::make_exception_ptr(std::move(exception)); });
  }

  std::exception_ptr make_exception(const exception_spec& spec, const std::optional<exception_spec>& cause) {
    if (!cause.has_value()) {
      return make_exception(spec);
    }
    // `raise spec from cause` evaluates from left to right.
    return with_new_exception(spec, [&](auto exception) {
      try {
        std::rethrow_exception(make_exception(*cause));
      } catch (...) {
        return std::make_exception_ptr(caused(std::move(exception)));
      }
    });
  }

  /// Notes what a body delegates to, and in which state it is; of an operation, that of its generator.
  void count_delegation(const object& self) {
    static constexpr const char* names[] = {"generator", "awaitable", "coroutine", "asyncgen",
                                            "asend",     "athrow",    "aclose",    "wrapper"};
    const auto& counted = self.of != nullptr ? self.of->is : self.is;
    const char state = std::visit([](const auto& held) { return state_of(held); }, counted);
    count(join("share ", names[self.is.index()], ": ", std::string(1, state)));
  }

  /// The object in a slot, if it is a T.
  template <class T>
  std::shared_ptr<object> slot_with(int number) {
    std::shared_ptr<object> held = slot(number);
    if (held != nullptr && !std::holds_alternative<T>(held->is)) {
      trace(join("of another kind: ", std::to_string(number)));
      held = nullptr;
    }
    return held;
  }

  const body& body_at(int number) const { return program_.bodies[static_cast<std::size_t>(number)]; }

 private:
  std::shared_ptr<object>& at(int slot) { return slots_[static_cast<std::size_t>(slot)]; }

  template <class T>
  std::shared_ptr<object> share(T made) {
    const auto finish = [this](object* self) {
      std::visit(
          [this]<class Held>(const Held& held) {
            if constexpr (!operation_object<Held> && !std::same_as<Held, coroutine_wrapper>) {
              trace("del " + std::string(held.name()));
            }
          },
          self->is);
      delete self;
    };
    return {new object(std::move(made)), finish};
  }

  /// While the old one goes, the slot already has the new one, and so has the caller, as in Python.
  void put(int slot, const std::shared_ptr<object>& made) { std::shared_ptr(made).swap(at(slot)); }

  void drop(int slot) { std::exchange(at(slot), nullptr); }

  /// What a body does while it is finalised may fill a slot anew.
  void clear_slots() {
    while (std::any_of(slots_.begin(), slots_.end(), [](const auto& held) { return held != nullptr; })) {
      for (int slot = 0; slot < program_.slots; ++slot) {
        drop(slot);
      }
    }
  }

  /// Fills a slot with what is made of the object in another one.
  template <class T, class Make>
  void make_of(const operation& op, Make make_it) {
    if (std::shared_ptr<object> of = slot_with<T>(op.number)) {
      auto made = make_it(std::get<T>(of->is));
      count(name(op.kind));
      put(op.slot, std::make_shared<object>(std::move(made), std::move(of)));
    }
  }
  template <class Make>
  void make_operation(const operation& op, Make make_it) {
    make_of<async_generator>(op, make_it);
  }

  void finalize(std::shared_ptr<krait::async_generator_object> dropped) {
    trace("finalizer " + std::string(dropped->name()));
    count("finalizer");
    revived_.push_back(dropped);
    if (*program_.finalizer >= 0) {
      try {
        put(*program_.finalizer, std::make_shared<object>(async_generator::from_object(dropped)));
      } catch (const krait::value_error&) {  // of another type: a manager's
      }
    }
  }

  /// next, send, throw or close. No value: the slot is empty. The API has two spellings of most; they take
  /// turns.
  std::optional<value> resume(const operation& op) {
    const std::shared_ptr<object> held = slot(op.slot);
    if (held == nullptr) {
      return std::nullopt;
    }
    step_api_ = !step_api_;
    switch (op.kind) {
      case operation_kind::next:
        return std::visit([&](auto& self) { return next(self); }, held->is);
      case operation_kind::send:
        return std::visit([&](auto& self) { return send(self, op.sent); }, held->is);
      case operation_kind::raise: {
        if (op.exception->type == exception_type::stop_iteration) {
          count(join("throw StopIteration into ", std::string(1, state_of(held))));
        }
        std::exception_ptr exception = make_exception(*op.exception, op.cause);
        return std::visit([&](auto& self) { return raise(self, std::move(exception)); }, held->is);
      }
      default:
        return std::visit([&](auto& self) { return close(self); }, held->is);
    }
  }

  // These, of whatever a slot holds. An asynchronous generator's operation is driven at once.

  template <class T>
  value next(T& self) {
    if constexpr (std::same_as<T, async_generator>) {
      return drive(self.anext());
    } else if constexpr (operation_object<T> || std::same_as<T, coroutine_wrapper>) {
      return operated([&] { return self.next(); });
    } else if constexpr (std::same_as<T, coroutine>) {
      return step_api_ ? value_of(self.resume()) : self.send();
    } else {
      return step_api_ ? value_of(self.resume()) : self.next();
    }
  }

  template <class T>
  value send(T& self, const value& sent) {
    if constexpr (std::same_as<T, async_generator>) {
      return drive(self.asend(sent));
    } else if constexpr (operation_object<T> || std::same_as<T, coroutine_wrapper>) {
      return operated([&] { return self.send(sent); });
    } else {
      return step_api_ ? value_of(self.resume(sent)) : self.send(sent);
    }
  }

  template <class T>
  value raise(T& self, std::exception_ptr exception) {
    if constexpr (std::same_as<T, async_generator>) {
      return drive(self.athrow(std::move(exception)));
    } else if constexpr (operation_object<T> || std::same_as<T, coroutine_wrapper>) {
      return operated([&] { return self.throw_(std::move(exception)); });
    } else {
      return step_api_ ? value_of(self.resume_with(std::move(exception))) : self.throw_(std::move(exception));
    }
  }

  template <class T>
  value close(T& self) {
    if constexpr (std::same_as<T, async_generator>) {
      return drive(self.aclose());
    } else {
      return value_of_call([&] { return self.close(); });
    }
  }

  /// Drives an operation until it ends, or for some steps.
  template <class Operation>
  value drive(Operation op) {
    try {
      for (int step = 0; step < most_steps; ++step) {
        trace("raw " + repr(operated([&] { return op.next(); })));
      }
      count("drive: unfinished");
      return "unfinished";
    } catch (const krait::stop_iteration<value>& end) {
      return end.has_value() ? end.value() : value();
    }
  }

  static value value_of(generator::step_type step) {
    if (step.yielded()) {
      return *step;
    }
    throw step.result() != nullptr ? krait::stop_iteration<value>(*step.result())
                                   : krait::stop_iteration<value>();
  }

  void loop(const operation& op) {
    std::shared_ptr<object> held = slot(op.slot);
    if (held == nullptr) {
      return;
    }
    int left = op.number;
    const auto broken_off = [&](const value& item) {
      trace(label_of(op) + ": " + repr(item));
      return --left == 0;
    };
    if (std::visit([&](auto& self) { return loop_over(self, broken_off); }, held->is)) {
      count("for: break");
      return;
    }
    held.reset();
    count("for: end");
    trace(label_of(op) + " end");
  }

  /// Was it broken off?
  template <class T, class Use>
  bool loop_over(T& self, Use broken_off) {
    if constexpr (std::derived_from<T, generator>) {
      return std::ranges::any_of(self, broken_off);
    } else {
      for (;;) {
        value item;
        try {
          if constexpr (std::same_as<T, coroutine>) {
            item = self.await().next();
          } else {
            item = next(self);
          }
        } catch (const std::conditional_t<std::same_as<T, async_generator>, krait::stop_async_iteration,
                                          krait::stop_iteration<>>&) {
          return false;
        }
        if (broken_off(item)) {
          return true;
        }
      }
    }
  }

  /// As Python's inspect tells it; `w`aiting is an asynchronous generator whose operation awaits.
  static char state_of(const std::shared_ptr<object>& held) {
    return held == nullptr ? '-' : std::visit([](const auto& self) { return state_of(self); }, held->is);
  }

  template <class T>
  static char state_of(const T& self) {
    if constexpr (operation_object<T> || std::same_as<T, coroutine_wrapper>) {
      return 'o';
    } else {
      bool delegating;
      if constexpr (std::derived_from<T, generator>) {
        delegating = self.yielding_from();
      } else {
        delegating = !self.awaiting().empty();
      }
      switch (self.state()) {
        case krait::generator_state::created:
          return 'c';
        case krait::generator_state::running:
          return !delegating ? 'r' : std::same_as<T, async_generator> ? 'w' : 'R';
        case krait::generator_state::suspended:
          return delegating ? 'd' : 's';
        case krait::generator_state::closed:
          break;
      }
      return 'x';
    }
  }

  /// What a coroutine or an asynchronous generator awaits.
  static std::string awaiting(const std::shared_ptr<object>& held) {
    std::string text;
    if (held != nullptr) {
      std::visit(
          [&](const auto& self) {
            if constexpr (requires { self.awaiting(); }) {
              text = without_address(self.awaiting());
            }
          },
          held->is);
    }
    return text.empty() ? text : " " + text;
  }

  std::string states() const {
    std::string all(slots_.size(), ' ');
    std::ranges::transform(slots_, all.begin(), [](const auto& held) { return state_of(held); });
    return all;
  }

  /// The kind of an exception; the library's own, whose texts have no number, are told apart by these.
  static std::string outcome_of(const std::string& exception) {
    const std::string first = exception.substr(0, exception.find(" from "));
    const std::size_t text = first.find('(');
    const bool library = text + 2 < first.size() && std::ranges::none_of(first, isdigit);
    const bool ends = first.starts_with("StopIteration") || first.starts_with("SX");
    return library && !ends ? first : first.substr(0, text);
  }

  const program& program_;
  coverage& counts_;
  std::vector<std::shared_ptr<object>> slots_;
  std::vector<std::shared_ptr<krait::async_generator_object>> revived_;  ///< what the finalizer was given
  std::string trace_;
  std::size_t entries_ = 0;
  int generators_made_ = 0;
  int exceptions_made_ = 0;
  int turn_ = 0;
  bool step_api_ = false;
};

}  // namespace differential
