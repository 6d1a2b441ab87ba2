"""Hosts that one can log in to, for the instances of the emulation: for every instance that it says is
running, a test host of netns with the instance's address, booted with the instance's user data.

They follow the emulation: a host ends when its instance is terminated, a new life begins with an empty
disk, and a host that switches itself off takes its instance with it, as its shutdown behaviour says.
"""

import base64
import contextlib
import os
import pathlib
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import boot_case
import fleet_case
import links_case

ROLE_KEY = "ASIAROLEOFCONTROL"  # with which the control host asks, by its instance profile
_LOOK_S = 0.3
_NEEDED_OF_BOTO3 = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six.py")
_SERVICES = ("ec2", "sts", "s3", "scheduler", "service-quotas", "pricing")

# What the operator's ssh uses instead of the instance's public address, which is somebody else's.
_WAY = """#!/usr/bin/python3 -I
import os, select, socket, sys
log, router, host, public = sys.argv[1:5]
if os.stat("/proc/self/ns/net").st_ino != os.stat(router).st_ino:
    os.execvp("nsenter", ["nsenter", "--net=" + router, sys.executable, "-I", *sys.argv])
with open(log, "a") as file:
    file.write(public + "\\n")
link = socket.create_connection((host, 22), 10)
ends = {0: lambda d: link.sendall(d), link: lambda d: os.write(1, d)}
while ends:
    for end in select.select(list(ends), [], [], 300)[0] or sys.exit(1):
        if data := os.read(0, 65536) if end == 0 else link.recv(65536):
            ends[end](data)
        elif end == 0:
            link.shutdown(socket.SHUT_WR)
            del ends[0]
        else:
            sys.exit()
"""


class StandIns:
    """`control`: the address of the host that leads in."""

    def __init__(self, emulation, run_name, network, control="10.0.1.11"):
        self._emulation, self._run_name = emulation, run_name
        self._hosts = fleet_case.Run("s", workers=0, network=network, hosts=[], deadline_s=800,
                                      options={"init": "systemd"})
        self._ec2 = emulation.client("ec2")
        self.lives, self._links, self._known = {}, {}, {}
        self.ended_themselves = []  # names of hosts
        self.failure = None
        self._stop = threading.Event()
        self._write_way(control)
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def close(self):
        self._stop.set()
        self._thread.join()
        for name in list(self._links):
            self._close_links(name)
        self._hosts.close()

    def _namespace(self, name):
        return f"/run/netns/bw.{self._hosts.name}.{name}"

    def inside(self, name, *argv):
        return self._hosts.inside(name, *argv)[1]

    # --- the operator's way -----------------------------------------------------------------------

    def _write_way(self, control):
        folder = pathlib.Path(self._hosts.folder)
        way, self.logins = folder / "way", folder / "way.log"
        way.write_text(_WAY)
        way.chmod(0o755)
        router = self._namespace("_router")
        self.ssh_config = folder / "ssh_config"
        self.ssh_config.write_text(f"Host *\n  ProxyCommand {way} {self.logins} {router} {control} %h\n")

    # --- following --------------------------------------------------------------------------------

    def _follow(self):
        try:
            while not self._stop.wait(_LOOK_S):
                self._look()
        except Exception as failure:  # noqa: BLE001: whatever it is, the test tells it
            self.failure = failure

    def _look(self):
        living = self._living()
        processes = self._processes()
        for name, life in list(self.lives.items()):
            if living.get(name, {}).get("InstanceId") != life:
                self._end(name, processes)
            elif name not in processes:
                self.ended_themselves.append(name)
                self._ec2.terminate_instances(InstanceIds=[life])
                self._end(name, processes)
                del living[name]
        if new := {n: i for n, i in living.items() if n not in self.lives}:
            self._begin(new)

    def _living(self):
        filters = [{"Name": "tag:baiwan:run", "Values": [self._run_name]},
                   {"Name": "instance-state-name", "Values": ["running"]}]  # fmt: skip
        found = self._ec2.describe_instances(Filters=filters)["Reservations"]
        return {_tag(i, "host"): i for r in found for i in r["Instances"]}

    def _processes(self):
        """The pids of the hosts that live."""
        entries = self._hosts.answer["hosts"] if self._hosts.answer else []
        return {h["name"]: h["pid"] for h in entries if _lives(h["pid"])}

    def _end(self, name, processes):
        self._close_links(name)
        self.lives.pop(name, None)
        self._kill(name, processes)

    @staticmethod
    def _kill(name, processes):
        with contextlib.suppress(ProcessLookupError):
            if name in processes:
                os.kill(processes[name], signal.SIGKILL)

    def _close_links(self, name):
        for link in self._links.pop(name, []):
            link.close()

    # --- a new life -------------------------------------------------------------------------------

    def _begin(self, new):
        for name, instance in new.items():
            self._known[name] = {"name": name, "address": instance["PrivateIpAddress"],
                                 "subnet": _tag(instance, "subnet")}  # fmt: skip
            # A new instance has a new disk.
            disk = pathlib.Path(self._hosts.request["state"], "disk", name)
            (disk / "made").unlink(missing_ok=True)
        self._hosts.request["hosts"] = list(self._known.values())
        self._hosts.up()  # all that are known: those without an instance end again
        processes = self._processes()
        for name in processes:
            if name not in new and name not in self.lives:
                self._kill(name, processes)
        with ThreadPoolExecutor(max_workers=4) as pool:
            list(pool.map(lambda item: self._boot(*item), new.items()))
        self.lives.update({n: i["InstanceId"] for n, i in new.items()})

    def _boot(self, name, instance):
        enter = self._hosts.host(name)["exec"]
        self._link(name, instance)
        if _tag(instance, "outside") == "true":
            _bring_boto3(enter)
        data = self._ec2.describe_instance_attribute(InstanceId=instance["InstanceId"], Attribute="userData")
        boot_case.boot(enter, base64.b64decode(data["UserData"]["Value"]).decode(), systemd=True)

    def _link(self, name, instance):
        """Its way to the cloud's interfaces, and what it asks there with."""
        namespace = self._namespace(name)
        port = int(self._emulation.url.rsplit(":", 1)[1])
        if _tag(instance, "outside") == "true":
            self._links[name] = [links_case.Relay(namespace, port, port)]
        elif self._has_gateway(instance):
            self._links[name] = [links_case.Relay(namespace, port, self._emulation.gateway_port)]
        if profile := instance.get("IamInstanceProfile"):
            alias = ["ip", "addr", "add", f"{links_case.METADATA}/32", "dev", "lo"]
            subprocess.run(["nsenter", f"--net={namespace}", *alias], check=True, timeout=10)
            role = profile["Arn"].rsplit("/", 1)[1]
            service = links_case.Metadata(namespace, role, ROLE_KEY, "secret-of-the-role")
            self._links.setdefault(name, []).append(service)

    def _has_gateway(self, instance):
        """Whether its network leads to S3."""
        of_vpc = [{"Name": "vpc-id", "Values": [instance["VpcId"]]}]
        return bool(self._ec2.describe_vpc_endpoints(Filters=of_vpc)["VpcEndpoints"])


def _lives(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except OSError:
        return False


def _tag(instance, name):
    return next((t["Value"] for t in instance["Tags"] if t["Key"] == f"baiwan:{name}"), "")


def _bring_boto3(enter):
    """What apt would bring: where the host's own Python has none, that of the test's."""
    if subprocess.run([*enter, "python3", "-c", "import boto3"], capture_output=True,
                      timeout=60, check=False).returncode == 0:  # fmt: skip
        return
    import botocore  # noqa: PLC0415: a test that skips has none

    folder = pathlib.Path(botocore.__file__).parent.parent
    data = folder / "botocore" / "data"
    services = [p.name for p in data.iterdir() if p.is_dir() and p.name not in _SERVICES]
    left_out = [f"--exclude=botocore/data/{name}" for name in services]
    pack = ["tar", "-C", str(folder), "--exclude=__pycache__", *left_out, "-c", *_NEEDED_OF_BOTO3]
    packed = subprocess.run(pack, capture_output=True, check=True, timeout=60).stdout
    unpack = [*enter, "tar", "-C", "/usr/lib/python3/dist-packages", "--no-same-owner", "-x"]
    subprocess.run(unpack, input=packed, check=True, timeout=60)
