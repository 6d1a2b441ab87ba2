"""Progress lines, and waiting with a limit."""

import contextlib
import json
import sys
import threading
import time

from errors import ProviderError

_LOCK = threading.Lock()


def event(name, host="", text=""):
    """One line of progress; a reader that has gone away must not stop the work."""
    line = json.dumps({"event": name, "host": host, "text": text})
    with _LOCK, contextlib.suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def wait_until(condition, limit_s, what, pause_s=1.0):
    """Asks until the answer is true, and returns it."""
    end = time.monotonic() + limit_s
    pause = min(0.1, pause_s)
    while not (answer := condition()):
        if time.monotonic() > end:
            raise ProviderError(f"{what}: not after {limit_s} s", command="wait")
        time.sleep(pause)
        pause = min(pause * 2, pause_s)
    return answer
