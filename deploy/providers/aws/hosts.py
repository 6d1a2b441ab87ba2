"""The instances of a run: starts what is missing, waits until it answers, says how it is.

A host has *lives*, numbered by its tag `generation`. Each life is one RunInstances with a client token
of the run's fresh id, the host and the number. It is written down before it is asked for, so that an
`up` which was interrupted asks for the same again, and gets the same instance.
"""

import concurrent.futures
import contextlib
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

import boot_data
import inventory
import logins
import states
import tags
from cloud import CallError, token_of
from errors import ProviderError, RequestError
from inventory import GONE
from progress import event, wait_until

AT_A_TIME = 4
MAX_LIVES = 3  # tried within one `up`
STALE_S = 600  # a life that was meant so long ago and is not seen did not come to be
GONE_LIMIT_S = 300
RUNNING_LIMIT_S = 300
READY_LIMIT_S = 900  # with packages from afar
ROUND_S = 60  # then a look whether they still live
LOOK_AGAIN_S = 5
SEEN_LIMIT_S = 60
_NOT_YET = ("InvalidIPAddress.InUse", "InvalidSubnetID.NotFound", "InvalidGroup.NotFound",
            "InvalidPlacementGroup.Unknown")  # fmt: skip
_OVER = "IdempotentInstanceTerminated"
_BEGUN_BEFORE = ("IdempotentParameterMismatch", _OVER)
_HERE = pathlib.Path(__file__).resolve().parent


class Fleet:
    def __init__(self, cloud, request, state, keys, fleet):
        self._cloud, self._request, self._state = cloud, request, state
        self._keys, self._fleet = keys, fleet
        self._launched = {}  # the life of each host that this command began

    def instances(self):
        """{host name: [instances]}, the one that counts last."""
        return inventory.by_host(inventory.instances(self._cloud, self._request.run))

    # --- starting -------------------------------------------------------------------------------

    def start_missing(self, network, image):
        """Returns (names started, names of those that still had their disk)."""
        known = self.instances()
        self._refuse_other_hosts(known)
        stopped, new = [], []
        for host in self._request.hosts:
            last = known.get(host.name, [None])[-1]
            kind = inventory.state(last) if last else "none"
            if kind in ("stopped", "stopping"):
                stopped.append((host, last))
            elif kind not in ("pending", "running"):
                new.append(host)
        if new or stopped:
            count = len(new) + len(stopped)
            event("hosts", "", f"starting {count} of {len(self._request.hosts)} hosts")
        self._start_again([last for _, last in stopped])
        self._wait_gone([i for h in new for i in known.get(h.name, [])])
        self._in_parallel(lambda h: self._launch(h, known.get(h.name, []), network, image), new)
        started = [h.name for h in self._request.hosts if h in new or h in [s for s, _ in stopped]]
        return started, [h.name for h, _ in stopped]

    def _refuse_other_hosts(self, known):
        for host in self._request.hosts:
            last = known.get(host.name, [None])[-1]
            if last and inventory.state(last) not in GONE:
                if last.get("PrivateIpAddress") != str(host.address):
                    text = f"the run has {host.name} as {last.get('PrivateIpAddress')}"
                    raise RequestError(f"hosts: {text}; take it down first")

    def _start_again(self, instances):
        names = [i["InstanceId"] for i in instances]
        if names:
            self._wait_states(names, lambda s: s != "stopping", GONE_LIMIT_S)
            self._cloud.call("StartInstances", InstanceIds=names)

    def _wait_gone(self, instances):
        """Their addresses are free only then."""
        ending = [i["InstanceId"] for i in instances if inventory.state(i) == "shutting-down"]
        if ending:
            self._wait_states(ending, lambda s: s == "terminated", GONE_LIMIT_S)

    def _wait_states(self, names, good, limit_s):
        def reached():
            found = inventory.instances(self._cloud, self._request.run)
            return all(good(inventory.state(i)) for i in found if i["InstanceId"] in names)

        wait_until(reached, limit_s, f"the state of {len(names)} instances", 3)

    @staticmethod
    def _in_parallel(work, hosts):
        """The first failure stops what has not begun, and is the one that is told."""
        with concurrent.futures.ThreadPoolExecutor(max_workers=AT_A_TIME) as pool:
            futures = [pool.submit(work, host) for host in hosts]
            done, _ = concurrent.futures.wait(futures, return_when="FIRST_EXCEPTION")
            failed = [f for f in done if f.exception()]
            if failed:
                pool.shutdown(cancel_futures=True)
                raise failed[0].exception()

    def _launch(self, host, known, network, image):
        number = max([inventory.generation(i) for i in known], default=0) + 1
        for _ in range(MAX_LIVES):
            life = self._life(host, number, network, image)
            number = life["generation"]
            try:
                made = self._run_instance(life["parameters"])
            except CallError as error:
                if error.code not in _BEGUN_BEFORE:
                    error.host = host.name
                    raise
                if error.code == _OVER:  # and its tags are gone, or its number would have been known
                    number += 1
                    continue
                # The same life was begun from another machine; soon it is to be seen.
                time.sleep(LOOK_AGAIN_S)
                if any(inventory.state(i) not in GONE for i in self.instances().get(host.name, [])):
                    return
            except ProviderError as error:
                error.host = host.name
                raise
            else:
                if inventory.state(made) not in GONE:
                    self._launched[host.name] = number
                    event("launched", host.name, made["InstanceId"])
                    return
            number += 1
        raise ProviderError(f"{MAX_LIVES} lives of it have ended at once", host.name, "RunInstances")

    def _run_instance(self, parameters):
        """What was just made is not at once seen everywhere, nor free what has just ended."""
        end = time.monotonic() + SEEN_LIMIT_S
        while True:
            try:
                return self._cloud.call("RunInstances", **parameters)["Instances"][0]
            except CallError as error:
                if error.code not in _NOT_YET or time.monotonic() > end:
                    raise
            time.sleep(1)

    def _life(self, host, number, network, image):
        """What was meant before and not seen since, else a new life."""
        now = int(time.time())
        meant = self._state.launch(host.name) or {}
        if meant.get("fleet") == self._fleet and meant["generation"] >= number:
            if now - meant["time"] < STALE_S:
                return meant
            number = meant["generation"] + 1
        life = {"fleet": self._fleet, "generation": number, "time": now,
                "parameters": self._parameters(host, number, network, image, now)}  # fmt: skip
        self._state.keep_launch(host.name, life)
        return life

    def _parameters(self, host, number, network, image, now):
        request, options = self._request, self._request.options
        named = tags.of(request.run, "host", **{
            tags.HOST: host.name, tags.ADDRESS: str(host.address), tags.SUBNET: host.subnet,
            tags.FLEET: self._fleet,
            tags.OUTSIDE: str(host.outside).lower(), tags.GENERATION: str(number),
        })  # fmt: skip
        groups = ["members"] + (["outside"] if host.outside else [])
        kinds = ["instance", "volume", "network-interface"]
        parameters = {
            "ClientToken": token_of(self._fleet, host.name, number),
            "ImageId": image["ImageId"],
            "InstanceType": options.type,
            "MinCount": 1,
            "MaxCount": 1,
            "UserData": boot_data.build(request, host, self._fleet, self._keys,
                                        now + request.deadline_s, self._cloud.region),
            "InstanceInitiatedShutdownBehavior": "terminate",
            "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1,
                                "HttpEndpoint": "enabled"},
            "NetworkInterfaces": [{
                "DeviceIndex": 0,
                "SubnetId": network.subnets[host.subnet],
                "PrivateIpAddress": str(host.address),
                "Groups": [network.groups[g] for g in groups],
                "AssociatePublicIpAddress": host.outside,
                "DeleteOnTermination": True,
            }],
            "BlockDeviceMappings": [{
                "DeviceName": image.get("RootDeviceName", "/dev/xvda"),
                "Ebs": {"VolumeSize": options.disk_gb, "VolumeType": "gp3", "Encrypted": True,
                        "DeleteOnTermination": True},
            }],
        }  # fmt: skip
        if network.placement_group:
            parameters["Placement"] = {"GroupName": network.placement_group}
        if options.instance_profile and host.outside:
            parameters["IamInstanceProfile"] = {"Name": options.instance_profile}
        if options.spot:
            kinds.append("spot-instances-request")
            once = {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"}
            parameters["InstanceMarketOptions"] = {"MarketType": "spot", "SpotOptions": once}
        return {**parameters, "TagSpecifications": tags.specification(kinds, named)}

    # --- waiting --------------------------------------------------------------------------------

    def wait_running(self):
        wait_until(self._all_running, RUNNING_LIMIT_S, "all instances running", 3)

    def _all_running(self):
        """An instance that ended is an error, unless it is a former life of one not yet to be seen."""
        known = self.instances()
        kinds = []
        for host in self._request.hosts:
            last = known.get(host.name, [None])[-1]
            kind = inventory.state(last) if last else "pending"
            if kind in GONE and inventory.generation(last) < self._launched.get(host.name, 0):
                kind = "pending"
            if kind in GONE:
                why = last.get("StateReason", {}).get("Message", "no reason given")
                raise ProviderError(f"it ended while it started: {why}", host.name, "RunInstances")
            kinds.append(kind)
        return all(kind == "running" for kind in kinds)

    def wait_ready(self):
        """Until every host lets the run in and its boot is done. Returns warnings."""
        inside = states.seat() is not None
        if not self._request.outside:
            return ["no host is outside, so nobody could ask whether the hosts answer"]
        waiting = {h.name: str(h.address) for h in self._request.hosts}
        key, known = boot_data.CONTROL["ssh_key"], boot_data.CONTROL["known_hosts"]
        logins_of = {n: logins.straight(key, known, n, a) for n, a in waiting.items()}
        warnings, end = [], time.monotonic() + READY_LIMIT_S
        while waiting:
            left_s = max(1, min(ROUND_S, int(end - time.monotonic())))
            door = [] if inside else self._door()
            argv = [*door, *(["python3"] if door else [sys.executable]), "-I", "-"]
            asked = json.dumps({"logins": logins_of, "waiting": list(waiting), "limit_s": left_s})
            text = (_HERE / "ready.py").read_text() + f"\n\nsys.exit(run(json.loads({asked!r})))\n"
            tail = self._follow(argv, text, left_s + 30, waiting, warnings)
            if waiting and time.monotonic() > end:
                name = sorted(waiting)[0]
                raise ProviderError(f"not ready after {READY_LIMIT_S} s ({len(waiting)} of "
                                    f"{len(self._request.hosts)} hosts)", name, "boot", tail)  # fmt: skip
            if waiting:
                self._all_running()
                time.sleep(2)  # the door is not yet open, or was shut again
        return warnings

    def _door(self):
        entries = self.describe()["hosts"]
        return next((h["ssh"] for h in entries if h["outside"] and h["ssh"]), ["false"])

    @staticmethod
    def _follow(argv, text, limit_s, waiting, warnings):
        """Takes those from `waiting` that are ready. Returns what else was written."""
        with tempfile.TemporaryFile("w+", errors="replace") as console:
            try:
                process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                           stderr=console, text=True)  # fmt: skip
            except FileNotFoundError:
                mend = f"{argv[0]} is not installed; apt-get install openssh-client"
                raise ProviderError(mend, "", argv[0]) from None
            limit = threading.Timer(limit_s, process.kill)
            limit.start()
            with process:
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.write(text)
                    process.stdin.close()
                for line in process.stdout:
                    Fleet._take(line, waiting, warnings)
            limit.cancel()
            console.seek(0)
            return console.read()

    @staticmethod
    def _take(line, waiting, warnings):
        with contextlib.suppress(ValueError):
            answer = json.loads(line)
            if isinstance(answer, dict) and waiting.pop(answer.get("host"), None):
                event("ready", answer["host"], "boot is done")
                warnings += [f"{answer['host']}: {w}" for w in answer["warnings"]]

    # --- describing -----------------------------------------------------------------------------

    def describe(self, known=None):
        """`known`: as `instances` tells, which is asked if it is not given."""
        known = self.instances() if known is None else known
        inside = states.seat() is not None
        control = boot_data.CONTROL if self._request.outside else {}
        key, trusted = str(self._keys.login), str(self._keys.known_hosts)
        if inside:
            key, trusted = control["ssh_key"], control["known_hosts"]
        entries = [self._entry(h, known.get(h.name, [None])[-1]) for h in self._request.hosts]
        doors = [e for e in entries if e["outside"] and e.get("public_address")]
        config = "" if inside else self._request.options.ssh_config
        door = doors and logins.straight(key, trusted, doors[0]["name"], doors[0]["public_address"], config)
        for entry in entries:
            if inside:
                argv = logins.straight(key, trusted, entry["name"], entry["address"])
            elif entry.get("public_address"):
                argv = logins.straight(key, trusted, entry["name"], entry["public_address"], config)
            else:
                argv = door and logins.through(key, trusted, entry["name"], entry["address"], door)
            entry["ssh"] = entry["exec"] = argv or []
        return {
            "run": self._request.run,
            "hosts": entries,
            "missing": [e["name"] for e in entries if e["state"] != "running"],
            "ssh_key": key,
            "known_hosts": trusted,
            "control": control,
            "heartbeat": boot_data.HEARTBEAT,
        }

    def describe_unseen(self):
        """From a host of the run that has no right to look: how to log in, and nothing of how they are."""
        answer = self.describe(known={})
        for entry in answer["hosts"]:
            entry["state"] = "unknown"
        return {**answer, "missing": []}

    @staticmethod
    def _entry(host, last):
        kind = inventory.state(last) if last else "none"
        words = {"none": "missing", "pending": "starting", "running": "running"}
        entry = {
            "name": host.name,
            "address": str(host.address),
            "subnet": host.subnet,
            "outside": host.outside,
            "state": words.get(kind, "ended"),
        }
        if last:
            entry["id"] = last["InstanceId"]
        if host.outside and last and kind == "running" and last.get("PublicIpAddress"):
            entry["public_address"] = last["PublicIpAddress"]
        return entry
