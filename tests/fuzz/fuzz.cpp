// SPDX-License-Identifier: BSL-1.0

// What holds for every program, whatever it does: krait does not crash, sanitizers have nothing to say, both
// backends observe the same, the same again when run again, and no generator is left over unless it refused
// to end, which is reported.
//
// With KRAIT_FUZZ_PRINT set, prints the program instead, to be run by krait_differential or the oracle.

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <krait/krait.hpp>
#include <string>

#include "decode.hpp"
#include "interpreter.hpp"

// interpreter.cpp, compiled once for each backend (CMakeLists.txt).
namespace differential {
std::string run_on_native(const program& program, coverage& counts);
std::string run_on_fcontext(const program& program, coverage& counts);
}  // namespace differential

namespace {

using namespace differential;

/// Did anything refuse to end?
bool refused(coverage& counts) {
  for (const char* const kind : {"generator", "coroutine", "async generator"}) {
    if (counts[std::string("unraisable: RuntimeError(") + kind + " ignored GeneratorExit)"] != 0) {
      return true;
    }
  }
  return false;
}

long generators_alive() {
  long count = 0;
  krait::detail::for_each_pooled_stack(
      [](std::byte* top, void* sum) {
        *static_cast<long*>(sum) += krait::detail::resident_above(top) != nullptr;
      },
      &count);
  return count;
}

[[noreturn]] void violated(const char* what, const std::string& program, const std::string& one = {},
                           const std::string& other = {}) {
  std::fprintf(stderr, "%s\n%s\n%s\n%s\n", what, program.c_str(), one.c_str(), other.c_str());
  std::abort();
}

std::string observe(std::string (*run)(const program&, coverage&), const std::string& text,
                    const program& parsed) {
  const long before = generators_alive();
  coverage counts;
  std::string trace = run(parsed, counts);
  const long left = generators_alive() - before;
  if (left != 0 && !refused(counts)) {
    violated("generators are left over, and none refused to end", text, trace, std::to_string(left));
  }
  if (std::current_exception() != nullptr || std::uncaught_exceptions() != 0) {
    violated("an exception is left over", text, trace);
  }
  return trace;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const bool print = std::getenv("KRAIT_FUZZ_PRINT") != nullptr;
  const std::string text = fuzz::decode({data, size});
  if (print) {
    std::puts(text.c_str());
    return 0;
  }
  const program parsed = parse_program(text);
  const std::string native = observe(run_on_native, text, parsed);
  if (const std::string again = observe(run_on_native, text, parsed); again != native) {
    violated("not the same when run again", text, native, again);
  }
  if (const std::string other = observe(run_on_fcontext, text, parsed); other != native) {
    violated("the backends differ", text, native, other);
  }
  return 0;
}
