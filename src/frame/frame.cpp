// SPDX-License-Identifier: BSL-1.0
#include "krait/detail/frame/frame.hpp"

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <utility>

#include "krait/detail/frame/chain.hpp"
#include "krait/detail/frame/errors.hpp"
#include "krait/detail/resident.hpp"
#include "krait/exceptions.hpp"

namespace krait::detail {

frame* const frameless_delegate = nullptr;

namespace {

const char* type_name_of(const frame& self) noexcept {
  static constexpr const char* names[] = {"generator", "coroutine", "async_generator"};
  return names[static_cast<int>(self.rest().kind)];
}

/// "<generator object ", the name, and " at 0x...>", each given to `part`.
template <class Part>
void introduce_by_parts(const frame& self, Part part) {
  char address[2 + 2 * sizeof(void*)] = "0x";
  const auto end =
      std::to_chars(address + 2, address + sizeof address, reinterpret_cast<std::uintptr_t>(&self), 16).ptr;
  part("<");
  part(type_name_of(self));
  part(" object ");
  part(self.rest().name);
  part(" at ");
  part(std::string_view(address, static_cast<std::size_t>(end - address)));
  part(">");
}

}  // namespace

std::string frame::repr() const {
  std::string text;
  introduce_by_parts(*this, [&text](std::string_view part) { text += part; });
  return text;
}

std::size_t introduce(const void* resident, char* text, std::size_t size) noexcept {
  if (const lodger* const other = as_lodger(resident)) {
    return other->has->introduce(*other, text, size);
  }
  std::size_t length = 0;
  introduce_by_parts(*static_cast<const frame*>(resident), [&](std::string_view part) {
    length += part.substr(0, 300).copy(text + length, size - length);
  });
  return length;
}

std::string frame::delegate_repr() const {
  if (!delegating()) {
    return {};
  }
  const frame* const delegate = *rest().delegate;
  return delegate == nullptr ? "<iterator>" : delegate->repr();
}

void frame::rename(std::string_view new_name) {
  char* const copy = new char[new_name.size() + 1];
  new_name.copy(copy, new_name.size());
  copy[new_name.size()] = '\0';
  free_name();
  rest().name = copy;
  owns_name = true;
}

void frame::free_name() noexcept {
  if (owns_name) {
    delete[] rest().name;
  }
}

void frame::detach_delegate(frame& child) noexcept {
  child.root = &child;
  child.rest().delegator = nullptr;
  child.own = std::exchange(own, child.caller);
  child.identities->of<side::own>() = std::exchange(identities->of<side::own>(), child.identities->caller);
}

std::exception_ptr take_pending(frame& self) {
  std::exception_ptr thrown = take_thrown(self);
  if (thrown == nullptr) {
    thrown = std::make_exception_ptr(generator_exit());
  }
  return thrown;
}

void abandon(frame& self) noexcept {
  for (frame* each = &self; each != nullptr; each = each->given_delegate()) {
    each->eviction = eviction::due;
    each->room = 0;
  }
  self.orphaned = true;
  if (!self.discarded) {  // then nothing is kept from running to its end
    report_ignored_while_closing(self, already_executing(self));
  }
}

}  // namespace krait::detail
