#!/usr/bin/env python3
"""The whole journey with test hosts, as an operator has it: from nothing to a verified run and back."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "providers" / "netns"))
import fleet_case  # noqa: E402

BINARY = os.environ["BAIWAN_BINARY"]
STEPS = "plan package up deploy import start run stop verify collect report down".split()
JOURNEY_S = 360
BEGIN_S = 240  # until a step is reached, or what begins with it, on a busy machine
LOOK_S = 0.1


def until(condition, limit_s, what):
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if (found := condition()) is not None:
            return found
        time.sleep(LOOK_S)
    raise AssertionError(f"not within {limit_s} s: {what}")


class Journey:
    """A run in a folder of its own."""

    def __init__(self, name):
        self.name = fleet_case.MINE + name
        self.runs = tempfile.mkdtemp(prefix="baiwan-journey-", dir="/var/tmp")
        self.folder = pathlib.Path(self.runs) / self.name
        self.started = []

    def command(self, *words):
        return [BINARY, "fleet", *words, "--runs", self.runs]

    def environment(self):
        """What is known of runs stays in this one's folder."""
        return {**os.environ, "XDG_STATE_HOME": f"{self.runs}/state"}

    def start(self, *words):
        process = subprocess.Popen(
            self.command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True, env=self.environment(),
        )  # fmt: skip
        self.started.append(process)
        return process

    def call(self, *words, limit_s=JOURNEY_S):
        process = self.start(*words)
        try:
            out, err = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            raise AssertionError(f"{words} goes on after {limit_s} s:\n{out}\n{err}") from None
        return process.returncode, out, err

    @staticmethod
    def run_plain(*words):
        done = subprocess.run(
            [BINARY, "fleet", *words], capture_output=True, text=True, timeout=30, check=False
        )
        return done.returncode, done.stdout, done.stderr

    def test(self, *more):
        return self.call("test", "--run", self.name, *more)

    def state(self, step, host=None):
        """Of a step on a host, or on all that have it; None before there is a journey."""
        try:
            journey = json.loads((self.folder / "journey.json").read_text())
        except (OSError, ValueError):
            return None
        hosts = next(s["hosts"] for s in journey["steps"] if s["step"] == step)
        tasks = {t["host"]: t["state"] for t in hosts}
        return tasks.get(host) if host else set(tasks.values())

    def notices(self):
        try:
            return json.loads((self.folder / "journey.json").read_text()).get("notices", [])
        except (OSError, ValueError):
            return []

    def reached(self, step):
        return True if self.state(step) not in (None, {"not begun"}) else None

    def result(self):
        return json.loads((self.folder / "report" / "result.json").read_text())

    def provider(self, command):
        request = {"run": self.name, "state": str(self.folder / "provider")}
        done = subprocess.run(
            [str(HERE / "providers/netns/provider"), command], input=json.dumps(request), text=True,
            capture_output=True, timeout=60, check=True,
        )  # fmt: skip
        return json.loads(done.stdout)

    def host(self, name):
        return next(h for h in self.provider("describe")["hosts"] if h["name"] == name)

    def inside(self, name, *argv):
        enter = self.host(name)["exec"]
        if not enter:  # or it would be done to this machine, and to all hosts of all tests on it
            raise AssertionError(f"{name} does not run: {argv}")
        done = subprocess.run([*enter, *argv], capture_output=True, text=True, timeout=60, check=False)
        return done.stdout.strip()

    def close(self):
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        if self.folder.is_dir() and fleet_case.trace_of(self.name):
            self.call("down", self.name)
        shutil.rmtree(self.runs, ignore_errors=True)


class JourneyCase(unittest.TestCase):
    def journey(self, name):
        journey = Journey(name)
        self.addCleanup(journey.close)
        return journey

    def plan(self, journey, *words, change=None):
        """The file of a plan, some lines of which are changed."""
        path = pathlib.Path(journey.runs) / "plan.toml"
        code, _, err = Journey.run_plain("plan", *words, "--out", str(path))
        self.assertEqual(code, 0, err)
        text = path.read_text()
        for line, other in (change or {}).items():
            self.assertIn(f"\n{line}\n", text)
            text = text.replace(f"\n{line}\n", f"\n{other}\n")
        path.write_text(text)
        return str(path)

    def begin(self, journey, *words, change=None, until_step="down"):
        """The journey of such a plan."""
        plan = self.plan(journey, *words, change=change)
        return journey.start("test", "--run", journey.name, "--plan", plan, "--until", until_step)

    def assert_verified(self, journey, code, out, err, messages):
        self.assertEqual(code, 0, f"{out}\n{err}\n{self.logs(journey)}")
        result = journey.result()
        self.assertEqual(result["messages"]["verified"], messages, result)
        self.assertEqual(result["problems"], [])
        self.assertEqual(fleet_case.trace_of(journey.name), [])

    @staticmethod
    def logs(journey):
        """What the tools said, for whoever reads the failure."""
        text = ""
        for path in sorted((journey.folder / "tools").glob("*.err")) + [journey.folder / "control.log"]:
            if path.is_file() and path.stat().st_size:
                text += f"--- {path.name}\n{path.read_text()[-1500:]}\n"
        return text


class JourneyTest(JourneyCase):
    def test_from_nothing_to_verified_to_nothing(self):
        journey = self.journey("a")
        mounts = fleet_case.mounts()
        operator = journey.start(
            "test", "--run", journey.name, "--hosts", "4", "--users-per-host", "250", "--json"
        )
        until(lambda: journey.reached("deploy"), 90, "deploying")
        _, _, seen = journey.call("attach", journey.name)  # who looks takes nothing from who works
        self.assertIn("verify    done", seen)
        out, err = operator.communicate(timeout=JOURNEY_S)
        self.assert_verified(journey, operator.returncode, out, err, 4 * 250 * 30 * 5)
        self.assertEqual(list((journey.folder / "tools").glob("attach-*")), [])
        events = [json.loads(line) for line in out.splitlines()]
        steps = [e["step"] for e in events if e["event"] == "step"]
        self.assertEqual(steps, STEPS)
        self.assertEqual({e["state"] for e in events if e["event"] == "step"}, {"done"})
        self.assertEqual(events[-1]["outcome"], "verified")
        self.assertEqual(events[-1]["hosts_left"], [])
        self.assertEqual(fleet_case.mounts(), mounts)
        report = journey.folder / "report"
        for name in ("report.html", "series.jsonl", "load.json", "gateway.png"):
            self.assertGreater((report / name).stat().st_size, 0, name)
        for host in ("control", "worker-000", "worker-003"):
            self.assertTrue((journey.folder / "collected" / host / "logs").is_dir(), host)
        # The secret of the run came to nobody's folder.
        secrets = [p for p in journey.folder.rglob("link.secret")]
        self.assertEqual(secrets, [])
        # It is over: nothing is repeated, and nothing begun again.
        code, _, err = journey.call("resume", journey.name)
        self.assertEqual(code, 0, err)

    def test_step_by_step_each_repeated(self):
        journey = self.journey("c")
        code, out, err = journey.test("--hosts", "2", "--users-per-host", "50", "--until", "up")
        self.assertEqual(code, 0, f"{out}{err}")
        began = time.monotonic()
        code, out, err = journey.call("attach", journey.name)
        self.assertEqual(code, 2, f"{out}{err}")
        self.assertIn("not yet the control host's", err)
        self.assertLess(time.monotonic() - began, 60)
        code, out, err = journey.call("list", "--json")
        (listed,) = json.loads(out)
        self.assertEqual((listed["run"], listed["state"], len(listed["hosts_left"])), (journey.name, "at deploy", 3))
        for step in STEPS[3:-1]:
            if step == "import":  # an operator who was cut off before the controller was started again
                journey.inside("control", "sh", "-c", "echo import > /var/lib/baiwan/fleet/until")
            for _ in range(2):
                code, out, err = journey.call(step, journey.name)
                self.assertEqual(code, 0, f"{step}: {out}{err}{self.logs(journey)}")
                self.assertEqual(journey.state(step), {"done"}, step)
        self.assertEqual(journey.state("down"), {"not begun"})
        self.assertTrue((journey.folder / "report" / "report.html").is_file())
        code, out, err = journey.call("down", journey.name)
        self.assertEqual(code, 0, f"{out}{err}")
        self.assertEqual(fleet_case.trace_of(journey.name), [])

    def test_a_plan_that_cannot_be_is_refused_before_anything_is_made(self):
        journey = self.journey("d")
        code, _, err = journey.test("--hosts", "4", "--users-per-host", "250000", "--memory", "300MiB")
        self.assertEqual(code, 2)
        self.assertIn("limits.memory", err)
        self.assertEqual(fleet_case.trace_of(journey.name), [])
        code, _, err = journey.test("--hosts", "4")
        self.assertEqual(code, 2)
        self.assertIn("already", err)

    def test_another_service_goes_the_same_way(self):
        journey = self.journey("f")
        plan = HERE.parent / "docs" / "examples" / "nginx" / "plan.toml"
        code, out, err = journey.test("--plan", str(plan))
        self.assertEqual(code, 0, f"{out}{err}{self.logs(journey)}")
        self.assertEqual(fleet_case.trace_of(journey.name), [])
        report = (journey.folder / "report" / "report.txt").read_text()
        self.assertEqual(report.count("Requests/sec:"), 3, report)
        self.assertIn("Requests/sec:", out)


if __name__ == "__main__":
    sys.exit(fleet_case.main())
