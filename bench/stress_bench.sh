#!/usr/bin/env bash
# Measures the whole system on this machine: the median of three consecutive runs of each row, with
# the load clients on the same cores. Each row is kept with its revision and date; the table is
# written anew from all of them.
#
#   bench/stress_bench.sh            every row, about half an hour; nothing else should run meanwhile
#   bench/stress_bench.sh ws-8 http  these rows
set -euo pipefail
cd "$(dirname "$0")/.."
rows_file=docs/measured.tsv
table=docs/measured.md
runs=$(mktemp -d "${TMPDIR:-/var/tmp}/baiwan-bench-XXXXXX")
trap 'rm -rf "$runs"' EXIT
program=build/release/baiwan

# key | name | options
rows=(
  "ws-8|WebSocket, 8 a frame|--rounds 7 --messages-per-frame 8"
  "http|HTTP, one request a message|--protocol http --rounds 1"
  "ws-1|WebSocket, 1 a frame|--rounds 5 --messages-per-frame 1"
  "ws-64|WebSocket, 64 a frame, 256 in flight|--rounds 8 --messages-per-frame 64 --in-flight 256"
  "role|WebSocket, 8 a frame, a process per role|--rounds 5 --messages-per-frame 8 --layout role"
  "single|WebSocket, 8 a frame, one process|--rounds 5 --messages-per-frame 8 --layout single"
)

field() { python3 -c 'import json,sys; r=json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$1" "$2"; }
dotted() { sed ':a;s/\B[0-9]\{3\}\>/,&/;ta' <<<"$1"; }

measure() {  # KEY NAME OPTIONS: three runs; keeps the middle one
  local key=$1 name=$2 options=$3 n results=() rate cpu seconds verified all
  for n in 1 2 3; do
    # shellcheck disable=SC2086
    $program stress --users-per-cell 10000 --runs "$runs" --no-report --json $options \
      >"$runs/out" 2>"$runs/err" || { cat "$runs/err" >&2; exit 1; }
    results+=("$(field "$runs/out" '"%d %.2f %.1f %d" % (r["rate_per_s"], r["cpu_us_per_message"]["total"], r["phase_seconds"]["run"], r["messages"]["verified"])')")
    printf '%s, run %d: %s\n' "$name" "$n" "${results[-1]}" >&2
  done
  read -r rate cpu seconds verified <<<"$(printf '%s\n' "${results[@]}" | sort -n | sed -n 2p)"
  all=$(for n in "${results[@]}"; do printf '%s · ' "$(dotted "${n%% *}")"; done)
  touch "$rows_file"
  sed -i "/^$key\t/d" "$rows_file"
  printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$key" "$name" "$(dotted "$rate")" "${all% · }" "$cpu" "$seconds" \
    "$(dotted "$verified")" "$(field "$runs/out" 'r["revision"]')" "$(date -u +%Y-%m-%d)" >>"$rows_file"
}

write_table() {
  {
    cat <<TEXT
# Measured

By \`bench/stress_bench.sh\` on $(nproc) cores ($(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)), Linux $(uname -r).
4 cells × 10,000 users, 30 friends each, bodies of 16 bytes, at most 32 messages of a user not yet stored where
the row says nothing else; a process and a store per cell where it says nothing else, four load clients, registry
and monitor, all on the same cores. Every message is synced to disk in both boxes before it is acknowledged, and
verified afterwards. Rates are messages a second from the first submit to the last acknowledgement; CPU is that
of all processes, load clients included.

| how | messages/s, median of 3 | each run | CPU µs a message | seconds | verified | revision | date |
| --- | ---: | --- | ---: | ---: | ---: | --- | --- |
TEXT
    local row key
    for row in "${rows[@]}"; do
      key=${row%%|*}
      awk -F'\t' -v key="$key" '$1 == key {printf "| %s | %s | %s | %s | %s | %s | %s | %s |\n", $2, $3, $4, $5, $6, $7, $8, $9}' "$rows_file"
    done
  } >"$table"
  cat "$table"
}

wanted=("$@")
for row in "${rows[@]}"; do
  IFS='|' read -r key name options <<<"$row"
  if [ ${#wanted[@]} -eq 0 ] || [[ " ${wanted[*]} " == *" $key "* ]]; then measure "$key" "$name" "$options"; fi
done
write_table
