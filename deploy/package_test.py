#!/usr/bin/env python3
"""The package on a bare host: one that lacks the libraries which the program was built with.

BAIWAN_BINARY says which program to pack.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "providers" / "netns"))

import fleet_case  # noqa: E402

# None of them is needed by what a bare host has of its own.
LACKING = ("rocksdb", "protobuf", "spdlog", "fmt", "prometheus-cpp-core", "snappy", "gflags", "uring")

HOST_PLAN = """
[[child]]
name = "alive"
command = ["/bin/sh", "-c", "echo $$ > /tmp/alive; exec sleep 100"]
"""


def pack(folder, version="1.2.3", binary=os.environ.get("BAIWAN_BINARY", "")):
    argv = [str(HERE / "package.sh"), binary, version, str(folder)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False)


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="baiwan-package-", dir="/var/tmp"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        done = pack(cls.folder)
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        cls.tarball = pathlib.Path(done.stdout.strip())
        cls.root = f"baiwan-1.2.3-{os.uname().machine}"

    def test_it_is_named_by_version_and_architecture_and_has_its_checksum_beside_it(self):
        self.assertEqual(self.tarball.name, self.root + ".tar.gz")
        check = subprocess.run(["sha256sum", "-c", self.tarball.name + ".sha256"], cwd=self.folder,
                               capture_output=True, timeout=30, check=False)  # fmt: skip
        self.assertEqual(check.returncode, 0)
        self.assertEqual(sorted(os.listdir(self.folder)),
                         [self.tarball.name, self.tarball.name + ".sha256"])  # fmt: skip

    def test_it_has_no_libc_and_no_owner(self):
        with tarfile.open(self.tarball) as tar:
            names = [os.path.basename(m.name) for m in tar]
            self.assertEqual({m.uid for m in tar}, {0})
        self.assertFalse([n for n in names if n.startswith(("libc.so", "libm.so", "ld-linux"))])
        self.assertTrue([n for n in names if n.startswith("librocksdb.so")])

    def test_a_control_host_needs_nothing_else(self):
        with tarfile.open(self.tarball) as tar:
            modes = {m.name.removeprefix(self.root + "/"): m.mode for m in tar if m.isfile()}
        programs = ("deploy/ansible/step", "deploy/providers/netns/provider", "units/baiwan.run",
                    "units/baiwan-load.run", "units/baiwan-load.finish")  # fmt: skip
        files = ("deploy/ansible/ansible.cfg", "deploy/ansible/deploy.yml", "deploy/kernel.conf",
                 "deploy/ansible/plugins/callback/baiwan_steps.py", "units/kernel.conf",
                 "units/baiwan.service", "units/baiwan-load.service")  # fmt: skip
        self.assertEqual({modes.get(p) for p in programs}, {0o755})
        self.assertEqual({modes.get(f) for f in files}, {0o644})
        self.assertFalse([n for n in modes if n.endswith(("_test.py", "_case.py", ".pyc"))])

    def test_nothing_of_the_tests_is_in_it(self):
        with tarfile.open(self.tarball) as tar:
            scripts = {m.name: tar.extractfile(m).read() for m in tar if m.name.endswith(".py")}
        imports = re.compile(rb"^\s*(import|from) (moto|unittest)\b", re.MULTILINE)
        self.assertEqual([name for name, text in scripts.items() if imports.search(text)], [])

    def test_the_packed_providers_lack_no_module(self):
        with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
            subprocess.run(["tar", "-C", folder, "-xf", self.tarball], timeout=60, check=True)
            for name in ("netns", "aws"):
                provider = pathlib.Path(folder, self.root, "deploy/providers", name, "provider")
                done = subprocess.run([provider], input=b"{}", capture_output=True, timeout=20, check=False)
                self.assertEqual(done.returncode, 2, done)
                self.assertIn("expected one command", json.loads(done.stdout)["error"])

    def test_the_same_input_gives_the_same_bytes(self):
        with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
            self.assertEqual(pack(folder).returncode, 0)
            again = pathlib.Path(folder, self.tarball.name).read_bytes()
        self.assertEqual(again, self.tarball.read_bytes())

    def test_what_cannot_be_packed_leaves_nothing(self):
        with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
            for version, binary in (("1", "/nonexistent"), ("a/b", "/bin/true"), ("1", "/etc/passwd")):
                done = pack(folder, version, binary)
                self.assertNotEqual(done.returncode, 0)
                self.assertTrue(done.stderr.startswith("package: "), done.stderr)
                self.assertEqual(os.listdir(folder), [])

    def test_it_runs_on_a_bare_host_as_its_unit(self):
        run = fleet_case.Run("p", workers=1)
        self.addCleanup(run.close)
        run.up()
        for name in LACKING:
            code, _, error = run.inside("w-0", "sh", "-c", f"rm /usr/lib/*/lib{name}.so*")
            self.assertEqual(code, 0, error)
        with open(self.tarball, "rb") as file:
            argv = [*run.host("w-0")["ssh"], "tar -xzf - -C /opt && mv /opt/baiwan-* /opt/baiwan"]
            subprocess.run(argv, stdin=file, timeout=60, check=True)
        self.assertEqual(run.inside("w-0", "sh", "-c", "cd /opt/baiwan && sha256sum --quiet -c SHA256SUMS"),
                         (0, "", ""))  # fmt: skip
        script = (
            f"mkdir -p /var/lib/baiwan && cat > /var/lib/baiwan/host.toml <<'END'\n{HOST_PLAN}END\n"
            "mkdir /tmp/unit && cp /opt/baiwan/units/baiwan.run /tmp/unit/run && mv /tmp/unit /etc/service/baiwan\n"
            "for i in $(seq 300); do [ -s /tmp/alive ] && break; sleep 0.1; done\n"
            "kill -0 $(cat /tmp/alive) && sv down /etc/service/baiwan && sv -w 30 status /etc/service/baiwan\n"
            "for i in $(seq 300); do kill -0 $(cat /tmp/alive) 2>/dev/null || exit 0; sleep 0.1; done\n"
            "exit 1\n"
        )
        code, out, error = run.inside("w-0", "sh", "-c", script, timeout=120)
        self.assertEqual(code, 0, (out, error))
        # The host is bare indeed: the program as it was built does not start there.
        with open(os.environ["BAIWAN_BINARY"], "rb") as file:
            argv = [*run.host("w-0")["ssh"], "cat > /opt/raw && chmod +x /opt/raw && /opt/raw --help"]
            done = subprocess.run(argv, stdin=file, capture_output=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 127, done)
        self.assertIn(b"shared libraries", done.stderr)


if __name__ == "__main__":
    if not os.access(os.environ.get("BAIWAN_BINARY", ""), os.X_OK):
        sys.exit("BAIWAN_BINARY: expected the program to pack; build it first")
    sys.exit(fleet_case.main())
