"""Starts the hosts of a run and says how they are.

A host is the process `unshare` in the host's network namespace, and below it process 1 of a process
namespace of its own, runit or systemd. Killing the one `unshare` ends the host like a pulled plug.
"""

import concurrent.futures
import json
import os
import pathlib
import select
import subprocess
import sys
import time

import host_disk
import machine
import network
import settings
from errors import ProviderError
from progress import event

READY_TIMEOUT_S = 60
LOGIN_TIMEOUT_S = 10
_HERE = pathlib.Path(__file__).resolve().parent
# Everything but the namespaces of users and control groups, of which a host has none of its own.
_ENTER = ["--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd"]


class Fleet:
    """The hosts of one request and where their files are."""

    def __init__(self, shell, request):
        self.shell = shell
        self.request = request
        self.state = pathlib.Path(request.state)
        self.key = self.state / "keys" / "run_ed25519"
        self.known_hosts = self.state / "keys" / "known_hosts"

    def disk(self, host):
        return self.state / "disk" / host.name

    def namespace(self, host):
        return network.namespace(self.request.run, host.name)

    def running(self):
        """{host name: (pid of unshare, pid of process 1)}"""
        prefix = network.prefix_of(self.request.run)
        by_host = {}
        for pid, name in machine.processes_of(prefix).items():
            by_host.setdefault(name.removeprefix(prefix), []).append(pid)
        found = {name: machine.first_process(pids) for name, pids in by_host.items()}
        return {name: first for name, first in found.items() if first}

    # --- starting -------------------------------------------------------------------------------

    def make_key(self):
        self.key.parent.mkdir(mode=0o700, exist_ok=True)
        self._keygen(self.key, "")

    def _keygen(self, path, host):
        if not path.exists() or not path.with_name(path.name + ".pub").exists():
            path.unlink(missing_ok=True)
            argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.request.run, "-f", path]
            self.shell.run([str(a) for a in argv], host=host)

    def prepare_disks(self, hosts):
        """Returns the names of those that were kept."""
        key_text = self.key.with_name(self.key.name + ".pub").read_text()

        def prepare(host):
            return host_disk.prepare(self.disk(host), self.request, host, key_text, self._keygen)

        with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
            kept = list(pool.map(prepare, hosts))
        self._write_known_hosts()
        private, known = self.key.read_text(), self.known_hosts.read_text()
        for host in self.request.hosts:  # those that run as well: they learn the new hosts' keys
            if host.outside:
                host_disk.give_keys(self.disk(host), private, known)
        return [h.name for h, k in zip(hosts, kept) if k]

    def _write_known_hosts(self):
        keys = [(h, host_disk.host_key(self.disk(h))) for h in self.request.hosts]
        text = "".join(f"{h.name},{h.address} {key}\n" for h, key in keys)
        fresh = self.known_hosts.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self.known_hosts)

    def start(self, host, wanted):
        """Starts the host's process; does not wait for it."""
        request, disk = self.request, self.disk(host)
        boot = {
            "name": host.name,
            "asks_as": request.run if host.outside else "",
            "links": "\n".join(network.host_links(request, host)) + "\n",
            "rules": network.host_rules(request, host),
            "rate": network.rate_line("eth0", request.rate_mbit) + "\n" if request.rate_mbit else "",
            "settings": wanted,
            "deadline_s": request.deadline_s,
            "heartbeat_s": request.heartbeat_s,
            "init": request.init,
        }
        host_disk.write_boot(disk, boot)
        argv = ["nsenter", f"--net=/run/netns/{self.namespace(host)}", "unshare", "--mount", "--pid",
                "--fork", "--uts", "--ipc", "--kill-child", sys.executable, "-I",
                str(_HERE / "host_boot.py"), self.namespace(host), str(disk)]  # fmt: skip
        environment = {"PATH": host_disk.PATH, "LANG": "C.UTF-8"}
        with open(disk / "console.log", "wb") as console:
            return subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=console, stderr=console,
                start_new_session=True, env=environment, cwd="/",
            )  # fmt: skip

    def wait_ready(self, processes):
        """Until sshd of every host answers, asked from the router. `processes`: those just started,
        by host name."""
        targets = {h.name: str(h.address) for h in self.request.hosts}
        router = network.namespace(self.request.run, network.ROUTER)
        argv = ["nsenter", f"--net=/run/netns/{router}", sys.executable, "-I",
                str(_HERE / "wait_ready.py"), str(READY_TIMEOUT_S)]  # fmt: skip
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as waiter:
            try:
                waiter.stdin.write(json.dumps(targets).encode())
                waiter.stdin.close()
                self._follow(waiter, processes, set(targets))
            finally:
                waiter.kill()

    def _follow(self, waiter, processes, waiting):
        end = time.monotonic() + READY_TIMEOUT_S
        buffer = b""
        while waiting:
            for name, process in processes.items():
                if name in waiting and process.poll() is not None:
                    self._fail(name, f"the host ended while it started (code {process.returncode})")
            if time.monotonic() > end:
                name = sorted(waiting)[0]
                self._fail(name, f"no answer of sshd after {READY_TIMEOUT_S} s "
                                 f"({len(waiting)} of {len(self.request.hosts)} hosts)")  # fmt: skip
            if not select.select([waiter.stdout], [], [], 0.2)[0]:
                continue
            data = os.read(waiter.stdout.fileno(), 65536)
            if not data:
                time.sleep(0.05)
            buffer += data
            *lines, buffer = buffer.split(b"\n")
            for name in (line.decode() for line in lines):
                waiting.discard(name)
                if name in processes:
                    event("ready", name, "sshd answers")

    def _fail(self, name, text):
        disk = self.state / "disk" / name
        tail = machine.log_tail(disk / "console.log")
        tail += machine.log_tail(disk / "root/var/log/sshd.log")
        raise ProviderError(text, name, "boot", tail)

    def setting_warnings(self, wanted):
        """What is not as kernel.conf wants it, in words."""
        warnings, own = [], set()
        for host in self.request.hosts:
            booted = host_disk.read_booted(self.disk(host)) or {}
            own.update(booted.get("own_settings", []))
            for bad in booted.get("wrong_settings", []):
                warnings.append(f"{host.name}: {bad['key']} is {bad['is']}, wanted {bad['want']}")
        for bad in settings.compare_machine(wanted, own):
            now = "unknown" if bad["is"] is None else bad["is"]
            warnings.append(f"this machine: {bad['key']} is {now}, wanted {bad['want']}")
        return warnings

    # --- describing -----------------------------------------------------------------------------

    def describe(self):
        running = self.running()
        existing = set(machine.namespace_names(network.prefix_of(self.request.run)))
        hosts = [self._describe(h, running.get(h.name), existing) for h in self.request.hosts]
        public = network.public_addresses(self.request)
        for entry in hosts:
            if entry["name"] in public:
                entry["public_address"] = str(public[entry["name"]])
        return {
            "run": self.request.run,
            "hosts": hosts,
            "missing": [h["name"] for h in hosts if h["state"] != "running"],
            "ssh_key": str(self.key),
            "known_hosts": str(self.known_hosts),
            "control": host_disk.CONTROL if public else {},
            "heartbeat": host_disk.HEARTBEAT,
        }

    def _describe(self, host, first, existing):
        state = "ended" if self.namespace(host) in existing else "missing"
        if first:
            state = "running" if machine.is_up(first[1]) else "starting"
        return {
            "name": host.name,
            "address": str(host.address),
            "subnet": host.subnet,
            "outside": host.outside,
            "state": state,
            "disk_kept": (self.disk(host) / "made").exists(),
            "pid": first[0] if first else 0,
            "exec": self._exec(first[1]) if state == "running" else [],
            "ssh": self._ssh(host),
            "console": str(self.disk(host) / "console.log"),
        }

    @staticmethod
    def _exec(pid):
        clean = ["env", "-i", f"PATH={host_disk.PATH}", "HOME=/root", "USER=root", "LANG=C.UTF-8"]
        return ["nsenter", f"--target={pid}", *_ENTER, *clean]

    def _ssh(self, host):
        """By the real sshd, from where the operator could: a host that the outside reaches."""
        doors = [h for h in self.request.hosts if h.outside] or [host]
        enter = ["nsenter", f"--net=/run/netns/{self.namespace(doors[0])}"]
        return [*enter, *ssh_argv(self.key, self.known_hosts, host.address)]


def ssh_argv(key, known_hosts, address):
    options = [
        f"IdentityFile={key}", "IdentitiesOnly=yes", f"UserKnownHostsFile={known_hosts}",
        "GlobalKnownHostsFile=/dev/null", "StrictHostKeyChecking=yes", "BatchMode=yes",
        f"ConnectTimeout={LOGIN_TIMEOUT_S}", "LogLevel=ERROR",
    ]  # fmt: skip
    argv = ["ssh", "-F", "/dev/null"]
    for option in options:
        argv += ["-o", option]
    return [*argv, f"root@{address}"]
