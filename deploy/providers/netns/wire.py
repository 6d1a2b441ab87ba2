"""How an `outside` host asks the provider: over a unix socket that the run's agent (agent.py) serves.

A test host has no rights on the machine that it runs on, so the provider must work there and not in
the host. What goes over the socket: the command as a line and the request up to the end of the stream;
back come frames, each a letter, a length and that many bytes: `o` for standard output, `e` for
standard error, and at last one `x` with the exit code.
"""

import errno
import json
import os
import socket
import struct
import sys
import time

from errors import ProviderError

FOLDER = "/run/baiwan"
SOCKET = "provider.sock"
MARK = "provider.run"  # beside the socket, from the host's start on: it is a host of this run
COMMANDS = ("check", "up", "describe", "down", "price")
COMMAND_LIMIT_S = 600  # the agent ends a command that takes longer
CONNECT_LIMIT_S = 10
MAX_FRAME_BYTES = 8 << 20
MAX_REPLY_BYTES = 64 << 20
_HEAD = struct.Struct(">cI")


def send_frame(link, kind, data):
    link.sendall(_HEAD.pack(kind, len(data)) + data)


def failure(text, log_tail=""):
    """The bytes of the contract's answer after a failure."""
    return json.dumps(ProviderError(text, log_tail=log_tail).answer()).encode() + b"\n"


# --- the side of the host -----------------------------------------------------------------------


def in_a_host():
    return os.path.exists(f"{FOLDER}/{MARK}")


def relay(argv, data):
    """Asks the agent as `provider COMMAND` was asked. Returns the exit code."""
    command = argv[1] if len(argv) == 2 and argv[1] in COMMANDS else ""
    try:
        if not command:
            _write(sys.stdout.buffer, failure("expected one command of " + ", ".join(COMMANDS)))
            return 2
        with _connect() as link:
            link.settimeout(CONNECT_LIMIT_S)
            link.sendall(command.encode() + b"\n" + data)
            link.shutdown(socket.SHUT_WR)
            return _follow(link)
    except (OSError, ProviderError) as error:
        text = f"the run's agent on the machine: {error}; `up` or `describe` there starts it again"
        _write(sys.stdout.buffer, failure(text))
        return 1


def _connect():
    """The agent comes a moment after the host, and is started again when it has died."""
    end = time.monotonic() + CONNECT_LIMIT_S
    while True:
        link = socket.socket(socket.AF_UNIX)
        try:
            link.settimeout(CONNECT_LIMIT_S)
            link.connect(f"{FOLDER}/{SOCKET}")
            return link
        except OSError as error:
            link.close()
            waiting = error.errno in (errno.ENOENT, errno.ECONNREFUSED, errno.EAGAIN)
            if not waiting or time.monotonic() > end:
                raise
            time.sleep(0.1)


def _follow(link):
    end = time.monotonic() + COMMAND_LIMIT_S + CONNECT_LIMIT_S
    total = 0
    while True:
        kind, length = _HEAD.unpack(_exactly(link, _HEAD.size, end))
        total += length
        if length > MAX_FRAME_BYTES or total > MAX_REPLY_BYTES:
            raise ProviderError("its answer is too long")
        data = _exactly(link, length, end)
        if kind == b"x":
            return int(data)
        _write(sys.stdout.buffer if kind == b"o" else sys.stderr.buffer, data)


def _exactly(link, length, end):
    data = bytearray()
    while len(data) < length:
        link.settimeout(max(0.01, end - time.monotonic()))
        if not (part := link.recv(length - len(data))):
            raise ProviderError("it ended before its answer")
        data += part
    return bytes(data)


def _write(stream, data):
    try:
        stream.write(data)
        stream.flush()
    except OSError:  # whoever reads has gone away: the command goes on, as it would without us
        pass
