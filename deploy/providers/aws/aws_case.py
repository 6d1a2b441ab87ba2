"""Runs the provider as its callers do, for the tests: by its standard streams, with keys that open
nothing, against the emulation, and with a guard that notices every way to another machine."""

import itertools
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "common"))

import run_case  # noqa: E402

PROVIDER = pathlib.Path(__file__).resolve().parent / "provider"
_NUMBERS = itertools.count()
OPERATOR = "198.51.100.7/32"

# Loaded by every Python that the provider starts: what is not loopback is written down and refused. What
# is loopback is refused as if nothing listened, while the file of the away is there.
_GUARD = """
import ipaddress, os, sys
def _watch(event, details):
    if event == "socket.connect":
        address = details[1]
    elif event == "socket.getaddrinfo":
        address = (details[0] or "127.0.0.1", 0)
    else:
        return
    if not isinstance(address, tuple):
        return
    try:
        if ipaddress.ip_address(address[0]).is_loopback:
            if event == "socket.connect" and os.path.exists(os.environ["BAIWAN_TEST_AWAY"]):
                raise ConnectionRefusedError(111, "Connection refused")
            return
    except ValueError:
        pass
    with open(os.environ["BAIWAN_TEST_CONNECTIONS"], "a") as file:
        file.write(f"{event} {address}\\n")
    raise OSError(f"the test allows no way to {address}")
sys.addaudithook(_watch)
"""

# Stands for ssh: performs what `ready.py` is sent for, and answers as a host does whose boot is done, but
# for those whose login is in the file of the late.
_SSH = """#!/bin/sh
echo "$*" >> "$BAIWAN_TEST_LOGINS"
[ -e "$BAIWAN_TEST_LATE" ] && echo "$*" | grep -qFf "$BAIWAN_TEST_LATE" && exit 255
for last; do :; done
case "$last" in
  -) exec PYTHON -I - ;;
  touch*) case "$*" in *root@10.0.2.21*) echo "net.core.rmem_max is 1, wanted 2" ;; esac ;;
  *) exit 9 ;;
esac
"""

# The provider with other limits or paths than its own: {"module.NAME": value}.
_CHANGED = """
import json, runpy, sys
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/../common"]
for name, value in json.loads(sys.argv[2]).items():
    module, _, name = name.partition(".")
    setattr(__import__(module), name, value)
sys.argv[0:] = ["provider", sys.argv[3]]
runpy.run_path(sys.path[0] + "/provider", run_name="__main__")
"""


class Run(run_case.Run):
    """With hosts in the emulation, and a folder for what stands for the world outside."""

    def __init__(self, emulation, name="a", workers=3, **options):
        self.emulation = emulation
        name = f"t{os.getpid()}{name}{next(_NUMBERS)}"  # what has ended is seen for an hour
        options = {"endpoint_url": emulation.url, "operator_cidr": OPERATOR, **options}
        super().__init__(name, tempfile.mkdtemp(prefix="baiwan-aws-"), workers,
                         deadline_s=3600, heartbeat_s=120, options=options)  # fmt: skip
        self._tools()

    def _tools(self):
        root = pathlib.Path(self.folder)
        (root / "bin").mkdir()
        (root / "guard").mkdir()
        (root / "home").mkdir()
        (root / "guard" / "sitecustomize.py").write_text(_GUARD)
        (root / "bin" / "ssh").write_text(_SSH.replace("PYTHON", shlex.quote(sys.executable)))
        (root / "bin" / "ssh").chmod(0o755)
        self.connections, self.late, self.away = root / "connections", root / "late", root / "away"

    region = "us-east-1"  # of the shell that the operator sits at

    def environment(self):
        from emulation_case import ACCOUNT  # noqa: PLC0415: a test that skips has no moto

        return {
            **ACCOUNT,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_REGION": self.region,
            "HOME": f"{self.folder}/home",
            "PATH": f"{self.folder}/bin:{os.environ['PATH']}",
            "PYTHONPATH": f"{self.folder}/guard",
            "BAIWAN_TEST_CONNECTIONS": str(self.connections),
            "BAIWAN_TEST_LOGINS": f"{self.folder}/logins",
            "BAIWAN_TEST_LATE": str(self.late),
            "BAIWAN_TEST_AWAY": str(self.away),
        }

    def start(self, command, request=None, changed=None):
        argv = [sys.executable, str(PROVIDER), command]
        if changed:
            argv = [sys.executable, "-c", _CHANGED, str(PROVIDER.parent), json.dumps(changed), command]
        return self._start(argv, request, env=self.environment(), cwd="/")

    def close(self):
        """Takes the run down, and looks whether anything went to another machine or shows a secret."""
        from emulation_case import ACCOUNT  # noqa: PLC0415

        code, answer, _ = self.call("down")
        ways = self.connections.read_text() if self.connections.exists() else ""
        secret = ACCOUNT["AWS_SECRET_ACCESS_KEY"].encode()
        files = [p for p in pathlib.Path(self.folder).rglob("*") if p.is_file()]
        shown = [str(p) for p in files if secret in p.read_bytes()]
        shutil.rmtree(self.folder, ignore_errors=True)
        if code != 0 or ways or shown:
            raise AssertionError(f"down: {code} {answer}; other machines: {ways!r}; secrets: {shown}")


class Case(unittest.TestCase):
    """`emulation` is one for all tests of a file: to start it takes longer than to use it."""

    @classmethod
    def setUpClass(cls):
        from emulation_case import Emulation  # noqa: PLC0415: a machine without moto skips

        if Case.emulation is None:
            Case.emulation = Emulation()
            unittest.addModuleCleanup(Case.stop)

    emulation = None

    @staticmethod
    def stop():
        Case.emulation.stop()
        Case.emulation = None

    def setUp(self):
        self.emulation.reset()
        self.ec2 = self.emulation.rules.ec2

    def run_of(self, *arguments, **options):
        run = Run(self.emulation, *arguments, **options)
        self.addCleanup(run.close)
        return run

    def things(self, run):
        return things_of(self.emulation, run.name)

    def instances(self, run):
        """Living ones, by the host's name; every host must have one at most."""
        pages = self.ec2.get_paginator("describe_instances").paginate(Filters=filter_of(run))
        found = {}
        for instance in (i for r in pages.build_full_result()["Reservations"] for i in r["Instances"]):
            if instance["State"]["Name"] in ("pending", "running"):
                name = tags_of(instance)["baiwan:host"]
                self.assertNotIn(name, found, "two instances for one host")
                found[name] = instance
        return found

    def lose(self, run, name):
        """Ends the instance of the host, so long ago that EC2 has taken its tags away."""
        lost = self.instances(run)[name]
        self.ec2.terminate_instances(InstanceIds=[lost["InstanceId"]])
        self.ec2.delete_tags(Resources=[lost["InstanceId"]], Tags=[{"Key": t["Key"]} for t in lost["Tags"]])

    def nothing_refused(self):
        self.assertEqual(self.emulation.rules.refused, [])
        self.assertEqual(self.emulation.policies.refused, [])


def filter_of(run, role=""):
    tag = [{"Name": "tag:baiwan:run", "Values": [run.name]}]
    return tag + ([{"Name": "tag:baiwan:role", "Values": [role]}] if role else [])


def tags_of(thing):
    return {t["Key"]: t["Value"] for t in thing["Tags"]}


def throttled():
    return "error", 503, "RequestLimitExceeded", "Request limit exceeded."


def things_of(emulation, run_name):
    """Everything in the cloud that carries the run's tag; instances that have ended do not count."""
    ec2, found = emulation.rules.ec2, []
    tag = [{"Name": "tag:baiwan:run", "Values": [run_name]}]
    for reservation in ec2.describe_instances(Filters=tag)["Reservations"]:
        living = [i for i in reservation["Instances"] if i["State"]["Name"] != "terminated"]
        found += [i["InstanceId"] for i in living]
    for operation, field, identity in (
        ("describe_vpcs", "Vpcs", "VpcId"),
        ("describe_subnets", "Subnets", "SubnetId"),
        ("describe_route_tables", "RouteTables", "RouteTableId"),
        ("describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
        ("describe_security_groups", "SecurityGroups", "GroupId"),
        ("describe_network_interfaces", "NetworkInterfaces", "NetworkInterfaceId"),
        ("describe_volumes", "Volumes", "VolumeId"),
    ):
        found += [t[identity] for t in getattr(ec2, operation)(Filters=tag)[field]]
    ends = ec2.describe_vpc_endpoints(Filters=tag)["VpcEndpoints"]
    found += [e["VpcEndpointId"] for e in ends if e["State"] != "deleted"]
    return found + [n for n, r in emulation.rules.placements.items() if r == run_name]


def with_moto():
    """Goes on under the Python that has moto, or says why there is none. Returns the reason."""
    tries = [sys.executable, shutil.which("python3") or ""]
    for python in dict.fromkeys(filter(None, tries)):
        done = subprocess.run([python, "-c", "import moto.server, boto3"], capture_output=True,
                              timeout=60, check=False, cwd="/")  # fmt: skip
        if done.returncode == 0:
            if python != sys.executable:
                os.execv(python, [python, "-B", *sys.argv])
            return ""
    return "no Python here has moto (`python3 -c 'import moto'`): EC2 cannot be emulated"


def main():
    why = with_moto()
    return run_case.run_tests(f"nothing was tested: {why}" if why else "")
