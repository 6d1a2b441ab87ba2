"""The folder of the namespaces' names, which belongs to the machine and to no run.

The first namespace of a machine makes `ip` mount that folder. A mark says that it was mounted by one of
our runs; the last of them, whichever that is, unmounts it again. Claim and release hold one lock, so
that a run which begins while another one ends finds either both, folder and mark, or neither.
"""

import contextlib
import os
import time

import locks
import machine
from errors import ProviderError
from machine import Shell
from progress import event

_MARK = machine.LOCK_FOLDER / "baiwan-netns-names"
_LOCK_TIMEOUT_S = 20
# A host's copy of the folder goes with its last process, a moment after that has left /proc.
_BUSY_TIMEOUT_S = 5


def claim():
    """To be called by a run that has written its lock file, before its first namespace."""
    with _locked():
        if not _mounted():
            _MARK.touch()


def release():
    """To be called by a run whose namespaces and lock file are gone."""
    with _locked():
        if not _MARK.exists() or machine.claimed_runs() or machine.namespace_names(""):
            return
        if why := _unmount():
            event("warning", "", f"{machine.NETNS_FOLDER} stays mounted until the next run's end: {why}")
        else:
            _MARK.unlink(missing_ok=True)


def _unmount():
    """What stood in the way, or nothing."""
    shell = Shell(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    end = time.monotonic() + _BUSY_TIMEOUT_S
    why = ""
    while _mounted():
        try:
            shell.run(["umount", str(machine.NETNS_FOLDER)])
        except ProviderError as error:
            why = error.log_tail or str(error)
            if time.monotonic() > end:
                return why
            time.sleep(0.1)
    return ""


def _mounted():
    return str(machine.NETNS_FOLDER) in machine.mounts_under(str(machine.NETNS_FOLDER))


@contextlib.contextmanager
def _locked():
    folder = os.open(machine.LOCK_FOLDER, os.O_RDONLY | os.O_CLOEXEC)
    try:
        locks.take(folder, machine.LOCK_FOLDER, _LOCK_TIMEOUT_S)
        yield
    finally:
        os.close(folder)
