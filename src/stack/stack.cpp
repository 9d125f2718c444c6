// SPDX-License-Identifier: BSL-1.0
#include "krait/stack.hpp"

// How a stack gets from the kernel to a generator:
//
//      mmap 64 MiB      arena     [guard|stack][guard|stack][guard|stack] ...      cut when first needed
//                         |
//                       depot     stacks that came back; one lock
//                         |
//           +-------------+-------------+
//       magazine                     shelves        a few stacks for a thread, or for some threads; no lock
//    (the default pool's)        (other pools')
//
// Arenas are described in arena.hpp. A free stack is linked through a node in its own memory, just below its
// top, on the page that is resident anyway; but one that nobody has needed for long is hollow: none of its
// memory is resident, and it is kept in a list elsewhere.
//
// The default pool's magazine belongs to its thread, so to use it takes no atomic operation; when the thread
// ends, its stacks must be given back. Other pools come and go, and a signal handler may have one for itself.
// Their shelves belong to the pool, and are for whatever thread comes: it takes all that lies on its shelf by
// one atomic exchange, and puts back what it does not need by another. Threads rarely share one.

#include <pthread.h>
#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "krait/detail/resident.hpp"
#include "krait/exceptions.hpp"
#include "stack/arena.hpp"
#include "stack/memory.hpp"
#include "stack/options.hpp"
#include "stack/overflow.hpp"
#include "stack/sanitizers.hpp"
#include "stack/unloading.hpp"
#include "stack/valgrind.hpp"

extern "C" {
[[gnu::used, gnu::visibility("hidden")]] constinit krait::detail::arena* krait_arenas = nullptr;
}

namespace krait {
namespace {

using namespace detail;

constexpr std::size_t arena_size = std::size_t{64} << 20;

/// Must something be done with a stack each time it is handed out? Then it always comes from the depot.
bool stacks_need_care() noexcept {
  return valgrind::checks_memory() || sanitizers::watching() || used_exactly();
}

/// So many free stacks in the depot stay as they are; of any more, only the topmost bytes stay resident,
/// which is what most generators get by with, and a deep call's pages go back to the kernel.
constexpr std::size_t idle_untrimmed = 64;
constexpr std::size_t kept_of_idle = std::size_t{16} << 10;

/// A free stack, in the memory of the stack itself.
struct node {
  node* next;
  stack memory;
  std::size_t depth;  ///< how many are linked from here on; in magazines and on shelves
};

node* make_node(stack memory, node* next, std::size_t depth) noexcept {
  return ::new (memory.top() - sizeof(node)) node{next, memory, depth};
}

/// So many stacks a magazine or a shelf holds; half as many go to and come from the depot at a time.
constexpr std::size_t magazine_size = 32;

/// Cuts a list behind its first `rest` stacks, and returns the others. There must be more.
node* cut_behind(node* first, std::size_t rest, node* end) noexcept {
  for (std::size_t depth = rest; depth > 1; --depth) {
    first->depth = depth;
    first = first->next;
  }
  first->depth = 1;
  return std::exchange(first->next, end);
}

/// Whoever adds an arena, or unmaps one, holds it.
constinit std::mutex arenas_mutex;

/// Maps an arena, filled with guards as stacks are cut from it. Throws std::bad_alloc.
arena& add_arena(const void* pool, std::size_t guard, std::size_t size) {
  std::unique_ptr<arena> fresh(new arena{nullptr, 0, 0, guard, size, nullptr, pool});
  // Where address space is scarce, a smaller one will do.
  std::byte* base = nullptr;
  for (fresh->slots = arena_size / fresh->stride() + 1; fresh->slots != 0; fresh->slots /= 2) {
    base = map_memory(fresh->slots * fresh->stride());
    if (base != nullptr) {
      break;
    }
  }
  if (base == nullptr) {
    throw std::bad_alloc();
  }
  const std::lock_guard lock(arenas_mutex);
  detail::expect_unloading();
  detail::watch_for_overflows();
  arena* place = krait_arenas;
  while (place != nullptr && !(place->base == nullptr && place->same_shape(*fresh))) {
    place = place->next;
  }
  if (place == nullptr) {
    place = fresh.release();
    place->next = krait_arenas;
    __atomic_store_n(&krait_arenas, place, __ATOMIC_RELEASE);
  }
  place->pool = pool;
  place->used = 0;
  __atomic_store_n(&place->base, base, __ATOMIC_RELEASE);
  return *place;
}

/// Kept beside the word for the resident, above the stack.
valgrind::stack_id& valgrind_id(const stack& memory) noexcept {
  return *reinterpret_cast<valgrind::stack_id*>(memory.top() + sizeof(void*));
}

/// With arenas_mutex.
bool has_residents(const arena& one) noexcept {
  for (std::size_t slot = 0; slot < one.used; ++slot) {
    if (detail::resident_of(one.stack_in(slot).top()) != nullptr) {
      return true;
    }
  }
  return false;
}

/// With arenas_mutex.
void unmap(arena& one) noexcept {
  const std::size_t size = one.slots * one.stride();
  for (std::size_t slot = 0; slot < one.used; ++slot) {
    valgrind::forget_stack(valgrind_id(one.stack_in(slot)));
  }
  sanitizers::allow(one.base, size);
  ::munmap(__atomic_exchange_n(&one.base, nullptr, __ATOMIC_RELAXED), size);
}

/// The stacks of a pool that nobody has at hand.
class depot {
 public:
  explicit depot(const stack_options& options)
      : options_(rounded(options)), guard_(spreading_guard(options_)) {}

  ~depot() {
    const std::lock_guard lock(arenas_mutex);
    for (arena* each = krait_arenas; each != nullptr; each = each->next) {
      if (each->pool == this) {
        each->pool = nullptr;
        if (in_use_ == 0) {
          unmap(*each);
        }
      }
    }
  }

  depot(const depot&) = delete;
  depot& operator=(const depot&) = delete;

  const stack_options& options() const noexcept { return options_; }

  /// One stack. Throws std::bad_alloc.
  stack take() {
    const std::lock_guard lock(mutex_);
    pass_time(1);
    stack memory;
    if (idle_.load(std::memory_order_relaxed) != 0) {
      node*& list = free_ != nullptr ? free_ : older_;
      memory = std::exchange(list, list->next)->memory;
      idle_.store(idle_ - 1, std::memory_order_relaxed);
    } else if (!hollow_.empty()) {
      memory = hollow_.back();
      hollow_.pop_back();
    } else {
      memory = cut();
    }
    ++in_use_;
    return memory;
  }

  /// Up to `most` stacks that are resident, linked, perhaps none; `end` is behind the last.
  node* take_free(std::size_t most, node* end) noexcept {
    const std::lock_guard lock(mutex_);
    node*& list = free_ != nullptr ? free_ : older_;
    if (list == nullptr) {
      return end;
    }
    std::size_t taken = 0;
    for (const node* one = list; one != nullptr && taken < most; one = one->next) {
      ++taken;
    }
    node* const first = list;
    list = cut_behind(first, taken, end);
    in_use_ += taken;
    idle_.store(idle_ - taken, std::memory_order_relaxed);
    pass_time(taken);
    return first;
  }

  /// Stacks that are linked from `first` to before `end`. Those that are many have only their ends kept.
  void put(node* first, const node* end) noexcept {
    std::size_t count = 0;
    node* last = first;
    const bool many = idle_.load(std::memory_order_relaxed) + first->depth > idle_untrimmed;
    for (node* one = first; one != end; one = one->next) {
      if (sanitizers::watching()) {
        sanitizers::remove_root(one->memory.limit, one->memory.size);
        sanitizers::forbid(one->memory.limit, one->memory.size - sizeof(node));
      }
      if (many) {
        give_back(one->memory, kept_of_idle);
      }
      last = one;
      ++count;
    }
    const std::lock_guard lock(mutex_);
    last->next = std::exchange(free_, first);
    in_use_ -= count;
    idle_.store(idle_ + count, std::memory_order_relaxed);
    pass_time(count);
  }

  void trim_all() noexcept {
    const std::lock_guard lock(mutex_);
    while (hollow_one(older_) || hollow_one(free_)) {
    }
  }

 private:
  stack cut() {
    if (newest_ == nullptr || newest_->used == newest_->slots) {
      newest_ = &add_arena(this, guard_, options_.size);
    }
    const stack memory = newest_->stack_in(newest_->used);
    if (!install_guard(memory.limit - guard_, guard_)) {
      throw std::bad_alloc();
    }
    if (valgrind::running()) {
      valgrind_id(memory) = valgrind::know_stack(memory);
    }
    __atomic_store_n(&newest_->used, newest_->used + 1, __ATOMIC_RELEASE);
    return memory;
  }

  /// What has been free for a while without being needed becomes hollow. There is no clock: time is how many
  /// stacks were taken and put, and a while is long enough for all of the pool to have been taken and put
  /// once. Those that were free when it began, and still are when it has passed, are `older_`. A few at a
  /// time, so that nobody waits for long.
  void pass_time(std::size_t moved) noexcept {
    constexpr std::size_t shortest_while = std::size_t{16} << 10;
    time_left_ -= static_cast<std::ptrdiff_t>(moved);
    if (time_left_ > 0) {
      return;
    }
    const auto idle = [this] { return idle_.load(std::memory_order_relaxed); };
    for (std::size_t few = moved / 2 + 1; few != 0 && idle() > idle_untrimmed && hollow_one(older_); --few) {
    }
    if (older_ == nullptr || idle() <= idle_untrimmed) {
      if (older_ == nullptr) {
        older_ = std::exchange(free_, nullptr);
      }
      time_left_ = static_cast<std::ptrdiff_t>(shortest_while + 2 * (in_use_ + idle()));
    }
  }

  /// Gives the memory of a list's first stack back to the kernel. False if there is none.
  bool hollow_one(node*& list) noexcept {
    if (list == nullptr || valgrind::running()) {  // valgrind's name for a stack lies above it
      return false;
    }
    const stack memory = list->memory;
    node* const next = list->next;
    try {
      hollow_.push_back(memory);
    } catch (const std::bad_alloc&) {
      return false;
    }
    list = next;
    idle_.store(idle_ - 1, std::memory_order_relaxed);
    ::madvise(memory.limit, options_.size, MADV_DONTNEED);
    return true;
  }

  const stack_options options_;
  const std::size_t guard_;  // bytes; perhaps more than was asked for
  std::mutex mutex_;
  node* free_ = nullptr;
  node* older_ = nullptr;
  std::atomic<std::size_t> idle_ = 0;  // how long the two lists are
  std::vector<stack> hollow_;
  std::size_t in_use_ = 0;
  std::ptrdiff_t time_left_ = 0;
  arena* newest_ = nullptr;  // the one to cut from
};

/// Before a stack is handed out: what stacks_need_care() is about.
stack prepared(const stack& memory) noexcept {
  sanitizers::allow(memory.limit, memory.size);
  sanitizers::add_root(memory.limit, memory.size);
  valgrind::reuse_stack(memory);
  if (used_exactly()) {
    give_back(memory, 0);
    const std::size_t rest = memory.size % page_size();
    std::memset(memory.top() - rest, 0, rest);
  }
  return memory;
}

}  // namespace

namespace detail {
namespace {

/// Never destroyed: generators may outlive static destruction.
depot& default_pool() {
  static depot& pool = [&]() -> depot& {
    fix_default_options();
    alignas(depot) static std::byte place[sizeof(depot)];
    return *::new (place) depot(stack_options{.size = 0, .guard = 0});
  }();
  return pool;
}

// Where a thread's magazine ends. What is not open takes no stacks, as it seems to be full.
constinit node untouched{nullptr, {}, SIZE_MAX};
constinit node opened{nullptr, {}, 0};
constinit node closed{nullptr, {}, SIZE_MAX};

/// The thread's free stacks, down to one of the three above. No more than a pointer, as the space for what is
/// reached so directly is scarce where libraries are loaded while a program runs; and without a destructor,
/// so that it is there until the thread is gone. Its stacks are given back before, when the thread's
/// thread_local objects are gone. Afterwards every stack goes straight to the depot.
[[gnu::tls_model("initial-exec")]] constinit thread_local node* my_magazine = &untouched;

/// What the thread's key says of a thread that has a signal stack from somebody else.
constinit char no_signal_stack = 0;

void close_magazine(void* signal_stack) noexcept {
  if (my_magazine->next != nullptr) {
    default_pool().put(my_magazine, &opened);
  }
  my_magazine = &closed;
  if (signal_stack != &no_signal_stack) {
    remove_signal_stack(signal_stack);
  }
}

/// Closes magazines as threads end. Not a thread_local object with a destructor: where memory is short, such
/// a one ends the process.
struct thread_ends {
  pthread_key_t key;
  bool known = ::pthread_key_create(&key, &close_magazine) == 0;

  static thread_ends& instance() noexcept {
    static thread_ends only;
    return only;
  }
};

/// Makes sure that this thread's magazine will be closed. It stays closed if that cannot be.
[[gnu::noinline]] void open_magazine() noexcept {
  if (my_magazine != &untouched) {
    return;
  }
  const thread_ends& ends = thread_ends::instance();
  my_magazine = &closed;
  if (!ends.known) {
    return;
  }
  void* const given = install_signal_stack();
  if (::pthread_setspecific(ends.key, given != nullptr ? given : &no_signal_stack) != 0) {
    if (given != nullptr) {
      remove_signal_stack(given);
    }
  } else if (!stacks_need_care()) {
    my_magazine = &opened;
  }
}

[[gnu::noinline, gnu::cold]] stack allocate_without_magazine() {
  open_magazine();
  if (my_magazine != &opened) {
    return prepared(default_pool().take());
  }
  node* const some = default_pool().take_free(magazine_size / 2, &opened);
  if (some == &opened) {
    return default_pool().take();
  }
  my_magazine = some->next;
  return some->memory;
}

[[gnu::noinline, gnu::cold]] void deallocate_to_depot(stack memory) noexcept {
  open_magazine();
  if (my_magazine->depth == magazine_size) {
    default_pool().put(cut_behind(my_magazine, magazine_size / 2, &opened), &opened);
  }
  if (my_magazine == &closed) {
    default_pool().put(make_node(memory, &opened, 1), &opened);
  } else {
    my_magazine = make_node(memory, my_magazine, my_magazine->depth + 1);
  }
}

}  // namespace

// Both are kept out of line: they use thread-local variables, and a caller may be resumed by another thread.

[[gnu::noinline]] stack allocate_default_stack() {
  node* const one = my_magazine;
  node* const next = one->next;
  if (next == nullptr) [[unlikely]] {
    return allocate_without_magazine();
  }
  my_magazine = next;
  return one->memory;
}

[[gnu::noinline]] void deallocate_default_stack(stack memory) noexcept {
  node* const first = my_magazine;
  const std::size_t depth = first->depth;
  if (depth >= magazine_size) [[unlikely]] {
    deallocate_to_depot(memory);
    return;
  }
  my_magazine = make_node(memory, first, depth + 1);
}

}  // namespace detail

class stack_pool::implementation {
 public:
  explicit implementation(const stack_options& options) : depot_(options) {}
  ~implementation() { clear_shelves(); }
  implementation(const implementation&) = delete;
  implementation& operator=(const implementation&) = delete;

  depot& stacks() noexcept { return depot_; }

  stack take() {
    if (stacks_need_care()) {
      return prepared(depot_.take());
    }
    shelf& mine = my_shelf();
    node* list = mine.exchange(nullptr, std::memory_order_acquire);
    if (list == nullptr) {
      list = depot_.take_free(magazine_size / 2, nullptr);
    }
    if (list == nullptr) {
      // Before a new one is made, what others have. Of a handler's pool no other thread may use the depot.
      for (auto each = shelves_.begin(); list == nullptr && each != shelves_.end(); ++each) {
        list = each->list.exchange(nullptr, std::memory_order_acquire);
      }
    }
    if (list == nullptr) {
      return depot_.take();
    }
    const stack memory = list->memory;
    if (list->next != nullptr) {
      lay_on(mine, list->next);
    }
    return memory;
  }

  void put(stack memory) noexcept {
    if (stacks_need_care()) {
      depot_.put(make_node(memory, nullptr, 1), nullptr);
      return;
    }
    shelf& mine = my_shelf();
    node* const list = mine.exchange(nullptr, std::memory_order_acquire);
    const std::size_t depth = list == nullptr ? 0 : list->depth;
    if (depth == magazine_size) {
      depot_.put(cut_behind(list, magazine_size / 2, nullptr), nullptr);
    }
    lay_on(mine, make_node(memory, list, (depth == magazine_size ? magazine_size / 2 : depth) + 1));
  }

  void clear_shelves() noexcept {
    for (auto& each : shelves_) {
      if (node* const list = each.list.exchange(nullptr, std::memory_order_acquire)) {
        depot_.put(list, nullptr);
      }
    }
  }

 private:
  using shelf = std::atomic<node*>;
  struct alignas(64) own_line {
    shelf list = nullptr;
  };

  shelf& my_shelf() noexcept {
    // Threads' variables lie at the same place in memory of their own: at distances of round numbers.
    const auto place = reinterpret_cast<std::uintptr_t>(&detail::my_magazine);
    return shelves_[(place >> 6) * 0x9e3779b97f4a7c15u >> 60].list;
  }

  void lay_on(shelf& place, node* list) noexcept {
    node* nothing = nullptr;
    if (!place.compare_exchange_strong(nothing, list, std::memory_order_release, std::memory_order_relaxed)) {
      depot_.put(list, nullptr);  // somebody else was quicker
    }
  }

  depot depot_;
  std::array<own_line, 16> shelves_;
};

stack_pool::stack_pool(stack_options options) : self_(new implementation(options)) {}
stack_pool::~stack_pool() {
  delete self_;
}

const stack_options& stack_pool::options() const noexcept {
  return self_->stacks().options();
}

void stack_pool::trim() noexcept {
  self_->clear_shelves();
  self_->stacks().trim_all();
}

// These use thread-local variables, too.

[[gnu::noinline]] stack stack_pool::allocate() {
  detail::open_magazine();  // for the thread's signal stack
  return self_->take();
}

[[gnu::noinline]] void stack_pool::deallocate(stack memory) noexcept {
  self_->put(memory);
}

namespace detail {

namespace {

struct shared_pools {
  std::mutex mutex;
  std::map<std::pair<std::size_t, std::size_t>, std::unique_ptr<stack_pool>> by_options;

  /// Never destroyed, as the default pool.
  static shared_pools& instance() noexcept {
    alignas(shared_pools) static std::byte place[sizeof(shared_pools)];
    static shared_pools& all = *::new (place) shared_pools;
    return all;
  }
};

}  // namespace

stack_source& shared_pool(const stack_options& options) {
  shared_pools& all = shared_pools::instance();
  const stack_options wanted = rounded(options);
  const std::lock_guard lock(all.mutex);
  std::unique_ptr<stack_pool>& pool = all.by_options[{wanted.size, wanted.guard}];
  if (pool == nullptr) {
    pool = std::make_unique<stack_pool>(wanted);
  }
  return *pool;
}

void for_each_pooled_stack(void (*visit)(std::byte* top, void* data), void* data) {
  const std::lock_guard lock(arenas_mutex);
  for (const arena* each = krait_arenas; each != nullptr; each = each->next) {
    const std::size_t used = each->base == nullptr ? 0 : __atomic_load_n(&each->used, __ATOMIC_ACQUIRE);
    for (std::size_t slot = 0; slot < used; ++slot) {
      visit(each->stack_in(slot).top(), data);
    }
  }
}

// A stack is zero when it is new. Its pages are looked at from below; those that were never touched read as
// zero, and stay as they are.
[[gnu::no_sanitize_address, gnu::no_sanitize_thread]] std::size_t used_of(const stack& memory) noexcept {
  const valgrind::silence not_a_word;
  const std::byte* lowest = memory.limit;
  while (lowest != memory.top() && *const_cast<const volatile std::byte*>(lowest) == std::byte{0}) {
    ++lowest;
  }
  return static_cast<std::size_t>(memory.top() - lowest);
}

void forget_threads() noexcept {
  const thread_ends& ends = thread_ends::instance();
  if (ends.known) {
    void* const given = ::pthread_getspecific(ends.key);
    if (given != nullptr && given != &no_signal_stack) {
      remove_signal_stack(given);
    }
    ::pthread_key_delete(ends.key);
  }
}

void unmap_stacks() noexcept {
  shared_pools::instance().by_options.clear();
  const std::lock_guard lock(arenas_mutex);
  for (arena** link = &krait_arenas; *link != nullptr;) {
    arena* const each = *link;
    if (each->base != nullptr && !has_residents(*each)) {
      unmap(*each);
    }
    if (each->base == nullptr) {
      *link = each->next;
      delete each;
    } else {
      link = &each->next;
    }
  }
}

}  // namespace detail

[[gnu::noinline]] void trim_stacks() noexcept {
  using namespace detail;
  if (my_magazine->next != nullptr) {
    default_pool().put(std::exchange(my_magazine, &opened), &opened);
  }
  default_pool().trim_all();
  shared_pools& all = shared_pools::instance();
  const std::lock_guard lock(all.mutex);
  for (const auto& [options, pool] : all.by_options) {
    pool->trim();
  }
}

}  // namespace krait
