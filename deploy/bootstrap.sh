#!/bin/sh
# Makes a bare host the control host of a run: unpacks the package, and starts the controller as a
# service that is started again when it dies. May be repeated.
#
#   usage: bootstrap.sh HOME      (with package/, plan.toml, handed-over.json and until.new in it)
set -eu
[ $# -eq 1 ] || { sed -n 's/^#   usage: /usage: /p' "$0" >&2; exit 2; }
home=$1
cd "$home/package"
sha256sum --check --quiet ./*.tar.gz.sha256
archive=$(ls ./*.tar.gz)
name=$(basename "$archive" .tar.gz)
basename "$archive" >"$home/package.name"

if [ ! -e "/opt/$name/.whole" ]; then
  rm -rf "/opt/$name"
  mkdir -p /opt
  tar -xzf "$archive" --no-same-owner -C /opt
  (cd "/opt/$name" && sha256sum --check --quiet SHA256SUMS)
  touch "/opt/$name/.whole"
fi
# One rename, so that there is always one to be found.
ln -sfn "/opt/$name" /opt/.baiwan.new
mv -T /opt/.baiwan.new /opt/baiwan

# A controller that is at work, with nothing new to do, is left alone. Should this end before it is
# started again, it finds the new word by itself as soon as it has nothing to do.
again=yes
if cmp -s "$home/until" "$home/until.new"; then again=no; fi
mv "$home/until.new" "$home/until"

units=/opt/baiwan/units
if [ -d /run/systemd/system ]; then
  install -m 0644 "$units/baiwan-fleet.service" /etc/systemd/system/
  systemctl daemon-reload
  if [ $again = yes ]; then systemctl stop baiwan-fleet.service; fi
  systemctl start baiwan-fleet.service
else
  install -D -m 0755 "$units/baiwan-fleet.run" /etc/sv/baiwan-fleet/run
  install -D -m 0755 "$units/baiwan-fleet.finish" /etc/sv/baiwan-fleet/finish
  ln -sfn /etc/sv/baiwan-fleet /etc/service/baiwan-fleet
  if [ $again = yes ]; then what=restart; else what=up; fi
  n=0
  until sv -w 20 $what baiwan-fleet >/dev/null 2>&1; do
    n=$((n + 1))
    [ $n -lt 100 ] || { echo "the controller's service does not start" >&2; exit 1; }
    sleep 0.1
  done
fi
