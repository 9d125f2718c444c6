// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

namespace krait::detail {

/// What the tables of exception handling say of a call, found by the address that it returns to.
struct call_site {
  /// What happens to a generator_exit there.
  enum class verdict : unsigned char {
    unknown,      ///< seen, perhaps: by a destructor, by a handler, or as std::terminate() is called
    passed,       ///< it goes on to the caller, and nothing is done
    end_of_stack  ///< it reaches the end of a frame's body
  };
  enum class cfa_rule : unsigned char { unknown, stack_pointer, frame_pointer, at_frame_pointer };
  enum class saved_rule : unsigned char { unknown, unchanged, at_cfa, at_frame_pointer };

  /// That there had been when this was found out. `forever`: it is the program's own code.
  std::uint64_t unloadings;
  std::int32_t cfa_offset;  ///< the canonical frame address is this and a register, or what the sum points to
  std::int32_t frame_pointer_offset;   ///< where the caller's is saved
  std::int32_t return_address_offset;  ///< from the canonical frame address
  cfa_rule cfa;
  saved_rule frame_pointer;
  verdict exception;

  static constexpr std::uint64_t forever = ~std::uint64_t{0};
};
static_assert(sizeof(call_site) == 24);

/// Reads the tables. A microsecond or two; takes the loader's lock.
call_site examine_call_site(std::uintptr_t return_address) noexcept;

/// How many libraries have been unloaded, ever. Takes the loader's lock.
std::uint64_t count_unloadings() noexcept;

}  // namespace krait::detail
