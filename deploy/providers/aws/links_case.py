"""Services of the test's machine on a loopback address inside a network namespace that has no way to it:
a relay to a port of the test's, and what an instance asks for its credentials."""

import contextlib
import ctypes
import datetime
import http.server
import json
import os
import secrets
import select
import socket
import threading

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)
_IDLE_S = 60
_MOST_LINKS = 64
METADATA = "169.254.169.254"


def in_namespace(path, make):
    """What `make` returns: a socket that it opens is the namespace's for good. Only this thread goes in."""
    home, there = os.open("/proc/thread-self/ns/net", os.O_RDONLY), os.open(path, os.O_RDONLY)
    try:
        _enter(there)
        try:
            return make()
        finally:
            _enter(home)
    finally:
        os.close(there)
        os.close(home)


def _enter(fd):
    if _LIBC.setns(fd, _CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"setns: {os.strerror(code)}")


class Relay:
    """Whoever connects to `port` in there is connected with port `to` of loopback out here."""

    def __init__(self, namespace, port, to):
        self._to = to
        self._listener = in_namespace(namespace, lambda: socket.create_server(("127.0.0.1", port)))
        self._room = threading.BoundedSemaphore(_MOST_LINKS)
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept
        self._listener.close()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                link, _ = self._listener.accept()
                if self._room.acquire(blocking=False):
                    threading.Thread(target=self._carry, args=(link,), daemon=True).start()
                else:
                    link.close()

    def _carry(self, inner):
        try:
            with inner, socket.create_connection(("127.0.0.1", self._to), _IDLE_S) as outer:
                other = {inner: outer, outer: inner}
                while ready := select.select(list(other), [], [], _IDLE_S)[0]:
                    for end in ready:
                        if not (data := end.recv(1 << 16)):
                            return
                        other[end].sendall(data)
        except OSError:
            pass  # one of them has gone
        finally:
            self._room.release()


class Metadata:
    """The instance metadata service, version 2: credentials of the role, for whoever has a token."""

    def __init__(self, namespace, role, key_id, secret):
        until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=6)
        credentials = {
            "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2025-01-01T00:00:00Z",
            "AccessKeyId": key_id, "SecretAccessKey": secret, "Token": "session",
            "Expiration": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }  # fmt: skip
        folder = "/latest/meta-data/iam/security-credentials/"
        pages = {folder: role, folder + role: json.dumps(credentials)}
        handler = type("Handler", (_MetadataHandler,), {"token": secrets.token_hex(16), "pages": pages})
        make = lambda: http.server.ThreadingHTTPServer((METADATA, 80), handler)  # noqa: E731
        self._server = in_namespace(namespace, make)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


class _MetadataHandler(http.server.BaseHTTPRequestHandler):
    timeout = _IDLE_S

    def _answer(self, status, text):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def do_PUT(self):  # noqa: N802: the name is the base class's
        good = self.path == "/latest/api/token" and self.headers.get("X-aws-ec2-metadata-token-ttl-seconds")
        self._answer(*((200, self.token) if good else (400, "")))

    def do_GET(self):  # noqa: N802
        if self.headers.get("X-aws-ec2-metadata-token") != self.token:
            self._answer(401, "")
        else:
            self._answer(*((200, self.pages[self.path]) if self.path in self.pages else (404, "")))

    def log_message(self, *_):
        pass
