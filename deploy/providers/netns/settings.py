"""The kernel settings of deploy/kernel.conf: those of a network namespace are written and checked
in each host, the others belong to the whole machine and are only compared."""

import pathlib

from errors import ProviderError

MAX_SETTINGS = 200
FILE = pathlib.Path(__file__).resolve().parent.parent.parent / "kernel.conf"


def load():
    settings = {}
    for number, line in enumerate(FILE.read_text().splitlines(), 1):
        text = line.strip()
        if not text or text[0] in "#;":
            continue
        key, sign, value = text.partition("=")
        key, value = key.strip(), " ".join(value.split())
        plain = all(c.isalnum() or c in "._-" for c in key) and ".." not in key
        if not sign or not value or not plain:
            raise ProviderError(f"{FILE.name}:{number}: expected key = value")
        settings[key] = value
    if len(settings) > MAX_SETTINGS:
        raise ProviderError(f"{FILE.name}: over {MAX_SETTINGS} settings")
    return settings


def _file(key):
    return pathlib.Path("/proc/sys") / key.replace(".", "/")


def _read(key):
    try:
        return " ".join(_file(key).read_text().split())
    except OSError:
        return None


def _writable(key):
    try:
        return bool(_file(key).stat().st_mode & 0o200)
    except OSError:
        return False


def apply(settings):
    """Run inside a host's network namespace: which of them are its own, and which of those are not
    as they should be afterwards."""
    own, wrong = [], []
    for key, want in settings.items():
        # A setting of the whole machine is not there, or only to be read, in a namespace.
        if not key.startswith("net.") or not _writable(key):
            continue
        try:
            _file(key).write_text(want + "\n")
        except OSError:
            pass  # the check says what it is instead
        own.append(key)
        if (now := _read(key)) != want:
            wrong.append({"key": key, "want": want, "is": now})
    return own, wrong


def compare_machine(settings, own_to_hosts):
    """Settings of the whole machine that are lower than wanted, or unknown to this kernel."""
    wrong = []
    for key, want in settings.items():
        if key in own_to_hosts:
            continue
        now = _read(key)
        enough = now == want or (
            now is not None and now.isdigit() and want.isdigit() and int(now) >= int(want)
        )
        if not enough:
            wrong.append({"key": key, "want": want, "is": now})
    return wrong
