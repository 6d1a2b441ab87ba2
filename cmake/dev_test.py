#!/usr/bin/env python3
"""What ./dev leaves on the machine when its install does not end well, and what ./dev plant takes for a
finder. Nothing is installed or built: the tools that it calls are stubs, and the policy that keeps services
from starting lies in the test's own folder."""

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
    # Whether it is quick is settled before it is seen to run: a test may say otherwise of the next from then on.
    "apt-get": """test -e "$FOLDER/quick" && quick=yes
grep -c "exit 101" "$BAIWAN_POLICY" > "$FOLDER/$1"; echo "$1" >> "$FOLDER/calls"
if [ -s "$FOLDER/locked" ]; then
  sed -i 1d "$FOLDER/locked"
  echo "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 4711 (unattended-upgr)" >&2
  exit 100
fi
if [ -e "$FOLDER/broken" ]; then echo "E: Unable to locate package" >&2; exit 100; fi
test -n "$quick" || exec sleep 100""",
    "sudo": 'exec "$@"',
}


def states():
    """State and process group of every process."""
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        yield fields[0], int(fields[2])


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
                            "FOLDER": str(self.folder), "BAIWAN_POLICY": str(self.policy),
                            "BAIWAN_LOCK_WAIT": "30"}  # fmt: skip

    def start(self):
        # Under nohup signals would be ignored in all that we start.
        argv = ["env", "--default-signal=HUP,INT,TERM", str(DEV), "setup"]
        with (self.folder / "errors").open("ab") as errors:
            process = subprocess.Popen(argv, env=self.environment, start_new_session=True,
                                       stdin=subprocess.DEVNULL, stderr=errors)  # fmt: skip
        self.addCleanup(self.kill, process)
        return process

    def kill(self, process):
        """Ends it and all that it started, and waits for that."""
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait(30)
        self.wait_for(lambda: not any(group == process.pid and state not in "ZX" for state, group in states()))

    def errors(self):
        return (self.folder / "errors").read_text()

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
        self.assertEqual(self.setup("quick"), 0, self.errors())
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

    def test_that_of_one_whose_command_line_reads_empty_stays(self):
        # As a process's may for a moment, when it is another's turn.
        reader, writer = os.pipe()
        self.addCleanup(os.close, writer)
        maker = subprocess.Popen([""], executable="/bin/cat", stdin=reader)
        os.close(reader)
        self.addCleanup(maker.wait, 30)
        self.addCleanup(maker.kill)
        self.policy.write_text(f"#!/bin/sh\n# Made by ./dev until its install ends. Process: {maker.pid}\nexit 101\n")
        self.assertEqual(self.setup("quick"), 0)
        self.assertTrue(self.policy.exists())

    def test_that_of_one_whose_number_another_has_now_goes(self):
        first = self.interrupted()
        text = self.policy.read_text()
        self.kill(first)
        number = next(line for line in text.splitlines() if "Process:" in line).split()[-2]
        self.policy.write_text(text.replace(f" {number} ", f" {os.getpid()} "))
        self.assertEqual(self.setup("whole"), 0)
        self.assertFalse(self.policy.exists())

    def test_that_of_one_that_waits_to_be_reaped_goes(self):
        maker = subprocess.Popen(["true"])
        self.addCleanup(maker.wait, 30)
        stat = pathlib.Path(f"/proc/{maker.pid}/stat")
        self.wait_for(lambda: stat.read_text().rpartition(")")[2].split()[0] == "Z")
        self.policy.write_text(f"#!/bin/sh\n# Made by ./dev until its install ends. Process: {maker.pid}\nexit 101\n")
        self.assertEqual(self.setup("whole"), 0)
        self.assertFalse(self.policy.exists())

    def test_who_else_installs_is_waited_for(self):
        (self.folder / "locked").write_text("once\nonce\n")
        self.assertEqual(self.setup("quick"), 0)
        self.assertEqual((self.folder / "calls").read_text().split(), ["update"] * 3 + ["install"])
        self.assertIn("waiting", self.errors())
        self.assertIn("4711", self.errors())
        self.assertFalse(self.policy.exists())

    def test_who_else_installs_for_too_long_is_named(self):
        self.environment["BAIWAN_LOCK_WAIT"] = "1"
        (self.folder / "locked").write_text("again\n" * 100)
        self.assertEqual(self.setup("quick"), 2)
        self.assertIn("held by process 4711", self.errors())
        self.assertIn("try again", self.errors())
        self.assertFalse(self.policy.exists())

    def test_any_other_failure_is_told_at_once(self):
        (self.folder / "broken").touch()
        self.assertNotEqual(self.setup("quick"), 0)
        self.assertEqual((self.folder / "calls").read_text().split(), ["update"])
        self.assertIn("Unable to locate package", self.errors())

    def test_that_of_somebody_else_stays(self):
        self.policy.write_text("#!/bin/sh\n# Mine.\nexit 101\n")
        self.assertEqual(self.setup("quick"), 0)
        self.assertIn("Mine", self.policy.read_text())


# As ctest speaks: with a test that finds "seen", none that sees "unseen", and so on.
CTEST = r"""
begins() { printf '1: [ RUN      ] A.B\n'; }
ends() { printf '12/34 Test  #7: %s .......***%s    0.01 sec\n' "$@"; }
case "${BAIWAN_PLANT:-none} $*" in
  seen*) begins; ends A.B Failed; exit 8 ;;
  aborted*) begins; ends A.B "Exception: SegFault"; exit 8 ;;
  skipped*) ends A.A Skipped; begins; ends A.B Failed; exit 8 ;;
  never-begins*) ends A.B "Exception: SegFault"; exit 8 ;;
  nobody*) echo "No tests were found!!!"; exit 8 ;;
  always*) begins; ends A.Always Failed; exit 8 ;;
  slow*) exit 124 ;;
  "none "*Always*) exit 8 ;;
esac
"""
PLANT_TOOLS = {"dpkg-query": "echo installed", "cmake": "mkdir -p build/planted; touch build/planted/build.ninja",
               "git": "true", "timeout": 'shift; exec "$@"', "ctest": CTEST}  # fmt: skip


class Plant(unittest.TestCase):
    def plant(self, *names):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder)
            (path / "dev").write_text(DEV.read_text())
            (path / "tools").mkdir()
            for name, text in PLANT_TOOLS.items():
                (path / "tools" / name).write_text(f"#!/bin/sh\n{text}\n")
                (path / "tools" / name).chmod(0o755)
            environment = {**os.environ, "PATH": f"{path / 'tools'}:{os.environ['PATH']}"}
            return subprocess.run(["bash", path / "dev", "plant", *names], env=environment, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)  # fmt: skip

    def test_a_test_that_fails_or_aborts_finds_a_mistake(self):
        done = self.plant("seen", "aborted", "skipped")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.count("found by A.B"), 3, done.stdout)

    def test_nothing_else_does(self):
        for name, why in (("unseen", "NOT FOUND"), ("never-begins", "A.B does not begin"),
                          ("nobody", "no test failed"), ("slow", "five minutes"),
                          ("always", "A.Always fails without it")):  # fmt: skip
            with self.subTest(name):
                done = self.plant("seen", name)
                self.assertEqual(done.returncode, 1, done.stdout)
                self.assertIn("NOT FOUND", done.stdout)
                self.assertIn(why, done.stdout)


if __name__ == "__main__":
    unittest.main()
