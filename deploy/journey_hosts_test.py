#!/usr/bin/env python3
"""Journeys on hosts that are not as usual: with systemd, with little disk, with another end than verified."""

import sys

from journey_test import BEGIN_S, JOURNEY_S, Journey, JourneyCase, fleet_case, until

LONG = ("--hosts", "2", "--users-per-host", "300", "--rounds", "60")


class JourneyHostsTest(JourneyCase):
    def test_what_failed_has_failed_also_where_the_hosts_are_kept(self):
        journey = self.journey("h")
        change = {"attempts = 3": "attempts = 1", "serve = []": 'serve = ["sleep", "600"]',
                  "verify = []": 'verify = ["false"]'}  # fmt: skip
        plan = self.plan(journey, "--hosts", "1", change=change)
        code, out, err = journey.test("--plan", plan, "--until", "report")
        self.assertEqual(code, 2, f"{out}{err}{self.logs(journey)}")
        self.assertIn("worker-000", err)
        self.assertNotEqual(fleet_case.trace_of(journey.name), [])
        code, out, err = journey.call("down", journey.name)
        self.assertEqual(code, 0, f"{out}{err}")
        self.assertIn("everything is destroyed; the run was not verified: ", err)
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

    @staticmethod
    def warnings(journey):
        """Of this disk: where the machine is busy that is a warning as well."""
        begun = [n for n in journey.notices() if n["kind"] == "disk" and not n["over"]]
        return [n for n in begun if any(h.startswith("worker-001") for h in n["hosts"])]

    def test_a_disk_that_fills_during_the_run_is_told_by_its_host(self):
        journey = self.journey("k")
        up = self.begin(
            journey, *LONG, until_step="up",
            change={"rate = 0": "rate = 200000", 'monitor_interval = "10s"': 'monitor_interval = "1s"'},
        )  # fmt: skip
        out, err = up.communicate(timeout=JOURNEY_S)
        self.assertEqual(up.returncode, 0, f"{out}{err}")
        self.small_disk(journey, "worker-001", "2500m")
        operator = journey.start("resume", journey.name)
        until(lambda: journey.reached("run"), BEGIN_S, "users play")
        # What is left is more than the store wants to keep free, and less than with what is to come.
        journey.inside("worker-001", "fallocate", "-l", "1300M", "/var/lib/baiwan/filled")
        until(lambda: self.warnings(journey) or None, 60, "a warning")
        journey.inside("worker-001", "rm", "/var/lib/baiwan/filled")
        out, err = operator.communicate(timeout=JOURNEY_S)
        self.assert_verified(journey, operator.returncode, out, err, 2 * 300 * 30 * 5 * 60)
        self.assertRegex(err, r"warning: the disk is running out\n  worker-001 [0-9.]+ [GM]iB free, ")
        _, out, _ = Journey.run_plain("status", str(journey.folder / "journey.json"))
        self.assertRegex(out, r" warnings?, [0-9] going on\n")
        self.assertRegex(out, r"\n +[0-9:]{8}  the disk is running out\n +worker-001")
        self.assertEqual(len(self.warnings(journey)), 1, "once")
        result = journey.result()
        said = [w for w in result["warnings"] if "the disk is running out: worker-001" in w]
        self.assertEqual(len(said), 1, result["warnings"])
        self.assertEqual([m["hosts"] for m in result["hosts"]], [3])  # of one machine

    def test_hosts_with_systemd_start_again_whatever_dies_however_often(self):
        if why := fleet_case.cannot_have_systemd():
            self.skipTest(why)
        journey = self.journey("l")
        operator = self.begin(journey, *LONG, change={'init = "runit"': 'init = "systemd"'})
        until(lambda: journey.reached("run"), BEGIN_S, "users play")
        kill = ("systemctl", "kill", "--kill-who=main", "--signal=KILL")
        journey.inside("control", *kill, "baiwan-fleet")
        journey.inside("worker-001", *kill, "baiwan-load")
        # Oftener than systemd lets a service begin again by itself within ten seconds.
        often = f"for n in 1 2 3 4 5 6 7 8; do {' '.join(kill)} baiwan; sleep 1.1; done"

        def began_again():
            # On a busy machine some come while it waits for its next start, and end nothing.
            journey.inside("worker-000", "bash", "-c", often)
            starts = journey.inside("worker-000", "systemctl", "show", "-PNRestarts", "baiwan")
            return True if int(starts) >= 6 else None

        until(began_again, 120, "six starts")
        out, err = operator.communicate(timeout=JOURNEY_S)
        self.assert_verified(journey, operator.returncode, out, err, 2 * 300 * 30 * 5 * 60)


if __name__ == "__main__":
    sys.exit(fleet_case.main())
