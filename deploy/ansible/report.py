"""What the caller is told: JSON lines, and for each host exactly one that says how it ended."""

import json
import sys

MAX_LOG_TAIL = 4096


def tail_of(path):
    try:
        with open(path, "rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - MAX_LOG_TAIL))
            return file.read().decode(errors="ignore")
    except OSError:
        return ""


class Report:
    def __init__(self, names):
        self._waiting = dict.fromkeys(names)
        self._failed = False

    def relay(self, line):
        """A line of the callback plugin; what else comes is none of the caller's business."""
        try:
            event = json.loads(line)
            host, kind = event["host"], event["event"]
        except (ValueError, TypeError, KeyError):
            return
        if host not in self._waiting:
            return
        if kind in ("done", "failed"):
            del self._waiting[host]
            self._failed |= kind == "failed"
        self._tell(event)

    def progress_of_all(self, text):
        for host in self._waiting:
            self._tell({"host": host, "event": "progress", "text": text})

    def fail_the_rest(self, why, command, log_tail):
        for host in list(self._waiting):
            del self._waiting[host]
            self._failed = True
            self._tell({"host": host, "event": "failed", "text": "", "why": why, "command": command,
                        "log_tail": log_tail})  # fmt: skip

    def all_done(self):
        return not self._waiting and not self._failed

    @staticmethod
    def _tell(event):
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()
