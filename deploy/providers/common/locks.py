"""The lock of a folder, waited for no longer than a limit."""

import fcntl
import time

from errors import ProviderError

_PAUSE_S = 0.05


def take(fd, path, limit_s):
    """Until the descriptor of `path` is closed, by whoever holds it last."""
    end = time.monotonic() + limit_s
    while True:
        try:
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise ProviderError(f"another command has held {path} for {limit_s} s") from None
        time.sleep(_PAUSE_S)
