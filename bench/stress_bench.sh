#!/usr/bin/env bash
# Measures the whole system on this machine: the median of consecutive runs of each row, with the
# load clients on the same cores. Each row is kept with its revision and date; the table is
# written anew from all of them.
#
#   bench/stress_bench.sh            every row, about three quarters of an hour; nothing else should run meanwhile
#   bench/stress_bench.sh ws-8 http  these rows
set -euo pipefail
cd "$(dirname "$0")/.."
rows_file=docs/measured.tsv
table=docs/measured.md
runs=$(mktemp -d "${TMPDIR:-/var/tmp}/baiwan-bench-XXXXXX")
trap 'rm -rf "$runs"' EXIT
program=build/release/baiwan

# key | name | runs | users of each cell | options
rows=(
  "ws-8|WebSocket, 8 a frame|3|10000|--rounds 7 --messages-per-frame 8"
  "http|HTTP, one request a message|3|10000|--protocol http --rounds 1"
  "ws-1|WebSocket, 1 a frame|3|10000|--rounds 6 --messages-per-frame 1"
  "ws-64|WebSocket, 64 a frame, 256 in flight|3|10000|--rounds 12 --messages-per-frame 64 --in-flight 256"
  "role|WebSocket, 8 a frame, a process per role|3|10000|--rounds 7 --messages-per-frame 8 --layout role"
  "single|WebSocket, 8 a frame, one process|3|10000|--rounds 7 --messages-per-frame 8 --layout single"
  "million|WebSocket, 8 a frame, a million users|1|250000|--messages-per-frame 8"
)

field() { python3 -c 'import json,sys; r=json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$1" "$2"; }
dotted() { sed ':a;s/\B[0-9]\{3\}\>/,&/;ta' <<<"$1"; }

measure() {  # KEY NAME RUNS USERS OPTIONS: so many runs; keeps the middle one
  local key=$1 name=$2 times=$3 users=$4 options=$5 n results=() rate cpu seconds verified whole all
  for ((n = 1; n <= times; n++)); do
    # shellcheck disable=SC2086
    $program stress --users-per-cell "$users" --runs "$runs" --no-report --json $options \
      >"$runs/out" 2>"$runs/err" || { cat "$runs/err" >&2; exit 1; }
    results+=("$(field "$runs/out" '"%d %.2f %.1f %d %.1f" % (r["rate_per_s"], r["cpu_us_per_message"]["total"], r["phase_seconds"]["run"], r["messages"]["verified"], sum(r["phase_seconds"].values()))')")
    printf '%s, run %d: %s\n' "$name" "$n" "${results[-1]}" >&2
  done
  read -r rate cpu seconds verified whole <<<"$(printf '%s\n' "${results[@]}" | sort -n | sed -n "$(((times + 1) / 2))p")"
  all=$(for n in "${results[@]}"; do printf '%s · ' "$(dotted "${n%% *}")"; done)
  touch "$rows_file"
  sed -i "/^$key\t/d" "$rows_file"
  printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$key" "$name" "4 × $(dotted "$users")" "$(dotted "$rate")" \
    "${all% · }" "$cpu" "$seconds" "$whole" "$(dotted "$verified")" "$(field "$runs/out" 'r["revision"]')" \
    "$(date -u +%Y-%m-%d)" >>"$rows_file"
}

write_table() {
  {
    cat <<TEXT
# Measured

By \`bench/stress_bench.sh\` on $(nproc) cores ($(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)), Linux $(uname -r).
4 cells, each user with 30 friends, bodies of 16 bytes, at most 32 messages of a user not yet stored where
the row says nothing else; a process and a store per cell where it says nothing else, four load clients, registry
and monitor, all on the same cores. Every message is synced to disk in both boxes before it is acknowledged, and
verified afterwards. Rates are messages a second from the first submit to the last acknowledgement, the median
where there are several runs; CPU is that of all processes, load clients included. Seconds are those of the
load, and those of all phases: import, start, load and verification.

| how | users | messages/s | each run | CPU µs a message | load, s | all, s | verified | revision | date |
| --- | --- | ---: | --- | ---: | ---: | ---: | ---: | --- | --- |
TEXT
    local row key
    for row in "${rows[@]}"; do
      key=${row%%|*}
      awk -F'\t' -v key="$key" '$1 == key {printf "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", $2, $3, $4, $5, $6, $7, $8, $9, $10, $11}' "$rows_file"
    done
  } >"$table"
  cat "$table"
}

wanted=("$@")
for row in "${rows[@]}"; do
  IFS='|' read -r key name times users options <<<"$row"
  if [ ${#wanted[@]} -eq 0 ] || [[ " ${wanted[*]} " == *" $key "* ]]; then
    measure "$key" "$name" "$times" "$users" "$options"
  fi
done
write_table
