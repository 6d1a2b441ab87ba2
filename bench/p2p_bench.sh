#!/usr/bin/env bash
# Measures how long it takes until the last host has the package: peer to peer, and copied from one
# host. Test hosts in network namespaces, each limited to the same rate in each direction. Each row is
# kept with its revision and date; table and picture are made anew from all of them.
#
#   bench/p2p_bench.sh          1, 4, 10 and 40 hosts, about ten minutes; nothing else should run meanwhile
#   bench/p2p_bench.sh 4 10     these rows
#   bench/p2p_bench.sh --draw   table and picture only
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
rate=50
rows=docs/p2p.tsv table=docs/p2p.md picture=docs/p2p.png
wanted=("$@")
[ ${#wanted[@]} -gt 0 ] || wanted=(1 4 10 40)
[ "${wanted[0]}" != --draw ] || wanted=()

measure() {  # HOSTS
  local hosts=$1 p2p copy own
  read -r p2p own < <(bench/p2p_once.py "$hosts" p2p $rate)
  read -r copy _ < <(bench/p2p_once.py "$hosts" copy $rate)
  [ -n "$p2p" ] && [ -n "$copy" ]
  touch "$rows"
  sed -i "/^$hosts\t/d" "$rows"
  printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$hosts" "$copy" "$p2p" "$own" "$(git rev-parse --short=10 HEAD)" "$(date -u +%Y-%m-%d)" >>"$rows"
  sort -n -o "$rows" "$rows"
  printf '%s hosts: copied %s s, peer to peer %s s, the step itself %s s\n' "$hosts" "$copy" "$p2p" "$own" >&2
}

write_table() {
  cat <<TEXT
# One package for many hosts

By \`bench/p2p_bench.sh\` on $(nproc) cores ($(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)), Linux $(uname -r).
Test hosts in network namespaces, each limited to $rate Mbit/s each way; a package of 20 MB, by the step \`deploy\` with the
real ssh, Ansible, aria2 and tracker. Seconds until the last host has it verified and unpacked. The step itself: a
repeat of it, which finds the package there. All hosts share the cores, so the step itself grows with their number.

| hosts | copied from one host | peer to peer | the step itself | revision | date |
| ---: | ---: | ---: | ---: | --- | --- |
TEXT
  awk -F'\t' '{printf "| %s | %s s | %s s | %s s | %s | %s |\n", $1, $2, $3, $4, $5, $6}' "$rows"
  printf '\n![Seconds until the last host has the package, by number of hosts](p2p.png)\n'
}

draw() {
  gnuplot <<TEXT
set terminal pngcairo size 900,480 font "sans,11"
set output "$picture"
set title "20 MB to every host, $rate Mbit/s a host"
set xlabel "hosts"; set ylabel "seconds until the last host has it"
set key left top; set grid; set yrange [0:*]; set xrange [0:*]
plot "$rows" using 1:2 with linespoints lw 2 pt 7 title "copied from one host", \
     "$rows" using 1:3 with linespoints lw 2 pt 7 title "peer to peer", \
     "$rows" using 1:4 with linespoints lw 1 dt 2 pt 6 title "the step itself"
TEXT
}

for hosts in "${wanted[@]}"; do measure "$hosts"; done
write_table >"$table"
draw
cat "$table"
