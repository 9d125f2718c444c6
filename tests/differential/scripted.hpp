// SPDX-License-Identifier: BSL-1.0
#pragma once

// Iterators and managers that a user would write by hand: what their methods do is in the program.

#include <cstddef>
#include <exception>

#include "world.hpp"

namespace differential {

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

}  // namespace differential
