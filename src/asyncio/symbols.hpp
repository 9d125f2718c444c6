// SPDX-License-Identifier: BSL-1.0
#pragma once

// Which function lies at an address: by the table of symbols of the program's file, or of a library's. That has those,
// too, which the dynamic linker need not know, unless it was stripped.

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

namespace krait::asyncio::detail {

struct symbol {
  std::string function;       ///< demangled; empty: not known
  std::string module;         ///< the file's path
  std::uintptr_t offset = 0;  ///< the address, as that file says it
};

/// Looks into each file once. One thread at a time.
class symbols {
 public:
  symbols() = default;
  symbols(const symbols&) = delete;
  symbols& operator=(const symbols&) = delete;
  ~symbols();

  /// Throws std::bad_alloc.
  symbol at(const void* address);

 private:
  struct file {
    const std::byte* begin = nullptr;  ///< null: it cannot be read
    std::size_t size = 0;
  };
  const file& open(const std::string& path);

  std::map<std::string, file> files_;
};

}  // namespace krait::asyncio::detail
