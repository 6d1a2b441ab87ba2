#!/usr/bin/env python3
"""The boot data of aws hosts, booted in test hosts of the netns provider: keys and logins with a real
sshd, the kernel settings, the packages' way, and that the dead man's switch does end the host.

cloud-init and systemd are not there; boot_case.py stands for what the boot data asks of them.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "common"))
sys.path.append(os.path.join(os.path.dirname(HERE), "netns"))
sys.path.append(os.path.join(os.path.dirname(os.path.dirname(HERE)), "ansible"))

import boot_case  # noqa: E402
import boot_data  # noqa: E402
import fleet_case  # noqa: E402
import request as requests  # noqa: E402
import swarm  # noqa: E402
from fleet_case import wait_for  # noqa: E402
from keys import Keys  # noqa: E402


class Booted(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.run_ = fleet_case.Run("aws", workers=2)
        cls.addClassCleanup(cls.run_.close)
        cls.run_.up()
        folder = tempfile.TemporaryDirectory(prefix="baiwan-aws-")
        cls.addClassCleanup(folder.cleanup)
        cls.keys = Keys(cls.run_.name, folder.name)
        cls.keys.make()
        request = requests.parse({**cls.run_.request, "heartbeat_s": 150})
        cls.end = int(time.time()) + 3600
        for host in request.hosts:
            text = boot_data.build(request, host, "fleet-id", cls.keys, cls.end, "us-east-1")
            boot_case.boot(cls.run_.host(host.name)["exec"], text)

    @classmethod
    def must(cls, host, *argv):
        code, out, error = cls.run_.inside(host, *argv)
        if code != 0:
            raise AssertionError(f"{host}: {argv}: {code} {out} {error}")
        return out

    def test_control_logs_in_by_the_keys_of_the_boot_data_and_knows_each_host(self):
        for name, address in (("w-0", "10.0.2.20"), ("control", "10.0.1.11")):
            wait_for(self, lambda a=address: self.login(a)[0] == 0)
            self.assertEqual(self.login(address)[1], name)
        # A host whose key the run has not signed for that name is not let pass for another.
        self.must("control", "sh", "-c", "echo '10.0.2.20 w-7' >> /etc/hosts")
        code, _, error = self.login("w-7")
        self.assertNotEqual(code, 0)
        self.assertIn("w-7", error)

    def login(self, where):
        return self.run_.inside("control", "ssh", "-oBatchMode=yes", where, "hostname")

    def test_the_boot_arms_both_switches_first_and_waits_for_packages(self):
        calls = self.must("w-0", "cat", "/tmp/calls").splitlines()
        armed = calls.index("systemctl enable --now baiwan-deadman.timer")
        (later,) = [c for c in calls if c.startswith("shutdown -h +")]
        self.assertIn(int(later.split("+")[1]), (60, 61))
        first_packages = min(i for i, c in enumerate(calls) if c.startswith("apt-get"))
        self.assertLess(armed, first_packages)
        self.assertLess(calls.index(later), first_packages)
        self.assertTrue(calls[-1].endswith(" ".join(boot_data.EVERYWHERE)), calls[-1])
        proxy = self.must("w-0", "cat", "/etc/apt/apt.conf.d/90-baiwan-proxy")
        self.assertIn("http://10.0.1.11:3142", proxy)

    def test_control_has_what_the_package_peer_to_peer_needs_and_no_tracker_of_its_own(self):
        calls = self.must("control", "cat", "/tmp/calls").splitlines()
        (*_, packages) = [c.split() for c in calls if c.startswith("apt-get") and " install " in c]
        for tool in swarm.TOOLS:
            self.assertIn({"aria2c": "aria2"}.get(tool, tool), packages)
        first_packages = min(i for i, c in enumerate(calls) if c.startswith("apt-get"))
        self.assertLess(calls.index("systemctl mask opentracker.service"), first_packages)

    def test_the_kernel_settings_hold_and_what_does_not_is_told(self):
        self.assertEqual(self.must("w-0", "cat", "/proc/sys/net/core/somaxconn"), "16384")
        booted = self.must("w-0", "cat", boot_data.BOOTED)
        self.assertNotIn("somaxconn", booted)

    def test_workers_get_no_key_that_opens_another_host(self):
        for path in ("/root/.ssh/id_ed25519", "/etc/baiwan/provider.json", boot_data.SEAT_STATE + "/keys"):
            self.assertNotEqual(self.run_.inside("w-0", "test", "-e", path)[0], 0, path)
            self.assertEqual(self.run_.inside("control", "test", "-e", path)[0], 0, path)
        for path in ("/root/.ssh/id_ed25519", boot_data.SEAT_STATE + "/keys/signer_ed25519"):
            self.assertEqual(self.must("control", "stat", "-c%a", path), "600")

    def test_the_provider_on_control_serves_its_own_run(self):
        pack = ["tar", "-C", os.path.dirname(HERE), "--exclude=__pycache__", "-cf", "-", "aws", "common"]
        packed = subprocess.run(pack, capture_output=True, check=True, timeout=20).stdout
        unpack = "mkdir -p /opt/providers && tar -C /opt/providers -xf -"
        argv = [*self.run_.host("control")["exec"], "sh", "-c", unpack]
        subprocess.run(argv, input=packed, check=True, timeout=20)
        ask = [*self.run_.host("control")["exec"], "/opt/providers/aws/provider", "price"]
        for run, code in ((self.run_.name, 0), ("another", 2)):
            asked = json.dumps({**self.run_.request, "run": run})
            done = subprocess.run(ask, input=asked, capture_output=True, text=True, timeout=30, check=False)
            self.assertEqual(done.returncode, code, done.stdout)

    def touch_in_control(self):
        """From within: between calls from here more time may pass than it has."""
        touch = f"touch {boot_data.HEARTBEAT}"
        script = f"{touch}; echo touched; for n in $(seq 600); do {touch}; sleep 0.3; done"
        process = subprocess.Popen([*self.run_.host("control")["exec"], "sh", "-c", script],
                                   stdout=subprocess.PIPE, text=True)  # fmt: skip
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait, 10)
        self.addCleanup(process.kill)
        self.assertEqual(process.stdout.readline(), "touched\n")

    def test_the_switch_ends_the_host(self):
        """Last by its name. Silence ends w-0, time w-1; control lives while it is touched."""
        for name in ("control", "w-0", "w-1"):
            self.assertEqual(self.must(name, "cat", "/etc/baiwan/deadman"), f"{self.end} 150")
        self.touch_in_control()
        for name in ("control", "w-0"):
            self.must(name, "sh", "-c", f"echo {self.end} 5 > /etc/baiwan/deadman")
        self.must("w-1", "sh", "-c", f"echo {int(time.time()) + 3} 0 > /etc/baiwan/deadman")
        for name in ("w-0", "w-1"):
            wait_for(self, lambda n=name: self.run_.states()[n] == "ended", 60)
        self.assertEqual(self.run_.states(), {"control": "running", "w-0": "ended", "w-1": "ended"})
        disk = os.path.join(self.run_.request["state"], "disk")
        for name, reason in (("w-0", "no heartbeat"), ("w-1", "its time is over")):
            with open(f"{disk}/{name}/root/var/log/deadman.log") as log:
                self.assertIn(reason, log.read())


if __name__ == "__main__":
    sys.exit(fleet_case.main())
