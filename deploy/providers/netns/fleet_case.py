"""Runs the provider as its callers do, for the tests: by its standard streams only."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "common"))

import groups  # noqa: E402
import machine  # noqa: E402
import run_case  # noqa: E402

PROVIDER = pathlib.Path(__file__).resolve().parent / "provider"
OUTSIDE = "203.0.113.254"
# With it begin the names of this test's runs, and of no other's that goes on meanwhile.
MINE = f"t{os.getpid():07}"
# What other tests mount where this one sees it: disks in memory.
_OF_OTHERS = re.compile(rf" - tmpfs (baiwan-test|baiwan-netns\.(?!{MINE})\S+) ")


class Run(run_case.Run):
    """With hosts on this machine, which end by themselves when the tests should long be over."""

    command_limit_s = 180

    def __init__(self, name, workers=3, **more):
        folder = tempfile.mkdtemp(prefix="baiwan-netns-", dir="/var/tmp")
        super().__init__(MINE + name, folder, workers,
                         **{"rate_mbit": 0, "deadline_s": 400, **more})  # fmt: skip
        self.answer = None

    def start(self, command, request=None):
        return self._start([str(PROVIDER), command], request, start_new_session=True)

    def up(self):
        self.answer = self.must("up")
        return self.answer

    def host(self, name):
        return next(h for h in self.answer["hosts"] if h["name"] == name)

    def inside(self, name, *argv, via="exec", timeout=30):
        enter = self.host(name)[via]
        if not enter:  # or it would be done to this machine, and to all hosts of all tests on it
            raise AssertionError(f"{name} does not run: {argv}")
        done = subprocess.run([*enter, *argv], capture_output=True, text=True, timeout=timeout, check=False)
        return done.returncode, done.stdout.strip(), done.stderr.strip()

    def bring_provider_to(self, name):
        """So that `start_inside` can call it there."""
        folder = PROVIDER.parent
        pack = ["tar", "-C", str(folder.parent), "--exclude=__pycache__", "-cf", "-", folder.name, "common"]
        packed = subprocess.run(pack, capture_output=True, check=True, timeout=20).stdout
        unpack = "mkdir -p /opt/providers && tar -C /opt/providers -xf -"
        argv = [*self.host(name)["exec"], "sh", "-c", unpack]
        subprocess.run(argv, input=packed, check=True, timeout=20)

    def start_inside(self, name, command, request=None):
        """The provider as a service on that host calls it; the state folder is the machine's matter."""
        request = {**self.request, "state": "/nowhere"} if request is None else request
        argv = [*self.host(name)["exec"], "/opt/providers/netns/provider", command]
        return self._start(argv, request, start_new_session=True)

    def call_inside(self, name, command, request=None):
        return self.finish(self.start_inside(name, command, request))

    def listen(self, host, port):
        """A listener in a host, or in the outside; it greets, then reads until the other end closes,
        and says how many bytes came. Ends after a minute by itself."""
        script = (
            "import socket,sys\n"
            "s=socket.create_server(('0.0.0.0',int(sys.argv[1])));s.settimeout(60)\n"
            "print('ready',flush=True)\n"
            "while True:\n"
            "  c,_=s.accept();c.sendall(b'hello\\n');n=0\n"
            "  while d:=c.recv(1<<16): n+=len(d)\n"
            "  c.close()\n"
        )
        where = self.namespace(host) if host == "_outside" else self.host(host)["exec"]
        process = subprocess.Popen(
            [*where, "/usr/bin/python3", "-c", script, str(port)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        if process.stdout.readline().strip() != "ready":
            raise AssertionError(f"no listener in {host}")
        return process

    def reaches(self, host, address, port, limit_s=15):
        script = (
            "import socket,sys\n"
            "s=socket.create_connection((sys.argv[1],int(sys.argv[2])),float(sys.argv[3]))\n"
            "print(s.recv(64).decode())\n"
        )
        where = self.namespace(host) if host == "_outside" else self.host(host)["exec"]
        argv = [*where, "/usr/bin/python3", "-c", script, address, str(port), str(limit_s)]
        return subprocess.run(argv, capture_output=True, timeout=40, check=False).returncode == 0

    def namespace(self, name):
        return ["nsenter", f"--net=/run/netns/bw.{self.name}.{name}"]

    def close(self):
        code, answer, _ = self.call("down")
        shutil.rmtree(self.folder, ignore_errors=True)
        if code != 0:
            raise AssertionError(f"down: {answer}")


def wait_for(case, condition, limit_s=30):
    end = time.monotonic() + limit_s
    while not condition():
        case.assertLess(time.monotonic(), end, "did not happen in time")
        time.sleep(0.1)


def trace_of(run_name):
    """Everything on this machine that carries the run's name."""
    found = []
    folder = pathlib.Path("/run/netns")
    if folder.is_dir():
        found += [f"namespace {n}" for n in os.listdir(folder) if run_name in n]
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if f"bw.{run_name}." in words:
            found.append(f"process {pid} {words!r}")
    found += [f"mount {point}" for point in machine.mounts_under("/run/netns") if run_name in point]
    found += [f"mount {line}" for line in mounts() if run_name in line]
    found += [f"control group {f}" for f in groups.folders(f"*{run_name}*")]
    found += [f"lock {p}" for p in pathlib.Path("/run/lock").glob(f"*{run_name}*")]
    return found


def agents_of(run_name):
    """The pids of the run's agents."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if f"bw.{run_name}._agent".encode() in words:
                found.append(int(pid))
    return found


def mounts():
    """Without the names of namespaces and the disks of others: their test hosts come and go meanwhile."""
    lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    lines = [line for line in lines if not line.split(" ")[4].startswith("/run/netns")]
    lines = [line for line in lines if not _OF_OTHERS.search(line)]
    return sorted(" ".join(line.split(" ")[3:5]) + " " + line.partition(" - ")[2] for line in lines)


def cannot_run():
    """Why test hosts cannot be made here, or ''."""
    done = subprocess.run(
        [str(PROVIDER), "check"], input="{}", capture_output=True, text=True, timeout=60, check=False
    )
    answer = json.loads(done.stdout)
    if answer.get("ok"):
        return ""
    why = [f"{m['what']}: {m['why']} {m['package']}".strip() for m in answer.get("missing", [])]
    return "; ".join(why) or answer.get("error", "the check failed")


def cannot_have_systemd():
    """Why hosts with systemd cannot be made here, or ''. Where CI=true they must be."""
    run = Run("x", workers=0, options={"init": "systemd"})
    why = "; ".join(f"{m['what']}: {m['why']}" for m in run.must("check")["missing"])
    shutil.rmtree(run.folder, ignore_errors=True)
    if why and os.environ.get("CI") == "true":
        raise AssertionError(why)
    return why


def main():
    why = cannot_run()
    return run_case.run_tests(f"no test hosts here: {why}" if why else "")
