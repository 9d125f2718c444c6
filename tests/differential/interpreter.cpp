// SPDX-License-Identifier: BSL-1.0
#include "interpreter.hpp"

#include <concepts>
#include <krait/krait.hpp>
#include <utility>
#include <variant>

#include "exceptions.hpp"
#include "scripted.hpp"
#include "world.hpp"

namespace differential {

namespace {

/// How control leaves a block.
enum class flow { onwards, break_, continue_, return_ };

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
            with_foreign(world_, *s.foreign, [&](auto& iterator) { return delegate_to_foreign(iterator); });
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

  /// Now and then by a generator between, which is sent optionals. (One more would show if close() ended the
  /// iterator: what that comes to is not passed on.)
  template <class T>
  value delegate_to_foreign(T& iterator) {
    if constexpr (!awaits && !requires { iterator.close(); }) {
      if (world_.next_turn() % 4 == 0) {
        world_.count("foreign: sent optionals");
        return handle_.from(
            krait::generator<value, std::optional<value>, value>([&iterator](auto& optional_yield) -> value {
              return value_of_call([&] { return optional_yield.from(iterator); });
            }));
      }
    }
    return delegate_to_iterator(iterator);
  }

  value from_shared(int slot) {
    const std::shared_ptr<object> held = world_.slot(slot);
    if (held == nullptr) {
      return {};
    }
    world_.count_delegation(*held);
    return std::visit([&](auto& self) { return delegate(self); }, held->is);
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

}  // namespace

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

std::string run(const program& program, coverage& counts) {
  return world(program, counts).run_driver();
}

}  // namespace differential
