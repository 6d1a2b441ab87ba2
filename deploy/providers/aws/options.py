"""The settings of a request that only this provider has: `"options": {…}`. Every one has a default
but `operator_cidr`, which an `up` with an `outside` host needs."""

import re
from dataclasses import dataclass

from contract import ipv4_network, require, require_known

ARCHITECTURES = ("arm64", "x86_64")
WIDEST_OPERATOR_PREFIX = 16
MAX_DISK_GB = 1024
MAX_TRAFFIC_GB = 1_000_000
_TYPE = re.compile(r"[a-z][a-z0-9-]{1,20}\.[a-z0-9-]{2,20}")
_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+){1,3}-\d")
_ZONE = re.compile(r"[a-z0-9-]{6,30}")
_IMAGE = re.compile(r"ami-[0-9a-f]{8,17}")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PROFILE = re.compile(r"[\w+=,.@-]{1,128}")
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]{1,512}")
_URL = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+/?")
_PATH = re.compile(r"(/[A-Za-z0-9_.-]+)+")


@dataclass(frozen=True)
class Options:
    type: str = "c7g.large"
    architecture: str = "arm64"
    image: str = ""  # "": the newest Debian 12 of Debian's own account
    disk_gb: int = 16
    spot: bool = False
    placement_group: bool = False
    region: str = ""  # "": what the AWS chain of settings says
    zone: str = ""  # "": the first that offers the type
    endpoint_url: str = ""  # for an emulation
    operator_cidr: str = ""
    bucket: str = ""
    instance_profile: str = ""
    scheduler_role: str = ""  # the ARN of what EventBridge Scheduler ends instances with
    prices: str = ""  # "": the list beside this file
    ssh_config: str = ""  # a file for the operator's ssh to the `outside` hosts; not on hosts of the run
    traffic_gb_between_zones: float = 0
    traffic_gb_out: float = 0


def parse(document):
    require(isinstance(document, dict), "options: expected an object")
    require_known(document, set(Options.__dataclass_fields__), "options")
    for name, pattern in (
        ("type", _TYPE), ("image", _IMAGE), ("region", _REGION), ("zone", _ZONE), ("bucket", _BUCKET),
        ("instance_profile", _PROFILE), ("endpoint_url", _URL), ("prices", _PATH),
        ("ssh_config", _PATH), ("scheduler_role", _ROLE),
    ):  # fmt: skip
        value = document.get(name, "")
        good = isinstance(value, str) and (pattern.fullmatch(value) or (not value and name != "type"))
        require(name not in document or good, f"options.{name}: {value!r} is no such name")
    for name in ("spot", "placement_group"):
        require(isinstance(document.get(name, False), bool), f"options.{name}: expected true or false")
    for name in ("traffic_gb_between_zones", "traffic_gb_out"):
        value = document.get(name, 0)
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        require(number and 0 <= value <= MAX_TRAFFIC_GB, f"options.{name}: 0 to {MAX_TRAFFIC_GB}")
    options = Options(**document)
    disk = options.disk_gb
    whole = isinstance(disk, int) and not isinstance(disk, bool)
    require(whole and 8 <= disk <= MAX_DISK_GB, f"options.disk_gb: expected 8 to {MAX_DISK_GB}")
    one_of = " or ".join(ARCHITECTURES)
    require(options.architecture in ARCHITECTURES, f"options.architecture: expected {one_of}")
    burstable = re.match(r"t\d", options.type)
    require(not burstable, f"options.type: {options.type} lives on credits and hangs under load")
    _operator(options.operator_cidr)
    return options


def unreadable_ssh_config(options):
    """Why the operator's ssh could not read it, or ''."""
    if not options.ssh_config:
        return ""
    try:
        with open(options.ssh_config) as file:
            file.read(1)
    except (OSError, ValueError) as error:
        return str(error)
    return ""


def _operator(text):
    if not text and text == "":
        return
    network = ipv4_network(text, "options.operator_cidr")
    wide = f"options.operator_cidr: {text} is wider than /{WIDEST_OPERATOR_PREFIX}"
    require(network.prefixlen >= WIDEST_OPERATOR_PREFIX, wide)
