#!/usr/bin/env bash
# Refuses clocks, threads, random devices and unordered iteration outside the seams: whatever calls
# these cannot be simulated. Allowed in base, net's transports, the store engines, and tools.
set -u
cd "$(dirname "$0")/.."
found=$(git grep -nE 'std::thread|std::jthread|std::mutex|random_device|steady_clock|system_clock|clock_gettime|gettimeofday|std::async|\bsleep_for|\busleep\(|\bnanosleep\(|getrandom\(' -- \
  'src/wire' 'src/mailbox' 'src/placement' 'src/store/log' 'src/cell' 'src/registry' ':!*_test.cc')
pure=$(git grep -nE '#include <(unordered_map|unordered_set)>' -- 'src/mailbox' 'src/placement' 'src/wire' ':!*_test.cc')
[ -z "$found$pure" ] && exit 0
echo "These bypass the seams in src/base (Clock, Rng, Loop, Transport), or iterate without order:"
printf '%s\n' "$found" "$pure" | grep .
exit 1
