"""What becomes of a step, a JSON line an event on standard output: see ../../README.md."""

import json
import sys

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
    name: baiwan_steps
    type: stdout
    short_description: JSON lines for whoever called the step
    description: One line for each thing that a host has done, is done with, or failed in.
"""

# What ssh says of a connection that it could not make, other than of one that ended.
_NEVER_THERE = ("connect to host", "kex_exchange_identification", "banner exchange", "Permission denied",
                "Host key verification failed")  # fmt: skip
_SSH_PREFIX = "Failed to connect to the host via ssh: "


def last_line(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "the connection ended"


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "baiwan_steps"

    def _tell(self, host, event, text, **more):
        line = {"host": host, "event": event, "text": text, **more}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()

    def _progress(self, result):
        for text in result._result.get("progress", []):
            self._tell(result._host.get_name(), "progress", text)
        for text in result._result.get("facts", []):
            self._tell(result._host.get_name(), "facts", text)

    def v2_runner_on_ok(self, result):
        self._progress(result)
        if result._result.get("last"):
            self._tell(result._host.get_name(), "done", "")

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._progress(result)
        got = result._result
        why = str(got.get("msg", "failed without a reason"))
        self._fail(result, why, got.get("command", ""), got.get("log_tail", ""))

    def v2_runner_on_unreachable(self, result):
        text = str(result._result.get("msg", ""))
        cause = last_line(text.partition("reached over ssh:")[2] or text.removeprefix(_SSH_PREFIX))
        cut = "no way" if any(word in text for word in _NEVER_THERE) else "lost"
        self._fail(result, f"cannot be reached over ssh: {cause}", "ssh", text[-1000:], cut=cut)

    def _fail(self, result, why, command, log_tail, **more):
        task = result._task.get_name().removeprefix("host : ")
        self._tell(result._host.get_name(), "failed", task, why=why, command=command, log_tail=log_tail, **more)
