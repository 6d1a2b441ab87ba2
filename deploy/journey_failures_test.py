#!/usr/bin/env python3
"""What goes wrong on the way: hosts that die, are cut off, stand still or are slow, a controller that is
gone, a deadline that passes. The journey names it, and ends: verified, or failed with the reason."""

import os
import pathlib
import signal
import subprocess
import sys
import time

from journey_test import JOURNEY_S, Journey, JourneyCase, fleet_case, until


class JourneyFailuresTest(JourneyCase):
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

    def test_a_host_that_dies_in_deploy_is_named_and_the_run_verified(self):
        journey = self.journey("e")
        operator = journey.start("test", "--run", journey.name, "--hosts", "3", "--users-per-host", "50")
        until(lambda: journey.reached("deploy"), 60, "deploying")
        os.kill(journey.host("worker-001")["pid"], signal.SIGKILL)
        out, err = operator.communicate(timeout=JOURNEY_S)
        self.assert_verified(journey, operator.returncode, out, err, 3 * 50 * 30 * 5)
        self.assertIn("worker-001", err)

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


if __name__ == "__main__":
    sys.exit(fleet_case.main())
