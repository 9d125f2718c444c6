// SPDX-License-Identifier: BSL-1.0
// What generators own, and what they lose, as LeakSanitizer sees it: also with -fsanitize=leak alone, of
// which a compiler tells the program nothing. Usage: leaks alive|lost
#include <sys/mman.h>

#include <cstddef>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <krait/krait.hpp>

namespace {

/// Memory that LeakSanitizer does not know of by itself.
class mapped : public krait::stack_source {
 public:
  krait::stack allocate() override {
    void* const memory =
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
      throw std::bad_alloc();
    }
    return {static_cast<std::byte*>(memory), size};
  }
  void deallocate(krait::stack memory) noexcept override { ::munmap(memory.limit, memory.size); }

 private:
  static constexpr std::size_t size = std::size_t{256} << 10;
};

krait::stack_pool pool;
mapped source;
std::vector<krait::generator<int>>* volatile kept;  // never destroyed

/// The only pointer to what a body owns is on the generator's stack. (Made out here: what is allocated within
/// a body, LeakSanitizer alone never reports, as it cannot walk that stack.) Lost, if the body loses it.
auto body(bool lose) {
  return [lose, owned = std::make_unique<std::string>(1000, 'x')](auto& yield) mutable {
    yield(static_cast<int>(owned->size()));
    if (lose) {
      static_cast<void>(owned.release());
    }
  };
}

void make_all(bool lose) {
  for (int i = 0; i < 10; ++i) {
    kept->emplace_back(body(lose));
    kept->emplace_back(std::allocator_arg, pool, body(lose));
    kept->emplace_back(std::allocator_arg, source, body(lose));
    kept->emplace_back(std::allocator_arg, krait::stack_options{.size = std::size_t{1} << 20}, body(lose));
  }
  for (auto& each : *kept) {
    each.next();
  }
}

}  // namespace

int main(int argc, char** argv) {
  const bool lose = argc == 2 && argv[1] == std::string_view("lost");
  kept = new std::vector<krait::generator<int>>;
  make_all(lose);
  if (lose) {
    for (auto& each : *kept) {
      static_cast<void>(each.resume());
    }
    kept->clear();
  }
  std::puts("done");
}
