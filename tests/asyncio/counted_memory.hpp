// SPDX-License-Identifier: BSL-1.0
#pragma once

// Each call of operator new of the whole program is counted, and can be made to fail.

namespace counted_memory {

/// How often memory was taken.
long taken() noexcept;
/// How many blocks have not been given back.
long blocks() noexcept;

/// While it lives, the n-th call of operator new by this thread fails, and so do `more` after it.
class shortage {
 public:
  explicit shortage(long n, long more = 0) noexcept;
  shortage(const shortage&) = delete;
  shortage& operator=(const shortage&) = delete;
  ~shortage();

  /// Has it made any fail?
  bool reached() const noexcept;
};

}  // namespace counted_memory
