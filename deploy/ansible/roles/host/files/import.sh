# Loads this host's stores, once: COMMANDS_0, COMMANDS_1 … are the commands.
lock
for ((i = 0; i < COMMANDS_COUNT; ++i)); do
  declare -n command=COMMANDS_$i
  mark=$MARKS/import-$i
  log=$FOLDER/logs/import-$i.log
  key=$(digest "${command[@]}")
  [ "$(cat "$mark.done" 2>/dev/null)" != "$key" ] || continue
  more=()
  # What was cut short has left some users, who have no messages yet: they begin anew.
  [ "$(cat "$mark.begun" 2>/dev/null)" != "$key" ] || [ "${command[1]:-}" != import ] || more=(--over-existing)
  echo "$key" >"$mark.begun"
  began=$SECONDS
  attended "${command[@]}" "${more[@]}" >"$log" 2>&1
  code=$?
  [ $code -eq 0 ] || failed "import $i $([ $code -eq 124 ] && echo "did not end within $LIMIT s" || echo "ended with $code")" \
    "${command[*]}" "$log"
  echo "$key" >"$mark.done.new" && must mv "$mark.done.new" "$mark.done"
  progress "import $i in $((SECONDS - began)) s"
done
