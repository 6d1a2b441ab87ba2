"""The control groups of hosts whose init needs some: systemd's. A group a host in each hierarchy that
systemd would take, named as the host's network namespace; the host sees it as the root of all."""

import contextlib
import os
import pathlib
import time

_BASE = pathlib.Path("/sys/fs/cgroup")
_BUSY_TIMEOUT_S = 5


def hierarchies():
    """[(folder, where in a host, kind of file system, mount options)] on this machine; none: there is
    nothing for systemd. Where it finds its old hierarchy it takes the new one as well."""
    old = (_BASE / "systemd", "systemd", "cgroup", "none,name=systemd")
    both = [old, (_BASE / "unified", "unified", "cgroup2", "")]
    found = [h for h in both if _is_one(h[0])]
    if found:
        return found
    return [(_BASE, "", "cgroup2", "")] if _is_one(_BASE) else []


def _is_one(folder):
    return (folder / "cgroup.procs").exists()


def enter(name):
    """Puts the calling process into the host's group."""
    for base, _, _, _ in hierarchies():
        folder = base / name
        folder.mkdir(exist_ok=True)
        (folder / "cgroup.procs").write_text("0\n")


def folders(pattern):
    return [f for base, _, _, _ in hierarchies() for f in base.glob(pattern) if f.is_dir()]


def remove(pattern):
    """With all that is below them. Their processes have ended; the kernel may need a moment to know.
    Returns what is left."""
    end = time.monotonic() + _BUSY_TIMEOUT_S
    while left := folders(pattern):
        for top in left:
            for folder, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)
        if time.monotonic() > end:
            break
        time.sleep(0.02)
    return left
