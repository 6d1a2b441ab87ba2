#!/usr/bin/env python3
"""The aws provider when the cloud throttles, fails, refuses or loses answers."""

import json
import os
import random
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import aws_case  # noqa: E402
from aws_case import Case, throttled  # noqa: E402

SEED = int(os.environ.get("BAIWAN_SEED", "20261"))


class Faults(Case):
    def test_throttling_and_faults_of_the_service_are_waited_out(self):
        dice, lock = random.Random(SEED), threading.Lock()

        def fault(action, _):
            with lock:
                chance = dice.random()
            if chance < 0.2:
                return throttled()
            reads = action.startswith(("Describe", "Terminate", "Delete"))
            return ("error", 500, "InternalError", "An internal error") if chance < 0.3 and reads else None

        run = self.run_of("a", 3)
        self.emulation.faults = [fault]
        run.must("up")
        run.must("down")
        self.emulation.faults = []
        self.assertEqual(self.things(run), [])
        self.nothing_refused()

    def test_a_lost_answer_makes_nothing_twice(self):
        lost, lock = set(), threading.Lock()

        def fault(action, _):
            with lock:
                if not action.startswith(("Create", "Run", "Attach", "Associate")) or action in lost:
                    return None
                lost.add(action)
            return ("lose",)

        run = self.run_of("a", 2)
        self.emulation.faults = [fault]
        run.must("up")
        self.emulation.faults = []
        self.assertGreater(len(lost), 6)
        self.assertEqual(len(self.instances(run)), 3)
        self.assertEqual(len(run.must("down")["removed"]), 3 + 8)
        self.assertEqual(self.things(run), [])

    def test_endless_throttling_ends_with_the_call_that_met_it(self):
        run = self.run_of("a", 1)
        self.emulation.faults = [lambda action, _: throttled() if action == "CreateSubnet" else None]
        began = time.monotonic()
        code, answer, _ = run.call("up")
        self.emulation.faults = []
        self.assertEqual((code, answer["command"]), (1, "ec2 CreateSubnet"))
        self.assertIn("after 8 attempts", answer["error"])
        self.assertLess(time.monotonic() - began, 60)
        run.must("down")
        self.assertEqual(self.things(run), [])

    def test_a_refused_host_is_named_and_down_takes_the_rest(self):
        def fault(action, parameters):
            if action == "RunInstances" and "10.0.2.21" in parameters.values():
                return "error", 500, "InsufficientInstanceCapacity", "We have none left."
            return None

        run = self.run_of("a", 3)
        self.emulation.faults = [fault]
        code, answer, _ = run.call("up")
        self.assertEqual((code, answer["host"], answer["command"]), (1, "w-1", "ec2 RunInstances"))
        self.assertIn("InsufficientInstanceCapacity", answer["error"])
        self.emulation.faults = []
        self.assertEqual(run.must("up")["missing"], [])
        run.must("down")
        self.assertEqual(self.things(run), [])
        self.nothing_refused()

    def test_what_is_left_is_an_error_that_names_it(self):
        run = self.run_of("a", 1)
        run.must("up")
        vpc = self.instances(run)["w-0"]["VpcId"]
        stranger = self.ec2.create_security_group(GroupName="x", Description="x", VpcId=vpc)["GroupId"]
        # A shorter patience than the real one, in a process of its own.
        script = (
            "import sys; sys.path.insert(0, sys.argv[1]); import teardown, runpy\n"
            "teardown.RELEASE_LIMIT_S = 2; sys.argv[0:] = ['provider', 'down']\n"
            "runpy.run_path(sys.path[0] + '/provider', run_name='__main__')\n"
        )
        argv = [sys.executable, "-c", script, str(aws_case.PROVIDER.parent)]
        done = subprocess.run(argv, input=json.dumps(run.request), capture_output=True, text=True,
                              env=run.environment(), timeout=60, check=False)  # fmt: skip
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(f"left over: vpc {vpc}", json.loads(done.stdout)["error"])
        self.assertTrue(self.ec2.describe_security_groups(GroupIds=[stranger])["SecurityGroups"])
        self.ec2.delete_security_group(GroupId=stranger)


if __name__ == "__main__":
    sys.exit(aws_case.main())
