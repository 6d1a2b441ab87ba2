#!/usr/bin/env python3
"""The aws provider when the cloud throttles, fails, refuses or loses answers."""

import os
import random
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

    def test_a_while_without_a_connection_is_waited_out(self):
        run = self.run_of("a", 2)
        went = []

        def fault(action, given):
            """Before a create without a client token, and before one with it."""
            looks = action in ("DescribeVpcs", "DescribeRouteTables") and "tag:baiwan:role" in given.values()
            if looks and action not in went:
                went.append(action)
                run.away.touch()
                threading.Timer(1, run.away.unlink).start()

        self.emulation.each_anew, self.emulation.faults = True, [fault]
        self.assertEqual(run.must("up")["missing"], [])
        self.assertEqual(len(went), 2)
        self.emulation.each_anew, self.emulation.faults = False, []
        made = [a for a in self.emulation.actions if a.startswith("Create")]
        self.assertEqual((made.count("CreateVpc"), made.count("CreateRouteTable")), (1, 2))
        run.must("down")
        self.assertEqual(self.things(run), [])
        self.nothing_refused()

    def test_nobody_there_is_an_error_after_all_attempts(self):
        run = self.run_of("a", 1)
        run.away.touch()
        code, answer, _ = run.call("up")
        run.away.unlink()
        self.assertEqual(code, 1)
        self.assertIn("Could not connect", answer["error"])
        self.assertIn("after 8 attempts", answer["error"])

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

    def test_a_host_that_does_not_get_ready_is_named(self):
        run = self.run_of("a", 2)
        run.late.write_text("root@10.0.2.21\n")
        patience = {"hosts.ROUND_S": 2, "hosts.READY_LIMIT_S": 6}
        code, answer, events = run.call("up", changed=patience)
        self.assertEqual((code, answer["host"], answer["command"]), (1, "w-1", "boot"))
        self.assertIn("not ready after 6 s (1 of 3 hosts)", answer["error"])
        self.assertEqual({e["host"] for e in events if e["event"] == "ready"}, {"control", "w-0"})
        run.late.unlink()
        self.assertEqual(run.must("up")["started"], [])

    def test_a_host_that_ends_while_it_boots_is_named(self):
        run = self.run_of("a", 2)
        run.late.write_text("root@10.0.2.20\n")
        process = run.start("up", changed={"hosts.ROUND_S": 2})
        while '"ready"' not in process.stderr.readline():
            self.assertIsNone(process.poll())
        self.ec2.terminate_instances(InstanceIds=[self.instances(run)["w-0"]["InstanceId"]])
        code, answer, _ = run.finish(process)
        self.assertEqual((code, answer["host"]), (1, "w-0"))
        self.assertIn("ended while it started", answer["error"])

    def test_what_is_left_is_an_error_that_names_it(self):
        run = self.run_of("a", 1)
        run.must("up")
        vpc = self.instances(run)["w-0"]["VpcId"]
        stranger = self.ec2.create_security_group(GroupName="x", Description="x", VpcId=vpc)["GroupId"]
        code, answer, _ = run.call("down", changed={"teardown.RELEASE_LIMIT_S": 2})
        self.assertEqual(code, 1)
        self.assertIn(f"left over: vpc {vpc}", answer["error"])
        self.assertTrue(self.ec2.describe_security_groups(GroupIds=[stranger])["SecurityGroups"])
        self.ec2.delete_security_group(GroupId=stranger)


if __name__ == "__main__":
    sys.exit(aws_case.main())
