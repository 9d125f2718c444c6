// SPDX-License-Identifier: BSL-1.0
#pragma once

// Connections over the loopback device, for everybody on Asio. The executor is the io_context's own, which is the
// fastest.

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <utility>
#include <vector>

namespace bench::tasks {

namespace asio = boost::asio;
using socket = asio::basic_stream_socket<asio::ip::tcp, asio::io_context::executor_type>;

struct connections {
  std::vector<socket> clients;
  std::vector<socket> servers;

  connections(asio::io_context& context, int count) {
    asio::basic_socket_acceptor<asio::ip::tcp, asio::io_context::executor_type> acceptor(
        context, {asio::ip::address_v4::loopback(), 0});
    for (int i = 0; i < count; ++i) {
      socket client(context);
      client.connect(acceptor.local_endpoint());
      socket server = acceptor.accept();
      for (socket* each : {&client, &server}) {
        each->set_option(asio::ip::tcp::no_delay(true));
      }
      clients.push_back(std::move(client));
      servers.push_back(std::move(server));
    }
  }
};

}  // namespace bench::tasks
