#!/usr/bin/env python3
"""What goes wrong on the way: hosts that die, are cut off, stand still or are slow, a controller that is
gone, a deadline that passes. The journey names it, and ends: verified, or failed with the reason."""

import os
import select
import signal
import subprocess
import sys
import time

from journey_test import BEGIN_S, JOURNEY_S, JourneyCase, fleet_case, until

# The board shows the hosts some seconds after they began: they must be far from their end then.
ROUNDS = 80


class FailuresCase(JourneyCase):
    def load_clients(self, journey, host):
        client = (host, "pgrep", "-f", "^/opt/baiwan/bin/baiwan drive")
        return until(lambda: journey.inside(*client).split() or None, BEGIN_S, "a load client")

    @staticmethod
    def said(operator, text, limit_s):
        """What the operator was told, until this was among it."""
        told = b""
        end = time.monotonic() + limit_s
        while text.encode() not in told:
            readable, _, _ = select.select([operator.stderr], [], [], max(0, end - time.monotonic()))
            part = os.read(operator.stderr.fileno(), 65536) if readable else b""
            if not part:
                raise AssertionError(f"not within {limit_s} s: {text}, only: {told.decode(errors='replace')}")
            told += part
        return told.decode(errors="replace")


class HostsFailTest(FailuresCase):
    def test_a_host_that_dies_in_deploy_is_named_and_the_run_verified(self):
        journey = self.journey("e")
        operator = journey.start("test", "--run", journey.name, "--hosts", "3", "--users-per-host", "50")
        until(lambda: journey.reached("deploy"), BEGIN_S, "deploying")
        os.kill(journey.host("worker-001")["pid"], signal.SIGKILL)
        out, err = operator.communicate(timeout=JOURNEY_S)
        self.assert_verified(journey, operator.returncode, out, err, 3 * 50 * 30 * 5)
        self.assertIn("worker-001", err)

    def test_a_cut_and_a_host_that_stands_still_are_outlived_and_named(self):
        journey = self.journey("g")
        operator = self.begin(
            journey, "--hosts", "3", "--users-per-host", "400", "--rounds", str(ROUNDS),
            change={"concurrency = 200": "concurrency = 10"},
        )  # fmt: skip
        # A host that has not answered yet is given longer than this test waits.
        before = self.said(operator, " of 1200 users", BEGIN_S)
        load = self.load_clients(journey, "worker-002")
        journey.inside("worker-002", "kill", "-STOP", *load)
        router = ["nsenter", f"--net=/run/netns/bw.{journey.name}._router", "nft"]
        cut = (
            "table bridge cut {\n chain c {\n  type filter hook forward priority 0\n"
            "  ip saddr 10.0.2.20 ip daddr 10.0.2.21 drop\n }\n}\n"
        )
        subprocess.run([*router, "-f", "-"], input=cut, text=True, check=True, timeout=10)
        # The operator's own connection stands still as well, and is made again.
        follower = journey.inside("control", "pgrep", "-f", "^/opt/baiwan/bin/baiwan fleet follow")
        journey.inside("control", "kill", "-STOP", *follower.split())
        time.sleep(18)
        subprocess.run([*router, "delete table bridge cut"], check=True, timeout=10)
        said = self.said(operator, "worker-002 does not answer", 120)
        journey.inside("worker-002", "kill", "-CONT", *load)
        out, err = operator.communicate(timeout=JOURNEY_S)
        said = f"{before}{said}{err}"
        self.assert_verified(journey, operator.returncode, out, said, 3 * 400 * 30 * 5 * ROUNDS)

    def test_a_worker_that_is_cut_off_for_a_minute_plays_on_and_the_report_says_so(self):
        journey = self.journey("m")
        operator = self.begin(journey, "--hosts", "2", "--users-per-host", "300", "--rounds", "20")
        until(lambda: journey.reached("run"), BEGIN_S, "users play")
        # The run lasts as long as this one does not go on.
        halted = self.load_clients(journey, "worker-001")
        journey.inside("worker-001", "kill", "-STOP", *halted)
        self.load_clients(journey, "worker-000")
        router = ["nsenter", f"--net=/run/netns/bw.{journey.name}._router", "nft"]
        cut = (
            "table inet cut {\n chain c {\n  type filter hook forward priority -10\n"
            "  ip saddr 10.0.1.11 ip daddr 10.0.2.20 drop\n  ip saddr 10.0.2.20 ip daddr 10.0.1.11 drop\n }\n}\n"
        )
        subprocess.run([*router, "-f", "-"], input=cut, text=True, check=True, timeout=10)
        said = self.said(operator, "worker-000: cut off during run", 60)
        time.sleep(55)  # longer than three attempts took
        subprocess.run([*router, "delete table inet cut"], check=True, timeout=10)
        said += self.said(operator, "; reached again", 90)
        journey.inside("worker-001", "kill", "-CONT", *halted)
        out, err = operator.communicate(timeout=JOURNEY_S)
        self.assert_verified(journey, operator.returncode, out, said + err, 2 * 300 * 30 * 5 * 20)
        (event,) = (e for e in journey.result()["timeline"] if e["kind"] == "host")
        self.assertEqual(event["who"], "worker-000")
        self.assertGreater(event["until_ms"] - event["at_ms"], 50_000)
        self.assertIn("; reached again", event["what"])

    def test_a_slow_host_is_named_and_waited_for(self):
        journey = self.journey("h")
        operator = self.begin(
            journey, "--hosts", "3", "--users-per-host", "400", "--rounds", str(ROUNDS),
            change={"concurrency = 200": "concurrency = 10"},
        )  # fmt: skip
        until(lambda: journey.reached("run"), BEGIN_S, "users play")
        load = " ".join(self.load_clients(journey, "worker-002"))
        # Until it is told, however many beats that takes; not for ever if it is not.
        script = (
            f"for i in $(seq 300); do kill -STOP {load}; sleep 0.6; kill -CONT {load}; sleep 0.1; "
            "[ ! -e /tmp/told ] || break; done"
        )
        slow = subprocess.Popen([*journey.host("worker-002")["exec"], "sh", "-c", script])
        said = self.said(operator, "worker-002 is slow: ", BEGIN_S)
        journey.inside("worker-002", "touch", "/tmp/told")
        slow.wait(timeout=60)
        out, err = operator.communicate(timeout=JOURNEY_S)
        self.assert_verified(journey, operator.returncode, out, said + err, 3 * 400 * 30 * 5 * ROUNDS)

    def test_roles_on_hosts_of_their_own_outlive_those_that_die_in_import_and_run(self):
        journey = self.journey("i")
        operator = self.begin(
            journey, "--hosts", "4", "--users-per-host", "150", "--rounds", "60",
            change={
                'layout = "cell"': 'layout = "role"', "gateway = 0": "gateway = 1", "logic = 0": "logic = 2",
                "relay = 0": "relay = 1",
            },
        )  # fmt: skip
        until(lambda: True if journey.state("up") == {"done"} else None, BEGIN_S, "hosts are up")
        logic = journey.host("worker-001")["pid"]
        until(lambda: journey.reached("import"), BEGIN_S, "importing")
        os.kill(logic, signal.SIGKILL)
        until(lambda: journey.reached("run"), BEGIN_S, "users play")
        os.kill(journey.host("worker-000")["pid"], signal.SIGKILL)  # the gateways', which plays no users
        out, err = operator.communicate(timeout=JOURNEY_S)
        self.assert_verified(journey, operator.returncode, out, err, 2 * 150 * 30 * 5 * 60)
        self.assertIn("worker-001: import failed (attempt 1 of 3)", err)
        self.assertIn("worker-000: up failed (attempt 1 of 3): the host is ended", err)
        happened = journey.result()["timeline"]
        lost = [e for e in happened if e["kind"] == "host" and "lost: the host is ended; made again" in e["what"]]
        self.assertEqual([e["who"] for e in lost], ["worker-001", "worker-000"], happened)
        steps = [e["who"] for e in happened if e["kind"] == "step"]
        self.assertEqual(steps[:3], ["plan", "package", "up"], happened)


class ControllerFailsTest(FailuresCase):
    def stop_controller(self, journey):
        """It may be at work, and ends that first: longer than the seven seconds that `sv` waits."""
        stop = ("sv", "-w", "25", "force-stop", "baiwan-fleet")
        self.assertIn("ok: down", journey.inside("control", *stop))

    def test_operator_controller_and_a_worker_killed_in_mid_run(self):
        journey = self.journey("b")
        operator = journey.start(
            "test", "--run", journey.name, "--hosts", "4", "--users-per-host", "300", "--rounds", "60"
        )
        until(lambda: journey.reached("run"), BEGIN_S, "users play")
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

    def test_hosts_end_themselves_when_their_controller_does_and_not_before(self):
        journey = self.journey("j")
        operator = self.begin(
            journey, "--hosts", "2", "--users-per-host", "300", "--rounds", "60",
            change={'silence = "10m"': 'silence = "30s"'},
        )  # fmt: skip
        until(lambda: journey.reached("run"), BEGIN_S, "users play")
        for worker in ("worker-000", "worker-001"):  # for as long as it takes
            journey.inside(worker, "kill", "-STOP", *self.load_clients(journey, worker))
        os.killpg(operator.pid, signal.SIGKILL)
        operator.communicate()

        def states():
            return {h["state"] for h in journey.provider("describe")["hosts"]}

        time.sleep(45)  # of which they would not live longer than 40 without the controller's beats
        self.assertEqual(states(), {"running"})
        self.stop_controller(journey)
        until(lambda: True if states() == {"ended"} else None, 120, "all hosts have ended")
        code, out, err = journey.call("resume", journey.name)
        self.assertEqual(code, 2, f"{out}{err}")
        self.assertIn("it is ended (hosts end themselves 30s after the last sign of a controller)", err)
        self.assertEqual(fleet_case.trace_of(journey.name), [])

    def test_a_deadline_that_passes_in_mid_run_ends_it(self):
        journey = self.journey("k")
        operator = self.begin(journey, "--hosts", "2", "--users-per-host", "50",
                              change={"rate = 0": "rate = 50"}, until_step="start")  # fmt: skip
        out, err = operator.communicate(timeout=JOURNEY_S)
        self.assertEqual(operator.returncode, 0, f"{out}{err}")
        self.stop_controller(journey)
        near = "import json, sys, time; p = '/var/lib/baiwan/fleet/journey.json'; j = json.load(open(p)); " \
               "j['deadline_ms'] = int(time.time() * 1000) + 15000; json.dump(j, open(p, 'w'))"  # fmt: skip
        journey.inside("control", "python3", "-c", near)
        code, out, err = journey.call("resume", journey.name)
        self.assertEqual(code, 2, f"{out}{err}")
        self.assertIn("the deadline passed during run", err)
        self.assertEqual(fleet_case.trace_of(journey.name), [])
        result = journey.result()  # made by the operator: nobody else was left to
        self.assertIn("the deadline passed during run", result["problems"][0])
        self.assertTrue((journey.folder / "report" / "report.html").is_file())

    def test_a_controller_that_stays_away_is_started_again_by_who_follows(self):
        journey = self.journey("l")
        operator = self.begin(journey, "--hosts", "2", "--users-per-host", "50")
        until(lambda: journey.reached("deploy"), BEGIN_S, "deploying")
        self.stop_controller(journey)
        out, err = operator.communicate(timeout=JOURNEY_S)
        self.assert_verified(journey, operator.returncode, out, err, 2 * 50 * 30 * 5)
        self.assertIn("no controller works on it", err)


if __name__ == "__main__":
    sys.exit(fleet_case.main())
