#!/usr/bin/env python3
"""The aws provider against its contract, with EC2 emulated and stricter than the emulation."""

import base64
import copy
import json
import os
import pathlib
import shutil
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import aws_case  # noqa: E402
from aws_case import OPERATOR, Case, filter_of, tags_of  # noqa: E402

ACCOUNT = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")

MANY = 40  # workers of the largest run


class OneRun(Case):
    def test_forty_one_hosts_have_exactly_their_addresses(self):
        run = self.run_of("a", MANY)
        answer = run.must("up")
        self.assertEqual(answer["started"], [h["name"] for h in run.request["hosts"]])
        self.assertEqual(answer["missing"], [])
        self.assertEqual(answer["warnings"], ["w-1: net.core.rmem_max is 1, wanted 2"])
        found = self.instances(run)
        self.assertEqual({n: i["PrivateIpAddress"] for n, i in found.items()},
                         {h["name"]: h["address"] for h in run.request["hosts"]})  # fmt: skip
        public = [n for n, i in found.items() if i.get("PublicIpAddress")]
        self.assertEqual(public, ["control"])
        for instance in found.values():
            self.assertEqual(instance["MetadataOptions"]["HttpTokens"], "required")
            self.assertEqual(instance["ImageId"], "ami-00000000000000002", "the newest of its kind")
        again = len(self.emulation.actions)
        second = run.must("up")
        self.assertEqual((second["started"], second["hosts"]), ([], answer["hosts"]))
        made = [a for a in self.emulation.actions[again:] if a.startswith(("Create", "Run", "Authorize"))]
        self.assertEqual(made, [])
        self.assertEqual(len(run.must("down")["removed"]), MANY + 1 + 8)
        self.assertEqual(self.things(run), [])
        self.nothing_refused()

    def test_the_network_lets_in_and_out_what_it_must(self):
        run = self.run_of("a", 1)
        run.must("up")
        found = self.instances(run)
        groups = {g["GroupName"].split("-")[-1]: g for g in self.ec2.describe_security_groups(
            Filters=filter_of(run))["SecurityGroups"]}  # fmt: skip
        members, outside = groups["members"], groups["outside"]
        of = {n: {g["GroupId"] for c in i["NetworkInterfaces"] for g in c["Groups"]}
              for n, i in found.items()}  # fmt: skip
        self.assertEqual(of["w-0"], {members["GroupId"]})
        self.assertEqual(of["control"], {members["GroupId"], outside["GroupId"]})
        for rules in (members["IpPermissions"], members["IpPermissionsEgress"]):
            self.assertEqual([r["IpRanges"] for r in rules], [[]])
            self.assertEqual([p["GroupId"] for r in rules for p in r["UserIdGroupPairs"]],
                             [members["GroupId"]])  # fmt: skip
        (door,) = outside["IpPermissions"]
        self.assertEqual((door["FromPort"], door["ToPort"], [r["CidrIp"] for r in door["IpRanges"]]),
                         (22, 22, [OPERATOR]))  # fmt: skip
        for name, ways in (("control", 1), ("w-0", 0)):
            which = [{"Name": "association.subnet-id", "Values": [found[name]["SubnetId"]]}]
            (table,) = self.ec2.describe_route_tables(Filters=which)["RouteTables"]
            out = [r for r in table["Routes"] if r.get("DestinationCidrBlock") == "0.0.0.0/0"]
            self.assertEqual(len(out), ways, name)

    def test_the_operators_address_may_change(self):
        run = self.run_of("a", 1)
        run.must("up")
        run.request["options"]["operator_cidr"] = "198.51.100.0/24"
        run.must("up")
        groups = self.ec2.describe_security_groups(
            Filters=filter_of(run, "group-outside"))["SecurityGroups"]  # fmt: skip
        self.assertEqual([r["CidrIp"] for p in groups[0]["IpPermissions"] for r in p["IpRanges"]],
                         ["198.51.100.0/24"])  # fmt: skip

    def test_the_operators_address_may_be_one_without_a_prefix(self):
        run = self.run_of("a", 1, operator_cidr="198.51.100.7")
        run.must("up")
        groups = self.ec2.describe_security_groups(
            Filters=filter_of(run, "group-outside"))["SecurityGroups"]  # fmt: skip
        self.assertEqual([r["CidrIp"] for p in groups[0]["IpPermissions"] for r in p["IpRanges"]],
                         ["198.51.100.7/32"])  # fmt: skip
        before = len(self.emulation.actions)
        run.must("up")
        changes = [a for a in self.emulation.actions[before:] if "SecurityGroup" in a and "Describe" not in a]
        self.assertEqual(changes, [])
        self.nothing_refused()

    def test_a_lost_host_is_seen_and_made_again(self):
        run = self.run_of("a", 2)
        run.must("up")
        before = self.instances(run)["w-1"]
        self.ec2.terminate_instances(InstanceIds=[before["InstanceId"]])
        described = run.must("describe", {"run": run.name, "state": run.request["state"]})
        self.assertEqual(described["missing"], ["w-1"])
        self.assertEqual(run.states()["w-1"], "ended")
        answer = run.must("up")
        self.assertEqual((answer["started"], answer["disks_kept"]), (["w-1"], []))
        after = self.instances(run)["w-1"]
        self.assertEqual(after["PrivateIpAddress"], "10.0.2.21")
        self.assertEqual(tags_of(after)["baiwan:generation"], "2")
        self.nothing_refused()

    def test_a_lost_host_whose_tags_are_gone_is_made_again(self):
        run = self.run_of("a", 2)
        run.must("up")
        self.lose(run, "w-1")
        self.assertEqual(run.must("describe")["missing"], ["w-1"])
        self.assertEqual(run.must("up")["started"], ["w-1"])
        self.assertEqual(tags_of(self.instances(run)["w-1"])["baiwan:generation"], "2")
        over = ("RunInstances", "IdempotentInstanceTerminated")
        self.assertEqual(self.emulation.rules.refused, [over])

    def test_a_stopped_host_is_started_with_its_disk(self):
        run = self.run_of("a", 2)
        run.must("up")
        before = self.instances(run)["w-0"]["InstanceId"]
        self.ec2.stop_instances(InstanceIds=[before])
        self.assertEqual(run.states()["w-0"], "ended")
        answer = run.must("up")
        self.assertEqual((answer["started"], answer["disks_kept"]), (["w-0"], ["w-0"]))
        self.assertEqual(self.instances(run)["w-0"]["InstanceId"], before)

    def test_a_host_may_come_later_but_none_may_change(self):
        run = self.run_of("a", 1)
        run.must("up")
        changed = copy.deepcopy(run.request)
        changed["hosts"][1]["address"] = "10.0.2.77"
        self.assertEqual(run.call("up", changed)[0], 2)
        changed = copy.deepcopy(run.request)
        changed["options"]["type"] = "c7g.xlarge"
        self.assertEqual(run.call("up", changed)[0], 2)
        elsewhere = {**run.request, "state": run.folder + "/other"}
        self.assertEqual(run.call("up", elsewhere)[0], 2)
        self.assertFalse(os.path.exists(elsewhere["state"]))
        run.request["hosts"].append({"name": "w-9", "address": "10.0.2.99", "subnet": "workers"})
        self.assertEqual(run.must("up")["started"], ["w-9"])
        self.assertEqual(len(self.instances(run)), 3)

    def test_down_finds_a_run_whose_folder_is_lost(self):
        run = self.run_of("a", 1)
        run.must("up")
        lost = {**run.request, "state": run.folder + "/lost"}
        self.assertEqual({h["name"] for h in run.must("describe", lost)["hosts"]}, {"control", "w-0"})
        only = {k: lost[k] for k in ("run", "state", "options")}
        self.assertEqual(len(run.must("describe", only)["hosts"]), 2)
        run.must("down", only)
        self.assertEqual(self.things(run), [])

    def test_another_shell_finds_the_run_where_it_was_made(self):
        run = self.run_of("a", 1)
        run.must("up")
        run.region = "eu-west-1"
        only = {k: run.request[k] for k in ("run", "state")}
        self.assertEqual(run.must("describe", only)["missing"], [])
        code, answer, _ = run.call("up")
        self.assertEqual(code, 2)
        self.assertIn("options.region", answer["error"])
        self.assertEqual(len(run.must("down", only)["removed"]), 2 + 8)
        self.assertEqual(self.things(run), [])
        self.nothing_refused()

    def test_with_another_account_nothing_is_taken_for_gone(self):
        run = self.run_of("a", 1)
        run.must("up")
        mine = self.things(run)
        own, self.emulation.account = self.emulation.account, "210987654321"
        for command in ("up", "describe", "down"):
            code, answer, _ = run.call(command)
            self.assertEqual(code, 2, command)
            self.assertIn("account 210987654321", answer["error"])
        (missing,) = run.must("check")["missing"]
        self.assertEqual(missing["what"], "run")
        self.assertTrue(os.path.exists(run.request["state"] + "/aws.json"))
        self.emulation.account = own
        self.assertEqual(self.things(run), mine)
        run.must("down")
        self.assertEqual(os.listdir(run.request["state"]), [])

    def test_logins_lead_through_control_and_know_each_host(self):
        run = self.run_of("a", 1)
        answer = run.must("up")
        control, worker = answer["hosts"]
        self.assertEqual(control["ssh"][-1], "root@" + control["public_address"])
        self.assertEqual(worker["ssh"][-1], "root@10.0.2.20")
        proxy = next(w for w in worker["ssh"] if w.startswith("ProxyCommand="))
        self.assertIn(control["public_address"], proxy)
        for name in ("ssh_key", "known_hosts"):
            self.assertTrue(os.path.exists(answer[name]))
        self.assertEqual(os.stat(answer["ssh_key"]).st_mode & 0o777, 0o600)
        self.assertTrue(pathlib.Path(answer["known_hosts"]).read_text().startswith("@cert-authority * "))


    def test_the_operators_way_to_control_may_be_his_own(self):
        way = pathlib.Path(tempfile.mkdtemp(prefix="baiwan-way-"), "ssh_config")
        self.addCleanup(shutil.rmtree, way.parent)
        way.write_text("Host *\n  ProxyJump bastion.example\n")
        run = self.run_of("a", 1, ssh_config=str(way))
        answer = run.must("up")
        control, worker = answer["hosts"]
        self.assertEqual(control["ssh"][:3], ["ssh", "-F", str(way)])
        self.assertEqual(worker["ssh"][:3], ["ssh", "-F", "/dev/null"], "its way leads through control")
        proxy = next(w for w in worker["ssh"] if w.startswith("ProxyCommand="))
        self.assertIn(f"ssh -F {way} ", proxy)
        self.assertIn(f"-F {way} ", pathlib.Path(run.folder, "logins").read_text())
        lost = {k: run.request[k] for k in ("run", "options")}
        found = run.must("describe", {**lost, "state": run.folder + "/lost"})
        self.assertEqual(found["hosts"][0]["ssh"][:3], ["ssh", "-F", str(way)])


def given_to(emulation, run):
    """Makes the run. Returns the parameters of every RunInstances, by host."""
    seen = {}

    def watch(action, parameters):
        if action == "RunInstances":
            keys = {v: parameters[k.replace("Key", "Value")] for k, v in parameters.items()
                    if k.startswith("TagSpecification.1.") and k.endswith(".Key")}  # fmt: skip
            seen[keys["baiwan:host"]] = parameters

    emulation.faults.append(watch)
    run.must("up")
    return seen


class Options(Case):
    def test_spot_placement_bucket_and_profile_reach_ec2(self):
        self.emulation.client("iam").create_instance_profile(InstanceProfileName="controller")
        run = self.run_of("a", 1, spot=True, placement_group=True, bucket="payload-of-ours",
                          instance_profile="controller", type="c7i.large", architecture="x86_64",
                          zone="us-east-1b", disk_gb=20)  # fmt: skip
        given = given_to(self.emulation, run)
        self.assertEqual(given["w-0"]["InstanceMarketOptions.MarketType"], "spot")
        self.assertEqual(list(self.emulation.rules.spots.values()), [run.name] * 2)
        self.assertEqual(given["w-0"]["BlockDeviceMapping.1.Ebs.VolumeSize"], "20")
        (group,) = self.emulation.rules.placements
        self.assertEqual(given["w-0"]["Placement.GroupName"], group)
        self.assertEqual(given["control"]["IamInstanceProfile.Name"], "controller")
        self.assertNotIn("IamInstanceProfile.Name", given["w-0"])
        self.assertEqual(given["w-0"]["ImageId"], "ami-00000000000000003")
        zones = {i["Placement"]["AvailabilityZone"] for i in self.instances(run).values()}
        self.assertEqual(zones, {"us-east-1b"})
        (end,) = self.ec2.describe_vpc_endpoints(Filters=filter_of(run))["VpcEndpoints"]
        self.assertIn("arn:aws:s3:::payload-of-ours/*", end["PolicyDocument"])
        run.must("down")
        self.assertEqual((self.things(run), self.emulation.rules.spots), ([], {}))
        self.nothing_refused()

    def test_all_subnets_are_in_a_zone_that_has_the_type(self):
        self.emulation.rules.offered = ["us-east-1-bos-1a", "us-east-1f"]
        run = self.run_of("a", 1)
        run.must("up")
        subnets = self.ec2.describe_subnets(Filters=filter_of(run))["Subnets"]
        self.assertEqual([s["AvailabilityZone"] for s in subnets], ["us-east-1f"] * 2)
        self.emulation.rules.offered = ["us-east-1d", "us-east-1f"]
        run.request["hosts"].append({"name": "w-9", "address": "10.0.2.99", "subnet": "workers"})
        self.assertEqual(run.must("up")["started"], ["w-9"])
        self.nothing_refused()

    def test_a_type_that_no_zone_has_is_refused_before_anything_is_made(self):
        self.emulation.rules.offered = ["us-east-1-bos-1a"]
        for more, word in (({}, "options.type"), ({"zone": "us-east-1b"}, "options.zone")):
            run = self.run_of("a", 1, **more)
            (missing,) = run.must("check")["missing"]
            self.assertIn(word, missing["why"])
            self.assertEqual(run.call("up")[0], 2)
            self.assertFalse(os.path.exists(run.request["state"]))
            self.assertEqual(self.things(run), [])
        run = self.run_of("a", 1, zone="us-east-1-bos-1a")
        self.assertTrue(run.must("check")["ok"], "a local zone, for who asks for it")

    def test_only_control_is_given_the_runs_keys(self):
        run = self.run_of("a", 1)
        given = given_to(self.emulation, run)
        data = {n: base64.b64decode(p["UserData"]).decode() for n, p in given.items()}
        key = pathlib.Path(run.request["state"], "keys/run_ed25519").read_text()
        self.assertIn(json.dumps(key), data["control"])
        self.assertNotIn(json.dumps(key), data["w-0"])
        for text in data.values():
            self.assertTrue(text.startswith("#cloud-config\n"))
            self.assertLess(len(text), 16384)


class AskedFromControl(Case):
    def setUp(self):
        super().setUp()
        self.run_ = self.run_of("s", 2)
        given = given_to(self.emulation, self.run_)["control"]
        document = json.loads(base64.b64decode(given["UserData"]).decode().partition("\n")[2])
        root = pathlib.Path(self.run_.folder, "control")
        for file in document["write_files"]:
            path = root / file["path"].lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(file["content"])
            path.chmod(int(file["permissions"], 8))
        self.seat = root / "etc/baiwan/provider.json"
        seat = json.loads(self.seat.read_text())
        self.seat.write_text(json.dumps({**seat, "state": str(root) + seat["state"]}))

    def ask(self, command, **change):
        asked = {**self.run_.request, "state": "/nowhere", **change}
        return self.run_.call(command, asked, changed={"states.SEAT": str(self.seat)})[:2]

    def test_a_lost_worker_is_seen_and_made_again_with_the_runs_own_folder(self):
        lost = self.instances(self.run_)["w-1"]["InstanceId"]
        self.ec2.terminate_instances(InstanceIds=[lost])
        code, answer = self.ask("describe")
        self.assertEqual((code, answer["missing"]), (0, ["w-1"]))
        code, answer = self.ask("up")
        self.assertEqual((code, answer.get("started")), (0, ["w-1"]), answer)
        for host in answer["hosts"]:
            self.assertEqual(host["ssh"][-1], "root@" + host["address"])
            self.assertIn("IdentityFile=/root/.ssh/id_ed25519", host["ssh"])
        self.assertEqual(answer["control"]["known_hosts"], answer["known_hosts"])
        self.lose(self.run_, "w-0")
        code, answer = self.ask("up")
        self.assertEqual((code, answer.get("started")), (0, ["w-0"]), answer)
        over = ("RunInstances", "IdempotentInstanceTerminated")
        self.assertEqual(self.emulation.rules.refused, [over])
        self.emulation.rules.refused.clear()
        # The operator's own folder does not know of this life, and takes it as it is.
        self.assertEqual(self.run_.must("up")["started"], [])
        self.assertEqual(len(self.instances(self.run_)), 3)
        self.nothing_refused()

    def test_the_operators_way_is_not_that_of_control(self):
        options = {**self.run_.request["options"], "ssh_config": "/home/operator/.ssh/bastion"}
        for command in ("describe", "up"):
            code, answer = self.ask(command, options=options)
            self.assertEqual((code, answer.get("missing")), (0, []), answer)
            for host in answer["hosts"]:
                self.assertEqual(host["ssh"][:3], ["ssh", "-F", "/dev/null"])

    def test_without_the_right_to_look_it_tells_what_it_knows(self):
        at_home = self.run_.environment
        bare = {k: v for k, v in at_home().items() if k not in ACCOUNT}
        self.emulation.denied = {"DescribeInstances"}
        for environment in (at_home(), bare):
            self.run_.environment = lambda e=environment: e
            code, answer = self.ask("describe")
            self.assertEqual((code, answer.get("missing")), (0, []), answer)
            self.assertEqual([h["state"] for h in answer["hosts"]], ["unknown"] * 3)
            self.assertEqual(answer["hosts"][1]["ssh"][-1], "root@10.0.2.20")
            self.assertEqual(answer["ssh_key"], "/root/.ssh/id_ed25519")
            code, answer = self.ask("up")
            self.assertEqual(code, 1, "it makes nothing of what it does not see")
            self.run_.environment = at_home
            self.assertEqual(self.run_.call("describe")[0], 1, "an operator must see")
        self.emulation.denied = set()

    def test_only_this_run_can_be_asked_for(self):
        for command in ("describe", "up", "down", "check", "price"):
            code, answer = self.ask(command, run="another")
            self.assertEqual(code, 2)
            self.assertIn(self.run_.name, answer["error"])


class TwoRuns(Case):
    def test_the_same_addresses_at_once(self):
        runs = [self.run_of("b", 2), self.run_of("c", 2)]
        for run, process in [(r, r.start("up")) for r in runs]:
            code, answer, events = run.finish(process)
            self.assertEqual(code, 0, (answer, events))
        stranger = self.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        both = [{i["InstanceId"] for i in self.instances(r).values()} for r in runs]
        runs[0].must("down")
        self.assertEqual(self.things(runs[0]), [])
        self.assertEqual({i["InstanceId"] for i in self.instances(runs[1]).values()}, both[1])
        self.assertEqual(runs[1].must("describe")["missing"], [])
        self.assertTrue(self.ec2.describe_vpcs(VpcIds=[stranger])["Vpcs"])
        self.nothing_refused()

    def test_another_folder_of_the_same_name_makes_and_ends_nothing(self):
        run = self.run_of("b", 1)
        run.must("up")
        self.assertTrue(run.must("check")["ok"])
        mine = set(self.things(run))
        other = {**run.request, "state": run.folder + "/other"}
        (missing,) = run.must("check", other)["missing"]
        self.assertEqual(missing["what"], "run")
        self.assertIn("another folder", missing["why"])
        self.assertEqual(run.call("up", other)[0], 2)
        # The folder of a run that somebody else took down by its tags, and made again.
        shutil.copytree(run.request["state"], other["state"])
        identity = pathlib.Path(other["state"], "aws.json")
        identity.write_text(json.dumps({"run": run.name, "fleet": "0123456789abcdef"}))
        code, answer, _ = run.call("down", {k: other[k] for k in ("run", "state")})
        self.assertEqual(code, 2)
        self.assertIn("another folder", answer["error"])
        self.assertTrue(identity.exists())
        self.assertEqual(set(self.things(run)), mine)
        self.nothing_refused()


if __name__ == "__main__":
    sys.exit(aws_case.main())
