#!/usr/bin/env python3
"""The dead man's switch outside of the hosts: a schedule for each instance, which `up` makes and `down`
takes away. EventBridge Scheduler is emulated, and stricter than the emulation (schedule_case.py)."""

import datetime
import json
import os
import pathlib
import sys
import types
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import aws_case  # noqa: E402
import schedules  # noqa: E402
from aws_case import Case  # noqa: E402

ROLE = "arn:aws:iam::123456789012:role/baiwan/ends-hosts"


class Schedules(Case):
    def setUp(self):
        super().setUp()
        self.scheduler = self.emulation.client("scheduler")

    def names(self):
        return {s["Name"] for s in self.scheduler.list_schedules()["Schedules"]}

    def expected(self, run):
        return {f"baiwan.{run.name}.{i['InstanceId']}" for i in self.instances(run).values()}

    def nothing_refused(self):
        super().nothing_refused()
        self.assertEqual(self.emulation.schedules.refused, [])

    def test_each_instance_is_ended_after_its_deadline_and_its_schedule_with_it(self):
        run = self.run_of("s", 2, scheduler_role=ROLE)
        before = datetime.datetime.now(datetime.timezone.utc)
        run.must("up")
        self.assertEqual(self.names(), self.expected(run))
        control = self.instances(run)["control"]["InstanceId"]
        found = self.scheduler.get_schedule(Name=f"baiwan.{run.name}.{control}")
        target = found["Target"]
        self.assertEqual((json.loads(target["Input"]), target["RoleArn"]), ({"InstanceIds": [control]}, ROLE))
        self.assertEqual(found["ActionAfterCompletion"], "DELETE")
        at = datetime.datetime.strptime(found["ScheduleExpression"] + "+0000", "at(%Y-%m-%dT%H:%M:%S)%z")
        late = (at - before).total_seconds() - run.request["deadline_s"]
        self.assertTrue(60 < late < 240, "soon after the host's own switches")
        self.emulation.schedules.actions.clear()
        run.must("up")
        self.assertEqual(set(self.emulation.schedules.actions), {"ListSchedules"}, "they are there")
        self.nothing_refused()

    def test_an_instance_that_is_not_at_once_listed_has_one_too(self):
        run = self.run_of("s", 2, scheduler_role=ROLE)
        self.emulation.rules.late = {"w-0": 1}
        run.must("up")
        self.assertEqual(self.emulation.rules.late, {"w-0": 0})
        self.assertEqual(self.names(), self.expected(run))
        self.emulation.schedules.actions.clear()
        self.emulation.rules.late = {"w-1": 2}  # for the one that starts what is missing, and the next
        self.assertEqual(run.must("up")["missing"], [])
        self.assertNotIn("DeleteSchedule", self.emulation.schedules.actions)
        self.nothing_refused()

    def test_a_new_life_has_one_and_a_former_has_none(self):
        run = self.run_of("s", 2, scheduler_role=ROLE)
        run.must("up")
        lost = self.instances(run)["w-1"]["InstanceId"]
        self.ec2.terminate_instances(InstanceIds=[lost])
        run.must("up")
        self.assertEqual(self.names(), self.expected(run))
        self.assertNotIn(f"baiwan.{run.name}.{lost}", self.names())
        self.nothing_refused()

    def test_down_removes_those_of_its_run_only(self):
        run = self.run_of("s", 1, scheduler_role=ROLE)
        run.must("up")
        other = f"baiwan.{run.name}-b.i-00000000000000000"
        target = {"Arn": "arn:aws:scheduler:::aws-sdk:ec2:terminateInstances", "RoleArn": ROLE, "Input": "{}"}
        self.scheduler.create_schedule(Name=other, ScheduleExpression="at(2999-01-01T00:00:00)",
                                       Target=target, FlexibleTimeWindow={"Mode": "OFF"})  # fmt: skip
        self.addCleanup(self.scheduler.delete_schedule, Name=other)
        names = self.expected(run)
        removed = run.must("down")["removed"]
        self.assertEqual({r for r in removed if r.startswith("schedule ")}, {f"schedule {n}" for n in names})
        self.assertEqual(self.names(), {other})
        self.nothing_refused()

    def test_a_boto3_that_knows_no_end_of_schedules_makes_them_too(self):
        import botocore.loaders  # noqa: PLC0415: a machine without it skips

        run = self.run_of("s", 1, scheduler_role=ROLE)
        model = botocore.loaders.Loader().load_service_model("scheduler", "service-2")
        del model["shapes"]["CreateScheduleInput"]["members"]["ActionAfterCompletion"]
        folder = pathlib.Path(run.folder, "models", "scheduler", model["metadata"]["apiVersion"])
        folder.mkdir(parents=True)
        (folder / "service-2.json").write_text(json.dumps(model))
        environment = {**run.environment(), "AWS_DATA_PATH": str(folder.parent.parent)}
        run.environment = lambda: environment
        self.emulation.schedules.then = None
        run.must("up")
        self.assertEqual(self.names(), self.expected(run))
        run.must("down")
        self.assertEqual(self.names(), set())

    def test_without_a_role_nothing_is_asked(self):
        run = self.run_of("s", 1)
        run.must("up")
        run.must("down")
        self.assertEqual(self.emulation.schedules.actions, [])

    def test_a_missing_right_is_told_and_a_wrong_role_refused(self):
        run = self.run_of("s", 1, scheduler_role=ROLE)
        self.emulation.schedules.denied = {"CreateSchedule", "ListSchedules"}
        (missing,) = run.must("check")["missing"]
        self.assertEqual(missing["what"], "the right to scheduler:ListSchedules")
        self.emulation.schedules.denied = {"CreateSchedule"}
        code, answer, _ = run.call("up")
        self.assertEqual((code, answer["command"]), (1, "scheduler CreateSchedule"))
        self.emulation.schedules.denied = set()
        run.must("up")  # goes on where it ended
        self.assertEqual(self.names(), self.expected(run))
        run.request["options"]["scheduler_role"] = "ends-hosts"
        code, answer, _ = run.call("up")
        self.assertEqual(code, 2)
        self.assertIn("scheduler_role", answer["error"])


class Ends(unittest.TestCase):
    def test_what_is_left_counts_from_the_request_not_from_an_earlier_launch(self):
        calls = []
        cloud = types.SimpleNamespace(
            knows=lambda *_: True, call=lambda *names, **words: calls.append(words)
        )  # fmt: skip
        now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
        request = types.SimpleNamespace(
            run="r", deadline_s=600, options=types.SimpleNamespace(scheduler_role=ROLE)
        )  # fmt: skip
        launched = now - datetime.timedelta(seconds=3000)  # with 3600, as it was then
        schedules._make(cloud, request, "fleet", "name", {"InstanceId": "i-1", "LaunchTime": launched})
        at = datetime.datetime.strptime(calls[0]["ScheduleExpression"] + "+0000", "at(%Y-%m-%dT%H:%M:%S)%z")
        self.assertGreaterEqual(at, now + datetime.timedelta(seconds=600 + schedules.AFTER_S))


if __name__ == "__main__":
    sys.exit(aws_case.main())
