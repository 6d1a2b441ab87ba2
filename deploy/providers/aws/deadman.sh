#!/bin/sh
# Ends the host when its time is over, or when the controller has not touched the heartbeat. Run every
# few seconds by a timer. A switched-off host is a terminated instance, by its shutdown behaviour.
read -r end silence < /etc/baiwan/deadman || exit 1
now=$(date +%s)
reason=
[ "$now" -lt "$end" ] || reason="its time is over"
if [ -z "$reason" ] && [ "$silence" -gt 0 ]; then
  # After a start of the host the controller has the whole time again to find it.
  [ -e /run/heartbeat ] || touch /run/heartbeat
  seen=$(stat -c %Y /run/heartbeat 2>/dev/null || echo 0)
  [ $((now - seen)) -le "$silence" ] || reason="no heartbeat"
fi
[ -n "$reason" ] || exit 0
echo "$(date -u +%FT%TZ) the host ends: $reason" >> /var/log/deadman.log
shutdown -h now || poweroff -f
