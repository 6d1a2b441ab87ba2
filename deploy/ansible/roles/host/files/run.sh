# Starts the load clients, unless they have ended well, and waits for their end.
[ ${#LOAD[@]} -gt 0 ] || exit 0
ended=$FOLDER/load.ended
log=$FOLDER/logs/baiwan-load.log
judge() {
  local code name logs=("$log")
  read -r code <"$ended"
  [ "$code" != 0 ] || exit 0
  service_down baiwan-load 60
  name=$(given_up "$log")
  [ -z "$name" ] || logs+=("$FOLDER/logs/$name.log")
  failed "the load clients ended with $code" "${LOAD[*]}" "${logs[@]}"
}
lock
if [ "$(cat "$ended" 2>/dev/null)" = 0 ]; then
  progress "the load clients had ended already"
  exit 0
fi
if ! service_is_up baiwan-load; then
  rm -f "$ended"
  service_up baiwan-load
elif [ -e "$ended" ]; then  # failed once while nobody looked, and was started anew
  rm -f "$ended"
fi
unlock
for ((look = 0; ; ++look)); do
  [ ! -e "$ended" ] || judge
  waited_for || exit 1
  [ "$SECONDS" -lt "$LIMIT" ] || failed "the load clients have not ended after $LIMIT s" "${LOAD[*]}" "$log"
  if [ $((look % 10)) -eq 9 ] && ! service_is_up baiwan-load; then
    nap 0.5
    [ ! -e "$ended" ] || judge
    failed "the load clients are not there any more" "${LOAD[*]}" "$log"
  fi
  nap 0.5
done
