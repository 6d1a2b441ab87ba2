# Checks the stopped stores of this host and packs what it found for the comparison with the others.
[ ${#VERIFY[@]} -gt 0 ] || exit 0
lock
log=$FOLDER/logs/verify.log
! service_is_up baiwan || failed "the servers still run: stop comes first" "sv status baiwan"
key=$(digest "${VERIFY[@]}")
if [ "$(cat "$MARKS/verified" 2>/dev/null)" != "$key" ] || { [ -n "$SHARE" ] && [ ! -s "$FOLDER/$SHARE" ]; }; then
  [ -z "$SHARE" ] || rm -f "${FOLDER:?}/$SHARE"
  attended "${VERIFY[@]}" >"$FOLDER/logs/verify.out" 2>"$log"
  code=$?
  # 1: it found mismatches, and says so in its share.
  [ $code -le 1 ] || failed "verify $([ $code -eq 124 ] && echo "did not end within $LIMIT s" || echo "ended with $code")" \
    "${VERIFY[*]}" "$FOLDER/logs/verify.out" "$log"
  [ -z "$SHARE" ] || [ -s "$FOLDER/$SHARE" ] || failed "verify wrote no $SHARE" "${VERIFY[*]}" "$log"
  echo "$key" >"$MARKS/verified"
fi
[ -z "$SHARE" ] || gzip -3 -c "$FOLDER/$SHARE" >"$MARKS/share.gz" || failed "the share cannot be packed" gzip
