#!/usr/bin/env bash
# Measures the whole system on this machine: the median of three consecutive runs of each row, at
# least a minute each, with the load clients on the same cores. Writes a table with revision and date.
#
#   bench/stress_bench.sh [OUTPUT.md]        about half an hour; nothing else should run meanwhile
set -euo pipefail
cd "$(dirname "$0")/.."
output=${1:-docs/measured.md}
runs=$(mktemp -d "${TMPDIR:-/var/tmp}/baiwan-bench-XXXXXX")
trap 'rm -rf "$runs"' EXIT
./dev build
program=build/release/baiwan

# name | options
rows=(
  "WebSocket, 8 a frame|--rounds 8 --messages-per-frame 8"
  "WebSocket, 1 a frame|--rounds 4 --messages-per-frame 1"
  "WebSocket, 64 a frame, 256 in flight|--rounds 10 --messages-per-frame 64 --in-flight 256"
  "HTTP, one request a message|--protocol http --rounds 1"
  "WebSocket, 8 a frame, a process per role|--rounds 6 --messages-per-frame 8 --layout role"
  "WebSocket, 8 a frame, one process|--rounds 6 --messages-per-frame 8 --layout single"
)

field() { python3 -c 'import json,sys; r=json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$1" "$2"; }

lines=()
for row in "${rows[@]}"; do
  IFS='|' read -r name options <<<"$row"
  results=()
  for n in 1 2 3; do
    # shellcheck disable=SC2086
    $program stress --users-per-cell 10000 --runs "$runs" --no-report --json $options >"$runs/out-$n.json" 2>"$runs/err-$n" ||
      { cat "$runs/err-$n" >&2; exit 1; }
    results+=("$(field "$runs/out-$n.json" '"%d %.2f %.1f %d" % (r["rate_per_s"], r["cpu_us_per_message"]["total"], r["phase_seconds"]["run"], r["messages"]["verified"])')")
    printf '%s, run %d: %s\n' "$name" "$n" "${results[-1]}" >&2
  done
  read -r rate cpu seconds verified <<<"$(printf '%s\n' "${results[@]}" | sort -n | sed -n 2p)"
  all=$(printf '%s\n' "${results[@]}" | awk '{printf "%s%'"'"'d", (NR > 1 ? " · " : ""), $1}')
  lines+=("$(printf "| %s | %'d | %s | %s | %s | %'d |" "$name" "$rate" "$all" "$cpu" "$seconds" "$verified")")
done

cat >"$output" <<TEXT
# Measured

By \`bench/stress_bench.sh\`, revision $(git describe --always --dirty --abbrev=10), $(date -u +%Y-%m-%dT%H:%MZ), $(nproc) cores
($(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)), Linux $(uname -r). 4 cells × 10,000 users, 30 friends each, bodies of
16 bytes, at most 32 messages of a user not yet stored where the row says nothing else; four processes of cells with a store each, four load
clients, registry and monitor on the same cores; every message synced to disk in both boxes before it is
acknowledged, and verified afterwards. Rates are messages a second from the first submit to the last
acknowledgement; CPU is that of all processes, load clients included.

| how | messages/s, median of 3 | each run | CPU µs a message | seconds | verified |
| --- | ---: | --- | ---: | ---: | ---: |
$(printf '%s\n' "${lines[@]}")
TEXT
cat "$output"
