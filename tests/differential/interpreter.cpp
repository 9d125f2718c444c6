// SPDX-License-Identifier: BSL-1.0
#include "interpreter.hpp"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <krait/krait.hpp>
#include <utility>
#include <vector>

#include "exceptions.hpp"

namespace differential {

namespace {

using generator = krait::generator<value, value, value>;
using yielder = krait::yielder<value, value>;

constexpr std::size_t longest_trace = 1000;

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

/// One run of a program: its generators, and what has been observed of them.
class world {
 public:
  world(const program& source, coverage& counts) : program_(source), counts_(counts) {
    slots_.resize(static_cast<std::size_t>(source.slots));
    krait::set_unraisable_hook([this](const krait::unraisable& event) {
      const std::string exception = describe(event.exception);
      trace(event.message.substr(0, event.message.find(" at 0x")) + ">: " + exception);
      count("unraisable: " + outcome_of(exception));
    });
  }
  ~world() { krait::set_unraisable_hook(nullptr); }
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
    // What a body does while it is finalised may fill a slot anew.
    while (std::any_of(slots_.begin(), slots_.end(), [](const auto& held) { return held != nullptr; })) {
      for (int slot = 0; slot < program_.slots; ++slot) {
        drop(slot);
      }
    }
    return std::move(trace_);
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

  generator make(int body);

  std::shared_ptr<generator> slot(int number) {
    std::shared_ptr<generator> held = at(number);
    if (held == nullptr) {
      trace(join("empty ", std::to_string(number)));
    }
    return held;
  }

  /// An operation's result, traced. What it raises comes out.
  value perform(const operation& op) {
    switch (op.kind) {
      case operation_kind::make: {
        // While the old one goes, the slot already has the new one, and so has this function, as in Python.
        const std::shared_ptr<generator> made = share(make(op.number));
        std::shared_ptr(made).swap(at(op.slot));
        count("new");
        return {};
      }
      case operation_kind::drop:
        count("drop");
        drop(op.slot);
        return {};
      case operation_kind::state: {
        std::string state(1, state_of(at(op.slot)));
        count("state: " + state);
        trace(label_of(op) + " = " + state);
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

 private:
  std::shared_ptr<generator>& at(int slot) { return slots_[static_cast<std::size_t>(slot)]; }

  std::shared_ptr<generator> share(generator made) {
    const auto finish = [this](generator* self) {
      trace("del " + std::string(self->name()));
      delete self;
    };
    return {new generator(std::move(made)), finish};
  }

  void drop(int slot) { std::exchange(at(slot), nullptr); }

  /// next, send, throw or close. No value: the slot is empty. The API has two spellings of most; they take
  /// turns.
  std::optional<value> resume(const operation& op) {
    const std::shared_ptr<generator> held = slot(op.slot);
    if (held == nullptr) {
      return std::nullopt;
    }
    step_api_ = !step_api_;
    switch (op.kind) {
      case operation_kind::next:
        return step_api_ ? value_of(held->resume()) : held->next();
      case operation_kind::send:
        return step_api_ ? value_of(held->resume(op.sent)) : held->send(op.sent);
      case operation_kind::raise: {
        std::exception_ptr exception = make_exception(*op.exception, op.cause);
        return step_api_ ? value_of(held->resume_with(std::move(exception)))
                         : held->throw_(std::move(exception));
      }
      default:
        return held->close().value_or(value());
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
    std::shared_ptr<generator> held = slot(op.slot);
    if (held == nullptr) {
      return;
    }
    int left = op.number;
    for (const value& item : *held) {
      trace(label_of(op) + ": " + repr(item));
      if (--left == 0) {
        count("for: break");
        return;
      }
    }
    held.reset();
    count("for: end");
    trace(label_of(op) + " end");
  }

  static char state_of(const std::shared_ptr<generator>& held) {
    if (held == nullptr) {
      return '-';
    }
    switch (held->state()) {
      case krait::generator_state::created:
        return 'c';
      case krait::generator_state::running:
        return held->yielding_from() ? 'R' : 'r';
      case krait::generator_state::suspended:
        return held->yielding_from() ? 'd' : 's';
      case krait::generator_state::closed:
        break;
    }
    return 'x';
  }

  std::string states() const {
    std::string all(slots_.size(), ' ');
    std::ranges::transform(slots_, all.begin(), state_of);
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
  std::vector<std::shared_ptr<generator>> slots_;
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

/// One run of a generator's body. Blocks are run by ordinary recursion, from the midst of which it yields.
class activation {
 public:
  activation(world& w, yielder& yield) : world_(w), yield_(yield) {}

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
        received_ = yield_(s.constant);
        break;
      case statement_kind::yield_received:
        received_ = yield_(received_);
        break;
      case statement_kind::from_owned:
        received_ = yield_.from(world_.make(s.number));
        break;
      case statement_kind::from_shared:
        received_ = from_shared(s.number);
        break;
      case statement_kind::from_list:
        yield_.from(s.list);
        received_ = value();
        break;
      case statement_kind::from_foreign:
        received_ = with_foreign(world_, *s.foreign, [&](auto& iterator) { return yield_.from(iterator); });
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
    }
    return flow::onwards;
  }

  value from_shared(int slot) {
    const std::shared_ptr<generator> held = world_.slot(slot);
    return held != nullptr ? yield_.from(*held) : value();
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
  yielder& yield_;
  value received_;
  value result_;
};

generator world::make(int body) {
  const std::string label = join("d", std::to_string(body), ".", std::to_string(++generators_made_));
  generator made = [this, body](yielder& yield) {
    return activation(*this, yield).run_body(program_.bodies[static_cast<std::size_t>(body)]);
  };
  made.set_name(label);
  return made;
}

}  // namespace

std::string run(const program& program, coverage& counts) {
  return world(program, counts).run_driver();
}

}  // namespace differential
