# SPDX-License-Identifier: BSL-1.0
# What the commands of ./dev have in common. They source it, and then stand in the root of the sources.
# shellcheck shell=bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

say() { printf '\033[1m== %s\033[0m\n' "$*" >&2; }
[ -t 2 ] || say() { printf '== %s\n' "$*" >&2; }

# need PACKAGE...: makes sure that Debian packages are installed.
need() {
  command -v dpkg-query >/dev/null || return 0 # not Debian's kind: whoever builds here knows what is installed
  local missing=()
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  as_root || { echo "dev: these packages are needed: sudo apt-get install ${missing[*]}" >&2; exit 2; }
  say "installing ${missing[*]}"
  mkdir -p build
  ( # one at a time, where legs go side by side
    flock 9
    as_root apt-get update -qq >&2
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >&2
  ) 9>build/packages.lock
}

# as_root COMMAND...: runs it as root; without a command: can it?
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "${@:-true}"
  else
    sudo -n "${@:-true}" 2>/dev/null
  fi
}

# The newest Clang that this machine's distribution has, installed: its package's name.
newest_clang() {
  local newest
  newest=$(apt-cache pkgnames clang- 2>/dev/null | grep -E '^clang-[0-9]+$' | sort -V | tail -n 1 || true)
  [ -z "$newest" ] || need "$newest"
  echo "${newest:-clang}"
}

# The event loop needs Boost 1.77. Debian 12's default is 1.74, and it has 1.81 beside that, which takes its place.
boost=libboost
[ "$(. /etc/os-release 2>/dev/null && echo "${VERSION_CODENAME:-}")" != bookworm ] || boost=libboost1.81
boost_part() { echo "${boost/libboost/libboost-$1}-dev"; } # boost_part NAME: the package of a part of Boost

basics=(cmake ninja-build g++ "$boost-dev" "$(boost_part context)")
test_packages=("${basics[@]}" doctest-dev nlohmann-json3-dev python3)

# configure PRESET [ARGUMENT...]
configure() {
  local log
  mkdir -p build/logs
  log=$(mktemp -p build/logs configure.XXXXXX)
  cmake --preset "$@" >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
  rm "$log"
}

# build PRESET [TARGET...]
build() {
  local preset=$1
  shift
  say "building ($preset)"
  configure "$preset"
  cmake --build --preset "$preset" ${1:+--target} "$@" >&2
}

# What was counted: lines of "PASSED FAILED NAME".
counts=$(mktemp)
trap 'rm -f "$counts"' EXIT

# run_tests PRESET [CTEST-ARGUMENT...]: the tests that a preset chooses, as many at once as there are processors. Each
# counts itself (tests/legs/counted). One that could not be started counts as a failed one, as does that there is none.
run_tests() {
  local preset=$1 status=0 before after
  shift
  say "testing ($preset)"
  before=$(wc -l <"$counts")
  KRAIT_TEST_COUNTS=$counts ctest --preset "$preset" -j "$(nproc)" "$@" >&2 || status=$?
  after=$(wc -l <"$counts")
  if [ "$after" -eq "$before" ] || { [ "$status" -ne 0 ] && ! tail -n +$((before + 1)) "$counts" | grep -qE '^[0-9]+ [1-9]'; }; then
    echo "0 1 $preset: ctest ended with $status, and no failed test to show for it" >>"$counts"
  fi
}

# count NAME COMMAND...: a test that is none of ctest's.
count() { KRAIT_TEST_COUNTS=$counts tests/legs/counted "$@" >&2 || true; }

# The table of what was counted, and the last line.
total() {
  awk '/^skipped/ { print; next }
       { name = $0; sub(/^[0-9]+ [0-9]+ /, "", name); printf "%-44s %5d passed %5d failed\n", name, $1, $2
         passed += $1; failed += $2 }
       END { print passed + 0 " passed, " failed + 0 " failed"; exit failed > 0 || passed == 0 }' "$counts"
}
