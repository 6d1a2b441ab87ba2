#!/usr/bin/env python3
"""What ./dev leaves on the machine when its install does not end well. Nothing is installed: the tools
that it calls are stubs, and the policy that keeps services from starting lies in the test's own folder."""

import os
import pathlib
import signal
import subprocess
import tempfile
import time
import unittest

DEV = pathlib.Path(__file__).resolve().parent.parent / "dev"
TOOLS = {
    "dpkg-query": 'test ! -e "$FOLDER/whole" || echo installed',
    "apt-get": 'grep -c "exit 101" "$BAIWAN_POLICY" > "$FOLDER/$1"; test -e "$FOLDER/quick" || exec sleep 100',
    "sudo": 'exec "$@"',
}


class Install(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.policy = self.folder / "policy-rc.d"
        tools = self.folder / "tools"
        tools.mkdir()
        for name, text in TOOLS.items():
            (tools / name).write_text(f"#!/bin/sh\n{text}\n")
            (tools / name).chmod(0o755)
        self.environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}",
                            "FOLDER": str(self.folder), "BAIWAN_POLICY": str(self.policy)}  # fmt: skip

    def start(self):
        # Under nohup signals would be ignored in all that we start.
        argv = ["env", "--default-signal=HUP,INT,TERM", str(DEV), "setup"]
        process = subprocess.Popen(argv, env=self.environment, start_new_session=True,
                                   stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        self.addCleanup(self.kill, process)
        return process

    @staticmethod
    def kill(process):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        return process.wait(30)

    def setup(self, *marks):
        for mark in marks:
            (self.folder / mark).touch()
        return self.start().wait(30)

    def interrupted(self):
        """A process group in the middle of its `apt-get update`."""
        process = self.start()
        self.wait_for(lambda: (self.folder / "update").exists() and (self.folder / "update").read_text())
        self.assertTrue(self.policy.exists())
        return process

    def wait_for(self, condition):
        end = time.monotonic() + 30
        while not condition():
            self.assertLess(time.monotonic(), end, "did not happen in time")
            time.sleep(0.02)

    def test_services_are_held_back_while_it_installs_and_no_longer(self):
        self.assertEqual(self.setup("quick"), 0)
        for word in ("update", "install"):
            self.assertEqual((self.folder / word).read_text(), "1\n")
        self.assertFalse(self.policy.exists())

    def test_a_signal_leaves_nothing_behind(self):
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            with self.subTest(number.name):
                process = self.interrupted()
                os.killpg(process.pid, number)
                self.assertNotEqual(process.wait(30), 0)
                self.wait_for(lambda: not self.policy.exists())
                (self.folder / "update").unlink()

    def test_what_a_killed_one_left_goes_with_the_next(self):
        self.kill(self.interrupted())
        self.assertTrue(self.policy.exists())
        self.assertEqual(self.setup("whole"), 0)  # also where that has nothing to install
        self.assertFalse(self.policy.exists())

    def test_that_of_one_that_is_at_work_stays(self):
        first = self.interrupted()
        self.assertEqual(self.setup("quick"), 0)
        self.assertTrue(self.policy.exists())
        self.kill(first)

    def test_that_of_somebody_else_stays(self):
        self.policy.write_text("#!/bin/sh\n# Mine.\nexit 101\n")
        self.assertEqual(self.setup("quick"), 0)
        self.assertIn("Mine", self.policy.read_text())


if __name__ == "__main__":
    unittest.main()
