// SPDX-License-Identifier: BSL-1.0
#include <benchmark/benchmark.h>

#include <boost/version.hpp>
#include <krait/stack.hpp>

// The benchmarks enter themselves (operations.hpp). What the report tells of the machine is added here.
int main(int argc, char** argv) {
#if defined(__clang__)
  benchmark::AddCustomContext("compiler", __VERSION__);
#else
  benchmark::AddCustomContext("compiler", "GCC " __VERSION__);
#endif
  benchmark::AddCustomContext("flags", KRAIT_BENCH_FLAGS);
  benchmark::AddCustomContext("boost", BOOST_LIB_VERSION);
  benchmark::AddCustomContext("guards", krait::guard_method());
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
    return 1;
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
