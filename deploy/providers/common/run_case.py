"""What the tests of every provider share: a run of a control host and workers, and its provider asked as
its callers do, by the standard streams only."""

import json
import os
import subprocess
import unittest


class Run:
    """One run: its request, and a folder of its own with the state folder in it."""

    command_limit_s = 300  # only so that a test ends

    def __init__(self, name, folder, workers, **more):
        self.name, self.folder = name, folder
        hosts = [{"name": "control", "address": "10.0.1.11", "subnet": "control", "outside": True}]
        for i in range(workers):
            address = f"10.0.2.{20 + i}"
            hosts.append({"name": f"w-{i}", "address": address, "subnet": "workers"})
        self.request = {
            "run": name,
            "state": folder + "/state",
            "network": {
                "vpc": "10.0.0.0/16",
                "subnets": {"control": "10.0.1.0/24", "workers": "10.0.2.0/24"},
            },
            "hosts": hosts,
            **more,
        }

    def _start(self, argv, request=None, **more):
        process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more
        )
        process.stdin.write(json.dumps(self.request if request is None else request))
        process.stdin.close()
        process.stdin = None
        return process

    def finish(self, process):
        """(exit code, answer, events); every line of both streams must be JSON."""
        out, err = process.communicate(timeout=self.command_limit_s)
        try:
            return process.returncode, json.loads(out), [json.loads(line) for line in err.splitlines()]
        except ValueError:
            raise AssertionError(f"no JSON: {process.returncode} {out!r} {err!r}") from None

    def start(self, command, request=None, **more):
        """The provider's own way to be asked: a process whose request is written."""
        raise NotImplementedError

    def call(self, command, request=None, **more):
        return self.finish(self.start(command, request, **more))

    def must(self, command, request=None):
        code, answer, events = self.call(command, request)
        if code != 0:
            raise AssertionError(f"{command}: {code} {answer} {events}")
        return answer

    def states(self):
        return {h["name"]: h["state"] for h in self.must("describe")["hosts"]}


def run_tests(cannot):
    """Runs the tests of the calling script, unless `cannot` says why not. 77 is ctest's word for skipped."""
    if cannot:
        print(cannot, flush=True)
        return 1 if os.environ.get("CI") == "true" else 77
    done = unittest.main(exit=False, verbosity=2).result
    return 0 if done.wasSuccessful() and done.testsRun > 0 else 1
