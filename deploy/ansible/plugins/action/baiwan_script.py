"""Runs one of the role's scripts on a host: one command over one connection, with the script and what
it reads on standard input. The host needs bash and no Python.

  baiwan_script:
    script: import.sh              # of the role's files; lib.sh goes before it
    values: {commands: [[…], …]}   # become variables of the script, in capitals
    send: {files: FOLDER, secret: FILE}   # become a tar on its standard input
    put: {from: FILE, to: FILE}    # copied to the host before
    fetch: {from: FILE, to: PATH, by: FILE}  # unpacked here after it, if it went well: X.tar.gz to a
                                   # folder, other .gz to a file, which replace what was there
    last: true                     # with this task the host is done

Nothing of what is sent is an argument of a process or part of a result, so that no log has it.
"""

import gzip
import io
import os
import shlex
import shutil
import subprocess
import tarfile

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.module_utils.common.text.converters import to_text
from ansible.plugins.action import ActionBase

MAX_LOG_TAIL = 4096
WANTS_PACKAGE = 75  # as in lib.sh
_FILES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "roles", "host", "files")
# The script first, by its length, then what it reads.
_COMMAND = "exec /bin/bash -c 'read -r n && s=$(head -c \"$n\") && eval \"$s\"'"


def assignments(values):
    lines = []
    for key, value in values.items():
        name = key.upper()
        if not isinstance(value, (list, tuple)):
            lines.append(f"{name}={shlex.quote(str(value))}")
        elif value and isinstance(value[0], (list, tuple)):
            lines += [f"{name}_{i}={_array(v)}" for i, v in enumerate(value)]
            lines.append(f"{name}_COUNT={len(value)}")
        else:
            lines += [f"{name}={_array(value)}", f"{name}_COUNT={len(value)}"]
    return "\n".join(lines) + "\n"


def _array(words):
    return "(" + " ".join(shlex.quote(str(w)) for w in words) + ")"


def tar_of(sent):
    """Under their keys; nothing of the sender's but the modes goes with them."""

    def plain(info):
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        info.mode = 0o600 if info.name == "secret" else 0o755 if info.isdir() else 0o644
        return info

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, path in sent.items():
            if path:
                tar.add(path, arcname=name, filter=plain)
    return buffer.getvalue()


def unpack(packed, target):
    """Whole or not at all."""
    fresh = target + ".new"
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if packed.endswith(".tar.gz"):
        shutil.rmtree(fresh, ignore_errors=True)
        os.mkdir(fresh)
        argv = ["tar", "-xzf", packed, "--no-same-owner", "-C", fresh]
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, capture_output=True)
        shutil.rmtree(target, ignore_errors=True)
    else:
        with gzip.open(packed) as source, open(fresh, "wb") as file:
            shutil.copyfileobj(source, file)
    os.replace(fresh, target)
    os.unlink(packed)


def read(name):
    with open(os.path.join(_FILES, name), encoding="utf-8") as file:
        return file.read()


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _VALID_ARGS = frozenset(("script", "values", "send", "put", "fetch", "last"))

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        args = self._task.args
        if unknown := set(args) - self._VALID_ARGS:
            raise AnsibleActionFail(f"baiwan_script has no {', '.join(sorted(unknown))}")
        if put := args.get("put"):
            self._connection.put_file(put["from"], put["to"])
        script = assignments(args.get("values") or {}) + read("lib.sh") + read(args["script"])
        data = script.encode()
        stdin = f"{len(data)}\n".encode() + data + tar_of(args.get("send") or {})
        try:
            code, out, err = self._connection.exec_command(_COMMAND, in_data=stdin, sudoable=False)
        except BrokenPipeError as error:  # of ssh, which has ended before it read everything
            raise AnsibleConnectionFailure("the connection ended") from error
        result.update(self._result(code, to_text(out), to_text(err)))
        if not result.get("failed") and not result["wants_package"]:
            if fetch := args.get("fetch"):
                self._connection.fetch_file(fetch["from"], fetch["by"])
                unpack(fetch["by"], fetch["to"])
            result["last"] = bool(args.get("last"))
        return result

    def _result(self, code, out, err):
        told = [line.partition("\t") for line in out.splitlines()]
        result = {
            "changed": True,
            "progress": [text.strip() for word, _, text in told if word == "progress"],
            "facts": [text.strip() for word, _, text in told if word == "facts"],
            "wants_package": code == WANTS_PACKAGE,
            "last": False,
        }
        if code in (0, WANTS_PACKAGE):
            return result
        first = {word: text.strip() for word, _, text in reversed(told)}
        return {
            **result,
            "failed": True,
            "msg": first.get("why") or f"the script {self._task.args['script']} ended with code {code}",
            "command": first.get("command", ""),
            "log_tail": err.encode()[-MAX_LOG_TAIL:].decode(errors="ignore"),
        }
