// SPDX-License-Identifier: BSL-1.0

// A library that is compiled twice, to code that is the same as far as it runs: but in one of them an exception runs a
// destructor.

namespace {

struct tells_when_destroyed {
  void (*tell)();
  ~tells_when_destroyed() { tell(); }
};

}  // namespace

// The linker is told where this section lies, whatever else the library needs.
extern "C" [[gnu::section(".guest")]] void guest(void (*function)(void*), void* argument, void (*tell)()) {
#if defined(GUEST_SEES)
  const tells_when_destroyed object{tell};
  function(argument);
#else
  try {
    function(argument);
  } catch (int& other) {  // so that there is a landing pad too, and as much to keep
    tell();
    ++other;
    throw;
  }
  tell();
#endif
}
