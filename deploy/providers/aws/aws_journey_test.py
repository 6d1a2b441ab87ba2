#!/usr/bin/env python3
"""The whole journey with the aws provider, as an operator has it. EC2 is emulated; hosts that one can log
in to stand in for its instances (stand_in_case.py), so that ssh, Ansible, the controller, the provider on
the control host and the hosts' own switches are the real ones.

All of it goes on in a network namespace that has nothing but loopback: an address of the emulation's, which
is somebody else's in the world, cannot be reached by any mistake.
"""

import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.append(str(HERE.parent / "netns"))
sys.path.append(str(HERE.parent.parent))

import aws_case  # noqa: E402
import fleet_case  # noqa: E402
import stand_in_case  # noqa: E402
from aws_case import OPERATOR, things_of  # noqa: E402
from journey_test import BEGIN_S, STEPS, Journey, until  # noqa: E402

PROFILE, BUCKET = "controller", "payload-of-the-journey"
ROLE = "arn:aws:iam::123456789012:role/ends-hosts"
MESSAGES = 2 * 100 * 30 * 5
SILENCE_S = 60  # the controller has to begin within it, on a busy machine too
_APART = "BAIWAN_TEST_APART"


class AwsJourney(Journey):
    """With a plan of its own, changed where `changes` says so."""

    def __init__(self, emulation, name, **changes):
        super().__init__(name)
        self.emulation = emulation
        plan = pathlib.Path(self.runs) / "plan.toml"
        code, _, err = Journey.run_plain(
            "plan", "--provider", "aws", "--hosts", "2", "--users-per-host", "100", "--run", self.name,
            "--architecture", "x86_64", "--out", str(plan),
        )  # fmt: skip
        if code != 0:
            raise AssertionError(err)
        text = plan.read_text()
        (subnets,) = re.findall(r"^subnets = (\[.*\])$", text, re.MULTILINE)
        subnets = {f"subnet-{n}": s for n, s in enumerate(json.loads(subnets), 1)}
        network = {"vpc": "10.0.0.0/16", "subnets": subnets}
        self.stand_ins = stand_in_case.StandIns(emulation, self.name, network)
        files = min(65536, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        for key, value in {
            "region": "us-east-1", "operator_cidr": OPERATOR, "endpoint_url": emulation.url,
            "ssh_config": os.path.relpath(self.stand_ins.ssh_config, self.runs), "open_files": files,
            **changes,
        }.items():  # fmt: skip
            text, count = re.subn(rf"^{key} = .*$", f"{key} = {json.dumps(value)}", text, flags=re.MULTILINE)
            if count != 1:
                raise AssertionError(f"{count} lines of {key} in the plan")
        plan.write_text(text)
        self.plan = str(plan)

    def test(self, *more):
        return self.call("test", "--plan", self.plan, *more)

    def provider(self, command):
        request = {"run": self.name, "state": str(self.folder / "provider")}
        done = subprocess.run([str(aws_case.PROVIDER), command], input=json.dumps(request), text=True,
                              capture_output=True, timeout=60, check=True)  # fmt: skip
        return json.loads(done.stdout)

    def instances(self):
        """{(host, life): instance}, also those that have ended."""
        tag = [{"Name": "tag:baiwan:run", "Values": [self.name]}]
        found = {}
        for reservation in self.emulation.rules.ec2.describe_instances(Filters=tag)["Reservations"]:
            for instance in reservation["Instances"]:
                tags = aws_case.tags_of(instance)
                found[tags["baiwan:host"], tags["baiwan:generation"]] = instance
        return found

    def logs(self):
        """What the tools said, for whoever reads the failure."""
        text = f"stand-ins: {self.stand_ins.failure}\n"
        for path in sorted((self.folder / "tools").glob("*.err")) + [self.folder / "control.log"]:
            if path.is_file() and path.stat().st_size:
                text += f"--- {path.name}\n{path.read_text()[-3000:]}\n"
        return text

    def close(self):
        try:
            if self.folder.is_dir() and things_of(self.emulation, self.name):
                self.call("down", self.name)
        finally:
            self.stand_ins.close()
            super().close()


class AwsJourneyTest(aws_case.Case):
    def setUp(self):
        super().setUp()
        iam = self.emulation.client("iam")
        if not iam.list_instance_profiles()["InstanceProfiles"]:
            iam.create_instance_profile(InstanceProfileName=PROFILE)
        self.s3 = self.emulation.client("s3")
        self.s3.create_bucket(Bucket=BUCKET)

    def journey(self, name, **changes):
        journey = AwsJourney(self.emulation, name, **changes)
        self.addCleanup(journey.close)
        return journey

    def test_from_nothing_to_verified_to_nothing_with_a_worker_lost_on_the_way(self):
        journey = self.journey("a", instance_profile=PROFILE, bucket=BUCKET, scheduler_role=ROLE,
                               silence=f"{SILENCE_S}s")  # fmt: skip
        operator = journey.start("test", "--plan", journey.plan, "--json")
        self.over(journey, operator, lambda: journey.reached("deploy"), BEGIN_S, "deploying")
        began, before = time.time(), journey.instances()
        journey.emulation.rules.ec2.terminate_instances(InstanceIds=[before["worker-001", "1"]["InstanceId"]])
        beat = ("worker-000", "stat", "-c", "%Y", "/run/heartbeat")
        self.over(journey, operator, lambda: int(journey.stand_ins.inside(*beat) or 0) > began + 1 or None,
                  120, "a sign of life from the controller")  # fmt: skip
        self.assertEqual(journey.inside("worker-000", "hostname"), "worker-000", "through control")
        out, err = operator.communicate(timeout=300)
        self.assert_verified(journey, operator.returncode, out, err)
        self.assertIn("the host is ended", out)
        lives = {("control", "1"), ("worker-000", "1"), ("worker-001", "1"), ("worker-001", "2")}
        self.assertEqual(set(journey.instances()), lives)
        self.assertIn(stand_in_case.ROLE_KEY, self.emulation.callers["RunInstances"], "by the control host")
        fetched = set(map(os.path.dirname, self.emulation.bucket.fetched))
        self.assertEqual(fetched, {f"baiwan/{journey.name}"})
        files = [p for p in journey.folder.rglob("*") if p.is_file()]
        shown = [p for p in files if b"X-Amz-Signature" in p.read_bytes()]
        self.assertEqual(shown, [], "the address of the package is the hosts' only")
        self.assertEqual(self.emulation.schedules.actions.count("CreateSchedule"), len(lives))
        logins = set(journey.stand_ins.logins.read_text().split())
        self.assertEqual(logins, {before["control", "1"]["PublicIpAddress"]}, "by the operator's ssh_config")

    def test_without_a_profile_it_is_carried_out_and_without_control_all_hosts_end(self):
        journey = self.journey("b", silence=f"{SILENCE_S}s")
        code, out, err = journey.test("--until", "deploy")
        self.assertEqual(code, 0, f"{out}\n{err}\n{journey.logs()}")
        control = journey.instances()["control", "1"]["InstanceId"]
        journey.emulation.rules.ec2.terminate_instances(InstanceIds=[control])
        until(lambda: "control" not in journey.stand_ins.lives or None, 60, "the end of control")
        for name in ("worker-000", "worker-001"):  # not to wait the whole time
            journey.stand_ins.inside(name, "sed", "-i", f"s/ {SILENCE_S}$/ 5/", "/etc/baiwan/deadman")
        until(lambda: len(journey.stand_ins.ended_themselves) == 2 or None, 120, "the end of the workers")
        self.assertEqual(set(journey.stand_ins.ended_themselves), {"worker-000", "worker-001"})
        states = {h: i["State"]["Name"] for (h, _), i in journey.instances().items()}
        self.assertEqual(set(states.values()), {"terminated"}, states)
        code, out, err = journey.call("down", journey.name)
        self.assertEqual(code, 0, f"{out}{err}")
        self.assertIn("the run was not verified", err)
        self.assert_nothing_left(journey)

    @staticmethod
    def over(journey, operator, condition, limit_s, what):
        """Until the condition holds; not a moment longer than there is hope."""

        def look():
            if operator.poll() is not None or journey.stand_ins.failure:
                raise AssertionError(f"{what}: {operator.poll()}\n{journey.logs()}")
            return condition()

        return until(look, limit_s, what)

    def assert_verified(self, journey, code, out, err):
        self.assertEqual(code, 0, f"{out}\n{err}\n{journey.logs()}")
        result = journey.result()
        self.assertEqual(result["messages"]["verified"], MESSAGES, result)
        self.assertEqual(result["problems"], [])
        self.assertGreater(result["cost"]["total"], 0)
        self.assert_nothing_left(journey)
        events = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([e["step"] for e in events if e["event"] == "step"][:3], STEPS[:3])

    def assert_nothing_left(self, journey):
        self.assertEqual(things_of(self.emulation, journey.name), [])
        until(lambda: not journey.stand_ins.lives or None, 60, "the end of the stand-ins")
        self.assertIsNone(journey.stand_ins.failure)
        self.nothing_refused()
        self.assertEqual(self.emulation.bucket.refused + self.emulation.schedules.refused, [])
        self.assertEqual(self.emulation.client("scheduler").list_schedules()["Schedules"], [])
        self.assertEqual(self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", []), [])


def main():
    if why := fleet_case.cannot_run() or fleet_case.cannot_have_systemd():
        return aws_case.run_case.run_tests(f"no test hosts here: {why}")
    if os.environ.get(_APART) != "yes":
        apart = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
        os.execvpe(apart[0], [*apart, sys.executable, "-B", *sys.argv], {**os.environ, _APART: "yes"})
    return aws_case.main()


if __name__ == "__main__":
    sys.exit(main())
