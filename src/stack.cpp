// SPDX-License-Identifier: BSL-1.0
#include "krait/stack.hpp"

// How a stack gets from the kernel to a generator:
//
//      mmap 64 MiB      arena     [guard|stack][guard|stack][guard|stack] ...      cut when first needed
//                         |
//                       depot     stacks that came back; one lock
//                         |
//                       magazine  a few stacks per thread; no lock             (the default pool only)
//                         |
//                       allocate_default_stack()
//
// Arenas are described in arena.hpp. A free stack is linked through a node in its own memory, just below its
// top, on the page that is resident anyway.

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <utility>

#include "arena.hpp"
#include "krait/exceptions.hpp"
#include "overflow.hpp"
#include "sanitizers.hpp"
#include "valgrind.hpp"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

extern "C" {
[[gnu::used, gnu::visibility("hidden")]] constinit krait::detail::arena* krait_arenas = nullptr;
}

namespace krait {
namespace {

using detail::arena;

constexpr std::size_t arena_size = std::size_t{64} << 20;

std::size_t page_size() noexcept {
  static const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

std::byte* map(std::size_t size) noexcept {
  void* const memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED) {
    return nullptr;
  }
  // A huge page would make a single stack 2 MiB resident. Fails where there are none, which is as good.
  ::madvise(memory, size, MADV_NOHUGEPAGE);
  return static_cast<std::byte*>(memory);
}

/// Are guards to be page-table markers, which need no mapping of their own? KRAIT_GUARDS=mprotect says no.
bool guards_are_markers() noexcept {
  static const bool answer = [] {
    const char* const wish = std::getenv("KRAIT_GUARDS");
    if (valgrind::running() || (wish != nullptr && std::strcmp(wish, "mprotect") == 0)) {
      return false;
    }
    std::byte* const probe = map(page_size());
    if (probe == nullptr) {
      return false;
    }
    // Some emulators of a kernel take any advice and do nothing. A guard cannot be populated.
    const bool works = ::madvise(probe, page_size(), MADV_GUARD_INSTALL) == 0 &&
                       ::madvise(probe, page_size(), MADV_POPULATE_READ) != 0;
    ::munmap(probe, page_size());
    return works;
  }();
  return answer;
}

/// Memory that is locked (mlockall) takes no markers.
bool install_guard(std::byte* place, std::size_t size) noexcept {
  return (guards_are_markers() && ::madvise(place, size, MADV_GUARD_INSTALL) == 0) ||
         ::mprotect(place, size, PROT_NONE) == 0;
}

/// Every stack that is handed out under valgrind has to be announced.
std::atomic<bool> under_valgrind = false;  // set before the first stack is cut

/// So many free stacks in the depot stay as they are; of any more, only the topmost bytes stay resident,
/// which is what most generators get by with, and a deep call's pages go back to the kernel.
constexpr std::size_t idle_untrimmed = 64;
constexpr std::size_t kept_of_idle = std::size_t{16} << 10;

void trim(const stack& memory) noexcept {
  if (memory.size > kept_of_idle) {
    // Whole pages: the lowest address is one's start, and the top, coloured, is rounded down.
    const std::size_t surplus = (memory.size - kept_of_idle) / page_size() * page_size();
    ::madvise(memory.limit, surplus, MADV_DONTNEED);
  }
}

/// A free stack, in the memory of the stack itself.
struct node {
  node* next;
  stack memory;
};

node* make_node(stack memory) noexcept {
  return ::new (memory.top() - sizeof(node)) node{nullptr, memory};
}

stack_options rounded(stack_options options) {
  const std::size_t page = page_size();
  if (options.size > PTRDIFF_MAX / 4 || options.guard > PTRDIFF_MAX / 4) {
    throw value_error("stack_options: larger than the address space");
  }
  const auto pages = [page](std::size_t bytes) {
    return bytes == 0 ? page : (bytes + page - 1) / page * page;
  };
  return {pages(options.size), pages(options.guard)};
}

/// Whoever adds an arena, or unmaps one, holds it.
constinit std::mutex arenas_mutex;

/// Maps an arena, filled with guards as stacks are cut from it. Throws std::bad_alloc.
arena& add_arena(const void* pool, const stack_options& options) {
  std::unique_ptr<arena> fresh(new arena{nullptr, 0, 0, options.guard, options.size, nullptr, pool});
  // Where address space is scarce, a smaller one will do.
  std::byte* base = nullptr;
  for (fresh->slots = arena_size / fresh->stride() + 1; fresh->slots != 0; fresh->slots /= 2) {
    base = map(fresh->slots * fresh->stride());
    if (base != nullptr) {
      break;
    }
  }
  if (base == nullptr) {
    throw std::bad_alloc();
  }
  const std::lock_guard lock(arenas_mutex);
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

/// Kept beside the address of the frame, above the stack.
valgrind::stack_id& valgrind_id(const stack& memory) noexcept {
  return *reinterpret_cast<valgrind::stack_id*>(memory.top() + sizeof(void*));
}

}  // namespace

class stack_pool::implementation {
 public:
  explicit implementation(const stack_options& options) : options_(rounded(options)) {}

  ~implementation() {
    const std::lock_guard lock(arenas_mutex);
    for (arena* each = krait_arenas; each != nullptr; each = each->next) {
      if (each->pool != this) {
        continue;
      }
      each->pool = nullptr;
      if (in_use_ == 0) {
        const std::size_t size = each->slots * each->stride();
        for (std::size_t slot = 0; slot < each->used; ++slot) {
          valgrind::forget_stack(valgrind_id(each->stack_in(slot)));
        }
        sanitizers::allow(each->base, size);
        ::munmap(__atomic_exchange_n(&each->base, nullptr, __ATOMIC_RELAXED), size);
      }
    }
  }

  implementation(const implementation&) = delete;
  implementation& operator=(const implementation&) = delete;

  const stack_options& options() const noexcept { return options_; }

  /// One stack. Throws std::bad_alloc.
  stack take() {
    const std::lock_guard lock(mutex_);
    stack memory;
    if (free_ != nullptr) {
      memory = std::exchange(free_, free_->next)->memory;
      idle_.store(idle_ - 1, std::memory_order_relaxed);
    } else {
      memory = cut();
    }
    sanitizers::allow(memory.limit, memory.size);
    sanitizers::add_root(memory.limit, memory.size);
    ++in_use_;
    return memory;
  }

  /// Up to `most` stacks that are already there, linked, perhaps none.
  std::pair<node*, unsigned> take_free(unsigned most) noexcept {
    const std::lock_guard lock(mutex_);
    node* list = nullptr;
    unsigned taken = 0;
    while (taken < most && free_ != nullptr) {
      node* const one = std::exchange(free_, free_->next);
      one->next = std::exchange(list, one);
      ++taken;
    }
    in_use_ += taken;
    idle_.store(idle_ - taken, std::memory_order_relaxed);
    return {list, taken};
  }

  /// `count` stacks, linked.
  void put(node* first, node* last, std::size_t count) noexcept {
    last->next = nullptr;
    if (sanitizers::watching()) {
      for (const node* one = first; one != nullptr; one = one->next) {
        sanitizers::remove_root(one->memory.limit, one->memory.size);
        sanitizers::forbid(one->memory.limit, one->memory.size - sizeof(node));
      }
    }
    if (idle_.load(std::memory_order_relaxed) + count > idle_untrimmed) {
      for (const node* one = first; one != nullptr; one = one->next) {
        trim(one->memory);
      }
    }
    const std::lock_guard lock(mutex_);
    last->next = std::exchange(free_, first);
    in_use_ -= count;
    idle_.store(idle_ + count, std::memory_order_relaxed);
  }

 private:
  stack cut() {
    if (newest_ == nullptr || newest_->used == newest_->slots) {
      newest_ = &add_arena(this, options_);
    }
    const stack memory = newest_->stack_in(newest_->used);
    if (!install_guard(memory.limit - options_.guard, options_.guard)) {
      throw std::bad_alloc();
    }
    if (valgrind::running()) {
      under_valgrind.store(true, std::memory_order_relaxed);
      valgrind_id(memory) = valgrind::know_stack(memory);
    }
    __atomic_store_n(&newest_->used, newest_->used + 1, __ATOMIC_RELEASE);
    return memory;
  }

  const stack_options options_;
  std::mutex mutex_;
  node* free_ = nullptr;
  std::size_t in_use_ = 0;
  std::atomic<std::size_t> idle_ = 0;  // how long the list is
  arena* newest_ = nullptr;            // the one to cut from
};

stack_pool::stack_pool(stack_options options) : self_(new implementation(options)) {}
stack_pool::~stack_pool() {
  delete self_;
}

const stack_options& stack_pool::options() const noexcept {
  return self_->options();
}

const char* guard_method() noexcept {
  return guards_are_markers() ? "MADV_GUARD_INSTALL" : "mprotect";
}

namespace detail {
namespace {

/// Never destroyed: generators may outlive static destruction.
stack_pool::implementation& default_pool() {
  static auto& pool = *new stack_pool::implementation(stack_options{});
  return pool;
}

constexpr unsigned magazine_size = 32;

/// What belongs to a thread: free stacks of its own, and one for signals. Without a destructor, so that it is
/// there until the thread is gone; close() gives the stacks back before, when the thread's thread-local
/// objects are gone. Afterwards every stack goes straight to the depot.
struct magazine {
  node* first = nullptr;
  unsigned count = 0;
  enum : unsigned char { untouched, open, closed } state = untouched;  // closed: to be passed by
  signal_stack for_signals;

  void empty_down_to(unsigned rest) noexcept {
    if (count == rest) {
      return;
    }
    const unsigned surplus = count - rest;
    node* const list = first;
    node* last = list;
    for (unsigned i = 1; i < surplus; ++i) {
      last = last->next;
    }
    first = last->next;
    count = rest;
    default_pool().put(list, last, surplus);
  }

  void close() noexcept {
    empty_down_to(0);
    state = closed;
    for_signals.remove();
  }
};

[[gnu::tls_model("initial-exec")]] constinit thread_local magazine my_magazine;

/// Closes magazines as threads end. Not a thread_local object with a destructor: where memory is short, such
/// a one ends the process.
struct thread_ends {
  pthread_key_t key;
  bool known = ::pthread_key_create(&key, [](void* ending) { static_cast<magazine*>(ending)->close(); }) == 0;

  static thread_ends& instance() noexcept {
    static thread_ends only;
    return only;
  }
};

/// For a library that has krait in it and is unloaded: threads that end later must not come here.
[[gnu::destructor]] void forget_thread_ends() noexcept {
  if (thread_ends::instance().known) {
    ::pthread_key_delete(thread_ends::instance().key);
  }
}

/// Makes sure that this thread's magazine will be closed. False if it has been, or cannot be.
bool open_magazine() noexcept {
  magazine& mine = my_magazine;
  if (mine.state == magazine::untouched) {
    const thread_ends& ends = thread_ends::instance();
    if (!ends.known || ::pthread_setspecific(ends.key, &mine) != 0) {
      mine.state = magazine::closed;
    } else {
      // A sanitizer is told by the depot, which each stack then has to pass.
      mine.state = sanitizers::watching() ? magazine::closed : magazine::open;
      mine.for_signals.install();
    }
  }
  return mine.state == magazine::open;
}

}  // namespace

namespace {

[[gnu::noinline, gnu::cold]] stack allocate_without_magazine() {
  magazine& mine = my_magazine;
  if (mine.first == nullptr && open_magazine()) {
    std::tie(mine.first, mine.count) = default_pool().take_free(magazine_size / 2);
  }
  const node* const one = mine.first;
  if (one == nullptr) {
    return default_pool().take();
  }
  mine.first = one->next;
  --mine.count;
  const stack memory = one->memory;
  valgrind::reuse_stack(memory);
  return memory;
}

[[gnu::noinline, gnu::cold]] void deallocate_to_depot(node* one) noexcept {
  magazine& mine = my_magazine;
  if (!open_magazine()) {
    default_pool().put(one, one, 1);
    return;
  }
  if (mine.count == magazine_size) {
    mine.empty_down_to(magazine_size / 2);
  }
  one->next = std::exchange(mine.first, one);
  ++mine.count;
}

}  // namespace

// Both are kept out of line: they use thread-local variables, and a caller may be resumed by another thread.

[[gnu::noinline]] stack allocate_default_stack() {
  magazine& mine = my_magazine;
  const node* const one = mine.first;
  if (one == nullptr || under_valgrind.load(std::memory_order_relaxed)) [[unlikely]] {
    return allocate_without_magazine();
  }
  mine.first = one->next;
  --mine.count;
  return one->memory;
}

[[gnu::noinline]] void deallocate_default_stack(stack memory) noexcept {
  magazine& mine = my_magazine;
  node* const one = make_node(memory);
  if (mine.state != magazine::open || mine.count == magazine_size) [[unlikely]] {
    deallocate_to_depot(one);
    return;
  }
  one->next = std::exchange(mine.first, one);
  ++mine.count;
}

stack_source& shared_pool(const stack_options& options) {
  struct pools {
    std::mutex mutex;
    std::map<std::pair<std::size_t, std::size_t>, std::unique_ptr<stack_pool>> by_options;
  };
  static pools& all = *new pools;
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

}  // namespace detail

[[gnu::noinline]] stack stack_pool::allocate() {
  detail::open_magazine();  // for the thread's signal stack
  const stack memory = self_->take();
  valgrind::reuse_stack(memory);
  return memory;
}

void stack_pool::deallocate(stack memory) noexcept {
  node* const one = make_node(memory);
  self_->put(one, one, 1);
}

}  // namespace krait
