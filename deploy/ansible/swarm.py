"""The package peer to peer: a torrent of it, a tracker that knows no other, and the first peer.

All of it belongs to the private network of one run, and ends with the step.
"""

import hashlib
import os
import pathlib
import shutil
import socket
import subprocess
import time

from contained import contained

PIECES = 160  # about: enough that peers have something to give, few enough that the torrent is small
MIN_PIECE, MAX_PIECE = 64 << 10, 4 << 20
READY_S = 10
TOOLS = ("aria2c", "opentracker")


def bencode(value):
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, str):
        return bencode(value.encode())
    if isinstance(value, list):
        return b"l" + b"".join(map(bencode, value)) + b"e"
    keys = sorted(value, key=str.encode)
    return b"d" + b"".join(bencode(k) + bencode(value[k]) for k in keys) + b"e"


def piece_length(size):
    length = MIN_PIECE
    while length < MAX_PIECE and length * PIECES < size:
        length *= 2
    return length


def make_torrent(path, announce, web_seed=""):
    """(the torrent, its info hash). `web_seed`: an address that has the same file; what comes from there is
    compared with the torrent's checksums as what peers give."""
    length = piece_length(os.path.getsize(path))
    pieces = []
    with open(path, "rb") as file:
        while piece := file.read(length):
            pieces.append(hashlib.sha1(piece).digest())
    info = {
        "length": os.path.getsize(path),
        "name": os.path.basename(path),
        "piece length": length,
        "pieces": b"".join(pieces),
    }
    torrent = {"announce": announce, "info": info}
    if web_seed:
        torrent["url-list"] = web_seed
    return bencode(torrent), hashlib.sha1(bencode(info)).hexdigest()


class Swarm:
    """Use as a context: what it started ends with it."""

    def __init__(self, request, work):
        self._request = request
        self._folder = pathlib.Path(work) / "swarm"
        self.torrent = str(self._folder / "package.torrent")
        self._processes = []
        self.why_not = ""  # there is no swarm

    def __enter__(self):
        try:
            self._start()
        except OSError as error:
            self.why_not = str(error)
        if self.why_not:
            self.__exit__()
        return self

    def __exit__(self, *_):
        for process in self._processes:
            process.kill()
            process.wait()
        self._processes = []

    def _start(self):
        if missing := [t for t in TOOLS if not shutil.which(t)]:
            self.why_not = f"{' and '.join(missing)} not installed here"
            return
        request = self._request
        address, port = request.control.address, request.tracker_port
        seeds, tracker = self._folder / "seeds", self._folder / "tracker"
        seeds.mkdir(parents=True)
        tracker.mkdir(mode=0o755)
        announce = f"http://{address}:{port}/announce"
        torrent, info_hash = make_torrent(request.package, announce, request.web_seed)
        pathlib.Path(self.torrent).write_bytes(torrent)
        (tracker / "whitelist").write_text(info_hash + "\n")
        (tracker / "whitelist").chmod(0o644)
        # A name of its own for the same bytes: nothing may be written beside the package.
        seed = seeds / os.path.basename(request.package)
        try:
            os.link(request.package, seed)
        except OSError:
            shutil.copyfile(request.package, seed)
        with open(self._folder / "tracker.log", "wb") as log:
            self._run(["opentracker", "-i", address, "-p", str(port), "-P", str(port),
                       "-d", str(tracker), "-u", "nobody", "-w", "whitelist"], log)  # fmt: skip
        self._wait_for_tracker(address, port)
        if self.why_not:
            return
        with open(self._folder / "seeder.log", "wb") as log:
            self._run([
                "aria2c", "--no-conf", f"--dir={seeds}", f"--torrent-file={self.torrent}",
                "--bt-seed-unverified=true", "--check-integrity=false", "--seed-ratio=0",
                "--file-allocation=none", "--enable-dht=false", "--bt-enable-lpd=false",
                "--disable-ipv6=true", "--async-dns=false", f"--interface={address}",
                f"--listen-port={request.peer_port}", "--bt-tracker-interval=2",
                "--bt-max-peers=0", "--summary-interval=0", "--quiet",
            ], log)  # fmt: skip

    def _run(self, argv, log):
        self._processes.append(subprocess.Popen(
            contained(argv), stdin=subprocess.DEVNULL, stdout=log, stderr=log))  # fmt: skip

    def _wait_for_tracker(self, address, port):
        end = time.monotonic() + READY_S
        while time.monotonic() < end and self._processes[-1].poll() is None:
            try:
                socket.create_connection((address, port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        log = (self._folder / "tracker.log").read_text(errors="replace").strip()
        self.why_not = f"the tracker does not listen at {address}:{port} {log[-200:]}".strip()
