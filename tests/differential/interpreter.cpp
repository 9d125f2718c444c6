// SPDX-License-Identifier: BSL-1.0
#include "interpreter.hpp"

#include <algorithm>
#include <cctype>
#include <concepts>
#include <cstddef>
#include <krait/krait.hpp>
#include <utility>
#include <variant>
#include <vector>

#include "exceptions.hpp"

namespace differential {

namespace {

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

/// How control leaves a block.
enum class flow { onwards, break_, continue_, return_ };

template <class... Parts>
std::string join(const Parts&... parts) {
  std::string all;
  (all.append(parts), ...);
  return all;
}

std::string label_of(const operation& op) {
  std::string label = join(name(op.kind), " ", std::to_string(op.slot));
  if (op.kind == operation_kind::send) {
    label += " " + repr(op.sent);
  }
  return label;
}

bool is_true(const value& v) {
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
std::string without_address(const std::string& text) {
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

  /// A new object of a body, of any of krait's types that have one.
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
  bool step_api_ = false;
};

/// A hand-written iterator, as `yield.from` takes it: with next() and those of the others that it has.
template <bool has_send, bool has_throw, bool has_close>
class foreign {
 public:
  using return_type = value;
  foreign(world& w, const foreign_spec& spec) : world_(w), spec_(spec) {}

  value next() {
    world_.trace("f.next");
    return act(next_, spec_.next, value(), nullptr);
  }
  value send(value sent) requires has_send {
    world_.trace("f.send " + repr(sent));
    return act(send_, *spec_.send, sent, nullptr);
  }
  value throw_(std::exception_ptr thrown) requires has_throw {
    world_.trace("f.throw " + describe(thrown));
    return act(throw_calls_, *spec_.raise, value(), thrown);
  }
  void close() requires has_close {
    world_.trace("f.close");
    if (close_ < spec_.close->size()) {
      act(close_, *spec_.close, value(), nullptr);
    }
  }

 private:
  /// What a method's script says for this call. After the script's end: rethrows or stops.
  value act(std::size_t& call, const script& steps, const value& sent, const std::exception_ptr& thrown) {
    if (call == steps.size()) {
      if (thrown != nullptr) {
        std::rethrow_exception(thrown);
      }
      throw krait::stop_iteration<value>();
    }
    const action& step = steps[call++];
    world_.count(join("foreign: ", name(step.kind)));
    switch (step.kind) {
      case action_kind::item:
        return step.item;
      case action_kind::stop:
        throw krait::stop_iteration<value>(step.item);
      case action_kind::raise:
        world_.with_new_exception(*step.exception, [](const auto& exception) { throw exception; });
        break;
      case action_kind::echo:
        return sent;
      case action_kind::rethrow:
        if (thrown != nullptr) {
          std::rethrow_exception(thrown);
        }
        return sent;
      case action_kind::call:
        return world_.perform(*step.called);
    }
    return {};
  }

  world& world_;
  const foreign_spec& spec_;
  std::size_t next_ = 0, send_ = 0, throw_calls_ = 0, close_ = 0;
};

/// Calls `use` with a foreign iterator that has the methods that `spec` has; flags decided so far come first.
template <bool... flags, class Use>
value with_foreign(world& w, const foreign_spec& spec, Use use) {
  constexpr std::size_t decided = sizeof...(flags);
  if constexpr (decided == 3) {
    foreign<flags...> iterator(w, spec);
    return use(iterator);
  } else {
    const bool has = (decided == 0 ? spec.send : decided == 1 ? spec.raise : spec.close).has_value();
    return has ? with_foreign<flags..., true>(w, spec, use) : with_foreign<flags..., false>(w, spec, use);
  }
}

/// A hand-written manager.
class scripted_manager {
 public:
  scripted_manager(world& w, const statement& s) : world_(w), enter_(s.manager[0]), exit_(s.manager[1]) {}

  value enter() {
    world_.trace("enter");
    return act(enter_, nullptr);
  }
  bool exit(std::exception_ptr passing) {
    world_.trace("exit " + (passing == nullptr ? "None" : describe(passing)));
    return is_true(act(exit_, passing));
  }

 private:
  value act(const action& does, const std::exception_ptr& passing) {
    world_.count(join("manager: ", name(does.kind)));
    switch (does.kind) {
      case action_kind::raise:
        world_.with_new_exception(*does.exception, [](const auto& exception) { throw exception; });
        break;
      case action_kind::rethrow:
        if (passing != nullptr) {
          std::rethrow_exception(passing);
        }
        break;
      case action_kind::call:
        return world_.perform(*does.called);
      case action_kind::item:
      case action_kind::stop:
      case action_kind::echo:
        break;
    }
    return does.item;
  }

  world& world_;
  const action& enter_;
  const action& exit_;
};

/// A hand-written manager whose entering and exiting are coroutines.
class async_manager {
 public:
  async_manager(world& w, const statement& s) : world_(w), enter_(s.number), exit_(s.other) {}

  coroutine aenter() { return world_.make<coroutine>(enter_); }
  krait::coroutine<value, value, bool> aexit(const std::exception_ptr& passing) {
    world_.trace("exit " + (passing == nullptr ? "None" : describe(passing)));
    return world_.make<krait::coroutine<value, value, bool>>(exit_);
  }

 private:
  world& world_;
  int enter_, exit_;
};

/// Its await() gives the iterator, range or generator that it was made of.
template <class T>
struct gives {
  T iterator;
  T await() { return std::forward<T>(iterator); }
};

awaitable_generator pause(value item) {
  return [item = std::move(item)](auto& yield) -> value { return yield(item); };
}

/// One run of a body. Blocks are run by ordinary recursion, from the midst of which it yields and awaits.
/// `marked`: of a generator that may delegate to coroutines.
template <class Handle, bool marked>
class activation {
  static constexpr bool awaits = std::derived_from<Handle, krait::awaiter<value, value>>;

 public:
  activation(world& w, Handle& handle) : world_(w), handle_(handle) {}

  value run_body(const block& body) { return run(body) == flow::return_ ? result_ : value(); }

 private:
  flow run(const block& statements) {
    for (const statement& s : statements) {
      world_.count(name(s.kind));
      if (const flow left = run(s); left != flow::onwards) {
        return left;
      }
    }
    return flow::onwards;
  }

  flow run(const statement& s) {
    switch (s.kind) {
      case statement_kind::trace:
        world_.trace(std::to_string(s.number));
        break;
      case statement_kind::received:
        world_.trace("r=" + repr(received_));
        break;
      case statement_kind::caught:
        world_.trace("caught " + describe_handled());
        break;
      case statement_kind::yield:
        received_ = yield(s.constant);
        break;
      case statement_kind::yield_received:
        received_ = yield(received_);
        break;
      case statement_kind::from_owned:
        received_ = world_.with_new(s.number, [&](auto made) { return delegate(std::move(made)); });
        break;
      case statement_kind::from_shared:
        received_ = from_shared(s.number);
        break;
      case statement_kind::from_list:
        delegate_to_iterator(s.list);
        received_ = value();
        break;
      case statement_kind::from_foreign:
        received_ =
            with_foreign(world_, *s.foreign, [&](auto& iterator) { return delegate_to_iterator(iterator); });
        break;
      case statement_kind::try_:
        return s.finally.has_value() ? run_with_finally(s) : run_with_handlers(s);
      case statement_kind::scope:
        return run_in_scope(s);
      case statement_kind::raise:
        raise(s);
        break;
      case statement_kind::raise_from_caught:
        world_.with_new_exception(*s.exception, [](const auto& exception) { throw caused(exception); });
        break;
      case statement_kind::reraise:
        throw;
      case statement_kind::return_:
        result_ = s.constant;
        return flow::return_;
      case statement_kind::return_received:
        result_ = received_;
        return flow::return_;
      case statement_kind::loop:
        return run_loop(s);
      case statement_kind::break_:
        return flow::break_;
      case statement_kind::continue_:
        return flow::continue_;
      case statement_kind::call:
        received_ = world_.perform(*s.called);
        break;
      case statement_kind::pause:
        received_ = delegate(pause(s.constant));
        break;
      case statement_kind::with:
        return run_with(krait::contextmanager<value>(world_.make<manager_generator>(s.number)), s);
      case statement_kind::manage:
        return run_with(scripted_manager(world_, s), s);
      case statement_kind::closing:
        return run_closing(s);
      case statement_kind::async_for:
      case statement_kind::async_with:
      case statement_kind::async_manage:
      case statement_kind::aclosing:
        return run_async(s);
    }
    return flow::onwards;
  }

  /// In a coroutine, what it awaits yields.
  value yield(const value& item) {
    if constexpr (!requires { handle_(item); }) {
      return delegate(pause(item));
    } else if constexpr (std::is_void_v<decltype(handle_(item))>) {
      handle_(item);
      return {};
    } else {
      return handle_(item);
    }
  }

  /// `yield from` or `await` of an object, whichever this body has: of itself, or of what its await() or
  /// anext() gives.
  template <class T>
  value delegate(T&& object) {
    using type = std::remove_cvref_t<T>;
    if constexpr (std::same_as<type, async_generator>) {
      return delegate(object.anext());
    } else if constexpr (awaits && (std::same_as<type, generator> || std::same_as<type, coroutine_wrapper>)) {
      return delegate_to_iterator(std::forward<T>(object));
    } else if constexpr (awaits) {
      return value_of_call([&] { return handle_.await(std::forward<T>(object)); });
    } else if constexpr (std::same_as<type, coroutine> && marked) {
      return krait::awaiter(handle_).await(std::forward<T>(object));
    } else if constexpr (std::same_as<type, coroutine>) {
      return handle_.from(object.await());
    } else {
      return value_of_call([&] { return handle_.from(std::forward<T>(object)); });
    }
  }

  template <class T>
  value delegate_to_iterator(T&& iterator) {
    return value_of_call([&] {
      if constexpr (awaits) {
        return handle_.await(gives<T>{std::forward<T>(iterator)});
      } else {
        return handle_.from(std::forward<T>(iterator));
      }
    });
  }

  value from_shared(int slot) {
    const std::shared_ptr<object> held = world_.slot(slot);
    return held != nullptr ? std::visit([&](auto& self) { return delegate(self); }, held->is) : value();
  }

  template <class Manager>
  flow run_with(Manager manager, const statement& s) {
    return krait::with(manager, block_of(s)).value_or(flow::onwards);
  }

  /// The block of a `with`, as a function of what was entered.
  auto block_of(const statement& s) {
    return [this, &s](const value& entered) {
      received_ = entered;
      return run(s.body);
    };
  }
  auto block_with_none(const statement& s) {
    return [this, &s] {
      received_ = value();
      return run(s.body);
    };
  }

  flow run_closing(const statement& s) {
    std::shared_ptr<object> held = world_.slot(s.number);
    if (held == nullptr || std::holds_alternative<async_generator>(held->is)) {
      held.reset();
      return krait::with(krait::nullcontext(), block_with_none(s));
    }
    return std::visit(
        [&]<class T>(T& self) {
          if constexpr (std::same_as<T, async_generator>) {
            return flow::onwards;
          } else {
            return krait::with(krait::closing(self), block_with_none(s));
          }
        },
        held->is);
  }

  flow run_async(const statement& s) {
    if constexpr (awaits) {
      switch (s.kind) {
        case statement_kind::async_for:
          return run_async_for(s);
        case statement_kind::async_with: {
          krait::asynccontextmanager<value, value, value> manager(
              world_.make<async_manager_generator>(s.number));
          return krait::async_with(handle_, manager, block_of(s)).value_or(flow::onwards);
        }
        case statement_kind::async_manage:
          return krait::async_with(handle_, async_manager(world_, s), block_of(s)).value_or(flow::onwards);
        default:
          break;
      }
      const std::shared_ptr<object> held = world_.slot_with<async_generator>(s.number);
      if (held == nullptr) {
        return krait::with(krait::nullcontext(), block_with_none(s));
      }
      auto& closed = std::get<async_generator>(held->is);
      return krait::async_with(handle_, krait::aclosing(closed), block_with_none(s));
    } else {
      throw std::logic_error("a statement of coroutines and asynchronous generators only");
    }
  }

  flow run_async_for(const statement& s) {
    if (const std::shared_ptr<object> held = world_.slot_with<async_generator>(s.number)) {
      int left = s.other;
      for (const value& item : krait::async_for(handle_, std::get<async_generator>(held->is))) {
        received_ = item;
        if (left-- == 0) {
          world_.count("async_for: break");
          return flow::onwards;
        }
        const flow left_by = run(s.body);
        if (left_by == flow::break_) {
          return flow::onwards;
        }
        if (left_by == flow::return_) {
          return left_by;
        }
      }
    }
    world_.count("async_for: end");
    world_.trace("async for end");
    return flow::onwards;
  }

  void raise(const statement& s) {
    if (s.cause.has_value()) {
      std::rethrow_exception(world_.make_exception(*s.exception, s.cause));
    }
    world_.with_new_exception(*s.exception, [](const auto& exception) { throw exception; });
  }

  flow run_loop(const statement& s) {
    for (int i = 0; i < s.number; ++i) {
      const flow left = run(s.body);
      if (left == flow::break_) {
        break;
      }
      if (left == flow::return_) {
        return left;
      }
    }
    return flow::onwards;
  }

  flow run_with_finally(const statement& s) {
    flow left;
    try {
      left = run_with_handlers(s);
    } catch (...) {
      if (const flow other = run(*s.finally); other != flow::onwards) {
        return other;  // which drops the exception
      }
      throw;
    }
    const value returned = result_;
    if (const flow other = run(*s.finally); other != flow::onwards) {
      return other;
    }
    result_ = returned;
    return left;
  }

  flow run_with_handlers(const statement& s) {
    flow left;
    try {
      left = run(s.body);
    } catch (...) {
      for (const handler& clause : s.handlers) {
        if (handled_is(clause.type)) {
          world_.count(join("except ", name(clause.type)));
          return run(clause.body);
        }
      }
      throw;
    }
    if (left == flow::onwards && s.otherwise.has_value()) {
      world_.count("else");
      return run(*s.otherwise);
    }
    return left;
  }

  /// A block with a local object whose destructor is observed.
  flow run_in_scope(const statement& s) {
    struct token {
      world& w;
      const statement& s;
      ~token() {
        w.trace(join("~", std::to_string(s.number)));
        if (s.called.has_value()) {
          try {
            w.perform(*s.called);
          } catch (...) {
            w.trace(join("~", std::to_string(s.number), " ! ", describe_handled()));
          }
        }
      }
    };
    const token guard{world_, s};
    return run(s.body);
  }

  world& world_;
  Handle& handle_;
  value received_;
  value result_;
};

template <class T>
T world::make(int body) {
  const std::string label = join("d", std::to_string(body), ".", std::to_string(++generators_made_));
  T made = [this, body]<class Handle>(Handle& handle) {
    activation<Handle, std::same_as<T, awaitable_generator>> run(*this, handle);
    value result = run.run_body(body_at(body).statements);
    if constexpr (std::same_as<T, krait::coroutine<value, value, bool>>) {
      return is_true(result);
    } else if constexpr (std::same_as<T, generator> || std::same_as<T, awaitable_generator> ||
                         std::same_as<T, coroutine>) {
      return result;
    }
  };
  made.set_name(label);
  return made;
}

}  // namespace

std::string run(const program& program, coverage& counts) {
  return world(program, counts).run_driver();
}

}  // namespace differential
