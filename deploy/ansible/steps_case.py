"""A run whose control host carries out steps, for the tests and the benchmark: test hosts, and on the
control host the folder that the controller makes, by the program itself."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "providers" / "netns"))

import fleet_case  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
FOLDER = "/var/lib/baiwan/fleet"
TREE = "/opt/fleet"  # where the control host has the package unpacked
VERSION = "0.1.0"
TOOLS = {"ansible-playbook": "ansible-core", "aria2c": "aria2", "opentracker": "opentracker"}


def pack(folder, version=VERSION):
    """The tarball of the program under test."""
    argv = [str(HERE.parent / "package.sh"), os.environ["BAIWAN_BINARY"], version, str(folder)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return pathlib.Path(done.stdout.strip())


def tar_of(folder):
    argv = ["tar", "--owner=0", "--group=0", "-C", str(folder), "-cf", "-", "."]
    return subprocess.run(argv, capture_output=True, timeout=60, check=True).stdout


class Steps:
    """Hosts that are up, a plan for them, and the steps."""

    def __init__(self, name, workers, tarball, users=40, payload="p2p", **more):
        self.run = fleet_case.Run(name, workers=workers, **{"deadline_s": 800, **more})
        self.workers = [f"worker-{i:03}" for i in range(workers)]
        for host, worker in zip(self.run.request["hosts"][1:], self.workers):
            host["name"] = worker
        self.all = ["control", *self.workers]
        self.tarball = tarball
        try:
            self.run.up()
            self._make_home(users, payload)
        except BaseException:
            self.run.close()
            raise

    def _make_home(self, users, payload):
        with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
            plan, home = f"{folder}/plan.toml", f"{folder}/home"
            self._program("fleet", "plan", "--out", plan, "--hosts", str(len(self.workers)),
                          "--users-per-host", str(users), "--run", self.run.name)  # fmt: skip
            self._program("fleet", "files", plan, "--folder", home, "--payload", payload,
                          "--ssh-key", "/root/.ssh/id_ed25519", "--known-hosts", "/root/.ssh/known_hosts",
                          "--package", f"package/{self.tarball.name}")  # fmt: skip
            os.mkdir(f"{home}/package")
            for name in (self.tarball.name, self.tarball.name + ".sha256"):
                shutil.copyfile(self.tarball.with_name(name), f"{home}/package/{name}")
            self.document = json.loads(pathlib.Path(home, "hosts.json").read_text())
            self.put("control", tar_of(home), FOLDER)
        self.unpack_for_control()

    def unpack_for_control(self):
        script = f"mkdir -p {TREE} && tar -xzf {FOLDER}/package/*.gz --strip-components=1 -C {TREE}"
        self.must("control", script)

    @staticmethod
    def _program(*argv):
        argv = [os.environ["BAIWAN_BINARY"], *argv]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise AssertionError(f"{argv}: {done.stderr}")

    def put(self, host, tar, folder):
        argv = [*self.run.host(host)["exec"], "sh", "-c", f"mkdir -p {folder} && tar -xf - -C {folder}"]
        subprocess.run(argv, input=tar, timeout=60, check=True)

    def change(self, **fields):
        """hosts.json from now on says this."""
        self.document.update(fields)
        script = f"cat > {FOLDER}/hosts.json <<'END'\n{json.dumps(self.document)}\nEND\n"
        argv = [*self.run.host("control")["exec"], "sh", "-c", "exec sh -s"]
        subprocess.run(argv, input=script, text=True, timeout=30, check=True)

    def must(self, host, script, timeout=60):
        code, out, error = self.run.inside(host, "bash", "-c", script, timeout=timeout)
        if code != 0:
            raise AssertionError(f"{host}: {script}: {code} {out} {error}")
        return out

    def start(self, step, hosts=None, *more):
        argv = [*self.run.host("control")["exec"], f"{TREE}/deploy/ansible/step", step, "--folder", FOLDER,
                "--hosts", ",".join(self.all if hosts is None else hosts), *more]  # fmt: skip
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    @staticmethod
    def finish(process, timeout=120):
        """(exit code, {host: its last event}, {host: [progress texts]}, what it said to people)"""
        out, err = process.communicate(timeout=timeout)
        ends, progress = {}, {}
        for line in out.splitlines():
            event = json.loads(line)
            host = event["host"]
            if event["event"] in ("progress", "facts"):
                progress.setdefault(host, []).append(event["text"])
                continue
            if host in ends:
                raise AssertionError(f"{host} ended twice: {ends[host]} {event}")
            ends[host] = event
        return process.returncode, ends, progress, err

    def step(self, step, hosts=None, *more, timeout=120):
        return self.finish(self.start(step, hosts, *more), timeout)

    def done(self, step, hosts=None, *more, timeout=120):
        """The step must go well; returns (progress, seconds)."""
        began = time.monotonic()
        code, ends, progress, err = self.step(step, hosts, *more, timeout=timeout)
        wanted = self.all if hosts is None else hosts
        if code != 0 or {h: e["event"] for h, e in ends.items()} != dict.fromkeys(wanted, "done"):
            raise AssertionError(f"{step}: {code} {json.dumps(ends, indent=1)} {err}")
        return progress, time.monotonic() - began

    def close(self):
        self.run.close()


def missing_tools():
    return [f"{package} (apt-get install {package})" for tool, package in TOOLS.items()
            if not shutil.which(tool)]  # fmt: skip
