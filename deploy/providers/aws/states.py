"""The folder of one run: whose it is, what was asked for last, the keys, and each launch as it was
meant, so that an interrupted `up` repeats it exactly.

On a host of the run the folder is the run's own, whatever the request says: boot data has put the
keys there (boot_data.py), and SEAT says where.
"""

import contextlib
import json
import os
import pathlib
import secrets
import shutil

import locks
from errors import ProviderError, RequestError

LOCK_TIMEOUT_S = 60
SEAT = "/etc/baiwan/provider.json"  # on a host that is outside: {"run", "state", "region"}
IDENTITY = "aws.json"  # {"run", "fleet", "account", "ending"}
_RECORD = "request.json"
_OURS = (_RECORD, "launch", "keys", IDENTITY)  # in the order of removal: the identity last


def seat():
    """What the boot data says on a host of the run, or None."""
    try:
        return json.loads(pathlib.Path(SEAT).read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ProviderError(f"{SEAT}: {error}") from None


def seated(document):
    """The request as it is meant where it is asked: on a host of the run with the run's own folder."""
    here = seat()
    if here is None or not document:
        return document
    if document.get("run") != here["run"]:
        raise RequestError(f"run: this host belongs to the run {here['run']}")
    options = document.get("options", {})
    if isinstance(options, dict) and here.get("region"):
        options = {"region": here["region"], **options}
    return {**document, "state": here["state"], "options": options}


class State:
    def __init__(self, run, path):
        self.run, self.path = run, pathlib.Path(path)
        self.keys, self.launches = self.path / "keys", self.path / "launch"

    def _read(self, path):
        try:
            return json.loads((self.path / path).read_text())
        except (OSError, ValueError):
            return None

    def write(self, path, document):
        """For the owner only; the whole file or none of it."""
        target = self.path / path
        fresh = target.with_name(target.name + ".new")
        fresh.unlink(missing_ok=True)
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(json.dumps(document))
            file.flush()
            os.fsync(fd)
        fresh.replace(target)

    def refuse_foreign(self):
        identity = self._read(IDENTITY)
        if identity is None:
            with contextlib.suppress(FileNotFoundError):
                if files := [n for n in os.listdir(self.path) if n != IDENTITY + ".new"]:
                    text = f"{self.path} has files that are not of this run: {files[0]}"
                    raise RequestError(f"state: {text}")
        elif identity.get("run") != self.run:
            raise RequestError(f"state: {self.path} belongs to the run {identity.get('run')}")

    def fleet(self):
        """The fresh id of this life of the run, or '' before its first `up`."""
        return (self._read(IDENTITY) or {}).get("fleet", "")

    def account(self):
        """The number of the account that the run is in, or '' where that is not known."""
        return (self._read(IDENTITY) or {}).get("account", "")

    def make(self, account_of):
        """Returns the id. `account_of`: tells the number of the account, for a new life."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self.fleet():
            fleet = secrets.token_hex(8)
            self.write(IDENTITY, {"run": self.run, "fleet": fleet, "account": account_of()})
        for folder in (self.keys, self.launches):
            folder.mkdir(mode=0o700, exist_ok=True)
        return self.fleet()

    def mark_ending(self):
        """From here on the things of this life go away: an `up` must not build on what is left of them,
        nor ask with its client tokens."""
        if self.fleet():
            self.write(IDENTITY, {**self._read(IDENTITY), "ending": True})

    def ending(self):
        return (self._read(IDENTITY) or {}).get("ending", False)

    def request(self):
        return self._read(_RECORD)

    def keep_request(self, document):
        self.write(_RECORD, document)

    def launch(self, host):
        return self._read(f"launch/{host}.json")

    def keep_launch(self, host, document):
        self.write(f"launch/{host}.json", document)

    def remove(self):
        """Only what is ours, and of this run."""
        if (self._read(IDENTITY) or {}).get("run") != self.run:
            return
        for name in _OURS:
            path = self.path / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
            path.with_name(name + ".new").unlink(missing_ok=True)

    def left(self):
        ours = (self._read(IDENTITY) or {}).get("run") == self.run
        return [f"file {self.path / n}" for n in _OURS if ours and (self.path / n).exists()]

    @contextlib.contextmanager
    def lock(self):
        """One command at a time works on a run, as far as this machine goes; what comes from another
        machine meets the client tokens. Without a folder there is nothing to share."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            yield
            return
        try:
            locks.take(fd, self.path, LOCK_TIMEOUT_S)
            yield
        finally:
            os.close(fd)
