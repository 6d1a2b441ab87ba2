"""Starts the agent of a run, looks whether it answers, and ends it."""

import contextlib
import fcntl
import os
import pathlib
import select
import signal
import socket
import subprocess
import sys
import time

import machine
import network
import record
import wire
from errors import ProviderError

CALLED_BY = "BAIWAN_NETNS_AGENT"  # in the environment of a command that an agent runs: its pid
LOG = "agent.log"  # in the state folder
_ANSWER_LIMIT_S = 2
_START_LIMIT_S = 10
_HERE = pathlib.Path(__file__).resolve().parent


def lock_path(run):
    return machine.LOCK_FOLDER / f"baiwan-netns.{run}.agent"


def outside_hosts(run, state):
    """The pids of process 1 of those hosts that are outside and up."""
    request = record.request_of(run, state)
    if request is None:
        return []
    names = {network.namespace(run, h.name) for h in request.hosts if h.outside}
    by_name = {}
    for pid, name in machine.processes_of(network.prefix_of(run)).items():
        if name in names:
            by_name.setdefault(name, []).append(pid)
    first = [machine.first_process(pids) for pids in by_name.values()]
    # Before runit took over, what such a process has for a root is still the machine's.
    return [f[1] for f in first if f and machine.is_up(f[1])]


def open_folder(run, pid):
    """The folder of the socket in the host of this process 1. Step by step and never through a link:
    what the host's root puts there must not lead us out of the host."""
    flags = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    folder = os.open(f"/proc/{pid}/root", os.O_DIRECTORY | os.O_CLOEXEC)
    for part in pathlib.Path(wire.FOLDER).parts[1:]:
        try:
            inner = os.open(part, flags, dir_fd=folder)
        finally:
            os.close(folder)
        folder = inner
    try:
        mark = os.open(wire.MARK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        with open(mark, "rb") as file:
            if file.read(64).decode(errors="replace").strip() != run:
                raise ProviderError("the host is not of this run")
    except (OSError, ProviderError):
        os.close(folder)
        raise
    return folder


def answers(run, pid):
    try:
        folder = open_folder(run, pid)
    except (OSError, ProviderError):
        return False
    with socket.socket(socket.AF_UNIX) as link:
        try:
            link.settimeout(_ANSWER_LIMIT_S)
            link.connect(f"/proc/self/fd/{folder}/{wire.SOCKET}")
            return True
        except OSError:
            return False
        finally:
            os.close(folder)


def called_by_agent():
    return bool(os.environ.get(CALLED_BY))


def agent_is_gone():
    """Whether an agent runs us and has ended, as it does by the `down` that we may have waited for."""
    return called_by_agent() and os.environ[CALLED_BY] != str(os.getppid())


def ensure(run, state):
    """To be called under the lock of the run: gives every outside host that is up its socket."""
    if _all_answer(run, state, 0):
        return
    if pid := _pid(run):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGHUP)
        if _all_answer(run, state, _ANSWER_LIMIT_S):
            return
    if called_by_agent():
        raise ProviderError("the agent does not answer in every outside host", command="agent")
    if left := end(run):
        raise ProviderError(left[0], command="agent")
    _start(run, state)


def _start(run, state):
    log = pathlib.Path(state) / LOG
    argv = [sys.executable, "-I", str(_HERE / "agent.py"), network.namespace(run, "_agent"), state]
    with open(log, "wb") as console:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True,
            cwd="/", env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"},
        )  # fmt: skip
    if not _all_answer(run, state, _START_LIMIT_S):
        raise ProviderError("the run's agent does not answer", command="agent",
                            log_tail=machine.log_tail(log))  # fmt: skip
    process.returncode = 0  # it lives on without us: no warning about a child left running


def _all_answer(run, state, limit_s):
    end_time = time.monotonic() + limit_s
    while not all(answers(run, pid) for pid in outside_hosts(run, state)):
        if time.monotonic() >= end_time:
            return False
        time.sleep(0.05)
    return True


def _pid(run):
    """Of the agent that lives, else 0: the lock is what tells."""
    end_time = time.monotonic() + _ANSWER_LIMIT_S
    try:
        with open(lock_path(run), "rb") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    return 0
                except BlockingIOError:
                    text = os.pread(file.fileno(), 32, 0)  # empty for a moment after its start
                if text.isdigit() or time.monotonic() > end_time:
                    return int(text or 0)
                time.sleep(0.01)
    except FileNotFoundError:
        return 0


def end(run):
    """Ends the agent, if any, and waits for it; also from a command that it runs itself. Returns what
    is left. Commands that it began and that wait for the run's lock find that it is gone."""
    if pid := _pid(run):
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)
            try:
                if _pid(run) == pid:  # the number is still the agent's, behind the handle
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                    select.select([handle], [], [], machine.END_TIMEOUT_S)
            finally:
                os.close(handle)
        if _pid(run):
            return [f"agent {pid}"]
    lock_path(run).unlink(missing_ok=True)
    return []
