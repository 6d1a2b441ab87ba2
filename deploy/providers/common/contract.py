"""What the contract (../README.md) says of every request, checked before anything is done: a bad one
changes nothing. A provider adds in its request.py what it takes besides, and refuses.

The rules on addresses are those of the clouds (the first four and the last address of a subnet are
the network's own), so that a plan which is good for one provider is good for the others.
"""

import ipaddress
import json
import re
from dataclasses import dataclass

from errors import RequestError

MAX_REQUEST_BYTES = 1 << 20
MAX_HOSTS = 200
MAX_RATE_MBIT = 100_000
MAX_DEADLINE_S = 7 * 24 * 3600
MIN_HEARTBEAT_S = 2

_FIELDS = {"run", "state", "network", "hosts", "rate_mbit", "deadline_s", "heartbeat_s", "options"}
_RUN = re.compile(r"[a-z0-9-]{1,20}")
_HOST = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_SUBNET = re.compile(r"[a-z0-9][a-z0-9-]{0,11}")  # netns calls a bridge br-SUBNET, 15 characters
# Goes without quotes into mount options (netns) and ssh's ProxyCommand (aws).
_STATE = re.compile(r"(/[A-Za-z0-9_.-]+)+")


@dataclass(frozen=True)
class Host:
    name: str
    address: ipaddress.IPv4Address
    subnet: str
    outside: bool


@dataclass(frozen=True)
class Request:
    run: str
    state: str
    vpc: ipaddress.IPv4Network
    subnets: dict
    hosts: tuple
    rate_mbit: float
    deadline_s: int
    heartbeat_s: int


def require(condition, text):
    if not condition:
        raise RequestError(text)


def require_known(document, known, where):
    unknown = sorted(set(document) - known)
    require(not unknown, f"{where}: unknown field {', '.join(unknown)}")


def parse_document(data):
    require(len(data) <= MAX_REQUEST_BYTES, f"the request is over {MAX_REQUEST_BYTES} bytes")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the request is not JSON: {error}") from None
    require(isinstance(document, dict), "the request is not a JSON object")
    return document


def parse_run(document):
    """The two fields that every command on an existing run needs."""
    run, state = document.get("run"), document.get("state")
    require(isinstance(run, str) and _RUN.fullmatch(run), "run: expected [a-z0-9-]{1,20}")
    require(
        isinstance(state, str) and len(state) <= 200 and _STATE.fullmatch(state),
        "state: expected the absolute path of a folder, of letters, digits and _ . -",
    )
    parts = state.split("/")
    require("." not in parts and ".." not in parts, "state: the path must not contain . or ..")
    return run, state


def require_known_fields(document):
    require_known(document, _FIELDS, "the request")


def parse_fields(document, max_subnets, reserved=None):
    """The fields of a Request but for `run` and `state`, by name. `reserved`: networks that the
    provider needs itself, and what for."""
    vpc, subnets = _network(document.get("network"), max_subnets, reserved or {})
    hosts = _hosts(document.get("hosts"), subnets)
    rate = document.get("rate_mbit", 0)
    require(
        isinstance(rate, (int, float)) and not isinstance(rate, bool) and 0 <= rate <= MAX_RATE_MBIT,
        f"rate_mbit: expected 0 (none) to {MAX_RATE_MBIT}",
    )
    require(rate == 0 or rate >= 1, "rate_mbit: a limit below 1 Mbit/s is not supported")
    deadline = _integer(document, "deadline_s", None)
    require(1 <= deadline <= MAX_DEADLINE_S, f"deadline_s: expected 1 to {MAX_DEADLINE_S}")
    beat = _integer(document, "heartbeat_s", 0)
    require(
        beat == 0 or MIN_HEARTBEAT_S <= beat <= MAX_DEADLINE_S,
        f"heartbeat_s: expected 0 (none) or {MIN_HEARTBEAT_S} to {MAX_DEADLINE_S}",
    )
    return {"vpc": vpc, "subnets": subnets, "hosts": hosts, "rate_mbit": rate, "deadline_s": deadline,
            "heartbeat_s": beat}  # fmt: skip


def refuse_other_hosts(before, request):
    """A run keeps its network and its hosts; more hosts may come. All else would need a `down`."""
    if (before.vpc, before.subnets) != (request.vpc, request.subnets):
        raise RequestError("network: the run has another one; take it down first")
    now = {h.name: h for h in request.hosts}
    for host in before.hosts:
        if now.get(host.name) != host:
            raise RequestError(f"hosts: the run has {host.name} as it was; take it down first")
    for host in set(request.hosts) - set(before.hosts):
        if host.outside:  # in netns its door would have to go into the router's rules
            raise RequestError(f"hosts: {host.name} is outside and new; take the run down first")


def describe_nothing(run):
    """The answer of `describe` where the run has no hosts."""
    empty = {"run": run, "hosts": [], "missing": [], "ssh_key": "", "known_hosts": ""}
    return {**empty, "control": {}, "heartbeat": ""}


def ipv4_network(text, field):
    try:
        require(isinstance(text, str), f"{field}: expected text")
        return ipaddress.IPv4Network(text)
    except ValueError as error:
        raise RequestError(f"{field}: {error}") from None


def _integer(document, field, default):
    value = document.get(field, default)
    require(isinstance(value, int) and not isinstance(value, bool), f"{field}: expected a number")
    return value


def _network(network, max_subnets, reserved):
    require(isinstance(network, dict), "network: expected an object with vpc and subnets")
    require_known(network, {"vpc", "subnets"}, "network")
    vpc = ipv4_network(network.get("vpc"), "network.vpc")
    require(vpc.is_private and 16 <= vpc.prefixlen <= 28, "network.vpc: expected a private /16 to /28")
    for other, purpose in reserved.items():
        require(not vpc.overlaps(other), f"network.vpc: {other} {purpose}")
    named = network.get("subnets")
    require(
        isinstance(named, dict) and 1 <= len(named) <= max_subnets,
        f"network.subnets: expected 1 to {max_subnets} of them by name",
    )
    subnets = {}
    for name, text in named.items():
        require(_SUBNET.fullmatch(name), f"network.subnets: {name!r} is no name: [a-z0-9-]{{1,12}}")
        subnet = ipv4_network(text, f"network.subnets.{name}")
        require(subnet.subnet_of(vpc), f"network.subnets.{name}: {subnet} is not within {vpc}")
        require(subnet.prefixlen <= 28, f"network.subnets.{name}: {subnet} is smaller than /28")
        for other, taken in subnets.items():
            require(not subnet.overlaps(taken), f"network.subnets: {name} overlaps {other}")
        subnets[name] = subnet
    return vpc, subnets


def _hosts(listed, subnets):
    require(
        isinstance(listed, list) and 1 <= len(listed) <= MAX_HOSTS,
        f"hosts: expected a list of 1 to {MAX_HOSTS}",
    )
    hosts, names, addresses = [], set(), set()
    for index, entry in enumerate(listed):
        host = _host(entry, f"hosts[{index}]", subnets)
        require(host.name not in names, f"hosts[{index}]: the name {host.name} is taken")
        require(host.address not in addresses, f"hosts[{index}]: {host.address} is taken")
        names.add(host.name)
        addresses.add(host.address)
        hosts.append(host)
    return tuple(hosts)


def _host(entry, where, subnets):
    require(isinstance(entry, dict), f"{where}: expected an object")
    require_known(entry, {"name", "address", "subnet", "outside"}, where)
    name, subnet = entry.get("name"), entry.get("subnet")
    require(
        isinstance(name, str) and _HOST.fullmatch(name),
        f"{where}.name: expected up to 32 of a-z, 0-9 and -",
    )
    require(isinstance(subnet, str) and subnet in subnets, f"{where}.subnet: no subnet {subnet!r}")
    try:
        require(isinstance(entry.get("address"), str), f"{where}.address: expected text")
        address = ipaddress.IPv4Address(entry["address"])
    except ValueError as error:
        raise RequestError(f"{where}.address: {error}") from None
    network = subnets[subnet]
    require(address in network, f"{where}.address: {address} is not within {network}")
    offset = int(address) - int(network.network_address)
    require(
        4 <= offset < network.num_addresses - 1,
        f"{where}.address: the first four and the last address of {network} are the network's own",
    )
    outside = entry.get("outside", False)
    require(isinstance(outside, bool), f"{where}.outside: expected true or false")
    return Host(name, address, subnet, outside)
