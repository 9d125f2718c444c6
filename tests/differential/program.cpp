// SPDX-License-Identifier: BSL-1.0
#include "program.hpp"

#include <iterator>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace differential {

namespace {

using nlohmann::json;

constexpr const char* exception_names[] = {"GeneratorExit",
                                           "StopIteration",
                                           "RuntimeError",
                                           "ValueError",
                                           "TypeError",
                                           "AttributeError",
                                           "A",
                                           "B",
                                           "C",
                                           "GX",
                                           "SX",
                                           "StopAsyncIteration",
                                           "Exception",
                                           "BaseException"};
constexpr const char* operation_names[] = {"new", "next",  "send",  "throw",  "close",  "drop", "state",
                                           "for", "anext", "asend", "athrow", "aclose", "wrap"};
constexpr const char* action_names[] = {"item", "stop", "raise", "echo", "rethrow", "call"};
constexpr const char* statement_names[] = {"trace",          "received",     "caught",   "yield",
                                           "yield_received", "own",          "share",    "list",
                                           "foreign",        "try",          "scope",    "raise",
                                           "raise_from",     "reraise",      "return",   "return_received",
                                           "loop",           "break",        "continue", "call",
                                           "pause",          "async_for",    "with",     "async_with",
                                           "manage",         "async_manage", "closing",  "aclosing"};
constexpr const char* body_names[] = {"generator", "awaitable", "coroutine", "asyncgen"};

template <class Kind, std::size_t n>
Kind kind_of(const json& word, const char* const (&names)[n]) {
  const auto& text = word.get_ref<const std::string&>();
  for (std::size_t i = 0; i < n; ++i) {
    if (text == names[i]) {
      return static_cast<Kind>(i);
    }
  }
  throw std::runtime_error("unknown word: " + text);
}

value to_value(const json& source) {
  if (source.is_null()) {
    return {};
  }
  if (source.is_string()) {
    return source.get<std::string>();
  }
  return source.get<int>();
}

exception_spec to_exception(const json& source) {
  exception_spec spec{kind_of<exception_type>(source.at(0), exception_names), {}};
  if (source.size() > 1) {
    spec.label = source[1].get<int>();
  }
  return spec;
}

operation to_operation(const json& source) {
  operation made{
      kind_of<operation_kind>(source.at(0), operation_names), source.at(1).get<int>(), 0, {}, {}, {}};
  switch (made.kind) {
    case operation_kind::make:
    case operation_kind::loop:
    case operation_kind::make_anext:
    case operation_kind::make_aclose:
    case operation_kind::make_wrapper:
      made.number = source.at(2).get<int>();
      break;
    case operation_kind::send:
      made.sent = to_value(source.at(2));
      break;
    case operation_kind::make_asend:
      made.number = source.at(2).get<int>();
      made.sent = to_value(source.at(3));
      break;
    case operation_kind::make_athrow:
      made.number = source.at(2).get<int>();
      made.exception = to_exception(source.at(3));
      break;
    case operation_kind::raise:
      made.exception = to_exception(source.at(2));
      if (source.size() > 3) {
        made.cause = to_exception(source[3]);
      }
      break;
    default:
      break;
  }
  return made;
}

action to_action(const json& source) {
  action made{kind_of<action_kind>(source.at(0), action_names), {}, {}, {}};
  switch (made.kind) {
    case action_kind::item:
    case action_kind::stop:
      made.item = to_value(source.at(1));
      break;
    case action_kind::raise:
      made.exception = to_exception(source.at(1));
      break;
    case action_kind::call:
      made.called = to_operation(source.at(1));
      break;
    default:
      break;
  }
  return made;
}

script to_script(const json& source) {
  script made;
  for (const json& step : source) {
    made.push_back(to_action(step));
  }
  return made;
}

std::optional<script> to_script(const json& methods, const char* method) {
  const auto found = methods.find(method);
  return found == methods.end() ? std::nullopt : std::optional(to_script(*found));
}

block to_block(const json& source);

std::optional<block> to_optional_block(const json& source) {
  return source.is_null() ? std::nullopt : std::optional(to_block(source));
}

statement to_statement(const json& source) {
  statement made{};
  made.kind = kind_of<statement_kind>(source.at(0), statement_names);
  switch (made.kind) {
    case statement_kind::trace:
    case statement_kind::from_owned:
    case statement_kind::from_shared:
      made.number = source.at(1).get<int>();
      break;
    case statement_kind::yield:
    case statement_kind::pause:
    case statement_kind::return_:
      made.constant = to_value(source.at(1));
      break;
    case statement_kind::from_list:
      for (const json& element : source.at(1)) {
        made.list.push_back(to_value(element));
      }
      break;
    case statement_kind::from_foreign: {
      const json& methods = source.at(1);
      made.foreign = std::make_unique<foreign_spec>(
          foreign_spec{to_script(methods.at("next")), to_script(methods, "send"), to_script(methods, "throw"),
                       to_script(methods, "close")});
      break;
    }
    case statement_kind::try_:
      made.body = to_block(source.at(1));
      for (const json& clause : source.at(2)) {
        made.handlers.push_back(
            {kind_of<exception_type>(clause.at(0), exception_names), to_block(clause.at(1))});
      }
      made.otherwise = to_optional_block(source.at(3));
      made.finally = to_optional_block(source.at(4));
      break;
    case statement_kind::scope:
      made.number = source.at(1).get<int>();
      made.body = to_block(source.at(2));
      if (source.size() > 3) {
        made.called = to_operation(source[3]);
      }
      break;
    case statement_kind::raise:
    case statement_kind::raise_from_caught:
      made.exception = to_exception(source.at(1));
      if (source.size() > 2) {
        made.cause = to_exception(source[2]);
      }
      break;
    case statement_kind::loop:
    case statement_kind::with:
    case statement_kind::async_with:
    case statement_kind::closing:
    case statement_kind::aclosing:
      made.number = source.at(1).get<int>();
      made.body = to_block(source.at(2));
      break;
    case statement_kind::async_for:
    case statement_kind::async_manage:
      made.number = source.at(1).get<int>();
      made.other = source.at(2).get<int>();
      made.body = to_block(source.at(3));
      break;
    case statement_kind::manage:
      made.manager = {to_action(source.at(1)), to_action(source.at(2))};
      made.body = to_block(source.at(3));
      break;
    case statement_kind::call:
      made.called = to_operation(source.at(1));
      break;
    default:
      break;
  }
  return made;
}

block to_block(const json& source) {
  block made;
  made.reserve(source.size());
  for (const json& element : source) {
    made.push_back(to_statement(element));
  }
  return made;
}

}  // namespace

std::string repr(const value& v) {
  switch (v.index()) {
    case 0:
      return "None";
    case 1:
      return std::to_string(std::get<int>(v));
    default:
      return "'" + std::get<std::string>(v) + "'";
  }
}

program parse_program(std::string_view text) {
  const json source = json::parse(text);
  program made;
  made.slots = source.at("slots").get<int>();
  const auto kinds = source.find("kinds");
  for (const json& statements : source.at("defs")) {
    const body_kind kind = kinds == source.end()
                               ? body_kind::generator
                               : kind_of<body_kind>(kinds->at(made.bodies.size()), body_names);
    made.bodies.push_back({kind, to_block(statements)});
  }
  if (source.contains("finalizer")) {
    made.finalizer = source["finalizer"].get<int>();
  }
  for (const json& step : source.at("driver")) {
    made.driver.push_back(to_operation(step));
  }
  return made;
}

std::optional<recorded> parse_recorded(std::string_view line) {
  const json source = json::parse(line, nullptr, false);
  if (!source.is_object() || !source.contains("program") || !source.contains("trace")) {
    return std::nullopt;
  }
  return recorded{source["program"].dump(), source["trace"].get<std::string>()};
}

const char* name(exception_type type) {
  return exception_names[static_cast<int>(type)];
}
const char* name(operation_kind kind) {
  return operation_names[static_cast<int>(kind)];
}
const char* name(action_kind kind) {
  return action_names[static_cast<int>(kind)];
}
const char* name(statement_kind kind) {
  return statement_names[static_cast<int>(kind)];
}

}  // namespace differential
