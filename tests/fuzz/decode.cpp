// SPDX-License-Identifier: BSL-1.0
#include "decode.hpp"

#include <array>
#include <iterator>
#include <vector>

namespace fuzz {
namespace {

// The order of these is the encoding: encode.py has the same.
constexpr const char* statements[] = {"end",
                                      "trace",
                                      "received",
                                      "caught",
                                      "yield",
                                      "yield_received",
                                      "own",
                                      "share",
                                      "list",
                                      "foreign",
                                      "try",
                                      "scope",
                                      "raise",
                                      "raise_from",
                                      "reraise",
                                      "return",
                                      "return_received",
                                      "loop",
                                      "break",
                                      "continue",
                                      "call",
                                      "raise_with_cause",
                                      "pause",
                                      "async_for",
                                      "with",
                                      "async_with",
                                      "manage",
                                      "async_manage"};
constexpr const char* operations[] = {"end",   "new", "next",  "send",  "throw",  "close",  "drop",
                                      "state", "for", "anext", "asend", "athrow", "aclose", "wrap"};
constexpr const char* kinds[] = {"generator", "coroutine", "asyncgen", "awaitable"};
constexpr const char* actions[] = {"item", "stop", "raise", "echo", "rethrow", "call"};
constexpr const char* classes[] = {"GeneratorExit",
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
constexpr int raised_classes = 12;  // the others are for `except` only
constexpr int loop_counts[] = {1, 2, 3, 4, 99};

constexpr int most_slots = 4;
constexpr int most_bodies = 6;
constexpr int most_statements = 8;   // of a block
constexpr int most_operations = 24;  // of the driver
constexpr int deepest = 4;
constexpr long dearest_body = 2000;  // steps
constexpr long dearest_program = 20000;

template <class... Parts>
std::string list(const Parts&... parts) {
  std::string all = "[";
  ((all += all.size() > 1 ? "," : "", all += parts), ...);
  return all + "]";
}

std::string quoted(const char* word) {
  return std::string("\"") + word + "\"";
}

class decoder {
 public:
  explicit decoder(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

  std::string program() {
    slots_ = 1 + choose(most_slots);
    bodies_ = 1 + choose(most_bodies);
    costs_.assign(static_cast<std::size_t>(bodies_), 0);
    kinds_.assign(static_cast<std::size_t>(bodies_), "");
    std::string definitions, kinds_of_all;
    for (int body = bodies_ - 1; body >= 0; --body) {
      body_ = body;
      spent_ = 0;
      limit_ = dearest_body;
      kinds_[static_cast<std::size_t>(body)] = choose(kinds);
      kinds_of_all = quoted(kinds_[static_cast<std::size_t>(body)].c_str()) +
                     (kinds_of_all.empty() ? "" : ",") + kinds_of_all;
      const std::string made = block({});
      costs_[static_cast<std::size_t>(body)] = spent_;
      definitions = made + (definitions.empty() ? "" : ",") + definitions;
    }
    body_ = -1;
    spent_ = 0;
    limit_ = dearest_program;
    std::string driver = "[\"new\",0,0],[\"next\",0]";
    for (int n = 0; n < most_operations; ++n) {
      const std::string made = operation(1);
      if (made.empty()) {
        break;
      }
      driver += "," + made;
    }
    return "{\"slots\":" + std::to_string(slots_) + ",\"defs\":[" + definitions + "],\"kinds\":[" +
           kinds_of_all + "],\"driver\":[" + driver + "]}";
  }

 private:
  /// Where a statement stands.
  struct place {
    int depth = 0;
    long times = 1;  ///< so often it is executed, at most
    bool in_loop = false;
    bool in_handler = false;
  };

  int choose(int count) {
    const int byte = next_ < bytes_.size() ? bytes_[next_++] : 0;
    return byte % count;
  }
  template <class T, std::size_t n>
  const T& choose(const T (&from)[n]) {
    return from[choose(static_cast<int>(n))];
  }

  /// Takes note of a cost, unless it is too much.
  bool spend(long steps) {
    if (spent_ + steps > limit_) {
      return false;
    }
    spent_ += steps;
    return true;
  }

  std::string label() { return std::to_string(++labels_); }
  std::string slot() { return std::to_string(choose(slots_)); }

  std::string value() {
    const int kind = choose(13);
    return kind == 0 ? "null" : kind < 11 ? std::to_string(kind - 1) : kind == 11 ? "\"a\"" : "\"b\"";
  }

  std::string exception() {
    const int kind = choose(2 * raised_classes);
    const std::string name = quoted(classes[kind % raised_classes]);
    return kind < raised_classes ? list(name, label()) : list(name);
  }

  /// One of the bodies after this one, if it can be afforded; else -1.
  int later_body(long times) {
    const int first = body_ + 1;
    if (first == bodies_) {
      return -1;
    }
    const int chosen = first + choose(bodies_ - first);
    return spend(times * (1 + costs_[static_cast<std::size_t>(chosen)])) ? chosen : -1;
  }

  /// The same, of a kind.
  int later_body(const char* kind, long times) {
    std::vector<int> fit;
    for (int body = body_ + 1; body < bodies_; ++body) {
      if (kinds_[static_cast<std::size_t>(body)] == kind) {
        fit.push_back(body);
      }
    }
    if (fit.empty()) {
      return -1;
    }
    const int chosen = fit[static_cast<std::size_t>(choose(static_cast<int>(fit.size())))];
    return spend(times * (1 + costs_[static_cast<std::size_t>(chosen)])) ? chosen : -1;
  }

  /// Empty: none.
  std::string operation(long times) {
    const int kind = choose(static_cast<int>(std::size(operations)));
    if (kind == 0 || !spend(times)) {
      return "";
    }
    const std::string at = slot();
    std::string name = operations[kind];
    std::string more;
    if (name == "new") {
      const int body = later_body(times);
      if (body < 0) {
        name = "next";
      } else {
        more = std::to_string(body);
      }
    } else if (name == "send") {
      more = value();
    } else if (name == "throw") {
      const bool caused = choose(2) != 0;
      more = exception();
      if (caused) {
        more += "," + exception();
      }
    } else if (name == "for") {
      more = std::to_string(1 + choose(4));
    } else if (name == "anext" || name == "aclose" || name == "wrap") {
      more = slot();
    } else if (name == "asend") {
      more = slot();
      more += "," + value();
    } else if (name == "athrow") {
      more = slot();
      more += "," + exception();
    }
    return more.empty() ? list(quoted(name.c_str()), at) : list(quoted(name.c_str()), at, more);
  }

  /// What is to be called; something harmless if nothing is.
  std::string called(long times) {
    const std::string made = operation(times);
    return made.empty() ? list("\"state\"", slot()) : made;
  }

  std::string action(long times) {
    const std::string kind = choose(actions);
    const std::string name = quoted(kind.c_str());
    return kind == "item" || kind == "stop" ? list(name, value())
           : kind == "raise"                ? list(name, exception())
           : kind == "call"                 ? list(name, called(times))
                                            : list(name);
  }

  std::string script(long times) {
    std::string all;
    for (int left = choose(4); left != 0 && spend(times); --left) {
      all += all.empty() ? "" : ",";
      all += action(times);
    }
    return "[" + all + "]";
  }

  std::string foreign(long times) {
    std::string methods = "\"next\":" + script(times);
    for (const char* const method : {"send", "throw", "close"}) {
      if (choose(2) != 0) {
        methods += "," + quoted(method) + ":" + script(times);
      }
    }
    return "{" + methods + "}";
  }

  /// Never empty, as Python's is not.
  std::string block(place at) {
    std::string all;
    for (int n = 0; n < most_statements; ++n) {
      const std::string made = statement(at);
      if (made.empty()) {
        break;
      }
      all += (all.empty() ? "" : ",") + made;
    }
    return "[" + (all.empty() ? list("\"trace\"", label()) : all) + "]";
  }

  /// Empty: the block ends. What may not stand here becomes a `yield`.
  std::string statement(place at) {
    const std::string kind = choose(statements);
    if (kind == "end" || !spend(at.times)) {
      return "";
    }
    const std::string name = quoted(kind.c_str());
    const bool managed = kind == "with" || kind == "async_with" || kind == "manage" || kind == "async_manage";
    const bool compound =
        kind == "try" || kind == "scope" || kind == "loop" || kind == "async_for" || managed;
    const std::string& of = kinds_[static_cast<std::size_t>(body_)];
    const bool for_awaiting = kind.starts_with("async_");
    const bool for_loops = kind == "break" || kind == "continue";
    const bool for_handlers = kind == "caught" || kind == "reraise" || kind == "raise_from";
    if ((compound && at.depth == deepest) || (for_loops && !at.in_loop) || (for_handlers && !at.in_handler) ||
        (for_awaiting && of != "coroutine" && of != "asyncgen")) {
      return list("\"yield\"", "null");
    }
    ++at.depth;
    if (kind == "trace") {
      return list(name, label());
    }
    if (kind == "yield" || kind == "return" || kind == "pause") {
      return list(name, value());
    }
    if (kind == "own") {
      const int body = later_body(at.times);
      return body < 0 ? list("\"yield\"", "null") : list(name, std::to_string(body));
    }
    if (kind == "share") {
      return list(name, slot());
    }
    if (kind == "list") {
      std::string values;
      for (int left = choose(4); left != 0; --left) {
        values += (values.empty() ? "" : ",") + value();
      }
      return list(name, "[" + values + "]");
    }
    if (kind == "foreign") {
      return list(name, foreign(at.times));
    }
    if (kind == "try") {
      return try_statement(at);
    }
    if (kind == "scope") {
      const bool calls = choose(2) != 0;
      const std::string number = label();
      const std::string body = block(at);
      return calls ? list(name, number, body, called(at.times)) : list(name, number, body);
    }
    if (kind == "raise" || kind == "raise_from") {
      return list(name, exception());
    }
    if (kind == "raise_with_cause") {
      const std::string raised = exception();
      return list("\"raise\"", raised, exception());
    }
    if (kind == "loop") {
      const int count = choose(loop_counts);
      at.times *= count;
      at.in_loop = true;
      return list(name, std::to_string(count), block(at));
    }
    if (kind == "async_for") {
      const std::string over = slot();
      const int count = 1 + choose(3);
      at.times *= count;
      at.in_loop = true;
      return list(name, over, std::to_string(count), block(at));
    }
    if (managed) {
      return with_statement(kind, at);
    }
    if (kind == "call") {
      return list(name, called(at.times));
    }
    return list(name);
  }

  std::string with_statement(const std::string& kind, place at) {
    std::string manager;
    if (kind == "manage") {
      manager = action(at.times);
      manager += "," + action(at.times);
    } else {
      const bool hand_written = kind == "async_manage";
      const char* const wanted = kind == "with" ? "generator" : hand_written ? "coroutine" : "asyncgen";
      for (int left = hand_written ? 2 : 1; left != 0; --left) {
        const int body = later_body(wanted, at.times);
        if (body < 0) {
          return list("\"yield\"", "null");
        }
        manager += (manager.empty() ? "" : ",") + std::to_string(body);
      }
    }
    return list(quoted(kind.c_str()), manager, block(at));
  }

  std::string try_statement(place at) {
    const int clauses = choose(4);
    const bool has_else = choose(2) != 0 && clauses != 0;
    const bool has_finally = choose(2) != 0 || clauses == 0;
    const std::string tried = block(at);
    place handling = at;
    handling.in_handler = true;
    std::string handlers;
    for (int n = 0; n < clauses; ++n) {
      const std::string caught = quoted(choose(classes));
      handlers += (handlers.empty() ? "" : ",") + list(caught, block(handling));
    }
    const std::string otherwise = has_else ? block(at) : "null";
    const std::string finally = has_finally ? block(at) : "null";
    return list("\"try\"", tried, "[" + handlers + "]", otherwise, finally);
  }

  const std::span<const std::uint8_t> bytes_;
  std::size_t next_ = 0;
  int slots_ = 0, bodies_ = 0, body_ = 0, labels_ = 0;
  std::vector<long> costs_;         // of each body
  std::vector<std::string> kinds_;  // of those decoded
  long spent_ = 0, limit_ = 0;
};

}  // namespace

std::string decode(std::span<const std::uint8_t> bytes) {
  return decoder(bytes).program();
}

}  // namespace fuzz
