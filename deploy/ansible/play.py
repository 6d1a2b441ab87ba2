"""A request as what Ansible reads: inventory, arguments, environment, and a folder to work in."""

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import tempfile

from request import RUN_FOLDER

HERE = pathlib.Path(__file__).resolve().parent
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CONNECT_S = 10
JOIN_S = 10  # without a byte from peers
# The step's own limit, so that it can say why: Ansible takes its time to begin, and more so beside other load.
SCRIPT_ENDS_BEFORE_S = 10
_PREFIX = ".step-"
_SSH = {
    "UserKnownHostsFile": None,
    "GlobalKnownHostsFile": "/dev/null",
    "StrictHostKeyChecking": "yes",
    "IdentitiesOnly": "yes",
    "BatchMode": "yes",
    "LogLevel": "ERROR",
    "ConnectTimeout": CONNECT_S,
    "ServerAliveInterval": 5,
    "ServerAliveCountMax": 3,
}


@contextlib.contextmanager
def work_folder(folder):
    """Goes away after the step; the next step removes what a killed one has left."""
    for left in pathlib.Path(folder).glob(_PREFIX + "*"):
        with open_folder(left) as descriptor, contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
    work = tempfile.mkdtemp(prefix=_PREFIX, dir=folder)
    with open_folder(work) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)


@contextlib.contextmanager
def open_folder(path):
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def checksum(request):
    """What the file beside the package says."""
    with open(request.package + ".sha256", encoding="ascii", errors="replace") as file:
        return (file.read(200).split() or [""])[0]


def wrong_package(request):
    """Why it must not be sent to anybody, or ''."""
    if request.step != "deploy":
        return ""
    with open(request.package, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    said = checksum(request)
    if found == said:
        return ""
    return f"the package {os.path.basename(request.package)} has the checksum {found}, not {said}"


def wants_swarm(request):
    return request.step == "deploy" and request.peer_to_peer and any(not h.local for h in request.hosts)


def _package(request):
    size = os.path.getsize(request.package)
    at_rate = size * 8 / (request.rate_mbit * 1e6) if request.rate_mbit else 0
    return {
        "package": os.path.basename(request.package),
        "here": request.package,
        "sha": checksum(request),
        "version_arch": request.version_arch,
        "arch": request.arch,
        "peer_port": request.peer_port,
        "join_s": JOIN_S,
        # A swarm needs a few times what one host alone would.
        "p2p_s": max(60, int(20 * at_rate)),
    }


def _host(request, host, work, swarm):
    variables = {
        "ansible_host": host.address,
        # Also the one that this runs on: Ansible's process namespace, in which a service manager cannot
        # tell who asks, does not reach beyond its sshd.
        "ansible_connection": "ssh",
        "host": {
            "name": host.name,
            "address": host.address,
            "files": host.files,
            "folders": host.folders,
            "transfer": "here" if host.local else "p2p" if swarm else "copy",
            "imports": host.imports,
            "serve": host.serve,
            "ready": host.ready,
            "load": host.load,
            "verify": host.verify,
            "share": host.share,
            "share_file": {},
            "collect": host.collect,
            "collected_file": {
                "from": f"{RUN_FOLDER}/.steps/collected.tar.gz",
                "by": f"{work}/{host.name}.tar.gz",
                "to": f"{request.folder}/collected/{host.name}",
            },
        },
    }
    if host.share and host.verify:
        variables["host"]["share_file"] = {
            "from": f"{RUN_FOLDER}/.steps/share.gz",
            "by": f"{work}/{host.name}.share.gz",
            "to": f"{request.folder}/shares/{host.name}.share",
        }
    return variables


def write_inventory(request, work, swarm):
    options = {**_SSH, "UserKnownHostsFile": request.known_hosts}
    limit = max(1, request.limit - SCRIPT_ENDS_BEFORE_S)
    common = {
        "ansible_user": "root",
        "ansible_ssh_private_key_file": request.ssh_key,
        "ansible_ssh_common_args": " ".join(f"-o {k}={v}" for k, v in options.items()),
        "fleet": {
            "paths": {"folder": RUN_FOLDER, "limit": limit},
            "package": _package(request) if request.step == "deploy" else {},
            "secret": request.secret,
            "torrent": swarm.torrent if swarm else "",
        },
    }
    hosts = {h.name: _host(request, h, work, swarm) for h in request.hosts}
    path = pathlib.Path(work) / "inventory.json"
    path.write_text(json.dumps({"all": {"vars": common, "hosts": hosts}}))
    return str(path)


def argv(request, inventory):
    forks = str(len(request.hosts))
    return ["ansible-playbook", "-i", inventory, "--forks", forks, str(HERE / f"{request.step}.yml")]


def environment(work):
    return {
        "PATH": PATH,
        "HOME": work,
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_CONFIG": str(HERE / "ansible.cfg"),
        "ANSIBLE_HOME": work,
        "ANSIBLE_LOCAL_TEMP": work,
        "PYTHONDONTWRITEBYTECODE": "1",
    }
