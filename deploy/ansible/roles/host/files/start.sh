# Starts the servers; ends when all of them have said that they serve.
lock
log=$FOLDER/logs/baiwan.log
expected=$(grep -c '^ready = true' "$FOLDER/host.toml")
[ -s "$FOLDER/host.toml" ] || failed "there is no $FOLDER/host.toml: deploy comes first"
rm -f "$MARKS"/verified  # stores change from now on
starts() { grep -c '^-- starts' "$log" 2>/dev/null || true; }
before=$(starts)
service_is_up baiwan || [ ! -s "$log" ] || [ "$(stat -c %s "$log")" -lt $((8 << 20)) ] || { mv -f "$log" "$log.1"; before=0; }
service_is_up baiwan || service_up baiwan

# Of the children since the last start: those that are ready, and those that were given up.
ready() {
  awk '/^-- starts/ {delete ready} match($0, / [^ ]+ is ready /) {split(substr($0, RSTART + 1), w, " "); ready[w[1]] = 1}
       END {n = 0; for (i in ready) ++n; print n}' "$log" 2>/dev/null || echo 0
}
given_up() { awk '/^-- starts/ {name = ""} / is given up: / {sub(/ is given up: .*/, ""); name = $NF} END {print name}' "$log" 2>/dev/null; }
logs() { local name; name=$(given_up); echo "$log"; [ -z "$name" ] || echo "$FOLDER/logs/$name.log"; }

until [ "$(ready)" -ge "$expected" ] && [ -s "$log" ]; do
  why=''
  waited_for || exit 1
  [ -z "$(given_up)" ] || why="$(given_up) does not start"
  [ $(($(starts) - before)) -le 3 ] || why="the service ends again and again"
  [ "$SECONDS" -lt "$LIMIT" ] || why="$(ready) of $expected processes are ready after $LIMIT s"
  service_is_up baiwan || why="the service has ended"
  if [ -n "$why" ]; then
    mapfile -t logs < <(logs)
    service_down baiwan 60
    failed "$why" "${SERVE[*]}" "${logs[@]}"
  fi
  nap 0.2
done
progress "$expected processes are ready"
