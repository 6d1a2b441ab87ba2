#!/bin/sh
# The first boot of a host: arms the dead man's switch before anything else, applies and checks the
# kernel settings, brings the packages named as arguments. Lines in `booted` are warnings.
export DEBIAN_FRONTEND=noninteractive
read -r end silence < /etc/baiwan/deadman
touch /run/heartbeat
systemctl daemon-reload
systemctl enable --now baiwan-deadman.timer
# A second switch, should the timer fail: the next whole minute after the deadline.
left=$(((end - $(date +%s) + 119) / 60))
[ "$left" -gt 0 ] || left=1
shutdown -h "+$left"
systemctl try-reload-or-restart ssh

warnings=/var/lib/baiwan/booted.new
mkdir -p /var/lib/baiwan
: > "$warnings"
sysctl -q -p /etc/sysctl.d/90-baiwan.conf
while read -r key _ want; do
  is=$(sysctl -n "$key" 2>/dev/null | tr -s ' \t' '  ')
  [ "$is" = "$want" ] || echo "$key is ${is:-unknown}, wanted $want" >> "$warnings"
done < /etc/sysctl.d/90-baiwan.conf
systemctl daemon-reexec

if [ $# -gt 0 ]; then
  # Its package starts it, for anybody and any torrent; the deployment starts one for its own.
  systemctl mask opentracker.service
  # Hosts without a way out get them through the control host, which may itself just be starting.
  if [ -e /etc/apt/apt.conf.d/90-baiwan-proxy ]; then
    # The cache there reads http only; what it brings is signed.
    find /etc/apt \( -name '*.list' -o -name '*.sources' \) -exec sed -i 's,https://,http://,' {} +
  fi
  try=0
  until timeout 120 apt-get -qq update && timeout 300 apt-get -qq install --no-install-recommends -y "$@"; do
    try=$((try + 1))
    if [ "$try" -ge 20 ]; then
      echo "packages are missing: $*" >> "$warnings"
      break
    fi
    sleep "${BAIWAN_PAUSE:-10}"
  done
fi
mv "$warnings" /var/lib/baiwan/booted
