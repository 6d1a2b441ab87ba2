# What every step's script on a host begins with. Sent before it, see plugins/action/baiwan_script.py,
# which also sets FOLDER, LIMIT (seconds for this script) and what else the task gives.
#
# Standard output carries what the step tells, a word, a tab and a text a line; everything else goes
# to standard error, whose end is the log of a failure.
set -u -o pipefail
umask 022
exec 3>&1 1>&2
SECONDS=0
MARKS=$FOLDER/.steps  # what has been done here; the steps' own
WANTS_PACKAGE=75      # exit code: the package has to come by ssh

tell() { printf '%s\t%s\n' "$1" "$(tr '\n\t' '  ' <<<"$2")" >&3; }
progress() { tell progress "$*"; }
failed() {  # WHY [COMMAND [LOG…]]
  local log
  tell why "$1"
  [ -z "${2:-}" ] || tell command "$2"
  shift $(($# < 2 ? $# : 2))
  for log in "$@"; do
    [ -s "$log" ] || continue
    echo "== $log"
    tail -c 2000 "$log"
  done
  exit 1
}
must() { "$@" || failed "$1 failed on this host" "$*"; }

nap() { read -r -t "$1" _ <>"$MARKS/nothing" || true; }  # no process for it
digest() { printf '%s\0' "$@" | sha256sum | cut -d ' ' -f 1; }

# The process whose end means that nobody waits for this script any more: the session's sshd.
find_caller() {
  local pid=$PPID name
  while [ "$pid" -gt 1 ]; do
    read -r name <"/proc/$pid/comm" || break
    [[ $name != sshd* ]] || break
    pid=$(sed -n 's/^PPid:\t//p' "/proc/$pid/status")
  done
  CALLER=$pid
}
waited_for() { [ "$CALLER" -le 1 ] || [ -d "/proc/$CALLER" ]; }

# Runs a command while somebody waits for it and LIMIT is not over; 124: it was ended.
attended() {
  local pid code
  setsid "$@" 9>&- &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    if ! waited_for || [ "$SECONDS" -ge "$LIMIT" ]; then
      kill -TERM -- "-$pid"
      nap 2
      kill -KILL -- "-$pid" 2>/dev/null
      wait "$pid"
      return 124
    fi
    nap 0.2
  done
  wait "$pid"
  code=$?
  return "$code"
}

# One step at a time changes a host: a repeat waits for the end of what was cut short.
lock() {
  mkdir -p /run/lock
  exec 9>/run/lock/baiwan-step
  flock -w "$LIMIT" 9 || failed "an earlier step still works on this host after $LIMIT s" flock
}
unlock() { exec 9>&-; }

mkdir -p "$MARKS" || failed "$FOLDER cannot be made" "mkdir $MARKS"
[ -p "$MARKS/nothing" ] || { rm -f "$MARKS/nothing" && mkfifo "$MARKS/nothing"; }
find_caller

# ---------------------------------------------------------------- services

INIT=runit
[ ! -d /run/systemd/system ] || INIT=systemd
[ $INIT = systemd ] || [ -d /etc/service ] || failed "this host has neither systemd nor runit"

service_install() {  # NAME; does not start it
  local units=/opt/baiwan/units name=$1 made
  if [ $INIT = systemd ]; then
    must install -m 0644 "$units/$name.service" /etc/systemd/system/
    return
  fi
  made=/etc/sv/$name
  must mkdir -p "$made"
  touch "$made/down"  # a step starts it, not the host's start
  for part in run finish; do
    [ ! -e "$units/$name.$part" ] || must install -m 0755 "$units/$name.$part" "$made/$part"
  done
  if [ -d /run/runit ] && [ ! -e "$made/supervise" ]; then  # it begins anew with the host
    mkdir -p "/run/runit/$name"
    ln -sfn "/run/runit/$name" "$made/supervise"
  fi
  [ -e "/etc/service/$name" ] || must ln -sfn "$made" "/etc/service/$name"
}

# up: it runs, or will again in a moment.
service_is_up() {
  local said
  if [ $INIT = systemd ]; then
    case $(systemctl is-active "$1") in active | activating | reloading) return 0 ;; esac
    return 1
  fi
  said=$(sv status "/etc/service/$1" 2>/dev/null)
  [[ $said == run:* || $said == finish:* || $said == *"want up"* ]]
}
service_up() {
  if [ $INIT = systemd ]; then
    must systemctl start "$1"
    return
  fi
  # runsvdir looks every five seconds for new services.
  until sv up "/etc/service/$1" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$LIMIT" ] || failed "runit does not know the service $1" "sv up $1"
    nap 0.2
  done
}
service_down() {  # NAME SECONDS; then it is killed
  if [ $INIT = systemd ]; then
    systemctl stop "$1" || failed "the service $1 does not stop" "systemctl stop $1"
    return
  fi
  [ -e "/etc/service/$1" ] && sv status "/etc/service/$1" >/dev/null 2>&1 || return 0
  ! sv -w "$2" stop "/etc/service/$1" >/dev/null || return 0
  progress "$1 does not stop within $2 s: it is killed"
  sv kill "/etc/service/$1"
  sv -w 10 check "/etc/service/$1" || failed "the service $1 does not stop" "sv kill $1"
}
# LOG of a service: the process that its supervisor has given up since the last start, or nothing.
given_up() {
  awk '/^-- starts/ {name = ""} / is given up: / {sub(/ is given up: .*/, ""); name = $NF} END {print name}' "$1" 2>/dev/null
}
