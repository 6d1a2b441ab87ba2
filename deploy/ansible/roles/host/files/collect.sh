# Packs what of COLLECT is there.
lock
found=()
for each in "${COLLECT[@]}"; do
  [ ! -e "$FOLDER/$each" ] || found+=("$each")
done
tar -C "$FOLDER" --warning=no-file-changed -czf "$MARKS/collected.tar.gz" -T /dev/null "${found[@]}"
code=$?
[ $code -le 1 ] || failed "the results cannot be packed" tar  # 1: a log grew meanwhile
