// SPDX-License-Identifier: BSL-1.0
#include "frame/call_site.hpp"

// A reader of the tables that the unwinder reads, for one question: what would a generator_exit do that reached
// this call? They are
//
//      .eh_frame_hdr   which function an address is in, by binary search
//      .eh_frame       where in its frame a function keeps what its caller needs (call frame information)
//      its LSDA        what is to be done at each of its calls: landing pads, and the types handled there
//
// Only what compilers write for C and C++ is understood, and of registers only the two that frames are found by.
// Whatever else there may be (signal frames, signed return addresses, other languages' personalities) is
// `unknown`.

#include <elf.h>
#include <link.h>
#include <sys/auxv.h>

#include <cstddef>
#include <cstring>
#include <iterator>
#include <limits>
#include <optional>
#include <typeinfo>

#include "krait/detail/frame/frame.hpp"
#include "krait/exceptions.hpp"

extern "C" void __gxx_personality_v0();  // NOLINT(bugprone-reserved-identifier)

namespace krait::detail {
namespace {

using cfa_rule = call_site::cfa_rule;
using saved_rule = call_site::saved_rule;
using verdict = call_site::verdict;

// The numbers that DWARF gives to registers.
#if defined(__aarch64__)
constexpr std::uint64_t frame_pointer = 29, return_column = 30, stack_pointer = 31;
#elif defined(__riscv)
constexpr std::uint64_t return_column = 1, stack_pointer = 2, frame_pointer = 8;
#else
constexpr std::uint64_t frame_pointer = 6, stack_pointer = 7, return_column = 16;
#endif
constexpr unsigned char breg_frame_pointer = 0x70 + frame_pointer;  // DW_OP_breg...

constexpr unsigned char omitted = 0xff;  // DW_EH_PE_omit

class reader {
 public:
  explicit reader(std::uintptr_t place) noexcept : at_(reinterpret_cast<const unsigned char*>(place)) {}

  std::uintptr_t place() const noexcept { return reinterpret_cast<std::uintptr_t>(at_); }
  void skip(std::uint64_t bytes) noexcept { at_ += bytes; }

  template <class T>
  T raw() noexcept {
    T value;
    std::memcpy(&value, at_, sizeof value);
    at_ += sizeof value;
    return value;
  }

  unsigned char byte() noexcept { return *at_++; }

  const char* text() noexcept {
    const auto* const start = reinterpret_cast<const char*>(at_);
    at_ += std::strlen(start) + 1;
    return start;
  }

  std::uint64_t uleb() noexcept {
    unsigned shift = 0;
    return leb(shift);
  }

  std::int64_t sleb() noexcept {
    unsigned shift = 0;
    std::uint64_t value = leb(shift);
    if (shift < 64 && (at_[-1] & 0x40) != 0) {
      value |= ~std::uint64_t{0} << shift;
    }
    return static_cast<std::int64_t>(value);
  }

  /// Nothing if it is encoded in an unknown way.
  std::optional<std::uintptr_t> encoded(unsigned char encoding) noexcept {
    const std::uintptr_t here = place();
    const auto extended = [](std::int64_t value) { return static_cast<std::uintptr_t>(value); };
    std::uintptr_t value = 0;
    switch (encoding & 0x0f) {
      case 0x00:
      case 0x04:
      case 0x0c:
        value = raw<std::uint64_t>();
        break;
      case 0x01:
        value = uleb();
        break;
      case 0x02:
        value = raw<std::uint16_t>();
        break;
      case 0x03:
        value = raw<std::uint32_t>();
        break;
      case 0x09:
        value = extended(sleb());
        break;
      case 0x0a:
        value = extended(raw<std::int16_t>());
        break;
      case 0x0b:
        value = extended(raw<std::int32_t>());
        break;
      default:
        return {};
    }
    if (value == 0) {
      return value;
    }
    switch (encoding & 0x70) {
      case 0x00:
        break;
      case 0x10:
        value += here;
        break;  // pcrel
      default:
        return {};
    }
    if ((encoding & 0x80) != 0) {  // indirect
      std::memcpy(&value, reinterpret_cast<const void*>(value), sizeof value);
    }
    return value;
  }

 private:
  std::uint64_t leb(unsigned& shift) noexcept {
    std::uint64_t value = 0;
    unsigned char part = 0;
    do {
      part = byte();
      value |= shift < 64 ? std::uint64_t{part & 0x7fu} << shift : 0;
      shift += 7;
    } while ((part & 0x80) != 0);
    return value;
  }

  const unsigned char* at_;
};

/// How many bytes a pointer takes that is encoded at a fixed width; 0: at another.
std::uintptr_t width_of(unsigned char encoding) noexcept {
  switch (encoding & 0x07) {
    case 0x00:
    case 0x04:
      return 8;
    case 0x02:
      return 2;
    case 0x03:
      return 4;
    default:
      return 0;
  }
}

// ---------------------------------------------------------------- which function

struct search {
  std::uintptr_t address;
  std::uint64_t unloadings = 0;
  std::uintptr_t description = 0;  ///< its entry in .eh_frame; 0: none found
};

/// The last entry of a sorted .eh_frame_hdr that starts at or before an address.
std::uintptr_t look_up(std::uintptr_t header, std::uintptr_t address) noexcept {
  reader table(header);
  const auto version = table.byte();
  const auto frame_encoding = table.byte();
  const auto count_encoding = table.byte();
  const auto table_encoding = table.byte();
  if (version != 1 || width_of(frame_encoding) != 4 || count_encoding != 0x03 || table_encoding != 0x3b) {
    return 0;
  }
  table.skip(4);
  const std::size_t count = table.raw<std::uint32_t>();
  const auto start_of = [rows = table.place(), header](std::size_t row, std::size_t column = 0) {
    return header + static_cast<std::uintptr_t>(reader(rows + 8 * row + 4 * column).raw<std::int32_t>());
  };
  std::size_t low = 0;
  for (std::size_t high = count; low < high;) {
    const std::size_t middle = low + (high - low) / 2;
    if (start_of(middle) <= address) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low == 0 ? 0 : start_of(low - 1, 1);
}

int search_object(dl_phdr_info* object, std::size_t size, void* data) noexcept {
  auto& wanted = *static_cast<search*>(data);
  if (size < offsetof(dl_phdr_info, dlpi_subs) + sizeof object->dlpi_subs) {
    return 1;
  }
  std::uintptr_t header = 0;
  bool inside = false;
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const auto& segment = object->dlpi_phdr[i];
    const std::uintptr_t start = object->dlpi_addr + segment.p_vaddr;
    if (segment.p_type == PT_LOAD && wanted.address - start < segment.p_memsz) {
      inside = true;
    } else if (segment.p_type == PT_GNU_EH_FRAME) {
      header = start;
    }
  }
  if (!inside) {
    return 0;
  }
  const bool is_program = reinterpret_cast<std::uintptr_t>(object->dlpi_phdr) == ::getauxval(AT_PHDR);
  wanted.unloadings = is_program ? call_site::forever : object->dlpi_subs;
  wanted.description = header == 0 ? 0 : look_up(header, wanted.address);
  return 1;
}

// ---------------------------------------------------------------- where it keeps what

/// Common and own part of a function's entry in .eh_frame.
struct description {
  std::uintptr_t start = 0;
  std::uintptr_t personality = 0;
  std::uintptr_t language_data = 0;
  std::uint64_t code_alignment = 0;
  std::int64_t data_alignment = 0;
  unsigned char pointer_encoding = 0;
  std::uintptr_t common_program = 0, common_end = 0;
  std::uintptr_t program = 0, end = 0;
};

/// Nothing if the function is not the one of `address`, or described in an unknown way.
std::optional<description> describe(std::uintptr_t place, std::uintptr_t address) noexcept {
  description found;
  reader own(place);
  const auto length = own.raw<std::uint32_t>();
  if (length == 0 || length == 0xffffffff) {
    return {};
  }
  found.end = own.place() + length;
  const std::uintptr_t distance_at = own.place();
  reader common(distance_at - static_cast<std::uintptr_t>(std::intptr_t{own.raw<std::int32_t>()}));

  const auto common_length = common.raw<std::uint32_t>();
  found.common_end = common.place() + common_length;
  const auto identifier = common.raw<std::uint32_t>();
  const auto version = common.byte();
  if (common_length == 0xffffffff || identifier != 0 || (version != 1 && version != 3)) {
    return {};
  }
  const char* augmentation = common.text();
  found.code_alignment = common.uleb();
  found.data_alignment = common.sleb();
  if ((version == 1 ? common.byte() : common.uleb()) != return_column) {
    return {};
  }
  unsigned char language_encoding = omitted;
  const bool augmented = *augmentation == 'z';
  if (augmented) {
    const std::uint64_t size = common.uleb();
    found.common_program = common.place() + size;
    while (*++augmentation != '\0') {
      if (*augmentation == 'R') {
        found.pointer_encoding = common.byte();
      } else if (*augmentation == 'L') {
        language_encoding = common.byte();
      } else if (*augmentation == 'P') {
        const auto encoding = common.byte();
        const auto personality = common.encoded(encoding);
        if (!personality) {
          return {};
        }
        found.personality = *personality;
      } else {
        return {};  // 'S' is a signal's frame; 'B' has return addresses signed by another key
      }
    }
  } else if (*augmentation == '\0') {
    found.common_program = common.place();
  } else {
    return {};
  }

  const auto start = own.encoded(found.pointer_encoding);
  const auto size = own.encoded(found.pointer_encoding & 0x0f);
  if (!start || !size || address - *start >= *size) {
    return {};
  }
  found.start = *start;
  found.program = own.place();
  if (augmented) {
    const std::uint64_t bytes = own.uleb();
    found.program = own.place() + bytes;
    if (language_encoding != omitted) {
      const auto data = own.encoded(language_encoding);
      if (!data) {
        return {};
      }
      found.language_data = *data;
    }
  }
  return found;
}

struct saved {
  saved_rule rule;
  std::int64_t offset = 0;
};

struct rules {
  cfa_rule cfa = cfa_rule::unknown;
  std::int64_t cfa_offset = 0;
  saved frame_pointer{saved_rule::unchanged};
  saved return_address{saved_rule::unknown};
  bool stack_pointer_is_cfa = true;
};

/// Runs call frame information.
class interpreter {
 public:
  explicit interpreter(const description& function) noexcept : function_(function) {}

  /// The rules at a call. Nothing if there is anything unknown on the way.
  std::optional<rules> rules_at_call(std::uintptr_t returns_to) noexcept {
    if (!run(function_.common_program, function_.common_end, 0, 1)) {
      return {};
    }
    initial_ = now_;
    if (!run(function_.program, function_.end, function_.start, returns_to)) {
      return {};
    }
    return now_;
  }

 private:
  saved* rule_of(std::uint64_t reg) noexcept {
    return reg == frame_pointer ? &now_.frame_pointer : reg == return_column ? &now_.return_address : nullptr;
  }

  void set(std::uint64_t reg, saved rule) noexcept {
    if (saved* const place = rule_of(reg)) {
      *place = rule;
    } else if (reg == stack_pointer) {
      now_.stack_pointer_is_cfa = false;
    }
  }

  void restore(std::uint64_t reg) noexcept {
    if (reg == frame_pointer) {
      now_.frame_pointer = initial_.frame_pointer;
    } else if (reg == return_column) {
      now_.return_address = initial_.return_address;
    } else if (reg == stack_pointer) {
      now_.stack_pointer_is_cfa = initial_.stack_pointer_is_cfa;
    }
  }

  void define_cfa(std::uint64_t reg, std::int64_t offset) noexcept {
    now_.cfa = reg == stack_pointer   ? cfa_rule::stack_pointer
               : reg == frame_pointer ? cfa_rule::frame_pointer
                                      : cfa_rule::unknown;
    now_.cfa_offset = offset;
  }

  /// The offset of an expression { DW_OP_breg(frame pointer) offset } or, with `loaded`, what that points to.
  static std::optional<std::int64_t> from_frame_pointer(reader expression, std::uint64_t length,
                                                        bool loaded) noexcept {
    const std::uintptr_t end = expression.place() + length;
    if (length == 0 || expression.byte() != breg_frame_pointer) {
      return {};
    }
    const std::int64_t offset = expression.sleb();
    constexpr unsigned char deref = 0x06;
    if (loaded && (expression.place() == end || expression.byte() != deref)) {
      return {};
    }
    return expression.place() == end ? std::optional(offset) : std::nullopt;
  }

  bool run(std::uintptr_t place, std::uintptr_t end, std::uintptr_t at, std::uintptr_t target) noexcept {
    reader program(place);
    while (program.place() < end && at < target) {
      const auto operation = program.byte();
      const std::uint64_t low = operation & 0x3f;
      switch (operation & 0xc0) {
        case 0x40:
          at += low * function_.code_alignment;
          continue;  // advance_loc
        case 0x80:
          set(low, factored_at_cfa(program.uleb()));
          continue;  // offset
        case 0xc0:
          restore(low);
          continue;  // restore
        default:
          break;
      }
      if (!run_extended(operation, program, at)) {
        return false;
      }
    }
    return true;
  }

  template <class Factor>
  saved factored_at_cfa(Factor factor) const noexcept {
    return {saved_rule::at_cfa, static_cast<std::int64_t>(factor) * function_.data_alignment};
  }

  bool run_extended(unsigned char operation, reader& program, std::uintptr_t& at) noexcept {
    switch (operation) {
      case 0x00:
        break;      // nop
      case 0x01: {  // set_loc
        const auto place = program.encoded(function_.pointer_encoding);
        if (!place) {
          return false;
        }
        at = *place;
        break;
      }
      case 0x02:
        at += program.raw<std::uint8_t>() * function_.code_alignment;
        break;  // advance_loc1
      case 0x03:
        at += program.raw<std::uint16_t>() * function_.code_alignment;
        break;  // advance_loc2
      case 0x04:
        at += program.raw<std::uint32_t>() * function_.code_alignment;
        break;      // advance_loc4
      case 0x05: {  // offset_extended
        const auto reg = program.uleb();
        set(reg, factored_at_cfa(program.uleb()));
        break;
      }
      case 0x06:
        restore(program.uleb());
        break;  // restore_extended
      case 0x07:
        set(program.uleb(), {saved_rule::unknown});
        break;  // undefined
      case 0x08:
        set(program.uleb(), {saved_rule::unchanged});
        break;  // same_value
      case 0x09:
      case 0x14:
      case 0x15: {  // register, val_offset, val_offset_sf
        const auto reg = program.uleb();
        program.uleb();
        set(reg, {saved_rule::unknown});
        break;
      }
      case 0x0a:  // remember_state
        if (depth_ == std::size(remembered_)) {
          return false;
        }
        remembered_[depth_++] = now_;
        break;
      case 0x0b:  // restore_state
        if (depth_ == 0) {
          return false;
        }
        now_ = remembered_[--depth_];
        break;
      case 0x0c: {  // def_cfa
        const auto reg = program.uleb();
        define_cfa(reg, static_cast<std::int64_t>(program.uleb()));
        break;
      }
      case 0x0d:  // def_cfa_register
        define_cfa(program.uleb(), now_.cfa_offset);
        break;
      case 0x0e:
        now_.cfa_offset = static_cast<std::int64_t>(program.uleb());
        break;      // def_cfa_offset
      case 0x0f: {  // def_cfa_expression
        const auto length = program.uleb();
        const auto offset = from_frame_pointer(program, length, true);
        now_.cfa = offset ? cfa_rule::at_frame_pointer : cfa_rule::unknown;
        now_.cfa_offset = offset.value_or(0);
        program.skip(length);
        break;
      }
      case 0x10: {  // expression
        const auto reg = program.uleb();
        const auto length = program.uleb();
        const auto offset = from_frame_pointer(program, length, false);
        set(reg, offset ? saved{saved_rule::at_frame_pointer, *offset} : saved{saved_rule::unknown});
        program.skip(length);
        break;
      }
      case 0x11: {  // offset_extended_sf
        const auto reg = program.uleb();
        set(reg, factored_at_cfa(program.sleb()));
        break;
      }
      case 0x12: {  // def_cfa_sf
        const auto reg = program.uleb();
        define_cfa(reg, program.sleb() * function_.data_alignment);
        break;
      }
      case 0x13:
        now_.cfa_offset = program.sleb() * function_.data_alignment;
        break;      // def_cfa_offset_sf
      case 0x16: {  // val_expression
        const auto reg = program.uleb();
        program.skip(program.uleb());
        set(reg, {saved_rule::unknown});
        break;
      }
      case 0x2e:
        program.uleb();
        break;  // GNU_args_size
      default:
        return false;
    }
    return true;
  }

  const description& function_;
  rules now_;
  rules initial_;
  rules remembered_[8];
  unsigned depth_ = 0;
};

// ---------------------------------------------------------------- what is to be done

/// What a chain of actions at a landing pad does with a generator_exit.
verdict follow_actions(reader record, std::uintptr_t types, unsigned char type_encoding) noexcept {
  for (;;) {
    const std::int64_t filter = record.sleb();
    const std::uintptr_t next_from = record.place();
    const std::int64_t next = record.sleb();
    const std::uintptr_t width = width_of(type_encoding);
    if (filter <= 0 || types == 0 || width == 0) {
      return verdict::unknown;  // a destructor, or an exception specification
    }
    const auto type = reader(types - static_cast<std::uintptr_t>(filter) * width).encoded(type_encoding);
    if (!type || *type == 0) {
      return verdict::unknown;  // catch (...)
    }
    const auto& handled = *reinterpret_cast<const std::type_info*>(*type);
    if (handled == typeid(generator_exit)) {  // which has no bases
      return verdict::unknown;
    }
    if (handled == typeid(end_of_stack)) {
      return verdict::end_of_stack;
    }
    if (next == 0) {
      return verdict::passed;
    }
    record = reader(next_from + static_cast<std::uintptr_t>(next));
  }
}

/// What __gxx_personality_v0 does with a generator_exit.
verdict look_into_language_data(const description& function, std::uintptr_t address) noexcept {
  reader data(function.language_data);
  const auto landing_encoding = data.byte();
  if (landing_encoding != omitted && !data.encoded(landing_encoding)) {
    return verdict::unknown;
  }
  const auto type_encoding = data.byte();
  std::uintptr_t types = 0;
  if (type_encoding != omitted) {
    const std::uint64_t distance = data.uleb();
    types = data.place() + distance;
  }
  const auto site_encoding = data.byte();
  const std::uint64_t length = data.uleb();
  const std::uintptr_t actions = data.place() + length;
  while (data.place() < actions) {
    const auto start = data.encoded(site_encoding);
    const auto size = data.encoded(site_encoding);
    const auto landing = data.encoded(site_encoding);
    const std::uint64_t action = data.uleb();
    if (!start || !size || !landing || address < function.start + *start) {
      break;  // between two sites: std::terminate() is called
    }
    if (address < function.start + *start + *size) {
      return *landing == 0 ? verdict::passed
             : action == 0 ? verdict::unknown  // a destructor
                           : follow_actions(reader(actions + action - 1), types, type_encoding);
    }
  }
  return verdict::unknown;
}

verdict exception_at(const description& function, std::uintptr_t address) noexcept {
  if (function.personality == 0) {
    return verdict::passed;
  }
  if (function.personality != reinterpret_cast<std::uintptr_t>(&__gxx_personality_v0)) {
    return verdict::unknown;
  }
  return function.language_data == 0 ? verdict::passed : look_into_language_data(function, address);
}

bool fits(std::int64_t offset) noexcept {
  return offset >= std::numeric_limits<std::int32_t>::min() &&
         offset <= std::numeric_limits<std::int32_t>::max();
}

/// What `site` lacks: whether an exception passes, and where the caller's frame lies.
void complete(call_site& site, const description& function, std::uintptr_t returns_to) noexcept {
  const verdict exception = exception_at(function, returns_to - 1);
  if (exception == verdict::unknown) {
    return;
  }
  if (exception == verdict::passed) {
    const auto known = interpreter(function).rules_at_call(returns_to);
    if (!known || known->cfa == cfa_rule::unknown || !known->stack_pointer_is_cfa ||
        known->frame_pointer.rule == saved_rule::unknown ||
        known->return_address.rule != saved_rule::at_cfa || !fits(known->cfa_offset) ||
        !fits(known->frame_pointer.offset) || !fits(known->return_address.offset)) {
      return;
    }
    site.cfa = known->cfa;
    site.cfa_offset = static_cast<std::int32_t>(known->cfa_offset);
    site.frame_pointer = known->frame_pointer.rule;
    site.frame_pointer_offset = static_cast<std::int32_t>(known->frame_pointer.offset);
    site.return_address_offset = static_cast<std::int32_t>(known->return_address.offset);
  }
  site.exception = exception;
}

}  // namespace

end_of_stack::~end_of_stack() = default;

call_site examine_call_site(std::uintptr_t return_address) noexcept {
  search found{return_address - 1};
  ::dl_iterate_phdr(search_object, &found);
  call_site site{};
  site.unloadings = found.unloadings;
  if (found.description != 0) {
    if (const auto function = describe(found.description, return_address - 1)) {
      complete(site, *function, return_address);
    }
  }
  return site;
}

std::uint64_t count_unloadings() noexcept {
  std::uint64_t count = 0;
  ::dl_iterate_phdr(
      [](dl_phdr_info* object, std::size_t, void* data) {
        *static_cast<std::uint64_t*>(data) = object->dlpi_subs;
        return 1;
      },
      &count);
  return count;
}

}  // namespace krait::detail
