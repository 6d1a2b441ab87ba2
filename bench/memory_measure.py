#!/usr/bin/env python3
"""The most memory that a cell ever takes while clients do their worst, against process.memory.

usage: bench/memory_measure.py [CASE…]      (cases: see below; none: all of them)
       MEMORY_MIB=256 PROGRAM=build/release/baiwan

Each case has a cell of its own. What is told is VmHWM of the process, which the kernel keeps, and
whether /healthz still answers. Ends with 1 if one went beyond 1.25 times process.memory.
"""

import base64
import datetime
import json
import os
import pathlib
import resource
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = os.environ.get("PROGRAM", str(TOP / "build/release/baiwan"))
MEMORY_MIB = int(os.environ.get("MEMORY_MIB", "256"))
ALLOWED = 1.25
USERS = 3000
BODY = base64.b64encode(b"z" * 60_000).decode()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def frame(opcode, data, fin=True):
    """A client's frame; a mask of zeros leaves the payload as it is."""
    head = bytes([opcode | (0x80 if fin else 0)])
    if len(data) < 126:
        head += bytes([0x80 | len(data)])
    elif len(data) < 65536:
        head += bytes([0xFE]) + struct.pack(">H", len(data))
    else:
        head += bytes([0xFF]) + struct.pack(">Q", len(data))
    return head + b"\0\0\0\0" + data


class Socket:
    """A WebSocket with JSON frames."""

    def __init__(self, port, user=None, receive=False):
        self.s = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.rest = b""
        self.s.sendall(
            b"GET /v1/connect HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" % port
        )
        while b"\r\n\r\n" not in self.rest:
            self.more()
        self.rest = self.rest.split(b"\r\n\r\n", 1)[1]
        if user is not None:
            self.send({"connect": {"user": str(user), "receive": receive}})
            self.read()

    def more(self):
        data = self.s.recv(1 << 18)
        if not data:
            raise EOFError
        self.rest += data

    def send(self, what):
        self.s.sendall(frame(1, json.dumps(what).encode()))

    def read(self):
        while True:
            while len(self.rest) < 10:
                if len(self.rest) >= 2 and len(self.rest) >= 2 + (self.rest[1] & 127):
                    break
                self.more()
            n, at = self.rest[1] & 127, 2
            if n == 126:
                n, at = struct.unpack(">H", self.rest[2:4])[0], 4
            elif n == 127:
                n, at = struct.unpack(">Q", self.rest[2:10])[0], 10
            while len(self.rest) < at + n:
                self.more()
            opcode, data = self.rest[0] & 15, self.rest[at : at + n]
            self.rest = self.rest[at + n :]
            if opcode == 8:
                raise EOFError(data[2:])
            if opcode == 1:
                return json.loads(data)


class Cell:
    def __init__(self, folder):
        self.port = free_port()
        secret = folder / "link.secret"
        secret.write_bytes(base64.b64encode(os.urandom(32)))
        secret.chmod(0o600)
        sets = [
            f"link.secret_file={secret}",
            f"store.path={folder}/data",
            f"gateway.http=127.0.0.1:{self.port}",
            "relay.listen=127.0.0.1:0",
            "registry.endpoint=127.0.0.1:1",
            f"process.memory={MEMORY_MIB}MiB",
            "store.disk_reserve=0",
        ]
        words = [word for s in sets for word in ("--set", s)]
        subprocess.run(
            [PROGRAM, "import", "--cells", "1", "--users-per-cell", str(USERS), "--friends-in-cell", "5"]
            + ["--friends-cross", "0", "--set", f"store.path={folder}/data"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        self.log = open(folder / "serve.log", "w")
        self.process = subprocess.Popen([PROGRAM, "serve", *words], stderr=self.log)
        for _ in range(200):
            if self.healthy():
                break
            time.sleep(0.05)
        self.friends = {}

    def get(self, path, timeout=10):
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as s:
            s.sendall(b"GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n\r\n" % (path.encode(), self.port))
            data = b""
            while more := s.recv(1 << 16):
                data += more
        return data

    def healthy(self):
        try:
            return b" 200 " in self.get("/healthz", 5)[:20]
        except OSError:
            return False

    def friend(self, user):
        if user not in self.friends:
            body = self.get(f"/v1/users/{user}").split(b"\r\n\r\n", 1)[1]
            self.friends[user] = json.loads(body)["friends"][0]
        return self.friends[user]

    def status(self, name):
        for line in open(f"/proc/{self.process.pid}/status"):
            if line.startswith(name):
                return int(line.split()[1]) // 1024

    def charged(self):
        """MiB of each account that has any."""
        accounts = {}
        try:
            metrics = self.get("/metrics").decode()
        except OSError:
            return "unknown"
        for line in metrics.splitlines():
            if line.startswith('baiwan_budget_bytes{account="'):
                name, value = line.split('"')[1], float(line.split()[-1])
                if value >= 1 << 20:
                    accounts[name] = round(value) >> 20
        return accounts

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def messages(cell, user, first, count):
    friend = str(cell.friend(user))
    return [{"sendId": str(i), "friend": friend, "body": BODY} for i in range(first, first + count)]


def fill_inbox(cell, user, count):
    """Writes `count` messages of 60 KB to a friend of `user`, who is returned."""
    sender = Socket(cell.port, user)
    for first in range(1, count, 4):
        sender.send({"submits": messages(cell, user, first, 4)})
        while int(sender.read().get("stored", 0)) < first + 3:
            pass
    return cell.friend(user)


def case_rest(cell):
    """nobody does anything"""
    time.sleep(1)


def case_unread(cell):
    """1,500 connections ask for a page of 256 KiB again and again and read nothing"""
    reader = fill_inbox(cell, 1, 8)
    request = b"GET /v1/users/%d/inbox?limit=4 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % (int(reader), cell.port)
    held = []
    for _ in range(1500):
        s = socket.create_connection(("127.0.0.1", cell.port), timeout=10)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.setblocking(False)
        try:
            s.send(request * 30)
        except BlockingIOError:
            pass
        held.append(s)
    time.sleep(5)
    return held


def case_reorder(cell):
    """messages 2 to 5 of 60 KB, never 1, of 2,000 users"""
    for user in range(1, 2001):
        try:
            s = Socket(cell.port, user)
            s.send({"submits": messages(cell, user, 2, 4), "ping": "1"})
            s.read()
            s.s.close()
        except (OSError, EOFError):
            pass


def case_reads(cell):
    """100,000 reads of 256 KiB by one client that goes away"""
    reader = fill_inbox(cell, 1, 400)
    s = Socket(cell.port, reader)
    one = frame(1, json.dumps({"read": {"from": "1", "limit": 1000}}).encode())
    s.s.settimeout(5)
    try:
        for _ in range(100):
            s.s.sendall(one * 1000)
    except OSError:
        pass
    time.sleep(5)
    s.s.close()
    time.sleep(5)


def case_fragments(cell):
    """2,048 messages in fragments that never end"""
    held = []
    for i in range(2048):
        try:
            s = Socket(cell.port)
            s.s.settimeout(2)
            s.s.sendall(frame(1, b"x", fin=False) + frame(0, b"y" * (100_000 if i % 2 else 16_384), fin=False))
            held.append(s)
        except (OSError, EOFError):
            pass
    time.sleep(2)
    return held


def case_idle(cell):
    """6,000 connections that are connected as users and say nothing"""
    held = []
    for i in range(6000):
        try:
            held.append(Socket(cell.port, 1 + i % USERS, receive=True))
        except (OSError, EOFError):
            pass
    return held


def case_load(cell):
    """32 users send messages of 60 KB to each other for 20 s, and read nothing"""
    senders = [[Socket(cell.port, user, receive=True), user, 1] for user in range(1, 33)]
    for s, _, _ in senders:
        s.s.settimeout(0.2)
    until = time.time() + 20
    while time.time() < until:
        for sender in senders:
            s, user, first = sender
            try:
                s.send({"submits": messages(cell, user, first, 4)})
                sender[2] += 4
            except OSError:
                pass
    return senders


CASES = [case_rest, case_unread, case_reorder, case_reads, case_fragments, case_idle, case_load]


def measure(case):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="baiwan-memory-", dir=os.environ.get("TMPDIR", "/var/tmp")))
    cell = Cell(folder)
    try:
        held = case(cell)
        healthy = cell.healthy()
        most, now = cell.status("VmHWM"), cell.status("VmRSS")
        share = most / MEMORY_MIB
        right = healthy and share <= ALLOWED
        print(
            f"{case.__name__[5:]:10} {most:5} MiB at most ({share:.2f}), {now} at the end, "
            f"{'healthy' if healthy else 'NOT healthy'}, charged {cell.charged()}: {case.__doc__}"
            f"{'' if right else '   <- WRONG'}",
            flush=True,
        )
        del held
        return right
    finally:
        cell.stop()
        cell.log.close()
        shutil.rmtree(folder, ignore_errors=True)


def main():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    wanted = sys.argv[1:]
    version = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    print(f"{version}; {datetime.date.today()}; process.memory {MEMORY_MIB} MiB, at most {ALLOWED} of it allowed")
    cases = [case for case in CASES if not wanted or case.__name__[5:] in wanted]
    wrong = [case for case in cases if not measure(case)]
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
