#!/usr/bin/env python3
"""How long it takes until the last of N hosts has a payload of 20 MB, by the step `deploy`.

usage: bench/p2p_once.py HOSTS p2p|copy [RATE_MBIT]     (as root; see bench/p2p_bench.sh)

Prints two numbers: seconds of the step with the payload, and of its repeat, which finds it there.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
TOP = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP / "deploy" / "ansible"))

import steps_case  # noqa: E402

PAYLOAD_BYTES = 20_000_000
DEADLINE_S = 900


def make_package(folder):
    """In the form of a package, of bytes that no compression makes fewer."""
    name = f"baiwan-payload-{os.uname().machine}"
    root = pathlib.Path(folder, name)
    (root / "bin").mkdir(parents=True)
    (root / "payload").write_bytes(os.urandom(PAYLOAD_BYTES))
    program = root / "bin" / "baiwan"  # which the step asks how its host is
    program.write_text("#!/bin/sh\necho '{}'\n")
    program.chmod(0o755)
    shutil.copytree(TOP / "deploy" / "units", root / "units")
    shutil.copy(TOP / "deploy" / "kernel.conf", root / "units")
    shutil.copytree(TOP / "deploy" / "ansible", root / "deploy" / "ansible")
    script = (
        f"cd {folder}/{name} && find . -type f | sort | xargs sha256sum > /var/tmp/$$ && mv /var/tmp/$$ SHA256SUMS && "
        f"cd .. && tar -czf {name}.tar.gz {name} && sha256sum {name}.tar.gz > {name}.tar.gz.sha256"
    )
    subprocess.run(["bash", "-c", script], check=True)
    return pathlib.Path(folder, name + ".tar.gz")


class Payload(steps_case.Steps):
    """Hosts that get nothing but the payload."""

    def _make_home(self, users, payload):
        hosts = []
        for i, name in enumerate(self.all):
            address = self.run.request["hosts"][i]["address"]
            hosts.append({"name": name, "address": address, "local": i == 0, "files": "hosts/any"})
        self.document = {
            "run": self.run.name, "package": f"package/{self.tarball.name}", "payload": payload,
            "ssh_key": "/root/.ssh/id_ed25519", "known_hosts": "/root/.ssh/known_hosts",
            "rate_mbit": self.run.request["rate_mbit"], "hosts": hosts,
        }  # fmt: skip
        with tempfile.TemporaryDirectory(dir="/var/tmp") as home:
            pathlib.Path(home, "hosts.json").write_text(json.dumps(self.document))
            pathlib.Path(home, "link.secret").write_text("none\n")
            pathlib.Path(home, "hosts", "any").mkdir(parents=True)
            pathlib.Path(home, "package").mkdir()
            for name in (self.tarball.name, self.tarball.name + ".sha256"):
                os.link(self.tarball.with_name(name), f"{home}/package/{name}")
            self.put("control", steps_case.tar_of(home), steps_case.FOLDER)
        self.unpack_for_control()


def main():
    count, payload = int(sys.argv[1]), sys.argv[2]
    rate = float(sys.argv[3]) if len(sys.argv) > 3 else 50
    with tempfile.TemporaryDirectory(prefix="baiwan-p2p-", dir="/var/tmp") as folder:
        hosts = Payload("b", count, make_package(folder), payload=payload, rate_mbit=rate,
                        deadline_s=DEADLINE_S)  # fmt: skip
        try:
            progress, seconds = hosts.done("deploy", hosts.workers, timeout=DEADLINE_S)
            _, again = hosts.done("deploy", hosts.workers)
        finally:
            hosts.close()
    way = "package from peers" if payload == "p2p" else "package by ssh"
    if others := [h for h in hosts.workers if not any(way in t for t in progress.get(h, []))]:
        print(f"{len(others)} of {count} hosts got it another way: {progress[others[0]]}", file=sys.stderr)
    print(f"{seconds:.1f} {again:.1f}")


if __name__ == "__main__":
    main()
