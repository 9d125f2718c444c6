// SPDX-License-Identifier: BSL-1.0
#include "asyncio/symbols.hpp"

#include <cxxabi.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <memory>

namespace krait::asyncio::detail {

namespace {

/// The name of the function at `address`, as the file has it; null: it has none. Damaged files have none.
const char* name_in(const std::byte* file, std::size_t size, std::uintptr_t address) noexcept {
  const auto fits = [size](std::size_t offset, std::size_t length) {
    return offset <= size && length <= size - offset;
  };
  if (!fits(0, sizeof(ElfW(Ehdr))) || std::memcmp(file, ELFMAG, SELFMAG) != 0) {
    return nullptr;
  }
  const auto& head = *reinterpret_cast<const ElfW(Ehdr)*>(file);
  if (head.e_shentsize != sizeof(ElfW(Shdr)) || !fits(head.e_shoff, head.e_shnum * sizeof(ElfW(Shdr)))) {
    return nullptr;
  }
  const auto* const sections = reinterpret_cast<const ElfW(Shdr)*>(file + head.e_shoff);
  for (const unsigned kind : {SHT_SYMTAB, SHT_DYNSYM}) {
    for (std::size_t i = 0; i < head.e_shnum; ++i) {
      const ElfW(Shdr)& table = sections[i];
      if (table.sh_type != kind || table.sh_link >= head.e_shnum || !fits(table.sh_offset, table.sh_size)) {
        continue;
      }
      const ElfW(Shdr)& names = sections[table.sh_link];
      if (!fits(names.sh_offset, names.sh_size) || names.sh_size == 0 ||
          file[names.sh_offset + names.sh_size - 1] != std::byte{0}) {
        continue;
      }
      const auto* const all = reinterpret_cast<const ElfW(Sym)*>(file + table.sh_offset);
      for (std::size_t n = 0; n < table.sh_size / sizeof(ElfW(Sym)); ++n) {
        const ElfW(Sym)& each = all[n];
        if ((each.st_info & 0xf) == STT_FUNC && each.st_shndx != SHN_UNDEF && address >= each.st_value &&
            address - each.st_value < each.st_size && each.st_name < names.sh_size) {
          return reinterpret_cast<const char*>(file + names.sh_offset + each.st_name);
        }
      }
    }
  }
  return nullptr;
}

struct search {
  std::uintptr_t address;
  const char* path = nullptr;
  std::uintptr_t base = 0;
};

}  // namespace

symbol symbols::at(const void* address) {
  search wanted{reinterpret_cast<std::uintptr_t>(address)};
  ::dl_iterate_phdr(
      [](dl_phdr_info* object, std::size_t, void* data) {
        auto& its = *static_cast<search*>(data);
        for (const auto* part = object->dlpi_phdr; part != object->dlpi_phdr + object->dlpi_phnum; ++part) {
          if (part->p_type == PT_LOAD && its.address - object->dlpi_addr - part->p_vaddr < part->p_memsz) {
            its.path = object->dlpi_name;
            its.base = object->dlpi_addr;
            return 1;
          }
        }
        return 0;
      },
      &wanted);
  if (wanted.path == nullptr) {
    return {};
  }
  symbol found;
  found.module = wanted.path;
  found.offset = wanted.address - wanted.base;
  std::string place = found.module;
  if (found.module.empty()) {  // the program itself
    place = "/proc/self/exe";
    char path[4096];
    const ssize_t length = ::readlink(place.c_str(), path, sizeof path);
    found.module.assign(path, length < 0 ? 0 : static_cast<std::size_t>(length));
  }
  const file& its = open(place);
  if (const char* const name = its.begin == nullptr ? nullptr : name_in(its.begin, its.size, found.offset)) {
    const std::unique_ptr<char, decltype(&std::free)> demangled(
        abi::__cxa_demangle(name, nullptr, nullptr, nullptr), &std::free);
    found.function = demangled != nullptr ? demangled.get() : name;
  }
  return found;
}

const symbols::file& symbols::open(const std::string& path) {
  const auto [place, is_new] = files_.try_emplace(path);
  if (is_new) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat about = {};
    if (descriptor >= 0 && ::fstat(descriptor, &about) == 0 && about.st_size > 0) {
      const auto size = static_cast<std::size_t>(about.st_size);
      void* const memory = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
      if (memory != MAP_FAILED) {
        place->second = {static_cast<const std::byte*>(memory), size};
      }
    }
    if (descriptor >= 0) {
      ::close(descriptor);
    }
  }
  return place->second;
}

symbols::~symbols() {
  for (const auto& [path, its] : files_) {
    if (its.begin != nullptr) {
      ::munmap(const_cast<std::byte*>(its.begin), its.size);
    }
  }
}

}  // namespace krait::asyncio::detail
