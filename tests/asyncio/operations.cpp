// SPDX-License-Identifier: BSL-1.0
#include <krait/asyncio/use_await.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/write.hpp>

#include <doctest/doctest.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <utility>

#include <krait/asyncio.hpp>
#include <krait/generator.hpp>

#include "support/tasks.hpp"

// Operations of Boost.Asio that tasks wait for, and their cancellation (C10).

namespace {

namespace asio = boost::asio;
namespace asyncio = krait::asyncio;
using namespace std::chrono_literals;
using asyncio::use_await;
using asyncio_tests::thrown_by;
using support::journal;
using socket_type = asio::local::stream_protocol::socket;

asio::io_context& context() {
  return asyncio::get_running_loop().io_context();
}

struct connected {
  socket_type near{context()};
  socket_type far{context()};
  connected() { asio::local::connect_pair(near, far); }
};

/// An operation with a signature of its own, which completes by a post.
template <class... Args, class Token, class... Given>
auto completes(Token&& token, Given... given) {
  return asio::async_initiate<Token, void(Args...)>(
      [](auto handler, auto... values) {
        asio::post(context(), [handler = std::move(handler), ... kept = std::move(values)]() mutable {
          std::move(handler)(std::move(kept)...);
        });
      },
      token, std::move(given)...);
}

std::string read_some(socket_type& from) {
  std::array<char, 64> buffer{};
  const std::size_t n = from.async_read_some(asio::buffer(buffer), use_await);
  return {buffer.data(), n};
}

krait::generator<std::string> lines(socket_type& from) {
  return [&from](auto& yield) {
    std::string buffer;
    for (;;) {
      boost::system::error_code error;
      const std::size_t n =
          asio::async_read_until(from, asio::dynamic_buffer(buffer), '\n', use_await(error));
      if (error) {
        return;
      }
      yield(buffer.substr(0, n - 1));
      buffer.erase(0, n);
    }
  };
}

}  // namespace

TEST_CASE("an operation's result comes back, its error is thrown, or stored") {
  asyncio::run([] {
    connected pair;
    CHECK(asio::async_write(pair.far, asio::buffer("hello", 5), use_await) == 5);
    CHECK(read_some(pair.near) == "hello");
    pair.far.close();
    std::array<char, 8> buffer{};
    CHECK_THROWS_AS(pair.near.async_read_some(asio::buffer(buffer), use_await), boost::system::system_error);
    boost::system::error_code error;
    CHECK(pair.near.async_read_some(asio::buffer(buffer), use_await(error)) == 0);
    CHECK(error == asio::error::eof);
  });
}

TEST_CASE("all kinds of signatures") {
  asyncio::run([] {
    completes<>(use_await);
    CHECK(completes<int>(use_await, 3) == 3);
    CHECK(completes<int, std::string>(use_await, 3, "x") == std::tuple{3, std::string("x")});
    CHECK(completes<boost::system::error_code, int, int>(use_await, boost::system::error_code(), 1, 2) ==
          std::tuple{1, 2});
    completes<std::exception_ptr>(use_await, nullptr);
    CHECK(completes<std::exception_ptr, int>(use_await, nullptr, 4) == 4);
    CHECK(thrown_by([] {
            completes<std::exception_ptr>(use_await, std::make_exception_ptr(std::runtime_error("x")));
          }) == "x");
    asio::steady_timer timer(context(), 1ms);
    timer.async_wait(use_await);
  });
}

TEST_CASE("other tasks run meanwhile, and a generator's body waits as any function does") {
  asyncio::run([] {
    connected pair;
    const auto writer = asyncio::create_task([&] {
      for (const std::string_view text : {"on", "e\ntw", "o\nthree\n"}) {
        asio::async_write(pair.far, asio::buffer(text), use_await);
        asyncio::sleep(1ms);
      }
      pair.far.close();
    });
    journal log;
    for (const std::string& line : lines(pair.near)) {
      log(line);
    }
    CHECK(log.text() == "one, two, three");
    asyncio::await(writer);
  });
}

TEST_CASE("C10: a cancelled operation that did not happen is a cancelled_error") {
  asyncio::run([] {
    connected pair;
    const auto reader = asyncio::create_task([&] { return read_some(pair.near); });
    asyncio::sleep(0s);
    reader.cancel("enough");
    CHECK(thrown_by([&] { asyncio::await(reader); }) == "cancelled: enough");
    // Nothing was taken.
    asio::async_write(pair.far, asio::buffer("x", 1), use_await);
    CHECK(read_some(pair.near) == "x");
    CHECK_THROWS_AS(asyncio::timeout(1ms, [&] { read_some(pair.near); }), asyncio::timeout_error);
  });
}

TEST_CASE("C10: one that happened after all keeps its result, and the next wait is cancelled") {
  asyncio::run([] {
    connected pair;
    std::string got;
    const auto reader = asyncio::create_task([&] {
      got = read_some(pair.near);
      asyncio::sleep(0s);
      got += " and more";
    });
    asyncio::sleep(0s);
    // The handler is queued by a post that runs first, then the cancellation comes.
    asio::write(pair.far, asio::buffer("bytes", 5));
    asio::steady_timer soon(context(), 5ms);
    std::this_thread::sleep_for(1ms);
    asyncio::get_running_loop().call_soon([&] { reader.cancel("late"); });
    CHECK(thrown_by([&] { asyncio::await(reader); }) == "cancelled: late");
    const std::string rest = got.empty() ? read_some(pair.near) : std::string();
    CHECK(got + rest == "bytes");  // whichever came first: not lost, and not twice
  });
}

TEST_CASE("C10: a cancellation that is pending is raised before anything is started") {
  asyncio::run([] {
    connected pair;
    const auto task = asyncio::create_task([&] {
      asyncio::current_task().cancel("first");
      asio::async_write(pair.far, asio::buffer("x", 1), use_await);
    });
    CHECK(thrown_by([&] { asyncio::await(task); }) == "cancelled: first");
    CHECK(pair.near.available() == 0);
  });
}

TEST_CASE("what knows no cancellation is waited for") {
  asyncio::run([] {
    const auto task = asyncio::create_task([] {
      CHECK(completes<int>(use_await, 3) == 3);
      asyncio::sleep(0s);
    });
    asyncio::sleep(0s);
    task.cancel("later");
    CHECK(thrown_by([&] { asyncio::await(task); }) == "cancelled: later");
  });
}

TEST_CASE("an operation of other threads completes in the loop's") {
  asio::thread_pool pool(2);
  asyncio::run([&] {
    const auto here = std::this_thread::get_id();
    for (int i = 0; i < 100; ++i) {
      asio::post(pool, use_await);
      CHECK(std::this_thread::get_id() == here);
    }
    asio::steady_timer timer(pool, 1ms);
    timer.async_wait(use_await);
    CHECK(std::this_thread::get_id() == here);
  });
}

TEST_CASE("an operation that cannot be started throws into the task") {
  asyncio::run([] {
    CHECK(thrown_by([] {
            asio::async_initiate<const asyncio::use_await_t, void(int)>(
                [](auto) { throw std::runtime_error("not started"); }, use_await);
          }) == "not started");
    // Nor does anything wait that completes at once.
    CHECK(asio::async_initiate<const asyncio::use_await_t, void(int)>([](auto handler) { handler(3); },
                                                                      use_await) == 3);
  });
  CHECK(thrown_by([] {
          asio::io_context other;
          asio::post(other, use_await);
        }) == "no running task: only a task can wait");
}

TEST_CASE("the application's io_context runs the loop as its guest") {
  asio::io_context mine(1);
  asyncio::run_options options;
  options.context = &mine;
  journal log;
  asyncio::event_loop loop(options);
  const auto task = loop.create_task([&] {
    CHECK(&context() == &mine);
    log("started");
    asio::steady_timer timer(mine, 1ms);
    timer.async_wait(use_await);
    log("operation");
    asyncio::sleep(1ms);
    log("slept");
    return 3;
  });
  asio::post(mine, [&] { log("theirs"); });
  mine.run();  // until nothing is left to do, as it is theirs
  CHECK(task.result() == 3);
  CHECK(log.text() == "started, theirs, operation, slept");
}

TEST_CASE("TCP: accept, connect, echo, and a server that is cancelled") {
  asyncio::run([] {
    using asio::ip::tcp;
    tcp::acceptor acceptor(context(), {asio::ip::address_v4::loopback(), 0});
    const auto server = asyncio::create_task([&] {
      asyncio::task_group([&](auto& group) {
        for (;;) {
          static_cast<void>(group.create_task([s = acceptor.async_accept(use_await)]() mutable {
            std::array<char, 128> buffer{};
            boost::system::error_code error;
            while (const std::size_t n = s.async_read_some(asio::buffer(buffer), use_await(error))) {
              asio::async_write(s, asio::buffer(buffer, n), use_await);
            }
          }));
        }
      });
    });
    const auto client = [&](int number) {
      return [&, number] {
        tcp::socket s(context());
        s.async_connect(acceptor.local_endpoint(), use_await);
        const std::string sent = "message " + std::to_string(number);
        asio::async_write(s, asio::buffer(sent), use_await);
        std::string back(sent.size(), ' ');
        asio::async_read(s, asio::buffer(back), use_await);
        return back == sent;
      };
    };
    std::vector<asyncio::task<bool>> clients;
    for (int i = 0; i < 20; ++i) {
      clients.push_back(asyncio::create_task(client(i)));
    }
    for (const bool same : asyncio::await(asyncio::gather(clients))) {
      CHECK(same);
    }
    server.cancel();
    CHECK(thrown_by([&] { asyncio::await(server); }).rfind("cancelled", 0) == 0);
  });
}
