"""The agent of one run: serves the provider's commands to the run's `outside` hosts.

usage: agent.py bw.RUN._agent STATE      (started and ended by agent_care.py)

It listens on a socket that lies in the host itself, for its root only (wire.py has the words). A
command runs as a process of its own, which goes on when the caller dies. What comes from a host is not
trusted: only this run, only its own state folder, limits on size, time and number. There is one agent
a run, by a lock. SIGHUP makes it look for hosts anew. Without a host for a minute it ends.
"""

import contextlib
import fcntl
import json
import os
import pathlib
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "common"))

import agent_care  # noqa: E402
import hosts  # noqa: E402
import wire  # noqa: E402
from contract import MAX_REQUEST_BYTES, parse_document  # noqa: E402
from errors import ProviderError, RequestError  # noqa: E402

MAX_COMMANDS = 4  # at a time
MAX_CALLERS = 16
REQUEST_LIMIT_S = 10
REPLY_LIMIT_S = 10  # for a caller that does not read
IDLE_END_S = 60
_PROVIDER = pathlib.Path(__file__).resolve().parent / "provider"


class Door:
    """The socket in one host, and the handle that tells when the host has ended."""

    def __init__(self, run, pid):
        self.handle = os.pidfd_open(pid)
        try:
            self.listener = _listen(run, pid)
        except (OSError, ProviderError):
            os.close(self.handle)
            raise

    def close(self):
        self.listener.close()
        os.close(self.handle)


def _listen(run, pid):
    folder = agent_care.open_folder(run, pid)
    listener = socket.socket(socket.AF_UNIX)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(wire.SOCKET, dir_fd=folder)
        listener.bind(f"/proc/self/fd/{folder}/{wire.SOCKET}")  # made with mode 0600, by the umask
        listener.listen(MAX_CALLERS)
        listener.setblocking(False)
        return listener
    except OSError:
        listener.close()
        raise
    finally:
        os.close(folder)


class Agent:
    def __init__(self, run, state, wake):
        self._run, self._state, self._wake = run, state, wake
        self._doors = {}  # by the pid of the host's process 1
        self._callers = threading.BoundedSemaphore(MAX_CALLERS)
        self._commands = threading.BoundedSemaphore(MAX_COMMANDS)

    def serve(self):
        """Until there was no host for a while and nothing is at work."""
        self._look_for_hosts()
        idle_since = time.monotonic()
        while True:
            with selectors.DefaultSelector() as waiting:
                waiting.register(self._wake, selectors.EVENT_READ, None)
                for pid, door in self._doors.items():
                    waiting.register(door.handle, selectors.EVENT_READ, (pid, False))
                    waiting.register(door.listener, selectors.EVENT_READ, (pid, True))
                ready = [key.data for key, _ in waiting.select(IDLE_END_S)]
            for what in ready:
                self._handle(what)
            if self._doors or threading.active_count() > 1:
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since >= IDLE_END_S:
                return

    def _handle(self, what):
        if what is None:
            with contextlib.suppress(BlockingIOError):
                self._wake.recv(4096)
            self._look_for_hosts()
        elif what[0] in self._doors:
            pid, calls = what
            if calls:
                with contextlib.suppress(OSError):
                    self._take(self._doors[pid].listener.accept()[0])
            else:
                self._doors.pop(pid).close()

    def _look_for_hosts(self):
        for pid in agent_care.outside_hosts(self._run, self._state):
            if pid not in self._doors or not agent_care.answers(self._run, pid):
                try:
                    door = Door(self._run, pid)
                except (OSError, ProviderError) as error:  # it ends just now, or it boots
                    print(f"no door in the host of process {pid}: {error}", file=sys.stderr, flush=True)
                    continue
                if pid in self._doors:
                    self._doors.pop(pid).close()
                self._doors[pid] = door

    def _take(self, link):
        link.settimeout(REPLY_LIMIT_S)
        if not self._callers.acquire(blocking=False):
            _refuse(link)
            return
        threading.Thread(target=self._answer, args=(link,), daemon=True).start()

    def _answer(self, link):
        try:
            with link, contextlib.suppress(OSError):
                try:
                    if not (asked := self._read(link)):
                        return
                    if not self._commands.acquire(blocking=False):
                        _refuse(link)
                        return
                    try:
                        _reply(link, *self._perform(link, *asked))
                    finally:
                        self._commands.release()
                except RequestError as error:
                    _reply(link, 2, wire.failure(str(error)))
        finally:
            self._callers.release()

    def _read(self, link):
        """(command, request), or None from a caller that only looked whether we are there."""
        end = time.monotonic() + REQUEST_LIMIT_S
        data = bytearray()
        while len(data) <= MAX_REQUEST_BYTES + 64:
            link.settimeout(max(0.01, end - time.monotonic()))
            if not (part := link.recv(65536)):
                break
            data += part
        link.settimeout(REPLY_LIMIT_S)
        if not data:
            return None
        command, _, text = bytes(data).partition(b"\n")
        if command.decode(errors="replace") not in wire.COMMANDS:
            raise RequestError("expected one command of " + ", ".join(wire.COMMANDS))
        return command.decode(), self._own(parse_document(text), command == b"check")

    def _own(self, document, may_be_empty):
        """The request as it goes to the provider: of this run, with our state folder."""
        if may_be_empty and not document:
            return b"{}"
        if document.get("run") != self._run:
            raise RequestError(f"run: this host belongs to the run {self._run}")
        return json.dumps({**document, "state": self._state}).encode()

    def _perform(self, link, command, data):
        """Runs the command and passes its progress on. Returns (exit code, answer)."""
        environment = {**os.environ, agent_care.CALLED_BY: str(os.getpid())}
        process = subprocess.Popen(
            [sys.executable, "-B", str(_PROVIDER), command], env=environment, cwd="/",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        # It may take its time; it is killed at the limit, which closes its streams and ends our reading.
        timer = threading.Timer(wire.COMMAND_LIMIT_S, process.kill)
        timer.daemon = True
        timer.start()
        answer = []
        reader = threading.Thread(target=lambda: answer.append(process.stdout.read()), daemon=True)
        reader.start()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(data)
            process.stdin.close()
        listening = True
        while part := process.stderr.read1(65536):
            if listening:
                try:
                    wire.send_frame(link, b"e", part)
                except OSError:  # the caller is gone; the command is not
                    listening = False
        reader.join()
        code = process.wait()
        timer.cancel()
        if code < 0:
            return 1, wire.failure(f"{command} was ended by signal {-code}")
        return code, as_seen_inside(answer[0])


def _reply(link, code, answer):
    wire.send_frame(link, b"o", answer)
    wire.send_frame(link, b"x", b"%d" % code)


def _refuse(link):
    with link, contextlib.suppress(OSError):
        _reply(link, 1, wire.failure("too many commands at a time; try again later"))


def as_seen_inside(answer):
    """The same answer with the ways that a control host has: logins straight from there, no shorter
    one, and no paths or process numbers of the machine."""
    document = json.loads(answer)
    control = document.get("control")
    if not control:
        return answer
    for host in document["hosts"]:
        host["ssh"] = hosts.ssh_argv(control["ssh_key"], control["known_hosts"], host["address"])
        host["exec"] = host["ssh"]
        del host["pid"], host["console"]
    document["ssh_key"], document["known_hosts"] = control["ssh_key"], control["known_hosts"]
    return json.dumps(document).encode() + b"\n"


def main():
    run, state = sys.argv[1].split(".")[1], sys.argv[2]
    os.umask(0o177)
    wake, signalled = socket.socketpair()
    wake.setblocking(False)
    signalled.setblocking(False)
    signal.signal(signal.SIGHUP, lambda *_: None)
    signal.set_wakeup_fd(signalled.fileno(), warn_on_full_buffer=False)
    lock = os.open(agent_care.lock_path(run), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    Agent(run, state, wake).serve()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BlockingIOError:
        sys.exit(0)  # the run has its agent already
