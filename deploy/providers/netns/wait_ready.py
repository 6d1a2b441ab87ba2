"""Says when hosts answer: reads {"name": "address"} from standard input and writes each name as a
line once its sshd has sent its greeting.

usage: wait_ready.py TIMEOUT_S        (in a namespace that reaches the hosts)
"""

import json
import selectors
import socket
import sys
import time

PORT = 22
PAUSE_S = 0.1
GREETING_TIMEOUT_S = 3


def ask(targets, until):
    """One look at all of them at once. Returns the names that answered."""
    waiting, good = selectors.DefaultSelector(), []
    for name, address in targets.items():
        link = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        link.setblocking(False)
        link.connect_ex((address, PORT))
        waiting.register(link, selectors.EVENT_READ, name)
    end = min(until, time.monotonic() + GREETING_TIMEOUT_S)
    while waiting.get_map() and time.monotonic() < end:
        for key, _ in waiting.select(max(0, end - time.monotonic())):
            try:
                if key.fileobj.recv(64).startswith(b"SSH-"):
                    good.append(key.data)
            except OSError:
                pass  # refused: not yet
            waiting.unregister(key.fileobj)
            key.fileobj.close()
    for key in list(waiting.get_map().values()):
        key.fileobj.close()
    waiting.close()
    return good


def main():
    targets = json.load(sys.stdin)
    end = time.monotonic() + float(sys.argv[1])
    while targets and time.monotonic() < end:
        for name in ask(targets, end):
            del targets[name]
            print(name, flush=True)
        time.sleep(PAUSE_S)
    return 1 if targets else 0


if __name__ == "__main__":
    sys.exit(main())
