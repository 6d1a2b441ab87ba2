"""The machine under the test hosts: short commands, the lock of a run, processes, mounts.

Every command has a time limit and holds the run's lock by a file descriptor of its own, so that a
`down` after a killed `up` waits until the last of its commands has ended.
"""

import contextlib
import fcntl
import os
import pathlib
import signal
import subprocess
import time

from errors import ProviderError, RequestError

NETNS_FOLDER = pathlib.Path("/run/netns")
LOCK_FOLDER = pathlib.Path("/run/lock")
RUN_LOCK_PREFIX = "baiwan-netns."
COMMAND_TIMEOUT_S = 30
LOCK_TIMEOUT_S = 60
END_TIMEOUT_S = 10
MAX_LOG_BYTES = 64 << 10
# What process 1 of a host that is up calls itself, by the kind of init.
INITS = {"runit": "runsvdir", "systemd": "systemd"}


class Shell:
    """Runs short commands under the lock of one run."""

    def __init__(self, lock_fd):
        self._lock_fd = lock_fd

    def run(self, argv, text="", host=""):
        command = " ".join(map(str, argv))
        try:
            done = subprocess.run(
                argv, input=text, capture_output=True, text=True, errors="replace",
                timeout=COMMAND_TIMEOUT_S, pass_fds=(self._lock_fd,), check=False,
            )  # fmt: skip
        except FileNotFoundError:
            raise ProviderError(f"{argv[0]} is not installed", host, command) from None
        except subprocess.TimeoutExpired:
            raise ProviderError(f"no end after {COMMAND_TIMEOUT_S} s", host, command) from None
        if done.returncode != 0:
            tail = done.stderr + done.stdout
            raise ProviderError(f"ended with code {done.returncode}", host, command, tail)
        return done.stdout


class RunLock:
    """One command at a time works on a run. The file also says where the run has its files, so that
    the same run cannot be made a second time in another folder."""

    def __init__(self, run, state, wait_s=LOCK_TIMEOUT_S):
        self._wait_s = wait_s
        self._path = LOCK_FOLDER / f"{RUN_LOCK_PREFIX}{run}"
        self._run, self._state = run, state
        self.fd = -1

    def __enter__(self):
        LOCK_FOLDER.mkdir(parents=True, exist_ok=True)
        end = time.monotonic() + self._wait_s
        while not self._try():
            if time.monotonic() >= end:
                raise ProviderError(f"another command has held {self._path} for {self._wait_s} s")
            time.sleep(0.05)
        owner = os.pread(self.fd, 4096, 0).decode(errors="replace")
        if owner and owner != self._state:
            os.close(self.fd)
            raise RequestError(f"state: the run {self._run} has its files in {owner}")
        return self

    def _try(self):
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever held it may have removed the file: then this is the lock of nothing.
            if os.fstat(fd).st_ino == os.stat(self._path).st_ino:
                self.fd = fd
                return True
        except (BlockingIOError, FileNotFoundError):
            pass
        os.close(fd)
        return False

    def claim(self):
        os.pwrite(self.fd, self._state.encode(), 0)

    def remove(self):
        self._path.unlink(missing_ok=True)

    def __exit__(self, *_):
        file = os.fstat(self.fd)
        if file.st_size == 0 and file.st_nlink > 0:  # made by us, and there is no run to it
            self.remove()
        os.close(self.fd)


def claimed_runs():
    """The runs of this machine that an `up` has begun and no `down` has ended."""
    found = []
    for path in LOCK_FOLDER.glob(f"{RUN_LOCK_PREFIX}*"):
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_size > 0:
                found.append(path.name.removeprefix(RUN_LOCK_PREFIX))
    return found


def namespace_names(prefix):
    if not NETNS_FOLDER.is_dir():
        return []
    return sorted(n for n in os.listdir(NETNS_FOLDER) if n.startswith(prefix))


def _namespace_id(path):
    stat = os.stat(path)
    return (stat.st_dev, stat.st_ino)


def _is_of(name, whose):
    """Of a run, `whose` is what all its names begin with, up to the dot. Of one host it is the name
    alone: w-10 is not of w-1."""
    return name.startswith(whose) if whose.endswith(".") else name == whose


def processes_of(whose):
    """{pid: namespace name} of the processes in the network namespaces of a run or of one host, and of
    those that are on the way into one."""
    names = {}
    for name in namespace_names(whose):
        if _is_of(name, whose):
            with contextlib.suppress(OSError):
                names[_namespace_id(NETNS_FOLDER / name)] = name
    outer = _namespace_id("/proc/self/ns/net")
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            inside = _namespace_id(f"/proc/{pid}/ns/net")
            if inside in names and inside != outer:
                found[int(pid)] = names[inside]
                continue
            if name := _on_the_way(pid, whose):
                found[int(pid)] = name
        except OSError:
            continue  # it has ended since
    return found


def _on_the_way(pid, whose):
    """The namespace that `nsenter` is about to enter or a host is booting in, by the command line."""
    words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    enter = f"--net={NETNS_FOLDER}/"
    for before, word in zip([""] + words, words):
        if word.startswith(enter) and _is_of(word.removeprefix(enter), whose):
            return word.removeprefix(enter)
        if before.endswith("/host_boot.py") and _is_of(word, whose):
            return word
    return ""


def first_process(pids):
    """(pid of `unshare`, pid of the process that is 1 inside) among a host's processes, or None. A host
    may have process namespaces within its own: theirs lie deeper."""
    found = []
    for pid in pids:
        try:
            lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
        except OSError:
            continue
        fields = dict(line.split(":", 1) for line in lines if ":" in line)
        inner = fields.get("NSpid", "").split()
        if len(inner) > 1 and inner[-1] == "1":
            found.append((len(inner), int(fields["PPid"]), pid))
    return min(found)[1:] if found else None


def end_processes(whose):
    """Kills what `processes_of` finds, until nothing is found any more. Returns what is left."""
    end = time.monotonic() + END_TIMEOUT_S
    while found := processes_of(whose):
        if time.monotonic() > end:
            break
        for pid, name in found.items():
            try:
                handle = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            try:  # the number may be another process's by now: look again, behind the handle
                if _still_in(pid, name, whose):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
            except ProcessLookupError:
                pass
            finally:
                os.close(handle)
        time.sleep(0.02)
    return found


def _still_in(pid, name, whose):
    try:
        with contextlib.suppress(FileNotFoundError):
            inside = _namespace_id(f"/proc/{pid}/ns/net")
            if inside == _namespace_id(NETNS_FOLDER / name):
                return True
        return _on_the_way(pid, whose) == name
    except OSError:
        return False


def mounts_from(source):
    """Where file systems with this source are mounted, the innermost first."""
    found = []
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, kind = line.partition(" - ")
        if kind.split(" ")[1] == source:
            found.append(fields.split(" ")[4])
    return found[::-1]


def mounts_under(folder):
    lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split(" ")[4] for line in lines]
    return [p for p in points if p == folder or p.startswith(folder + "/")]


def log_tail(path):
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - MAX_LOG_BYTES))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def is_up(pid):
    """Whether this process 1 of a host is its init by now."""
    return name_of(pid) in INITS.values()


def name_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
