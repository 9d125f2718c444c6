// SPDX-License-Identifier: BSL-1.0
// Boost.Asio by itself: handlers that are posted again and again, timers, callbacks. Where nobody has used a socket or a
// timer, there is no reactor, and nothing is polled: that is Asio at its best.
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <deque>
#include <string>
#include <vector>

#include "operations.hpp"
#include "sockets.hpp"

namespace {

namespace asio = boost::asio;
using bench::tasks::message_size;
using bench::tasks::socket;

/// One that posts itself while there is more.
struct chain {
  asio::io_context* context;
  long left;

  void operator()() {
    if (--left > 0) {
      asio::post(*context, *this);
    }
  }
};

template <class More>
struct round {
  asio::io_context& context;
  More more;
  long count = 0;
  bool stop = false;

  struct first {
    round* of;
    void operator()() {
      if (of->more()) {
        ++of->count;
        asio::post(of->context, *this);
      } else {
        of->stop = true;
      }
    }
  };
  struct other {
    round* of;
    void operator()() {
      if (!of->stop) {
        ++of->count;
        asio::post(of->context, *this);
      }
    }
  };
};

template <class More>
long turns_in(asio::io_context& context, long tasks, More more) {
  round<More> all{context, more};
  asio::post(context, typename round<More>::first{&all});
  for (long i = 1; i < tasks; ++i) {
    asio::post(context, typename round<More>::other{&all});
  }
  context.run();
  return all.count;
}

class server {
 public:
  explicit server(socket& with) : with_(with) { read(); }

 private:
  void read() {
    with_.async_read_some(asio::buffer(buffer_), [this](boost::system::error_code error, std::size_t size) {
      if (!error) {
        write(size);
      }
    });
  }
  void write(std::size_t size) {
    asio::async_write(with_, asio::buffer(buffer_, size),
                      [this](boost::system::error_code error, std::size_t) {
                        if (!error) {
                          read();
                        }
                      });
  }

  socket& with_;
  std::array<char, message_size> buffer_;
};

class client {
 public:
  client(asio::io_context& context, socket& with, int& busy) : context_(context), with_(with), busy_(busy) {}

  void ask(long times) {
    left_ = times;
    write();
  }

 private:
  void write() {
    asio::async_write(with_, asio::buffer(buffer_),
                      [this](boost::system::error_code, std::size_t) { read(); });
  }
  void read() {
    asio::async_read(with_, asio::buffer(buffer_), [this](boost::system::error_code, std::size_t) {
      if (--left_ > 0) {
        write();
      } else if (--busy_ == 0) {
        context_.stop();
      }
    });
  }

  asio::io_context& context_;
  socket& with_;
  int& busy_;
  long left_ = 0;
  std::array<char, message_size> buffer_{};
};

struct asio_peer {
  template <class F>
  static void in(F f) {
    f();
  }

  template <class More>
  static long turns(long tasks, More more) {
    asio::io_context context(1);
    return turns_in(context, tasks, more);
  }

  template <class More>
  static long turns_polled(long tasks, More more) {
    asio::io_context context(1);
    asio::steady_timer reactor(context);
    return turns_in(context, tasks, more);
  }

  static long timer(long n) {
    asio::io_context context(1);
    const auto work = asio::make_work_guard(context);
    asio::steady_timer one(context);
    long cancelled = 0;
    for (long i = 0; i < n; ++i) {
      one.expires_after(std::chrono::seconds(5));
      one.async_wait([&](boost::system::error_code) { ++cancelled; });
      one.cancel();
      if (i % 64 == 63) {
        context.poll();
      }
    }
    context.poll();
    return cancelled;
  }

  static long timers(long n) {
    asio::io_context context(1);
    bench::tasks::random_times random;
    const auto from = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    std::vector<asio::steady_timer> all;
    all.reserve(static_cast<std::size_t>(n));
    long cancelled = 0;
    for (long i = 0; i < n; ++i) {
      all.emplace_back(context, from + std::chrono::nanoseconds(random.next()));
      all.back().async_wait([&](boost::system::error_code) { ++cancelled; });
    }
    for (asio::steady_timer& each : all) {
      each.cancel();
    }
    context.poll();
    return cancelled;
  }

  template <class More>
  static long echo(int count, long each, More more) {
    asio::io_context context(1);
    bench::tasks::connections pairs(context, count);
    int busy = 0;
    std::deque<server> servers;
    std::deque<client> clients;
    for (socket& one : pairs.servers) {
      servers.emplace_back(one);
    }
    for (socket& one : pairs.clients) {
      clients.emplace_back(context, one, busy);
    }
    long trips = 0;
    while (more()) {
      busy = count;
      for (client& one : clients) {
        one.ask(each);
      }
      context.restart();
      context.run();
      trips += each * count;
    }
    for (socket& one : pairs.clients) {
      one.close();
    }
    context.restart();
    context.run();
    return trips;
  }
};

/// A post after the other, where there is a reactor, as in most programs; and where not.
template <bool reactor>
struct chained_post {
  template <class F>
  static void in(F f) {
    f();
  }

  static long operation(long n) {
    asio::io_context context(1);
    if (reactor) {
      asio::steady_timer used(context);
    }
    asio::post(context, chain{&context, n});
    return static_cast<long>(context.run());
  }
};

/// What nobody can be faster than, in waiting for what has happened.
struct indirect_call {
  template <class F>
  static void in(F f) {
    f();
  }

  static long done(long n) {
    long (*const one)() = bench::opaque(+[]() -> long { return 1; });
    long sum = 0;
    for (long i = 0; i < n; ++i) {
      sum += one();
      asm volatile("" : "+r"(sum) : : "memory");
    }
    return sum;
  }
};

[[maybe_unused]] const bool entered = bench::tasks::enter<asio_peer>("asio") &&
                                      bench::tasks::enter<chained_post<true>>("asio") &&
                                      bench::tasks::enter<chained_post<false>>("asio_without_reactor") &&
                                      bench::tasks::enter<indirect_call>("indirect_call");

}  // namespace
