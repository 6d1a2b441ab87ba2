"""What this machine lacks for test hosts, and which Debian package brings it."""

import os
import pathlib
import resource
import shutil
import subprocess
import tempfile

import groups

MEMORY_PER_HOST_MB = 8  # runit, sshd, one session; the service's own memory is the plan's matter
DISK_PER_HOST_MB = 2
_PROBE_TIMEOUT_S = 10
_TOOLS = {
    "ip": "iproute2",
    "tc": "iproute2",
    "nft": "nftables",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "sshd": "openssh-server",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
}
_INITS = {"runit": ("runsvdir", "runit"), "systemd": ("systemctl", "systemd")}
SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PROBES = {
    "network namespaces": "ip link add name a type veth peer name b",
    "bridges": "ip link add name a type bridge",
    "nftables with connection tracking": "nft add table inet a && nft add chain inet a b && "
    "nft add rule inet a b ct state established accept",
    "address translation in nftables": "nft add table ip a && nft add chain ip a b "
    "'{ type nat hook postrouting priority 100 ; }'",
    "rate limits (tbf)": "ip link add name a type veth peer name b && "
    "tc qdisc add dev a root tbf rate 1mbit burst 32kb latency 50ms",
}


def missing(hosts=0, state="", init="runit"):
    """[{"what", "why", "package"}]; the later probes need what the earlier ones found."""
    found = []
    for tool, package in [*_TOOLS.items(), _INITS[init]]:
        if not shutil.which(tool, path=SEARCH):
            found.append({"what": tool, "why": "not installed", "package": package})
    if init == "systemd" and not groups.hierarchies():
        found.append(_entry("control groups", "systemd needs its own hierarchy, or version 2"))
    if os.geteuid() != 0:
        found.append({"what": "root", "why": "namespaces and mounts need it", "package": ""})
    if not found:
        found = [_entry(what, why) for what, s in _PROBES.items() if (why := _probe(s))]
    if not os.path.islink("/bin"):
        found.append(_entry("merged /usr", "/bin is a folder of its own"))
    needed = hosts * MEMORY_PER_HOST_MB
    if memory_mb() < needed:
        found.append(_entry("memory", f"{hosts} hosts need {needed} MB, {memory_mb()} are free"))
    if state and disk_mb(state) < hosts * DISK_PER_HOST_MB:
        found.append(_entry("disk", f"{disk_mb(state)} MB are free where {state} is"))
    return found


def _entry(what, why):
    return {"what": what, "why": why, "package": ""}


def _probe(script):
    """Tries it in a namespace that goes away with it. Returns why it does not work, or ''."""
    try:
        done = subprocess.run(
            ["unshare", "--net", "--mount", "sh", "-ec", script],
            capture_output=True, text=True, timeout=_PROBE_TIMEOUT_S, check=False,
            env={"PATH": SEARCH},
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    lines = (done.stderr or done.stdout).strip().splitlines()
    return "" if done.returncode == 0 else (lines or [f"code {done.returncode}"])[0]


def overlay_works(folder):
    """Whether the upper layer of a host's root can lie in this folder. It cannot where the folder
    itself is on an overlay, as in most containers."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="probe-") as probe:
        script = (
            f"cd {probe} && mkdir upper work at && "
            "mount -t overlay overlay -o lowerdir=/usr,upperdir=upper,workdir=work at && touch at/a"
        )
        return _probe(script) == ""


def memory_mb():
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) // 1024
    return 0


def disk_mb(folder):
    path = pathlib.Path(folder)
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free >> 20


def facts(state):
    return {
        "shared": True,
        "memory_mb": memory_mb(),
        "disk_mb": disk_mb(state or "/"),
        "cpus": len(os.sched_getaffinity(0)),
        "open_files": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
    }
