// SPDX-License-Identifier: BSL-1.0
// What Boost.Asio has for functions that wait: asio::spawn, with stacks of Boost.Context, which are kept, and
// asio::awaitable, C++20's coroutines.
#define BOOST_ASIO_DISABLE_BOOST_COROUTINE  // its predecessor
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/context/pooled_fixedsize_stack.hpp>

#include <array>
#include <cstddef>
#include <exception>
#include <memory>
#include <utility>

#include "operations.hpp"
#include "sockets.hpp"

namespace {

namespace asio = boost::asio;
using bench::tasks::message_size;
using bench::tasks::socket;
using executor = asio::io_context::executor_type;

const auto rethrow = [](const std::exception_ptr& raised) {
  if (raised != nullptr) {
    std::rethrow_exception(raised);
  }
};

struct asio_spawn {
  using yield_context = asio::basic_yield_context<executor>;

  template <class F, class Token>
  static auto spawn_on(executor on, F f, Token&& token) {
    static boost::context::pooled_fixedsize_stack stacks(64 * 1024);
    return asio::spawn(on, std::allocator_arg, stacks, std::move(f), std::forward<Token>(token));
  }

  template <class F>
  static void in(F f) {
    f();
  }

  template <class More>
  static long turns(long tasks, More more) {
    asio::io_context context(1);
    const executor on = context.get_executor();
    long count = 0;
    bool stop = false;
    spawn_on(
        on,
        [&](yield_context yield) {
          asio::post(on, yield);
          while (more()) {
            ++count;
            asio::post(on, yield);
          }
          stop = true;
        },
        rethrow);
    for (long i = 1; i < tasks; ++i) {
      spawn_on(
          on,
          [&](yield_context yield) {
            for (;;) {
              asio::post(on, yield);
              if (stop) {
                return;
              }
              ++count;
            }
          },
          rethrow);
    }
    context.run();
    return count;
  }
  static constexpr bool few = true;

  static long operation(long n) {
    asio::io_context context(1);
    asio::steady_timer reactor(context);
    const executor on = context.get_executor();
    long over = 0;
    spawn_on(
        on,
        [&](yield_context yield) {
          for (; over < n; ++over) {
            asio::post(on, yield);
          }
        },
        rethrow);
    context.run();
    return over;
  }

  template <class More>
  static long echo(int count, long each, More more) {
    asio::io_context context(1);
    const executor on = context.get_executor();
    bench::tasks::connections pairs(context, count);
    for (socket& one : pairs.servers) {
      spawn_on(
          on,
          [&one](yield_context yield) {
            std::array<char, message_size> buffer;
            boost::system::error_code error;
            for (;;) {
              const std::size_t size = one.async_read_some(asio::buffer(buffer), yield[error]);
              if (error) {
                return;
              }
              asio::async_write(one, asio::buffer(buffer, size), yield[error]);
            }
          },
          rethrow);
    }
    long trips = 0;
    int busy = 0;
    while (more()) {
      busy = count;
      for (socket& one : pairs.clients) {
        spawn_on(
            on,
            [&](yield_context yield) {
              std::array<char, message_size> buffer{};
              for (long i = 0; i < each; ++i) {
                asio::async_write(one, asio::buffer(buffer), yield);
                asio::async_read(one, asio::buffer(buffer), yield);
                ++trips;
              }
              if (--busy == 0) {
                context.stop();
              }
            },
            rethrow);
      }
      context.restart();
      context.run();
    }
    for (socket& one : pairs.clients) {
      one.close();
    }
    context.restart();
    context.run();
    return trips;
  }
};

struct asio_awaitable {
  using awaitable = asio::awaitable<void, executor>;
  static constexpr asio::use_awaitable_t<executor> use{};

  template <class F>
  static void in(F f) {
    f();
  }

  template <class More>
  static long turns(long tasks, More more) {
    asio::io_context context(1);
    const executor on = context.get_executor();
    long count = 0;
    bool stop = false;
    const auto first = [&]() -> awaitable {
      co_await asio::post(on, use);
      while (more()) {
        ++count;
        co_await asio::post(on, use);
      }
      stop = true;
    };
    const auto other = [&]() -> awaitable {
      for (;;) {
        co_await asio::post(on, use);
        if (stop) {
          co_return;
        }
        ++count;
      }
    };
    asio::co_spawn(on, first, rethrow);
    for (long i = 1; i < tasks; ++i) {
      asio::co_spawn(on, other, rethrow);
    }
    context.run();
    return count;
  }

  static long spawn(long n) {
    asio::io_context context(1);
    const executor on = context.get_executor();
    long sum = 0;
    const auto child = [&](long i) -> awaitable {
      sum += i;
      co_return;
    };
    const auto parent = [&]() -> awaitable {
      for (long i = 0; i < n; ++i) {
        co_await asio::co_spawn(on, child(i), use);
      }
    };
    asio::co_spawn(on, parent, rethrow);
    context.run();
    return sum;
  }

  static long operation(long n) {
    asio::io_context context(1);
    asio::steady_timer reactor(context);
    const executor on = context.get_executor();
    long over = 0;
    const auto body = [&]() -> awaitable {
      for (; over < n; ++over) {
        co_await asio::post(on, use);
      }
    };
    asio::co_spawn(on, body, rethrow);
    context.run();
    return over;
  }

  template <class More>
  static long echo(int count, long each, More more) {
    asio::io_context context(1);
    const executor on = context.get_executor();
    bench::tasks::connections pairs(context, count);
    const auto serve = [](socket& with) -> awaitable {
      std::array<char, message_size> buffer;
      boost::system::error_code error;
      for (;;) {
        const std::size_t size =
            co_await with.async_read_some(asio::buffer(buffer), asio::redirect_error(use, error));
        if (error) {
          co_return;
        }
        co_await asio::async_write(with, asio::buffer(buffer, size), asio::redirect_error(use, error));
      }
    };
    long trips = 0;
    int busy = 0;
    const auto ask = [&](socket& whom) -> awaitable {
      std::array<char, message_size> buffer{};
      for (long i = 0; i < each; ++i) {
        co_await asio::async_write(whom, asio::buffer(buffer), use);
        co_await asio::async_read(whom, asio::buffer(buffer), use);
        ++trips;
      }
      if (--busy == 0) {
        context.stop();
      }
    };
    for (socket& one : pairs.servers) {
      asio::co_spawn(on, serve(one), rethrow);
    }
    while (more()) {
      busy = count;
      for (socket& one : pairs.clients) {
        asio::co_spawn(on, ask(one), rethrow);
      }
      context.restart();
      context.run();
    }
    for (socket& one : pairs.clients) {
      one.close();
    }
    context.restart();
    context.run();
    return trips;
  }
};

[[maybe_unused]] const bool entered =
    bench::tasks::enter<asio_spawn>("asio_spawn") && bench::tasks::enter<asio_awaitable>("asio_awaitable");

}  // namespace
