#!/usr/bin/env python3
"""The provider asked on the control host: what a service there sees, and what becomes of the agent."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import fleet_case  # noqa: E402
from fleet_case import Run, trace_of, wait_for  # noqa: E402


def tearDownModule():
    if left := trace_of(fleet_case.MINE):
        raise AssertionError(f"left over: {left}")


class AskedFromControl(unittest.TestCase):
    """The provider as a service on the control host calls it, by the run's agent."""

    @classmethod
    def setUpClass(cls):
        cls.run_ = Run("h", workers=2)
        cls.addClassCleanup(cls.run_.close)
        cls.run_.up()
        cls.run_.bring_provider_to("control")

    def ask(self, command, request=None):
        return self.run_.call_inside("control", command, request)

    def pid_of(self, host):
        return next(h for h in self.run_.must("describe")["hosts"] if h["name"] == host)["pid"]

    def state_of(self, host):
        code, answer, _ = self.ask("describe")
        self.assertEqual(code, 0, answer)
        return next(h["state"] for h in answer["hosts"] if h["name"] == host)

    def test_a_killed_worker_is_seen_and_started_again_with_its_disk(self):
        self.run_.inside("control", "ssh", "w-1", "echo kept > /opt/kept")
        os.kill(self.pid_of("w-1"), signal.SIGKILL)
        wait_for(self, lambda: self.state_of("w-1") == "ended")
        code, answer, events = self.ask("up")
        self.assertEqual((code, answer["started"], answer["disks_kept"]), (0, ["w-1"], ["w-1"]))
        self.assertIn({"event": "ready", "host": "w-1", "text": "sshd answers"}, events)
        self.assertEqual(self.run_.inside("control", "ssh", "w-1", "cat /opt/kept"), (0, "kept", ""))
        self.assertEqual(self.state_of("w-1"), "running")

    def test_the_answer_holds_on_control(self):
        _, answer, _ = self.ask("describe")
        self.assertEqual(answer["missing"], [])
        for host in answer["hosts"]:
            for way in ("ssh", "exec"):
                name = self.run_.inside("control", *host[way], "hostname")
                self.assertEqual(name, (0, host["name"], ""))
        on_machine = self.run_.must("describe")
        self.assertEqual(answer["control"], on_machine["control"])
        for name, mode in (("ssh_key", "600"), ("known_hosts", "600")):
            self.assertEqual(answer[name], answer["control"][name])
            self.assertEqual(self.run_.inside("control", "stat", "-c%a", answer[name])[1], mode)
        self.assertNotIn(self.run_.folder, json.dumps(answer))

    def test_only_this_run_can_be_asked_for(self):
        other = {**self.run_.request, "run": "another"}
        for command in ("up", "describe", "down", "price", "check"):
            code, answer, _ = self.ask(command, other)
            self.assertEqual(code, 2, command)
            self.assertIn(self.run_.name, answer["error"])
        self.assertEqual(self.ask("destroy")[0], 2)
        self.assertEqual(self.ask("up", {**self.run_.request, "extra": "x"})[0], 2)
        code, answer, _ = self.ask("price", {**self.run_.request, "extra": "x" * (1 << 20)})
        self.assertEqual(code, 2)
        self.assertIn("1048576", answer["error"])
        self.assertTrue(self.ask("check", {})[1]["ok"])
        self.assertEqual(set(self.run_.states().values()), {"running"})

    def test_the_socket_is_for_roots_of_control_only(self):
        stat_of = ["stat", "-c%a %U %F"]
        self.assertEqual(self.run_.inside("control", *stat_of, "/run/baiwan")[1], "700 root directory")
        socket = self.run_.inside("control", *stat_of, "/run/baiwan/provider.sock")[1]
        self.assertEqual(socket, "600 root socket")
        self.assertNotEqual(self.run_.inside("w-0", "test", "-e", "/run/baiwan")[0], 0)
        self.assertFalse(os.path.exists("/run/baiwan/provider.sock"))

    def test_a_killed_agent_comes_back_with_the_next_look(self):
        for command in ("describe", "up"):
            (agent,) = fleet_case.agents_of(self.run_.name)
            os.kill(agent, signal.SIGKILL)
            self.run_.must(command)
            (fresh,) = fleet_case.agents_of(self.run_.name)
            self.assertNotEqual(agent, fresh)
            self.assertEqual(self.state_of("w-0"), "running")

    def test_a_new_life_of_control_can_ask_too(self):
        os.kill(self.pid_of("control"), signal.SIGKILL)
        wait_for(self, lambda: self.run_.states()["control"] == "ended")
        self.run_.up()
        self.assertEqual(self.state_of("w-0"), "running")
        self.assertEqual(len(fleet_case.agents_of(self.run_.name)), 1)

    def test_a_command_outlives_its_caller(self):
        os.kill(self.pid_of("w-0"), signal.SIGKILL)
        wait_for(self, lambda: self.state_of("w-0") == "ended")
        caller = self.run_.start_inside("control", "up")
        self.assertIn('"hosts"', caller.stderr.readline())
        os.killpg(caller.pid, signal.SIGKILL)  # what runs inside is a child of it
        caller.communicate(timeout=60)
        wait_for(self, lambda: self.state_of("w-0") == "running", 60)

    def test_a_host_that_comes_later_is_known_to_control(self):
        later = {"name": "w-9", "address": "10.0.2.99", "subnet": "workers"}
        self.run_.request["hosts"].append(later)
        code, answer, _ = self.ask("up")
        self.assertEqual((code, answer["started"]), (0, ["w-9"]), answer)
        self.assertEqual(self.run_.inside("control", "ssh", "10.0.2.99", "hostname"), (0, "w-9", ""))
        # The agent itself makes its files for root alone; a host has users who are not root.
        script = "stat -c %a / /etc /etc/hosts /opt /home /root; setpriv --reuid=nobody cat /etc/hostname"
        said = self.run_.inside("control", "ssh", "10.0.2.99", script)
        self.assertEqual(said, (0, "755\n755\n644\n755\n755\n700\nw-9", ""))

    def test_too_many_at_a_time_are_refused(self):
        with open(f"/run/lock/baiwan-netns.{self.run_.name}", "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            callers = [self.run_.start_inside("control", "up") for _ in range(6)]
            # The four that were taken wait for the lock, the others have their answer.
            wait_for(self, lambda: sum(c.poll() is not None for c in callers) == 2)
        codes = []
        for caller in callers:
            code, answer, _ = self.run_.finish(caller)
            codes.append(code)
            self.assertTrue(code == 0 or "too many" in answer["error"], answer)
        self.assertEqual(sorted(codes), [0, 0, 0, 0, 1, 1])


    def test_callers_that_say_nothing_are_sent_away_in_time(self):
        script = (
            "import socket,time\nl=[socket.socket(socket.AF_UNIX) for _ in range(16)]\n"
            "[s.connect('/run/baiwan/provider.sock') for s in l]\nprint('ready',flush=True)\n"
            "time.sleep(60)\n"
        )
        argv = [*self.run_.host("control")["exec"], "/usr/bin/python3", "-c", script]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True) as idle:
            self.addCleanup(lambda: idle.poll() is None and os.killpg(idle.pid, signal.SIGKILL))
            self.assertEqual(idle.stdout.readline(), "ready\n")
            wait_for(self, lambda: self.ask("describe")[0] == 1)
            wait_for(self, lambda: self.ask("describe")[0] == 0, 60)
            self.assertIsNone(idle.poll())
            os.killpg(idle.pid, signal.SIGKILL)


class DownFromControl(unittest.TestCase):
    def test_it_takes_the_caller_and_the_agent_with_it_and_no_other_run(self):
        runs = [Run("i", workers=1), Run("j", workers=1)]
        for run in runs:
            self.addCleanup(run.close)
            run.up()
            run.bring_provider_to("control")
            self.assertEqual(len(fleet_case.agents_of(run.name)), 1)
        self.assertEqual(runs[0].call_inside("control", "describe", runs[1].request)[0], 2)
        # One more command waits for its turn meanwhile: it must not bring the run back.
        callers = [runs[0].start_inside("control", command) for command in ("down", "up")]
        for caller in callers:
            caller.communicate(timeout=120)
        self.assertNotEqual(callers[0].returncode, 0)
        wait_for(self, lambda: not trace_of(runs[0].name), 60)
        time.sleep(1)
        self.assertEqual(trace_of(runs[0].name), [])
        self.assertFalse(os.listdir(runs[0].request["state"]))
        code, answer, _ = runs[1].call_inside("control", "describe")
        self.assertEqual((code, answer["missing"]), (0, []))


if __name__ == "__main__":
    sys.exit(fleet_case.main())
