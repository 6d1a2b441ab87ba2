"""What a step is asked to do: the arguments and FOLDER/hosts.json, checked before anything is done."""

import json
import os
import re
from dataclasses import dataclass

STEPS = {  # and how long each may take, in seconds, unless --limit says so
    "deploy": 900,
    "import": 3600,
    "start": 180,
    "run": 7 * 24 * 3600,
    "stop": 240,
    "verify": 3600,
    "collect": 900,
}
PROGRAM = "/opt/baiwan/bin/baiwan"
RUN_FOLDER = "/var/lib/baiwan"
MAX_BYTES = 16 << 20
MAX_HOSTS = 1001
MAX_ADDRESS = 4096
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_ADDRESS = re.compile(r"https?://[!-~]+")
_PACKAGE = re.compile(r"(?:[^/\0]*/)*baiwan-([A-Za-z0-9._+-]{1,64})-(x86_64|aarch64)\.tar\.gz")


class RequestError(Exception):
    """Nothing was done; the text says what to change."""


@dataclass(frozen=True)
class Host:
    name: str
    address: str
    local: bool
    files: str  # absolute, a folder
    folders: list
    imports: list
    serve: list
    ready: list
    load: list
    verify: list
    share: str
    collect: list


@dataclass(frozen=True)
class Request:
    step: str
    folder: str
    limit: int
    hosts: tuple  # those that were asked for
    control: Host
    package: str  # absolute; so may hosts.json say it
    version_arch: str
    arch: str
    ssh_key: str
    known_hosts: str
    secret: str
    peer_to_peer: bool
    rate_mbit: float
    peer_port: int
    tracker_port: int
    web_seed: str  # an address that has the package too, or ''


def _take(document, key, kind, default=None):
    value = document.get(key, default)
    # bool is an int to Python, but no number to people.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise RequestError(f"hosts.json: {key}: expected {_words(kind)}, found {value!r:.60}")
    return value


def _words(kind):
    names = {str: "a text", bool: "true or false", list: "a list", int: "a whole number"}
    return names.get(kind, "a number")


def _texts(document, key):
    value = _take(document, key, list, [])
    if not all(isinstance(v, str) for v in value):
        raise RequestError(f"hosts.json: {key}: expected a list of texts")
    return value


def _relative(path, key):
    if path.startswith("/") or ".." in path.split("/"):
        raise RequestError(f"hosts.json: {key}: {path} leaves the run's folder")
    return path


def _read_host(document, folder):
    if not isinstance(document, dict):
        raise RequestError("hosts.json: hosts: expected a list of objects")
    name = _take(document, "name", str)
    if not _NAME.fullmatch(name):
        raise RequestError(f"hosts.json: {name!r} is no name of a host")
    imports = _take(document, "imports", list, [])
    if not all(isinstance(a, list) and a and all(isinstance(w, str) for w in a) for a in imports):
        raise RequestError(f"hosts.json: {name}: imports: expected a list of commands")
    return Host(
        name=name,
        address=_take(document, "address", str),
        local=_take(document, "local", bool, False),
        files=os.path.join(folder, _relative(_take(document, "files", str), "files")),
        folders=[_relative(f, "folders") for f in _texts(document, "folders")],
        imports=imports,
        serve=_texts(document, "serve"),
        ready=_texts(document, "ready"),
        load=_texts(document, "load"),
        verify=_texts(document, "verify"),
        share=_relative(_take(document, "share", str, ""), "share"),
        collect=[_relative(c, "collect") for c in _texts(document, "collect")],
    )


def _load(folder):
    path = os.path.join(folder, "hosts.json")
    try:
        with open(path, "rb") as file:
            text = file.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise RequestError(f"{path} is over {MAX_BYTES >> 20} MiB")
        document = json.loads(text)
    except OSError as error:
        raise RequestError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise RequestError(f"{path}: {error}") from error
    if not isinstance(document, dict):
        raise RequestError(f"{path}: expected an object")
    return document


def _the_units_own(document):
    for key, only in (("program", PROGRAM), ("folder", RUN_FOLDER)):
        if _take(document, key, str, only) != only:
            raise RequestError(f"hosts.json: {key}: the units know only {only}")


def _choose(hosts, wanted):
    by_name = {h.name: h for h in hosts}
    if len(by_name) != len(hosts):
        raise RequestError("hosts.json: two hosts have the same name")
    if not wanted or len(set(wanted)) != len(wanted):
        raise RequestError("--hosts: expected names, separated by commas, each once")
    if unknown := [w for w in wanted if w not in by_name]:
        raise RequestError(f"--hosts: hosts.json has no {', '.join(unknown[:5])}")
    return tuple(by_name[w] for w in wanted)


def read(step, folder, wanted, limit):
    """The Request, or RequestError."""
    folder = os.path.abspath(folder)
    document = _load(folder)
    _the_units_own(document)
    entries = _take(document, "hosts", list)
    if not 0 < len(entries) <= MAX_HOSTS:
        raise RequestError(f"hosts.json: hosts: expected 1 to {MAX_HOSTS}")
    hosts = [_read_host(e, folder) for e in entries]
    local = [h for h in hosts if h.local]
    if len(local) != 1:
        raise RequestError("hosts.json: expected one host with local = true, the one that this runs on")
    package = _take(document, "package", str)
    match = _PACKAGE.fullmatch(package)
    if not match:
        raise RequestError(f"hosts.json: package: {package} is not called baiwan-VERSION-ARCH.tar.gz")
    payload = _take(document, "payload", str, "p2p")
    if payload not in ("p2p", "copy"):
        raise RequestError(f"hosts.json: payload: {payload} is neither p2p nor copy")
    request = Request(
        step=step,
        folder=folder,
        limit=limit or STEPS[step],
        hosts=_choose(hosts, wanted),
        control=local[0],
        package=os.path.join(folder, package),
        version_arch=f"{match.group(1)}-{match.group(2)}",
        arch=match.group(2),
        ssh_key=_take(document, "ssh_key", str),
        known_hosts=_take(document, "known_hosts", str),
        secret=os.path.join(folder, "link.secret"),
        peer_to_peer=payload == "p2p",
        rate_mbit=_take(document, "rate_mbit", (int, float), 0),
        peer_port=_take(document, "peer_port", int, 6881),
        tracker_port=_take(document, "tracker_port", int, 6969),
        web_seed=_web_seed(folder) if step == "deploy" else "",
    )
    if step == "deploy":
        _check_files(request)
    return request


def _web_seed(folder):
    """Whoever has the address may read what is there, so it stands in a file of its own."""
    try:
        with open(os.path.join(folder, "web-seed"), encoding="ascii") as file:
            text = file.read(MAX_ADDRESS + 1).strip()
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise RequestError(f"web-seed: {error}") from error
    if text and (len(text) > MAX_ADDRESS or not _ADDRESS.fullmatch(text)):
        raise RequestError(f"web-seed: expected an address of http or https, up to {MAX_ADDRESS} characters")
    return text


def _check_files(request):
    for path in (request.package, request.package + ".sha256", request.secret):
        if not os.path.isfile(path):
            raise RequestError(f"{path} is missing")
    for host in request.hosts:
        if not os.path.isdir(host.files):
            raise RequestError(f"{host.files} is missing, the files of {host.name}")
