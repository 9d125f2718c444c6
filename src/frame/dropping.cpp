// SPDX-License-Identifier: BSL-1.0

// A generator that is closed unwinds: generator_exit is raised at its `yield`, so that destructors run and handlers
// see it. Many bodies have nothing of the kind, and an exception costs hundreds of times what a switch does. Where
// no frame between the `yield` and the end of the stack has anything to do, nobody can tell whether one was
// thrown, and the stack is left for good instead:
//
//      end of the body's stack (frame_with_body::run)   a handler that is for this alone: the walk ends
//      |  body                                          no landing pad at its call
//      |  helper of the body                            no landing pad at its call
//      v  yield                                         ...
//
// Whether there is a landing pad at a call the tables say that the unwinder itself goes by (call_site.cpp). In any
// doubt the exception is thrown: so too inside a handler, whose exception would never be let go.
//
// To read the tables takes microseconds, so what they say is kept by the address that a call returns to. Code that
// is unloaded may have given its address to another's since: what was found out about a library holds until any
// library is unloaded.
//
// KRAIT_CLOSE=throw in the environment: the exception is always thrown, as in a debugger that is to stop there.

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "frame/call_site.hpp"
#include "krait/detail/frame/chain.hpp"
#include "krait/detail/frame/frame.hpp"
#include "krait/detail/switch/exception_state.hpp"

namespace krait::detail {
namespace {

/// What has been found out, in a fixed place: a new site takes an old one's when there is no room. Readers take no
/// lock. Whoever writes may be interrupted by a signal or a fork, and then nobody else does.
class site_cache {
 public:
  /// False if it is not known.
  bool find(std::uintptr_t address, call_site& site) const noexcept {
    for (const entry& each : entries_[bucket_of(address)]) {
      const std::uint32_t version = each.version.load(std::memory_order_acquire);
      if (version % 2 != 0 || each.address.load(std::memory_order_acquire) != address) {
        continue;
      }
      words copied;
      for (std::size_t i = 0; i < copied.size(); ++i) {
        copied[i] = each.site[i].load(std::memory_order_acquire);
      }
      if (each.version.load(std::memory_order_relaxed) == version) {
        site = std::bit_cast<call_site>(copied);
        return true;
      }
    }
    return false;
  }

  void keep(std::uintptr_t address, const call_site& site) noexcept {
    if (writing_.test_and_set(std::memory_order_acquire)) {
      return;
    }
    entry& place = place_for(address);
    const std::uint32_t version = place.version.load(std::memory_order_relaxed);
    place.version.store(version + 1, std::memory_order_relaxed);
    place.address.store(address, std::memory_order_release);
    const auto copied = std::bit_cast<words>(site);
    for (std::size_t i = 0; i < copied.size(); ++i) {
      place.site[i].store(copied[i], std::memory_order_release);
    }
    place.version.store(version + 2, std::memory_order_release);
    writing_.clear(std::memory_order_release);
  }

 private:
  using words = std::array<std::uint64_t, sizeof(call_site) / sizeof(std::uint64_t)>;

  struct entry {
    std::atomic<std::uintptr_t> address = 0;
    std::array<std::atomic<std::uint64_t>, std::tuple_size_v<words>> site{};
    std::atomic<std::uint32_t> version = 0;  ///< odd while it is written
  };
  static constexpr std::size_t ways = 4;
  static constexpr unsigned bucket_bits = 8;
  using bucket = std::array<entry, ways>;

  static std::size_t bucket_of(std::uintptr_t address) noexcept {
    return (address * 0x9e3779b97f4a7c15u) >> (64 - bucket_bits);
  }

  /// Its own, an empty one, or one that is given up.
  entry& place_for(std::uintptr_t address) noexcept {
    bucket& home = entries_[bucket_of(address)];
    for (entry& each : home) {
      const std::uintptr_t there = each.address.load(std::memory_order_relaxed);
      if (there == address || there == 0) {
        return each;
      }
    }
    return home[given_up_++ % ways];
  }

  std::array<bucket, std::size_t{1} << bucket_bits> entries_{};
  std::atomic_flag writing_;
  std::size_t given_up_ = 0;
};

constinit site_cache known_sites;

/// `unloadings`: how many there have been, as soon as somebody has asked.
call_site know_site(std::uintptr_t address, std::uint64_t& unloadings) noexcept {
  call_site site;
  if (known_sites.find(address, site)) {
    if (site.unloadings == call_site::forever) {
      return site;
    }
    if (unloadings == call_site::forever) {
      unloadings = count_unloadings();
    }
    if (site.unloadings == unloadings) {
      return site;
    }
  }
  site = examine_call_site(address);
  known_sites.keep(address, site);
  return site;
}

/// A call on a frame's stack, as it looks after it has returned.
struct call {
  std::uintptr_t returns_to;
  std::uintptr_t stack_pointer;
  std::uintptr_t frame_pointer;
};

std::uintptr_t plus(std::uintptr_t place, std::int32_t offset) noexcept {
  return place + static_cast<std::uintptr_t>(std::intptr_t{offset});
}

/// Would nobody see an exception that is raised at this call?
[[gnu::no_sanitize_address]] bool nobody_sees(const frame& self, call at) noexcept {
  const auto end = reinterpret_cast<std::uintptr_t>(&self);
  std::uint64_t unloadings = call_site::forever;
  for (;;) {
    const call_site site = know_site(at.returns_to, unloadings);
    if (site.exception != call_site::verdict::passed) {
      return site.exception == call_site::verdict::end_of_stack;
    }
    const auto is_word_here = [&](std::uintptr_t place) {
      return place >= at.stack_pointer && place <= end - sizeof(void*) && place % sizeof(void*) == 0;
    };
    const auto word_at = [](std::uintptr_t place) { return *reinterpret_cast<const std::uintptr_t*>(place); };

    std::uintptr_t cfa =
        plus(site.cfa == call_site::cfa_rule::stack_pointer ? at.stack_pointer : at.frame_pointer,
             site.cfa_offset);
    if (site.cfa == call_site::cfa_rule::at_frame_pointer) {
      if (!is_word_here(cfa)) {
        return false;
      }
      cfa = word_at(cfa);
    }
    const std::uintptr_t address_at = plus(cfa, site.return_address_offset);
    if (cfa <= at.stack_pointer || cfa > end || !is_word_here(address_at)) {
      return false;
    }
    if (site.frame_pointer != call_site::saved_rule::unchanged) {
      const std::uintptr_t saved_at =
          plus(site.frame_pointer == call_site::saved_rule::at_cfa ? cfa : at.frame_pointer,
               site.frame_pointer_offset);
      if (!is_word_here(saved_at)) {
        return false;
      }
      at.frame_pointer = word_at(saved_at);
    }
    at.returns_to = word_at(address_at);
    at.stack_pointer = cfa;
  }
}

bool wanted() noexcept {
  static const bool answer = [] {
    const char* const wish = std::getenv("KRAIT_CLOSE");
    return wish == nullptr || std::strcmp(wish, "throw") != 0;
  }();
  return answer;
}

}  // namespace

extern "C" {

/// asm/: krait_way_out(self) comes here with where it was called.
[[gnu::visibility("hidden")]] auto krait_way_out_at(frame& self, std::uintptr_t stack_pointer,
                                                    std::uintptr_t frame_pointer, std::uintptr_t returns_to)
    -> decltype(rarely_used::leave) {
  const bool unseen = self.root->rest().exception == nullptr && wanted() && !exceptions_active() &&
                      nobody_sees(self, {returns_to, stack_pointer, frame_pointer});
  return unseen ? self.rest().leave : nullptr;
}
}

}  // namespace krait::detail
