# Package, files and units of the host NAME. PACKAGE is its name, SHA its checksum, VERSION_ARCH and ARCH what the name
# says; TRANSFER is p2p, copy, or here (a path in HERE). Standard input is a tar of what is the host's
# own: files/, secret, package.torrent.
HELD=$FOLDER/.package  # while it is fetched and passed on
SEED_S=60
incoming=$MARKS/incoming.$$  # another deploy may be at work here until the lock is ours
trap 'rm -rf "$incoming"' EXIT
rm -rf "$incoming"
mkdir -m 0700 "$incoming" && tar -x --no-same-owner -C "$incoming" || failed "what was sent did not arrive whole" tar
lock
for left in "$MARKS"/incoming.*; do  # of one that was killed
  [ -d "/proc/${left##*.}" ] || rm -rf "$left"
done

[ "$(uname -m)" = "$ARCH" ] || failed "the package $PACKAGE is for $ARCH, but this host is $(uname -m)" "uname -m"

# ---------------------------------------------------------------- package

root=/opt/baiwan-$VERSION_ARCH
is_right() { [ -f "$1" ] && echo "$SHA  $1" | sha256sum --quiet -c >/dev/null 2>&1; }

end_seeder() {
  local pid
  read -r pid <"$HELD/seeder" 2>/dev/null && kill -KILL -- "-$pid" 2>/dev/null
  rm -rf "$HELD"
}

# Joins the swarm until the package is whole; passes it on for a while after that.
from_peers() {
  local began=$SECONDS sources=peers
  command -v aria2c >/dev/null || { progress "no aria2 here: the package comes by ssh"; return 1; }
  end_seeder
  mkdir -m 0700 "$HELD"
  mv "$incoming/package.torrent" "$HELD/"
  ! grep -aq 8:url-list "$HELD/package.torrent" || sources="peers and a web seed"
  printf '#!/bin/sh\n: >"%s"\n' "$HELD/whole" >"$HELD/on-whole"
  chmod 0700 "$HELD/on-whole"
  # The folder goes when the seeder does.
  setsid bash -c 'echo $$ >"$0/seeder"; timeout --foreground "$1" "${@:2}"; rm -rf "$0"' "$HELD" $((LIMIT + SEED_S)) \
    aria2c --no-conf --dir="$HELD" --torrent-file="$HELD/package.torrent" --quiet --log="$HELD/log" --log-level=notice \
    --file-allocation=none --enable-dht=false --bt-enable-lpd=false --disable-ipv6=true --async-dns=false \
    --interface="$ADDRESS" --listen-port="$PEER_PORT" --bt-tracker-interval=2 --bt-tracker-connect-timeout=5 --bt-tracker-timeout=5 \
    --bt-max-peers=30 --bt-stop-timeout="$JOIN_S" --seed-ratio=0 --seed-time=$((SEED_S / 60)) \
    --on-bt-download-complete="$HELD/on-whole" 9>&- 3>&- </dev/null >/dev/null 2>&1 &
  until [ -e "$HELD/whole" ]; do
    if ! kill -0 $! 2>/dev/null; then
      progress "no peers within $JOIN_S s: the package comes by ssh"
      return 1
    fi
    if ! waited_for || [ "$SECONDS" -ge "$P2P_S" ]; then
      end_seeder
      progress "not whole from peers within $P2P_S s: the package comes by ssh"
      return 1
    fi
    nap 0.1
  done
  is_right "$HELD/$PACKAGE" || failed "the package that came from peers has not the checksum $SHA" sha256sum
  progress "package from $sources in $((SECONDS - began)) s"
}

unpack() {  # FILE
  local fresh=/opt/.baiwan-new
  rm -rf "$fresh" && mkdir "$fresh" || failed "/opt cannot be written" "mkdir $fresh"
  tar -xzf "$1" --no-same-owner -C "$fresh" || failed "the package cannot be unpacked" "tar -xzf $1"
  (cd "$fresh/baiwan-$VERSION_ARCH" && sha256sum --quiet -c SHA256SUMS) ||
    failed "the unpacked package is not what its SHA256SUMS say" "sha256sum -c SHA256SUMS"
  echo "$SHA" >"$fresh/baiwan-$VERSION_ARCH/.package"
  rm -rf "$root.old"
  [ ! -e "$root" ] || must mv -T "$root" "$root.old"
  must mv -T "$fresh/baiwan-$VERSION_ARCH" "$root"
  rm -rf "$fresh" "$root.old"
}

# Whoever made this the control host has unpacked the package before, and this step runs from there.
is_unpacked() {
  [ -f "$root/SHA256SUMS" ] && tar -xzOf "$HERE" "baiwan-$VERSION_ARCH/SHA256SUMS" | cmp -s - "$root/SHA256SUMS" &&
    (cd "$root" && sha256sum --quiet -c SHA256SUMS)
}

if [ "$(cat "$root/.package" 2>/dev/null)" != "$SHA" ]; then
  case $TRANSFER in
    here) is_right "$HERE" || failed "$HERE has not the checksum $SHA" sha256sum
      if is_unpacked; then echo "$SHA" >"$root/.package"; else unpack "$HERE"; fi ;;
    p2p) from_peers || exit "$WANTS_PACKAGE"; unpack "$HELD/$PACKAGE" ;;
    copy) [ -f "$FOLDER/$PACKAGE" ] || exit "$WANTS_PACKAGE"
      is_right "$FOLDER/$PACKAGE" || { rm -f "$FOLDER/$PACKAGE"; failed "the package that came by ssh has not the checksum $SHA" sha256sum; }
      unpack "$FOLDER/$PACKAGE" && rm -f "$FOLDER/$PACKAGE"
      progress "package by ssh" ;;
  esac
fi
if [ "$(readlink /opt/baiwan)" != "$root" ]; then
  ln -sfn "$root" /opt/.baiwan-link && must mv -T /opt/.baiwan-link /opt/baiwan
fi

# ---------------------------------------------------------------- files and units

# Other load is another run.
[ ! -e "$incoming/files/load.toml" ] || cmp -s "$incoming/files/load.toml" "$FOLDER/load.toml" || rm -f "$FOLDER/load.ended"
for each in "${FOLDERS[@]}"; do must mkdir -p "$FOLDER/$each"; done
while IFS= read -r -d '' each; do
  mkdir -p "$(dirname "$FOLDER/$each")"
  must mv -fT "$incoming/files/$each" "$FOLDER/$each"
done < <(cd "$incoming/files" && find . -type f -print0)
must mv -fT "$incoming/secret" "$FOLDER/link.secret"

service_install baiwan
service_install baiwan-load
[ $INIT != systemd ] || must systemctl daemon-reload

# ---------------------------------------------------------------- kernel settings, which the provider applied

check_kernel() {
  local key want now
  while IFS='=' read -r key want; do
    key=$(tr -d ' ' <<<"$key")
    [ -n "$key" ] && [[ $key != [#\;]* ]] || continue
    want=$(xargs <<<"$want")
    now=$(tr '\t' ' ' <"/proc/sys/${key//.//}" 2>/dev/null) || now=unknown
    [ "$now" != "$want" ] || continue
    [[ $now =~ ^[0-9]{1,18}$ && $want =~ ^[0-9]{1,18}$ && $now -ge $want ]] && continue
    progress "$key is $now, wanted $want"
  done </opt/baiwan/units/kernel.conf
}
check_kernel

# ---------------------------------------------------------------- how the host is, while nothing of the run is on it

open_files() {  # that a process of the services may have
  local most
  if [ $INIT = systemd ]; then
    most=$(systemctl show baiwan --property LimitNOFILE --value)
  else
    most=$(awk '/^Max open files/ {print $5}' /proc/1/limits)
  fi
  [[ $most =~ ^[0-9]{1,12}$ ]] || most=$(cat /proc/sys/fs/nr_open)
  echo "$most"
}
tell_facts() {
  local facts
  ! service_is_up baiwan && ! compgen -G "$MARKS/import-*.begun" >/dev/null || return 0
  facts=$(/opt/baiwan/bin/baiwan fleet facts --host "$NAME" --folder "$FOLDER" --open-files "$(open_files)") ||
    failed "the program does not run on this host" "baiwan fleet facts"
  tell facts "$facts"
}
tell_facts
