// SPDX-License-Identifier: BSL-1.0
#include "stack/options.hpp"

#include <cctype>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "krait/exceptions.hpp"
#include "stack/memory.hpp"
#include "stack/sanitizers.hpp"

namespace krait {
namespace {

constexpr std::size_t default_guard = std::size_t{64} << 10;

/// Whoever asks or says what the defaults are holds it.
constinit std::mutex defaults_mutex;
constinit stack_options defaults{.size = 0, .guard = 0};  // 0: nobody has said
constinit bool defaults_in_use = false;

constexpr std::size_t least_in_environment = std::size_t{16} << 10;
constexpr std::size_t largest = PTRDIFF_MAX / 4;  // of a size, or a guard

/// What KRAIT_STACK_SIZE says; 0 if nothing, or nonsense.
std::size_t size_in_environment() noexcept {
  const char* const wish = std::getenv("KRAIT_STACK_SIZE");
  if (wish == nullptr || *wish == '\0') {
    return 0;
  }
  std::size_t size = 0;
  const char* const last = wish + std::strlen(wish);
  const auto [end, error] = std::from_chars(wish, last, size);
  const char* const unit = end == last ? "" : std::strchr("KMG", std::toupper(*end));
  const int shift = end == last ? 0 : unit == nullptr ? -1 : *unit == 'K' ? 10 : *unit == 'M' ? 20 : 30;
  if (error != std::errc() || shift < 0 || (shift > 0 && end + 1 != last) || size > (largest >> shift) ||
      size << shift < least_in_environment) {
    std::fprintf(stderr,
                 "krait: ignored: KRAIT_STACK_SIZE=%.100s: a size is wanted, as in 256K: at least 16K\n",
                 wish);
    return 0;
  }
  return size << shift;
}

std::size_t size_where_nobody_says() noexcept {
  static const std::size_t answer = [] {
    const std::size_t wish = size_in_environment();
    return wish != 0                         ? wish
           : sanitizers::with_large_frames() ? std::size_t{512} << 10
                                             : std::size_t{64} << 10;
  }();
  return answer;
}

stack_options with_defaults(stack_options options) noexcept {
  const std::lock_guard lock(defaults_mutex);
  if (options.size == 0) {
    options.size = defaults.size != 0 ? defaults.size : size_where_nobody_says();
  }
  if (options.guard == 0) {
    options.guard = defaults.guard != 0 ? defaults.guard : default_guard;
  }
  return options;
}

}  // namespace

namespace detail {

stack_options rounded(const stack_options& asked) {
  const stack_options options = with_defaults(asked);
  const std::size_t page = page_size();
  if (options.size > largest || options.guard > largest) {
    throw value_error("stack_options: larger than the address space");
  }
  const auto pages = [page](std::size_t bytes) { return (bytes + page - 1) / page * page; };
  return {pages(options.size), pages(options.guard)};
}

std::size_t spreading_guard(const stack_options& options) noexcept {
  const bool even = (options.size + options.guard) / page_size() % 2 == 0;
  return options.guard + (even ? page_size() : 0);
}

void fix_default_options() noexcept {
  const std::lock_guard lock(defaults_mutex);
  defaults_in_use = true;
}

std::size_t default_stack_size() noexcept {
  return default_stack_options().size;
}

}  // namespace detail

stack_options default_stack_options() noexcept {
  return with_defaults({.size = 0, .guard = 0});
}

void set_default_stack_options(const stack_options& options) {
  static_cast<void>(detail::rounded(options));
  const std::lock_guard lock(defaults_mutex);
  if (defaults_in_use) {
    throw runtime_error("set_default_stack_options: the first stack has been taken already");
  }
  defaults = {options.size != 0 ? options.size : defaults.size,
              options.guard != 0 ? options.guard : defaults.guard};
}

}  // namespace krait
