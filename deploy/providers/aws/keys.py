"""The keys of one run, made for it and gone with it: one to log in with, and one that signs every
host's own key. Whoever trusts the second knows every host of the run exactly, also those that come
later, by one line of known_hosts. All are of their owner only (mode 0600).
"""

import os
import pathlib
import subprocess
import tempfile

from errors import ProviderError

_LIMIT_S = 20


def _keygen(argv, host=""):
    command = "ssh-keygen"
    try:
        done = subprocess.run(
            [command, "-q", *map(str, argv)], capture_output=True, text=True, timeout=_LIMIT_S,
            check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except FileNotFoundError:
        mend = "ssh-keygen is not installed; apt-get install openssh-client"
        raise ProviderError(mend, host, command) from None
    except subprocess.TimeoutExpired:
        raise ProviderError(f"no end after {_LIMIT_S} s", host, command) from None
    if done.returncode != 0:
        raise ProviderError(f"ended with code {done.returncode}", host, command, done.stderr)


class Keys:
    def __init__(self, run, folder):
        self._run = run
        self.login = pathlib.Path(folder) / "run_ed25519"
        self.signer = pathlib.Path(folder) / "signer_ed25519"
        self.known_hosts = pathlib.Path(folder) / "known_hosts"

    def make(self):
        for path in (self.login, self.signer):
            if not (path.exists() and self.public_path(path).exists()):
                self._make(path)
        fresh = self.known_hosts.with_name("known_hosts.new")
        fresh.write_text(self.known_hosts_line())
        fresh.replace(self.known_hosts)

    def _make(self, path):
        """Whole or not at all: the private half comes last."""
        with tempfile.TemporaryDirectory(dir=path.parent, prefix="new-") as folder:
            new = pathlib.Path(folder) / path.name
            _keygen(["-t", "ed25519", "-N", "", "-C", self._run, "-f", new])
            os.replace(self.public_path(new), self.public_path(path))
            os.replace(new, path)

    @staticmethod
    def public_path(path):
        return path.with_name(path.name + ".pub")

    def public(self, path):
        return self.public_path(path).read_text().strip()

    def known_hosts_line(self):
        return f"@cert-authority * {' '.join(self.public(self.signer).split()[:2])}\n"

    def host_key(self, name, names):
        """A fresh key for a host: (private, public, certificate for these names)."""
        with tempfile.TemporaryDirectory(dir=self.login.parent, prefix="host-") as folder:
            path = pathlib.Path(folder) / "key"
            _keygen(["-t", "ed25519", "-N", "", "-C", name, "-f", path], name)
            public = self.public_path(path)
            sign = ["-s", self.signer, "-h", "-I", f"{self._run}.{name}", "-n", ",".join(names)]
            _keygen([*sign, public], name)
            return path.read_text(), public.read_text(), path.with_name("key-cert.pub").read_text()
