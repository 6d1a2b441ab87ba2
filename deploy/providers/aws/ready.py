"""Says when hosts are ready: logs in to each until its boot is done, from a host of the run. It is sent
there over ssh, so it stands alone and takes its request from the line that is put behind it.

Writes a JSON line a host: {"host", "warnings": [text]}. Touches the heartbeats meanwhile, since no
controller does so yet.
"""

import concurrent.futures
import json
import subprocess
import sys
import time

AT_A_TIME = 8
LOGIN_LIMIT_S = 20
PAUSE_S = 2
TOUCH_S = 20  # how often for hosts that are ready
LOOK = "touch /run/heartbeat; cat /var/lib/baiwan/booted"


def ask(login):
    """The lines of warning, or None while it boots."""
    try:
        done = subprocess.run(
            [*login, LOOK], capture_output=True, text=True, timeout=LOGIN_LIMIT_S, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None
    return done.stdout.splitlines() if done.returncode == 0 else None


def run(request):
    """`request`: {"logins": {host: argv}, "waiting": [host], "limit_s"}. Returns the exit code."""
    logins, waiting = request["logins"], set(request["waiting"])
    touched = {name: 0.0 for name in logins}
    end = time.monotonic() + request["limit_s"]
    with concurrent.futures.ThreadPoolExecutor(max_workers=AT_A_TIME) as pool:
        while waiting:
            now = time.monotonic()
            names = [n for n in sorted(logins) if n in waiting or now - touched[n] > TOUCH_S]
            for name, answer in zip(names, pool.map(ask, [logins[n] for n in names])):
                touched[name] = now
                if name in waiting and answer is not None:
                    waiting.remove(name)
                    print(json.dumps({"host": name, "warnings": answer}), flush=True)
            if waiting and time.monotonic() > end:
                return 1
            if waiting:
                time.sleep(PAUSE_S)
    return 0
