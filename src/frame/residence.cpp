// SPDX-License-Identifier: BSL-1.0
#include "krait/detail/frame/residence.hpp"

// Who is alive. A frame on a pool's stack is that stack's resident. Frames on stacks from elsewhere are
// listed, and linked for debuggers, which cannot look into a map.

#include <map>
#include <mutex>
#include <ostream>
#include <typeinfo>

#include "debugger/debugger.hpp"
#include "krait/inspect.hpp"
#include "stack/sanitizers.hpp"
#include "stack/valgrind.hpp"

namespace krait {
namespace detail {

namespace {

bool is_pool(const stack_source& source) noexcept {
  return typeid(source) == typeid(stack_pool);
}

constinit std::mutex unpooled_mutex;

std::map<const frame*, unpooled_frame>& unpooled() {
  static auto& frames = *new std::map<const frame*, unpooled_frame>;
  return frames;
}

}  // namespace

void enlist_at(frame& self, const stack_source& source) {
  if (is_pool(source)) {
    move_in(self.rest().memory.top(), &self);
    return;
  }
  const std::lock_guard lock(unpooled_mutex);
  unpooled_frame& entry = unpooled()[&self];
  sanitizers::add_root(self.rest().memory.limit, self.rest().memory.size);
  entry = {&self, unpooled_frames, &unpooled_frames, valgrind::know_stack(self.rest().memory)};
  if (entry.next != nullptr) {
    entry.next->link = &entry.next;
  }
  unpooled_frames = &entry;
}

void delist_from(frame& self, const stack_source& source) noexcept {
  if (is_pool(source)) {
    move_out(self.rest().memory.top());
    return;
  }
  const std::lock_guard lock(unpooled_mutex);
  const auto found = unpooled().find(&self);
  const unpooled_frame& entry = found->second;
  valgrind::forget_stack(entry.stack);
  sanitizers::remove_root(self.rest().memory.limit, self.rest().memory.size);
  *entry.link = entry.next;
  if (entry.next != nullptr) {
    entry.next->link = entry.link;
  }
  unpooled().erase(found);
}

stack allocate_stack_from(stack_source& source) {
  const stack memory = source.allocate();
  if (!is_pool(source)) {
    valgrind::reuse_stack(memory);
  }
  return memory;
}

namespace {

/// Looks at frames that another thread may be destroying, and at what is left of them.
[[gnu::no_sanitize_address]] void show_stack_that_waits_for(const frame& self) noexcept {
  if (self.stage == stage::started && self.own.resume_at == nullptr) {
    const stack_identity& resumer = self.identities->caller;
    sanitizers::add_root(resumer.bottom, resumer.size);
  }
}

}  // namespace

void show_waiting_stacks() noexcept {
  for_each_pooled_stack(
      [](std::byte* top, void*) {
        if (const void* self = resident_of(top)) {
          show_stack_that_waits_for(*static_cast<const frame*>(self));
        }
      },
      nullptr);
  const std::lock_guard lock(unpooled_mutex);
  for (const unpooled_frame* each = unpooled_frames; each != nullptr; each = each->next) {
    show_stack_that_waits_for(*each->self);
  }
}

}  // namespace detail

void dump_generators(std::ostream& out) {
  static constexpr const char* state_names[] = {"created", "running", "suspended", "closed"};
  const auto write = [&out](const detail::frame& self) {
    out << self.repr() << ' ' << state_names[static_cast<int>(self.state())] << ", "
        << detail::used_of(self.rest().memory) << " bytes of stack used";
    if (self.rest().delegate == &detail::frameless_delegate) {
      out << ", delegating to an iterator";
    } else if (self.rest().delegate != nullptr && *self.rest().delegate != nullptr) {
      out << ", delegating to " << (*self.rest().delegate)->repr();
    }
    out << '\n';
  };

  detail::for_each_pooled_stack(
      [](std::byte* top, void* data) {
        if (const void* self = detail::resident_of(top)) {
          (*static_cast<decltype(write)*>(data))(*static_cast<const detail::frame*>(self));
        }
      },
      const_cast<void*>(static_cast<const void*>(&write)));
  const std::lock_guard lock(detail::unpooled_mutex);
  for (const detail::unpooled_frame* each = detail::unpooled_frames; each != nullptr; each = each->next) {
    write(*each->self);
  }
}

}  // namespace krait
