// SPDX-License-Identifier: BSL-1.0
#pragma once

// Functions that are recognised in a backtrace without symbols: each lies in a section of its own, whose
// bounds the linker knows.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <krait/krait.hpp>

// A function that is neither inlined nor, thanks to `stay`, replaced by what it calls last.
#define TRACED(name)                                                                       \
  extern "C" {                                                                             \
  [[gnu::visibility("hidden")]] extern const char __start_bt_##name[], __stop_bt_##name[]; \
  }                                                                                        \
  namespace {                                                                              \
  const bool name##_known = traced::know({#name, __start_bt_##name, __stop_bt_##name});    \
  }                                                                                        \
  [[gnu::noinline, gnu::section("bt_" #name)]]

namespace traced {

struct function {
  const char* name;
  const char* begin;
  const char* end;
};

inline std::vector<function>& functions() {
  static std::vector<function> all;
  return all;
}
inline bool know(function one) {
  functions().push_back(one);
  return true;
}

inline void stay() {
  asm volatile("");
}

/// "innermost < its caller < ...", of the functions that are known.
inline std::string names(const std::vector<const void*>& addresses_to_return_to) {
  std::string text;
  for (const void* const address : addresses_to_return_to) {
    for (const function& each : functions()) {
      if (std::less<>()(each.begin, address) && std::less_equal<>()(address, each.end)) {
        text += (text.empty() ? "" : " < ") + std::string(each.name);
      }
    }
  }
  return text;
}

inline constexpr bool resumers_follow = std::string_view(krait::backend_name) == "native";

/// What a backtrace is to show: what is on the generator's stack, and what resumed it.
inline std::string expected(const std::string& generator, const std::string& resumer) {
  return resumers_follow ? generator + " < " + resumer : generator;
}

}  // namespace traced
