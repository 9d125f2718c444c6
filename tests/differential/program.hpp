// SPDX-License-Identifier: BSL-1.0
#pragma once

// The programs of the differential tests, as README.md describes them, in memory.

#include <krait/krait.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace differential {

/// What programs yield, send and return: None, an int or a str.
struct value : std::variant<std::monostate, int, std::string> {
  using variant::variant;
};

/// As Python's repr() writes it.
std::string repr(const value& v);

enum class exception_type {
  generator_exit,
  stop_iteration,
  runtime_error,
  value_error,
  type_error,
  attribute_error,
  a,   ///< class A(Exception)
  b,   ///< class B(A)
  c,   ///< class C(BaseException)
  gx,  ///< class GX(GeneratorExit)
  sx,  ///< class SX(StopIteration)
  stop_async_iteration,
  exception,      ///< for `except` only
  base_exception  ///< for `except` only
};

struct exception_spec {
  exception_type type;
  std::optional<int> label;  ///< goes into its text; without one it is what the class alone makes
};

enum class operation_kind {
  make,
  next,
  send,
  raise,
  close,
  drop,
  state,
  loop,
  make_anext,
  make_asend,
  make_athrow,
  make_aclose,
  make_wrapper
};

struct operation {
  operation_kind kind;
  int slot = 0;
  int number = 0;  ///< make: the body; loop: items before the break; make_...: of the object in that slot
  value sent;
  std::optional<exception_spec> exception;
  std::optional<exception_spec> cause;
};

enum class action_kind { item, stop, raise, echo, rethrow, call };

/// What one call of a foreign iterator's method does.
struct action {
  action_kind kind;
  value item;
  std::optional<exception_spec> exception;
  std::optional<operation> called;
};

using script = std::vector<action>;

struct foreign_spec {
  script next;
  std::optional<script> send, raise, close;  ///< none: it has no such method
};

enum class statement_kind {
  trace,
  received,
  caught,
  yield,
  yield_received,
  from_owned,
  from_shared,
  from_list,
  from_foreign,
  try_,
  scope,
  raise,
  raise_from_caught,
  reraise,
  return_,
  return_received,
  loop,
  break_,
  continue_,
  call,
  pause,
  async_for,
  with,
  async_with,
  manage,
  async_manage,
  closing,
  aclosing
};

struct statement;
using block = std::vector<statement>;

struct handler {
  exception_type type;
  block body;
};

struct statement {
  statement_kind kind;
  int number = 0;  ///< a trace's label, a body, a slot, or a loop's count
  int other = 0;   ///< async_for: its count; async_manage: the body that exits
  value constant;
  std::vector<value> list;
  std::optional<exception_spec> exception, cause;
  std::optional<operation> called;
  std::unique_ptr<foreign_spec> foreign;
  std::vector<action> manager;  ///< what entering does, and exiting
  block body;
  std::vector<handler> handlers;
  std::optional<block> otherwise, finally;
};

enum class body_kind { generator, awaitable, coroutine, async_generator };

struct body {
  body_kind kind;
  block statements;
};

struct program {
  int slots = 0;
  std::vector<body> bodies;
  std::optional<int> finalizer;  ///< hooks are set; the slot that a finalizer fills, or -1
  std::vector<operation> driver;
};

/// Throws std::runtime_error if `text` is no program.
program parse_program(std::string_view text);

/// The two halves of a line of the corpus, and none if it is no such line.
struct recorded {
  std::string program;
  std::string trace;
};
std::optional<recorded> parse_recorded(std::string_view line);

const char* name(exception_type type);
const char* name(operation_kind kind);
const char* name(action_kind kind);
const char* name(statement_kind kind);

}  // namespace differential

template <>
struct krait::none_traits<differential::value> {
  static constexpr bool has_none = true;
  static differential::value none() noexcept { return {}; }
  static bool is_none(const differential::value& v) noexcept { return v.index() == 0; }
};
