# Starts the servers; ends when all of them have said that they serve.
lock
log=$FOLDER/logs/baiwan.log
expected=$(grep -c '^ready = true' "$FOLDER/host.toml")
[ -s "$FOLDER/host.toml" ] || failed "there is no $FOLDER/host.toml: deploy comes first"
rm -f "$MARKS"/verified  # stores change from now on
starts() { awk '/^-- starts/ {++n} END {print n + 0}' "$log" 2>/dev/null || echo 0; }
before=$(starts)
if ! service_is_up baiwan; then
  if [ "$(stat -c %s "$log" 2>/dev/null || echo 0)" -gt $((8 << 20)) ]; then
    mv -f "$log" "$log.1"
    before=0
  fi
  service_up baiwan
  # What the log says before that is of another life.
  until [ "$(starts)" -gt "$before" ]; do
    [ "$SECONDS" -lt "$LIMIT" ] || failed "the service has not started after $LIMIT s" "${SERVE[*]}" "$log"
    nap 0.1
  done
fi

# How many children are ready since the last start.
ready() {
  awk '/^-- starts/ {delete ready} match($0, / [^ ]+ is ready /) {split(substr($0, RSTART + 1), w, " "); ready[w[1]] = 1}
       END {n = 0; for (i in ready) ++n; print n}' "$log" 2>/dev/null || echo 0
}

# Another service than ours says nothing of itself: it is asked (READY), or has to stand for a while.
STANDS_S=2
run='' since=0
stands() {
  local now  # the number of its present run, or nothing
  now=$(awk '/^-- starts/ {up = 0} / service started, process / {++n; up = 1}
             / service (exited with code|killed by signal) / {up = 0} END {if (up) print n}' "$log" 2>/dev/null)
  [ "$now" = "$run" ] || since=$SECONDS
  run=$now
  [ -n "$run" ] && [ $((SECONDS - since)) -gt $STANDS_S ]
}
serves() {
  if [ "$expected" -gt 0 ]; then
    [ "$(ready)" -ge "$expected" ]
  elif [ ${#READY[@]} -gt 0 ]; then
    timeout 10 "${READY[@]}" >"$asked" 2>&1 </dev/null
  else
    stands
  fi
}

asked=$FOLDER/logs/ready.log
until serves; do
  why=''
  waited_for || exit 1
  name=$(given_up "$log")
  [ -z "$name" ] || why="$name does not start"
  [ $(($(starts) - before)) -le 3 ] || why="the service ends again and again"
  if [ "$SECONDS" -ge "$LIMIT" ]; then
    why="$(ready) of $expected processes are ready after $LIMIT s"
    [ "$expected" -gt 0 ] || why="the service does not serve after $LIMIT s"
  fi
  service_is_up baiwan || why="the service has ended"
  if [ -n "$why" ]; then
    [ "$SECONDS" -ge "$LIMIT" ] || service_down baiwan 60  # what is merely slow may go on
    failed "$why" "${SERVE[*]}" "$log" ${name:+"$FOLDER/logs/$name.log"} "$asked"
  fi
  nap 0.2
done
if [ "$expected" -gt 0 ]; then progress "$expected processes are ready"; else progress "the service serves"; fi
