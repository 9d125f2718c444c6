// SPDX-License-Identifier: BSL-1.0
#pragma once

// Iterators and managers that a user would write by hand: what their methods do is in the program.

#include <cstddef>
#include <exception>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include "world.hpp"

namespace differential {

/// Raises stop_iteration with a value of one type or another: of all that arrives where a `value` is wanted.
[[noreturn]] inline void stop_with(world& w, const value& item) {
  const int turn = w.next_turn();
  if (turn % 3 == 0) {
    throw krait::stop_iteration<value>(item);
  }
  if (turn % 3 == 1) {
    throw krait::stop_iteration<std::optional<value>>(item);
  }
  switch (item.index()) {
    case 0:
      throw krait::stop_iteration<>();
    case 1:
      throw krait::stop_iteration(std::get<int>(item));
    default:
      if (turn % 2 == 0) {
        throw krait::stop_iteration(std::get<std::string>(item).c_str());
      }
      throw krait::stop_iteration(std::get<std::string>(item));
  }
}

/// A hand-written iterator, as `yield.from` takes it. It evaluates to a Return.
template <class Return>
class foreign {
 public:
  using return_type = Return;
  foreign(world& w, const foreign_spec& spec) : world_(w), spec_(spec) {}

  value next() {
    world_.trace("f.next");
    return act(next_, spec_.next, value(), nullptr);
  }

 protected:
  value receive(const value& sent) {
    world_.trace("f.send " + repr(sent));
    return act(send_, *spec_.send, sent, nullptr);
  }
  value receive_exception(const std::exception_ptr& thrown) {
    world_.trace("f.throw " + describe(thrown));
    return act(throw_calls_, *spec_.raise, value(), thrown);
  }
  void end() {
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
      stop_with(world_, value());
    }
    const action& step = steps[call++];
    world_.count(join("foreign: ", name(step.kind)));
    switch (step.kind) {
      case action_kind::item:
        return step.item;
      case action_kind::stop:
        stop_with(world_, step.item);
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

// The methods that it may have or not.

template <class Iterator>
struct with_send : Iterator {
  using Iterator::Iterator;
  value send(value sent) { return this->receive(sent); }
};

/// What is sent has another type.
template <class Iterator>
struct with_converting_send : Iterator {
  struct text {
    text(value made_of) : of(std::move(made_of)) {}  // NOLINT(google-explicit-constructor)
    value of;
  };
  using Iterator::Iterator;
  value send(const text& sent) { return this->receive(sent.of); }
};

template <class Iterator>
struct with_throw : Iterator {
  using Iterator::Iterator;
  value throw_(const std::exception_ptr& thrown) { return this->receive_exception(thrown); }
};

template <class Iterator>
struct with_close : Iterator {
  using Iterator::Iterator;
  void close() { this->end(); }
};

/// Calls `use` with a foreign iterator that has the methods that `spec` has, of one type or another.
template <class Use>
value with_foreign(world& w, const foreign_spec& spec, Use use) {
  const auto run = [&]<class Iterator>(std::type_identity<Iterator>) {
    Iterator iterator(w, spec);
    return use(iterator);
  };
  const auto closing = [&]<class Iterator>(std::type_identity<Iterator> plain) {
    return spec.close.has_value() ? run(std::type_identity<with_close<Iterator>>()) : run(plain);
  };
  const auto throwing = [&]<class Iterator>(std::type_identity<Iterator> plain) {
    return spec.raise.has_value() ? closing(std::type_identity<with_throw<Iterator>>()) : closing(plain);
  };
  if (w.next_turn() % 2 == 0) {
    using plain = foreign<value>;
    return spec.send.has_value() ? throwing(std::type_identity<with_send<plain>>())
                                 : throwing(std::type_identity<plain>());
  }
  using plain = foreign<std::optional<value>>;
  return spec.send.has_value() ? throwing(std::type_identity<with_converting_send<plain>>())
                               : throwing(std::type_identity<plain>());
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

}  // namespace differential
