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
JOURNEY_S = 240
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
        self.name = f"t{os.getpid()}{name}"
        self.runs = tempfile.mkdtemp(prefix="baiwan-journey-", dir="/var/tmp")
        self.folder = pathlib.Path(self.runs) / self.name
        self.started = []

    def command(self, *words):
        return [BINARY, "fleet", *words, "--runs", self.runs]

    def start(self, *words):
        process = subprocess.Popen(
            self.command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
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
        done = subprocess.run(
            [*self.host(name)["exec"], *argv], capture_output=True, text=True, timeout=30, check=False
        )
        return done.stdout.strip()

    def close(self):
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        if self.folder.is_dir() and fleet_case.trace_of(self.name):
            self.call("down", self.name)
        shutil.rmtree(self.runs, ignore_errors=True)


class JourneyTest(unittest.TestCase):
    def journey(self, name):
        journey = Journey(name)
        self.addCleanup(journey.close)
        return journey

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

    def test_from_nothing_to_verified_to_nothing(self):
        journey = self.journey("a")
        mounts = fleet_case.mounts()
        code, out, err = journey.test("--hosts", "4", "--users-per-host", "250", "--json")
        self.assert_verified(journey, code, out, err, 4 * 250 * 30 * 5)
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

    def test_operator_controller_and_a_worker_killed_in_mid_run(self):
        journey = self.journey("b")
        operator = journey.start(
            "test", "--run", journey.name, "--hosts", "4", "--users-per-host", "300", "--rounds", "60"
        )
        until(lambda: journey.reached("run"), 150, "users play")
        time.sleep(2)
        os.killpg(operator.pid, signal.SIGKILL)
        operator.communicate()
        status = journey.inside("control", "sv", "status", "baiwan-fleet")
        self.assertIn("run:", status)
        controller = status.split("(pid ")[1].split(")")[0]
        journey.inside("control", "kill", "-9", controller)
        os.kill(journey.host("worker-002")["pid"], signal.SIGKILL)
        self.assertEqual(journey.state("run", "worker-002"), "under way")
        code, out, err = journey.call("resume", journey.name)
        self.assert_verified(journey, code, out, err, 4 * 300 * 30 * 5 * 60)
        self.assertIn("worker-002", err)  # its failure was told, by name

    def test_step_by_step_each_repeated(self):
        journey = self.journey("c")
        code, out, err = journey.test("--hosts", "2", "--users-per-host", "50", "--until", "up")
        self.assertEqual(code, 0, f"{out}{err}")
        for step in STEPS[3:-1]:
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

    def test_a_host_that_dies_in_deploy_is_named_and_the_run_verified(self):
        journey = self.journey("e")
        operator = journey.start("test", "--run", journey.name, "--hosts", "3", "--users-per-host", "50")
        until(lambda: journey.reached("deploy"), 60, "deploying")
        os.kill(journey.host("worker-001")["pid"], signal.SIGKILL)
        out, err = operator.communicate(timeout=JOURNEY_S)
        self.assert_verified(journey, operator.returncode, out, err, 3 * 50 * 30 * 5)
        self.assertIn("worker-001", err)

    def test_what_failed_has_failed_also_where_the_hosts_are_kept(self):
        journey = self.journey("h")
        plan = pathlib.Path(journey.runs) / "plan.toml"
        code, _, err = Journey.run_plain("plan", "--hosts", "1", "--out", str(plan))
        self.assertEqual(code, 0, err)
        text = plan.read_text().replace("\nattempts = 3\n", "\nattempts = 1\n")
        for key, command in (("serve", ["sleep", "600"]), ("verify", ["false"])):
            text = text.replace(f"\n{key} = []\n", f"\n{key} = {json.dumps(command)}\n")
        plan.write_text(text)
        code, out, err = journey.test("--plan", str(plan), "--until", "report")
        self.assertEqual(code, 2, f"{out}{err}{self.logs(journey)}")
        self.assertIn("worker-000", err)
        self.assertNotEqual(fleet_case.trace_of(journey.name), [])
        self.assertEqual(journey.call("down", journey.name)[0], 2)
        self.assertEqual(fleet_case.trace_of(journey.name), [])

    def small_disk(self, journey, host, size):
        """A disk of its own for the host's folder of the run; hosts share the machine's otherwise."""
        folder = "/var/lib/baiwan"
        journey.inside(host, "sh", "-c", f"mkdir -p {folder} && mount -t tmpfs -o size={size} run {folder}")
        self.assertIn("tmpfs", journey.inside(host, "findmnt", "-no", "FSTYPE", folder))

    def test_a_host_whose_disk_cannot_be_enough_is_named_before_the_load(self):
        journey = self.journey("j")
        code, out, err = journey.test("--hosts", "2", "--users-per-host", "50", "--until", "up")
        self.assertEqual(code, 0, f"{out}{err}")
        self.small_disk(journey, "worker-001", "256m")
        code, out, err = journey.call("resume", journey.name)
        self.assertEqual(code, 2, f"{out}{err}{self.logs(journey)}")
        self.assertRegex(err, r"worker-001: deploy failed \(attempt 1 of 3\): [0-9]+ MiB of disk are free")
        self.assertEqual(err.count("MiB of disk are free"), 2, err)  # when it came, and as the end's reason
        self.assertEqual(journey.state("import"), {"skipped"})
        self.assertEqual(fleet_case.trace_of(journey.name), [])

    def test_a_disk_that_fills_during_the_run_is_told_by_its_host(self):
        journey = self.journey("k")
        plan = pathlib.Path(journey.runs) / "plan.toml"
        code, _, err = Journey.run_plain(
            "plan", "--hosts", "2", "--users-per-host", "300", "--rounds", "60", "--out", str(plan)
        )
        self.assertEqual(code, 0, err)
        text = plan.read_text()
        self.assertIn("\nrate = 0\n", text)
        plan.write_text(text.replace("\nrate = 0\n", "\nrate = 200000\n"))
        code, out, err = journey.test("--plan", str(plan), "--until", "up")
        self.assertEqual(code, 0, f"{out}{err}")
        self.small_disk(journey, "worker-001", "2500m")
        operator = journey.start("resume", journey.name)
        until(lambda: journey.reached("run"), 150, "users play")
        # What is left is more than the store wants to keep free, and less than with what is to come.
        journey.inside("worker-001", "fallocate", "-l", "1300M", "/var/lib/baiwan/filled")
        until(lambda: journey.notices() or None, 20, "a warning")
        journey.inside("worker-001", "rm", "/var/lib/baiwan/filled")
        out, err = operator.communicate(timeout=JOURNEY_S)
        self.assert_verified(journey, operator.returncode, out, err, 2 * 300 * 30 * 5 * 60)
        self.assertRegex(err, r"warning: the disk is running out\n  worker-001 1\.[0-9] GiB free, ")
        _, out, _ = Journey.run_plain("status", str(journey.folder / "journey.json"))
        self.assertRegex(out, r"1 warning, [01] going on\n +[0-9:]{8}  the disk is running out\n +worker-001")
        result = journey.result()
        self.assertIn("the disk is running out: worker-001", result["warnings"][0])
        self.assertEqual([m["hosts"] for m in result["hosts"]], [3])  # of one machine

    def test_a_cut_and_a_host_that_stands_still_are_outlived_and_named(self):
        journey = self.journey("g")
        plan = pathlib.Path(journey.runs) / "plan.toml"
        code, _, err = Journey.run_plain(
            "plan", "--hosts", "3", "--users-per-host", "400", "--rounds", "40", "--out", str(plan)
        )
        self.assertEqual(code, 0, err)
        text = plan.read_text()
        self.assertIn("\nconcurrency = 200\n", text)
        plan.write_text(text.replace("\nconcurrency = 200\n", "\nconcurrency = 10\n"))
        operator = journey.start("test", "--run", journey.name, "--plan", str(plan))
        until(lambda: journey.reached("run"), 150, "users play")
        client = ("worker-002", "pgrep", "-f", "^/opt/baiwan/bin/baiwan drive")
        load = until(lambda: journey.inside(*client).split() or None, 20, "a load client")
        journey.inside("worker-002", "kill", "-STOP", *load)
        router = ["nsenter", f"--net=/run/netns/bw.{journey.name}._router", "nft"]
        cut = (
            "table bridge cut {\n chain c {\n  type filter hook forward priority 0\n"
            "  ip saddr 10.0.2.20 ip daddr 10.0.2.21 drop\n }\n}\n"
        )
        subprocess.run([*router, "-f", "-"], input=cut, text=True, check=True, timeout=10)
        time.sleep(18)
        subprocess.run([*router, "delete table bridge cut"], check=True, timeout=10)
        journey.inside("worker-002", "kill", "-CONT", *load)
        out, err = operator.communicate(timeout=JOURNEY_S)
        self.assert_verified(journey, operator.returncode, out, err, 3 * 400 * 30 * 5 * 40)
        self.assertIn("worker-002 does not answer", err)

    def test_hosts_with_systemd_start_again_whatever_dies_however_often(self):
        journey = self.journey("l")
        plan = pathlib.Path(journey.runs) / "plan.toml"
        code, _, err = Journey.run_plain(
            "plan", "--hosts", "2", "--users-per-host", "300", "--rounds", "60", "--out", str(plan)
        )
        self.assertEqual(code, 0, err)
        text = plan.read_text()
        self.assertIn('\ninit = "runit"\n', text)
        plan.write_text(text.replace('\ninit = "runit"\n', '\ninit = "systemd"\n'))
        operator = journey.start("test", "--run", journey.name, "--plan", str(plan))
        until(lambda: journey.reached("run"), 150, "users play")
        kill = ("systemctl", "kill", "--kill-who=main", "--signal=KILL")
        journey.inside("control", *kill, "baiwan-fleet")
        journey.inside("worker-001", *kill, "baiwan-load")
        # Oftener than systemd lets a service begin again by itself within ten seconds.
        often = f"for n in 1 2 3 4 5 6 7 8; do {' '.join(kill)} baiwan; sleep 1.1; done"
        journey.inside("worker-000", "bash", "-c", often)
        starts = journey.inside("worker-000", "systemctl", "show", "-PNRestarts", "baiwan")
        self.assertGreaterEqual(int(starts), 6)
        out, err = operator.communicate(timeout=JOURNEY_S)
        self.assert_verified(journey, operator.returncode, out, err, 2 * 300 * 30 * 5 * 60)

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
