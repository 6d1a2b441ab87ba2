#!/usr/bin/env python3
"""Runs the README's ```console blocks, in order, in one shell, and compares what they print.

usage: readme_test.py README.md PROGRAM

A line that begins with "$ " is a command; the lines up to the next one are all that it prints, on
standard output and standard error together. "…" stands for anything within its line. Two things
are not as printed: the folder, which is a temporary one with the program at build/release/baiwan,
and the ports, which are free ones (everywhere in commands and output; the program learns of them
from the environment, as of any setting). Exit code 0 if everything was as printed.
"""

import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time

# Default port → the settings that have it.
PORTS = {
    9500: ["BAIWAN_GATEWAY_HTTP"],
    8089: ["BAIWAN_REGISTRY_LISTEN", "BAIWAN_REGISTRY_ENDPOINT"],
    11000: ["BAIWAN_RELAY_LISTEN"],
}
PATIENCE_S = 60  # with one command
LEAST_COMMANDS = 10  # a README from which the examples are gone is a failure, not a success


def examples(text):
    """[(line number, command, expected output)]"""
    found, inside = [], False
    for number, line in enumerate(text.split("\n"), 1):
        if not inside:
            inside = line == "```console"
        elif line == "```":
            inside = False
        elif line.startswith("$ "):
            found.append((number, line[2:], []))
        else:
            found[-1][2].append(line)
    return [(number, command, "\n".join(lines)) for number, command, lines in found]


def free_ports(n):
    held = [socket.socket() for _ in range(n)]
    for s in held:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


class Shell:
    """One bash, to which commands are given one after the other."""

    MARK = "--- end of command ---"

    def __init__(self, folder, environment):
        self.bash = subprocess.Popen(
            ["bash", "--norc", "--noprofile"], cwd=folder, env=environment, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def run(self, command):
        self.bash.stdin.write(f"{command}\necho; echo '{self.MARK}'\n".encode())
        self.bash.stdin.flush()
        output, until = b"", time.monotonic() + PATIENCE_S
        end = f"\n{self.MARK}\n".encode()
        while not output.endswith(end):
            wait = until - time.monotonic()
            if wait <= 0 or not select.select([self.bash.stdout], [], [], wait)[0]:
                raise TimeoutError(output.decode(errors="replace"))
            part = os.read(self.bash.stdout.fileno(), 65536)
            if not part:
                raise EOFError(output.decode(errors="replace"))
            output += part
        return output[: -len(end)].decode(errors="replace").replace("\r\n", "\n").removesuffix("\n")

    def end(self):
        """Ends the shell and whatever it started: all of them are in its process group."""
        try:
            os.killpg(self.bash.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.bash.wait()


def as_printed(expected, got):
    pattern = ".+".join(re.escape(part) for part in expected.split("…"))
    return re.fullmatch(pattern, got) is not None


def main():
    readme, program = sys.argv[1], os.path.abspath(sys.argv[2])
    with open(readme, encoding="utf-8") as file:
        commands = examples(file.read())
    if len(commands) < LEAST_COMMANDS:
        return f"{readme}: only {len(commands)} commands in ```console blocks"
    ports = dict(zip(PORTS, free_ports(len(PORTS))))
    environment = {k: v for k, v in os.environ.items()
                   if not k.startswith("BAIWAN_") and not k.lower().endswith("_proxy")}
    for port, settings in PORTS.items():
        environment.update({name: f"127.0.0.1:{ports[port]}" for name in settings})

    def with_ports(text):
        return re.sub(r"\b(%s)\b" % "|".join(map(str, PORTS)),
                      lambda match: str(ports[int(match.group())]), text)

    failures = []
    with tempfile.TemporaryDirectory() as folder:
        os.makedirs(f"{folder}/build/release")
        os.symlink(program, f"{folder}/build/release/baiwan")
        shell = Shell(folder, environment)
        try:
            for number, command, expected in commands:
                got = shell.run(with_ports(command))
                if not as_printed(with_ports(expected), got):
                    failures.append(f"{readme}:{number}: $ {command}\n--- as printed\n"
                                    f"{with_ports(expected)}\n--- now\n{got}\n")
        except (TimeoutError, EOFError) as error:
            failures.append(f"{readme}:{number}: $ {command}\n{type(error).__name__}: {error}\n")
        finally:
            shell.end()
        for log in ("registry.log", "serve.log"):
            if failures and os.path.exists(f"{folder}/try/{log}"):
                with open(f"{folder}/try/{log}", encoding="utf-8") as file:
                    failures.append(f"--- {log}\n{file.read()}")
    print(f"{len(commands)} commands run", flush=True)
    return "\n".join(failures)


if __name__ == "__main__":
    sys.exit(main() or 0)
