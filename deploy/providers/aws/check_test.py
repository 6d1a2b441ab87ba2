#!/usr/bin/env python3
"""What the aws provider says before anything is made: checks, prices, wrong requests; and whether the
emulation is as strict as the other tests take it to be."""

import copy
import json
import os
import pathlib
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import aws_case  # noqa: E402
from aws_case import Case  # noqa: E402


class Check(Case):
    def test_all_is_there(self):
        run = self.run_of("a", 3)
        answer = run.must("check")
        self.assertEqual((answer["ok"], answer["missing"]), (True, []))
        self.assertEqual((answer["memory_mb"], answer["cpus"], answer["shared"]), (4096, 2, False))
        self.assertTrue(run.must("check", {})["ok"])
        self.assertEqual(self.things(run), [], "a check makes nothing")

    def test_missing_rights_and_processors_are_named(self):
        run = self.run_of("a", 3)
        self.emulation.denied = {"RunInstances", "CreateVpc"}
        self.emulation.quota = 7.0
        answer = run.must("check")
        self.assertFalse(answer["ok"])
        what = {m["what"]: m["why"] for m in answer["missing"]}
        self.assertEqual(set(what), {"the right to ec2:RunInstances", "the right to ec2:CreateVpc",
                                     "service quota"})  # fmt: skip
        self.assertIn("4 hosts need 8 processors", what["service quota"])
        code, failed, _ = run.call("up")
        self.assertEqual((code, failed["command"]), (1, "ec2 CreateVpc"))
        self.emulation.denied = set()

    def test_one_thing_that_is_not_there_does_not_hide_the_others(self):
        run = self.run_of("a", 3, type="c0.nothing", image="ami-00000000000000000")
        self.emulation.denied = {"CreateVpc"}
        what = {m["what"]: m["why"] for m in run.must("check")["missing"]}
        self.emulation.denied = set()
        self.assertEqual(set(what), {"type", "image", "the right to ec2:CreateVpc"}, what)
        self.assertIn("there is no c0.nothing", what["type"])
        self.assertIn("there is no ami-00000000000000000", what["image"])

    def test_an_ssh_config_that_cannot_be_read_is_named(self):
        run = self.run_of("a", 1, ssh_config="/nowhere/bastion")
        (missing,) = run.must("check")["missing"]
        self.assertEqual(missing["what"], "options.ssh_config")
        self.assertIn("No such file", missing["why"])

    def test_without_credentials_it_says_so(self):
        run = self.run_of("a", 1)
        environment = {k: v for k, v in run.environment().items() if not k.startswith("AWS_")}
        environment.update(AWS_REGION="us-east-1", AWS_EC2_METADATA_DISABLED="true")
        for command, code in (("check", 0), ("up", 1)):
            done = subprocess.run([sys.executable, str(aws_case.PROVIDER), command], env=environment,
                                  input=json.dumps(run.request), capture_output=True, text=True,
                                  timeout=60, check=False)  # fmt: skip
            self.assertEqual(done.returncode, code, done.stdout)
            self.assertIn("credentials", done.stdout.lower())

    def test_without_boto3_it_names_the_package(self):
        run = self.run_of("a", 1)
        broken = pathlib.Path(run.folder, "guard", "boto3.py")
        broken.write_text("raise ImportError('not here')\n")
        code, answer, _ = run.call("up")
        self.assertEqual(code, 1)
        self.assertIn("python3-boto3", answer["error"])
        self.assertEqual(run.must("check")["missing"],
                         [{"what": "boto3", "why": "not installed", "package": "python3-boto3"}])  # fmt: skip
        self.assertGreater(run.must("price")["total"], 0)
        broken.unlink()


class Price(Case):
    def test_each_item_until_the_deadline(self):
        run = self.run_of("a", 40, disk_gb=73, traffic_gb_out=10, traffic_gb_between_zones=5)
        run.request["deadline_s"] = 7200
        answer = run.must("price")
        items = {i["item"]: i for i in answer["items"]}
        self.assertEqual(items["c7g.large on demand"]["quantity"], 82)
        self.assertEqual(items["c7g.large on demand"]["cost"], round(82 * 0.0725, 4))
        self.assertEqual(items["storage gp3"]["quantity"], round(41 * 73 * 2 / 730, 3))
        self.assertEqual(items["public address"]["quantity"], 2)
        self.assertEqual(items["traffic out"]["cost"], 0.9)
        self.assertEqual(items["traffic between zones"]["cost"], 0.1)
        self.assertAlmostEqual(answer["total"], sum(i["cost"] for i in items.values()), places=2)
        self.assertEqual((answer["region"], answer["currency"]), ("us-east-1", "USD"))
        self.assertRegex(answer["as_of"], r"^\d{4}-\d\d-\d\d$")

    def test_the_region_is_that_of_the_hosts_wherever_it_is_named(self):
        run = self.run_of("a", 1)
        run.must("price")
        bare = {k: v for k, v in run.environment().items() if k != "AWS_REGION"}
        settings = pathlib.Path(run.folder, "aws_settings")
        settings.write_text("[profile far]\nregion = eu-west-1\n")
        for named in (
            {"AWS_REGION": "eu-west-1"},
            {"AWS_DEFAULT_REGION": "eu-west-1"},
            {"AWS_CONFIG_FILE": str(settings), "AWS_PROFILE": "far"},
        ):
            run.environment = lambda named=named: {**bare, **named}
            code, answer, _ = run.call("price")
            self.assertEqual(code, 2, named)
            self.assertIn("eu-west-1", answer["error"])
            self.assertIn("`refresh`", answer["error"])
        run.environment = lambda: {**bare, "AWS_REGION": "us-east-1"}

    def test_a_fresh_list_is_fetched_written_and_used(self):
        run = self.run_of("a", 3, region="eu-central-1")
        code, answer, _ = run.call("price")
        self.assertEqual(code, 2)
        self.assertIn("us-east-1", answer["error"])
        self.emulation.prices = {"c7g.large": 1.5, "gp3": 0.5}
        path = run.folder + "/prices.json"
        run.request["options"]["prices"] = path
        listed = run.must("refresh")
        self.assertEqual(json.loads(pathlib.Path(path).read_text()), listed)
        self.assertEqual(set(listed["types"]), {"c7g.large"})
        self.assertIn("public_address_hour", listed["older"]["prices"])
        self.assertNotIn("storage_gb_month", listed["older"]["prices"])
        answer = run.must("price")
        self.assertEqual((answer["items"][0]["cost"], answer["region"]), (6, "eu-central-1"))
        run.request["options"]["spot"] = True
        self.assertEqual(run.must("price")["items"][0]["cost"], 1)
        self.assertIn("GetProducts", self.emulation.actions)

    def test_a_type_without_a_price_is_refused(self):
        run = self.run_of("a", 3, type="x9.huge")
        code, answer, _ = run.call("price")
        self.assertEqual(code, 2)
        self.assertIn("x9.huge", answer["error"])


class WrongRequests(Case):
    def test_each_is_refused_with_the_field_and_changes_nothing(self):
        run = self.run_of("a", 1)
        options = lambda r: r["options"]  # noqa: E731
        for change, part in (
            (lambda r: r.update(run="A_b"), "run"),
            (lambda r: r.update(state="relative"), "state"),
            (lambda r: r.update(extra=1), "extra"),
            (lambda r: r.update(rate_mbit=50), "rate_mbit"),
            (lambda r: r["hosts"][1].update(address="10.0.2.3"), "first four"),
            (lambda r: r["network"]["subnets"].update(a="10.0.3.0/24", b="10.0.4.0/24", c="10.0.5.0/24"),
             "network.subnets"),
            (lambda r: r.update(options=[]), "options"),
            (lambda r: options(r).update(color="red"), "color"),
            (lambda r: options(r).update(type="t3.large"), "credits"),
            (lambda r: options(r).update(type="c7i.large"), "not arm64"),
            (lambda r: options(r).update(type="c99.large"), "c99.large"),
            (lambda r: options(r).update(image="ami-00000000000000009"), "ami-00000000000000009"),
            (lambda r: options(r).update(image="ami-00000000000000003"), "not arm64"),
            (lambda r: options(r).update(architecture="riscv"), "architecture"),
            (lambda r: options(r).update(operator_cidr="0.0.0.0/0"), "wider"),
            (lambda r: options(r).pop("operator_cidr"), "operator_cidr"),
            (lambda r: options(r).update(disk_gb=4), "disk_gb"),
            (lambda r: options(r).update(spot="yes"), "spot"),
            (lambda r: options(r).update(ssh_config="bastion"), "ssh_config"),
            (lambda r: options(r).update(ssh_config="/nowhere/bastion"), "ssh_config"),
            (lambda r: options(r).update(endpoint_url="file:///etc"), "endpoint_url"),
            (lambda r: options(r).update(traffic_gb_out=-1), "traffic_gb_out"),
        ):  # fmt: skip
            request = copy.deepcopy(run.request)
            change(request)
            code, answer, _ = run.call("up", request)
            self.assertEqual(code, 2, (part, answer))
            self.assertIn(part, answer["error"])
            self.assertFalse(os.path.exists(run.request["state"]))
        made = [a for a in self.emulation.actions if a.startswith(("Create", "Run", "Modify"))]
        self.assertEqual(made, [])

    def test_a_folder_with_files_of_others_is_left_alone(self):
        run = self.run_of("a", 1)
        state = pathlib.Path(run.request["state"])
        (state / "keys").mkdir(parents=True)
        (state / "keys" / "precious").write_text("x")
        self.assertEqual(run.call("up")[0], 2)
        self.assertEqual(run.call("down")[0], 0)
        self.assertTrue((state / "keys" / "precious").exists())
        shutil.rmtree(state)


class TheEmulation(Case):
    """Its own strictness: what a provider with these faults would meet."""

    def setUp(self):
        super().setUp()
        import boto3  # noqa: PLC0415
        from botocore.exceptions import ClientError  # noqa: PLC0415

        self.refusal = ClientError
        self.strict = boto3.client("ec2", region_name="us-east-1", endpoint_url=self.emulation.url)

    def refused(self, code, operation, **parameters):
        with self.assertRaises(self.refusal) as caught:
            getattr(self.strict, operation)(**parameters)
        self.assertEqual(caught.exception.response["Error"]["Code"], code)

    def tagged(self, kind):
        return [{"ResourceType": kind, "Tags": [{"Key": "baiwan:run", "Value": "x"}]}]

    def test_tags_and_tokens_are_demanded(self):
        self.refused("Test.NoTags", "create_vpc", CidrBlock="10.0.0.0/16")
        vpc = self.strict.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=self.tagged("vpc"))["Vpc"]
        self.addCleanup(self.ec2.delete_vpc, VpcId=vpc["VpcId"])
        table = {"TagSpecifications": self.tagged("route-table"), "ClientToken": "one"}
        other = self.ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]
        first = self.strict.create_route_table(VpcId=vpc["VpcId"], **table)["RouteTable"]
        again = self.strict.create_route_table(VpcId=vpc["VpcId"], **table)["RouteTable"]
        self.assertEqual(first["RouteTableId"], again["RouteTableId"])
        self.refused("IdempotentParameterMismatch", "create_route_table", VpcId=other["VpcId"], **table)
        self.refused("DependencyViolation", "delete_vpc", VpcId=vpc["VpcId"])
        self.ec2.delete_route_table(RouteTableId=first["RouteTableId"])

    def test_a_control_host_may_only_what_its_policy_says(self):
        import boto3  # noqa: PLC0415

        role = {"aws_access_key_id": "ASIAROLE", "aws_secret_access_key": "x", "aws_session_token": "x"}
        self.strict = boto3.client("ec2", region_name="us-east-1", endpoint_url=self.emulation.url, **role)
        self.strict.describe_vpcs()
        self.refused("UnauthorizedOperation", "delete_vpc", VpcId="vpc-00000000000000000")
        self.assertEqual(self.emulation.policies.refused, [("control", "ec2:DeleteVpc")])

    def test_image_and_type_must_exist_and_fit(self):
        subnet = self.ec2.describe_subnets()["Subnets"][0]
        common = {"MinCount": 1, "MaxCount": 1, "UserData": "x", "TagSpecifications": self.tagged("instance"),
                  "MetadataOptions": {"HttpTokens": "required"},
                  "InstanceInitiatedShutdownBehavior": "terminate",
                  "NetworkInterfaces": [{"DeviceIndex": 0, "SubnetId": subnet["SubnetId"],
                                         "PrivateIpAddress": "1.2.3.4"}]}  # fmt: skip
        arm = "ami-00000000000000001"
        for code, change in (
            ("InvalidAMIID.NotFound", {"ImageId": "ami-00000000000000008", "InstanceType": "c7g.large"}),
            ("InvalidParameterValue", {"ImageId": arm, "InstanceType": "c7i.large"}),
            ("InvalidParameterValue", {"ImageId": arm, "InstanceType": "c7g.large"}),
        ):
            self.refused(code, "run_instances", **common, **change)


if __name__ == "__main__":
    sys.exit(aws_case.main())
