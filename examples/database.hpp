// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <ostream>
#include <string>
#include <string_view>

#include "python.hpp"

struct db_response {
  std::string_view status;
};

/// A stand-in for a database: it is busy with "row 2" for two polls, and does not like duplicates.
class database_connection {
 public:
  explicit database_connection(std::ostream& out) : out_(out) {}

  void insert(const std::string& row) { begin("insert", row); }
  void select(const std::string& query) { begin("select", query); }

  db_response get_response() {
    db_response response{"pending"};
    if (polls_left_-- == 0) {
      response.status = statement_.find("duplicate") == std::string::npos ? "success" : "failure";
    }
    print(out_, "  database:", statement_, "is", response.status);
    return response;
  }

 private:
  void begin(const char* verb, const std::string& what) {
    statement_ = std::string(verb) + ' ' + what;
    polls_left_ = what.back() - '0';
  }

  std::ostream& out_;
  std::string statement_;
  int polls_left_ = 0;
};

inline database_connection get_database_connection(std::ostream& out) {
  return database_connection(out);
}
