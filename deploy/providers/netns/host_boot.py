"""Process 1 of a host, until runit or systemd takes its place.

usage: host_boot.py bw.RUN.HOST DISK      (run by `nsenter --net` and `unshare`, see hosts.py)

It sets up the network and kernel settings, puts the root together, leaves the machine's root behind
and becomes the host's init. What it cannot do ends the host, with the reason on its console.
"""

import ctypes
import errno
import json
import os
import pathlib
import resource
import socket
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "common"))

import groups  # noqa: E402
import settings  # noqa: E402
import wire  # noqa: E402
from host_disk import HEARTBEAT, PATH  # noqa: E402

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND = 1, 2, 4, 8, 32, 4096
MNT_DETACH = 2
CLONE_NEWCGROUP = 0x02000000
STEP_TIMEOUT_S = 20
MAX_OPEN_FILES = 1 << 20
_LIBC = ctypes.CDLL(None, use_errno=True)
_DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9),
            "tty": (5, 0)}  # fmt: skip


def _check(result, what):
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def mount(source, target, kind="", flags=0, options=""):
    words = (str(source).encode(), str(target).encode(), kind.encode() or None)
    done = _LIBC.mount(*words, ctypes.c_ulong(flags), options.encode() or None)
    _check(done, f"mount {source} on {target}")


def overlay(disk, kind, target):
    options = f"lowerdir=/{kind},upperdir={disk}/{kind}/upper,workdir={disk}/{kind}/work"
    for attempt in range(40):
        try:
            return mount("overlay", target, "overlay", 0, options)
        except OSError as error:  # the kernel is still putting away the host's former life
            if error.errno != errno.EBUSY or attempt == 39:
                raise
            time.sleep(0.05)


def network(boot):
    pathlib.Path("/proc/sys/net/ipv6/conf/eth0/disable_ipv6").write_text("1")
    steps = [(["ip", "-batch", "-"], boot["links"]), (["nft", "-f", "-"], boot["rules"])]
    if boot["rate"]:
        steps.append((["tc", "-batch", "-"], boot["rate"]))
    for argv, text in steps:
        subprocess.run(argv, input=text, text=True, check=True, timeout=STEP_TIMEOUT_S)


def devices(dev):
    mount("dev", dev, "tmpfs", MS_NOSUID, "mode=755,size=1m")
    for name, (major, minor) in _DEVICES.items():
        os.mknod(f"{dev}/{name}", 0o20666, os.makedev(major, minor))
        os.chmod(f"{dev}/{name}", 0o666)
    for link, target in {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1",
                         "stderr": "fd/2", "ptmx": "pts/ptmx"}.items():  # fmt: skip
        os.symlink(target, f"{dev}/{link}")
    os.mkdir(f"{dev}/pts")
    os.mkdir(f"{dev}/shm")
    mount("devpts", f"{dev}/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620")
    mount("shm", f"{dev}/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777,size=1g")


def control_groups(target):
    """The host's own group as the root of all, in a namespace that was entered from within it."""
    flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
    for _, where, kind, options in groups.hierarchies():
        if where and not os.path.isdir(f"{target}/{where}"):
            if not os.path.ismount(target):
                mount("cgroup", target, "tmpfs", flags, "mode=755,size=64k")
            os.mkdir(f"{target}/{where}")
        mount("cgroup", f"{target}/{where}", kind, flags, options)


def put_root_together(disk, root, init):
    mount(root, root, "", MS_BIND)  # pivot_root wants a mount
    overlay(disk, "usr", f"{root}/usr")
    overlay(disk, "etc", f"{root}/etc")
    devices(f"{root}/dev")
    mount("proc", f"{root}/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    # One kernel for all: a host sets what is of its network, and only reads the rest.
    mount(f"{root}/proc/sys", f"{root}/proc/sys", "", MS_BIND)
    mount(f"{root}/proc/sys/net", f"{root}/proc/sys/net", "", MS_BIND)
    read_only = MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC
    mount("none", f"{root}/proc/sys", "", read_only)
    if os.path.exists(f"{root}/proc/sysrq-trigger"):
        mount("/dev/null", f"{root}/proc/sysrq-trigger", "", MS_BIND)
    mount("sysfs", f"{root}/sys", "sysfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)
    if init == "systemd":
        control_groups(f"{root}/sys/fs/cgroup")
    mount("run", f"{root}/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=256m")
    mount("tmp", f"{root}/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777,size=1g")


def leave_machine(root):
    os.makedirs(root / "old", exist_ok=True)
    os.chdir(root)
    _check(_LIBC.pivot_root(b".", b"old"), "pivot_root")
    os.chdir("/")
    _check(_LIBC.umount2(b"/old", MNT_DETACH), "umount /old")
    os.rmdir("/old")


def deadman(boot):
    os.makedirs("/run/lock", exist_ok=True)
    os.makedirs("/run/runit", mode=0o700, exist_ok=True)
    for service in os.listdir("/etc/service"):
        link = f"/etc/service/{service}/supervise"
        if os.path.islink(link) and (target := os.readlink(link)).startswith("/run/runit/"):
            os.makedirs(target, exist_ok=True)
    pathlib.Path(HEARTBEAT).touch()
    up = float(pathlib.Path("/proc/uptime").read_text().split()[0])
    end = int(up) + boot["deadline_s"]
    pathlib.Path("/run/deadman").write_text(f"{end} {boot['heartbeat_s']}\n")


def place_for_the_agent(run):
    """Where the agent puts its socket, and the mark by which `provider` in here knows to ask it."""
    os.mkdir(wire.FOLDER, 0o700)
    pathlib.Path(wire.FOLDER, wire.MARK).write_text(run + "\n")


def raise_limits():
    most = min(MAX_OPEN_FILES, int(pathlib.Path("/proc/sys/fs/nr_open").read_text()))
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    except ValueError:  # no right to more than the machine gives; `check` tells how many that are
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def main():
    disk = pathlib.Path(sys.argv[2])
    os.umask(0o022)
    boot = json.loads((disk / "boot.json").read_text())
    network(boot)
    own, wrong = settings.apply(boot["settings"])
    booted = {"own_settings": own, "wrong_settings": wrong, "started": time.time()}
    (disk / "booted.json.new").write_text(json.dumps(booted))
    os.replace(disk / "booted.json.new", disk / "booted.json")
    socket.sethostname(boot["name"])
    if boot["init"] == "systemd":
        groups.enter(sys.argv[1])
        _check(_LIBC.unshare(CLONE_NEWCGROUP), "a namespace of control groups")
    put_root_together(disk, disk / "root", boot["init"])
    leave_machine(disk / "root")
    deadman(boot)
    if boot["asks_as"]:
        place_for_the_agent(boot["asks_as"])
    raise_limits()
    clean = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8"}
    if boot["init"] == "systemd":  # which wants to know that it has no machine to itself
        os.execve("/lib/systemd/systemd", ["systemd"], {**clean, "container": "baiwan"})
    os.execve("/usr/bin/runsvdir", ["runsvdir", "-P", "/etc/service"], clean)


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError, KeyError, subprocess.SubprocessError) as failure:
        sys.exit(f"host_boot: {failure}")
