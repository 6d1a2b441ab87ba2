#!/usr/bin/env python3
"""The steps against their contract: test hosts, real ssh, the real program and a real plan.

BAIWAN_BINARY says which program to pack and deploy.
"""

import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import steps_case  # noqa: E402
import swarm  # noqa: E402
from steps_case import FOLDER, Steps  # noqa: E402

RUN = "/var/lib/baiwan"
ENDS_WITHIN_S = 12  # on a busy machine; what is cut off unasked takes fifteen
RATE_MBIT = 30  # a package takes seconds: time enough to be disturbed


def setUpModule():
    global PACKAGES, TARBALL
    PACKAGES = tempfile.mkdtemp(prefix="baiwan-steps-", dir="/var/tmp")
    TARBALL = steps_case.pack(PACKAGES)


def tearDownModule():
    shutil.rmtree(PACKAGES)


class Torrent(unittest.TestCase):
    def test_bencoding(self):
        self.assertEqual(swarm.bencode({"b": [1, b"x"], "a": "yy"}), b"d1:a2:yy1:bli1e1:xee")

    def test_every_piece_has_its_hash(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(os.urandom(300_000))
            file.flush()
            text, info_hash = swarm.make_torrent(file.name, "http://h/announce")
            first = pathlib.Path(file.name).read_bytes()[: swarm.MIN_PIECE]
            more, same = swarm.make_torrent(file.name, "http://h/announce", "https://s/x?y=1")
        self.assertIn(b"6:pieces100:" + hashlib.sha1(first).digest(), text)
        self.assertEqual(len(info_hash), 40)
        self.assertEqual((info_hash, more), (same, text[:-1] + b"8:url-list15:https://s/x?y=1e"))


class InOrder(unittest.TestCase):
    """A whole run, each step twice. The tests go on where the one before has ended, by their names."""

    @classmethod
    def setUpClass(cls):
        cls.steps = Steps("o", 2, TARBALL)
        cls.addClassCleanup(cls.steps.close)

    def on(self, host, script):
        return self.steps.must(host, script)

    def test_1_deploy(self):
        inode = "stat -c %i /opt/baiwan-*/bin/baiwan"
        self.on("control", f"tar -xzf {FOLDER}/package/*.gz -C /opt")  # as whoever made it the control host
        before = self.on("control", inode)
        progress, _ = self.steps.done("deploy")
        self.assertEqual(self.on("control", inode), before)
        for worker in self.steps.workers:
            self.assertIn("package from peers", " ".join(progress[worker]))
        for host in self.steps.all:
            facts = json.loads(progress[host][-1])
            self.assertEqual(facts["host"], host)
            self.assertGreater(facts["memory"], facts["memory_available"])
            self.assertGreater(facts["disk"], facts["disk_free"])
            self.assertGreaterEqual(facts["open_files"], 1024)
        for host in self.steps.all:
            self.assertEqual(self.on(host, "readlink /opt/baiwan"), f"/opt/{TARBALL.name[:-len('.tar.gz')]}")
            self.assertEqual(self.on(host, f"stat -c %a {RUN}/link.secret; cat {RUN}/link.secret"),
                             "600\n" + self.on("control", f"cat {FOLDER}/link.secret"))  # fmt: skip
            self.on(host, f"test -d {RUN}/logs && test -s {RUN}/host.toml")
            self.on(host, "/opt/baiwan/bin/baiwan --help && ! pgrep -x baiwan")
        before = self.on("worker-000", inode)
        _, seconds = self.steps.done("deploy")
        self.assertEqual(self.on("worker-000", inode), before)
        self.assertLess(seconds, 30)

    def test_2_import(self):
        self.steps.done("import", self.steps.workers)
        first = self.on("worker-000", f"cat {RUN}/logs/import-0.log")
        self.assertIn('"users":40', first)
        self.steps.done("import", self.steps.workers)  # refused by the program, if it were tried
        # One that was cut short has left users behind.
        self.on("worker-000", f"rm {RUN}/.steps/import-0.done")
        self.steps.done("import", self.steps.workers)

    def test_3_start(self):
        progress, _ = self.steps.done("start")
        self.assertEqual(progress["control"], ["2 processes are ready"])
        server = "pgrep -f '^/opt/baiwan/bin/baiwan serve' | sort"
        before = self.on("worker-001", server)
        self.steps.done("start")
        self.assertEqual(self.on("worker-001", server), before)

    def test_4_run(self):
        code, ends, _, _ = self.steps.step("verify", self.steps.workers)
        self.assertEqual(code, 1)
        self.assertIn("stop comes first", ends["worker-000"]["why"])
        self.steps.done("run", self.steps.workers)
        self.assertEqual(self.on("worker-000", f"cat {RUN}/load.ended; sv status baiwan-load | cut -d: -f1"),
                         "0\ndown")  # fmt: skip
        result = f"stat -c %Y.%i {RUN}/results/drive-0.json"
        before = self.on("worker-000", result)
        progress, _ = self.steps.done("run", self.steps.workers)
        self.assertEqual(progress["worker-000"], ["the load clients had ended already"])
        self.assertEqual(self.on("worker-000", result), before)

    def test_5_stop(self):
        for _ in range(2):
            self.steps.done("stop")
        for host in self.steps.all:
            self.on(host, "! pgrep -x baiwan")

    def test_6_verify(self):
        for _ in range(2):
            self.steps.done("verify", self.steps.workers)
        join = " ".join(f"--join {FOLDER}/shares/{w}.share" for w in self.steps.workers)
        argv = " ".join(self.steps.document["hosts"][1]["verify"])
        workload = argv[argv.index("--cells"):]
        report = json.loads(self.on("control", f"/opt/baiwan/bin/baiwan verify --json {join} {workload}"))
        self.assertTrue(report["verified"])
        self.assertEqual(report["errors"], [])

    def test_7_collect(self):
        for _ in range(2):
            self.on("control", f"mkdir -p {FOLDER}/collected/worker-000 && touch {FOLDER}/collected/worker-000/old")
            self.steps.done("collect")
            self.on("control", f"cd {FOLDER}/collected && test -s worker-000/results/drive-0.json && "
                               "test -s worker-001/logs/baiwan.log && test -s control/series.jsonl && "
                               "test ! -e worker-000/old && test ! -e worker-000/link.secret")  # fmt: skip

    def test_8_nothing_is_left_on_the_control_host(self):
        gone = f"! pgrep -f '[a]nsible|[o]pentracker' && ! pgrep -x ssh && ! ls -d {FOLDER}/.step-*"
        self.on("control", f"for n in $(seq 50); do {gone} && exit 0; sleep 0.2; done; exit 1")
        self.on("control", f"! grep -r \"$(cat {FOLDER}/link.secret)\" /var/log {RUN}/logs {FOLDER}/collected")


class Disturbed(unittest.TestCase):
    """What goes wrong, told by name; then the same step again."""

    @classmethod
    def setUpClass(cls):
        cls.steps = Steps("d", 3, TARBALL, rate_mbit=RATE_MBIT)
        cls.addClassCleanup(cls.steps.close)
        cls.original = dict(cls.steps.document)

    def tearDown(self):
        self.steps.change(**self.original)

    def inside(self, host, script):
        return self.steps.must(host, script)

    def forget(self, *hosts):
        """As if nothing had been deployed there."""
        for host in hosts:
            self.inside(host, "pkill -9 aria2c; rm -rf /opt/baiwan* /var/lib/baiwan/.package")

    def failures(self, ends):
        return {h: e["why"] for h, e in ends.items() if e["event"] == "failed"}

    def test_wrong_requests_do_nothing(self):
        for step, hosts, fields, text in (
            ("deploy", ["worker-009"], {}, "worker-009"),
            ("deploy", ["worker-000", "worker-000"], {}, "each once"),
            ("deplete", ["worker-000"], {}, "deplete"),
            ("start", ["worker-000"], {"program": "/bin/true"}, "/opt/baiwan/bin/baiwan"),
            ("deploy", ["worker-000"], {"package": "package/other.tar.gz"}, "VERSION-ARCH"),
        ):
            self.steps.change(**{**self.original, **fields})
            code, ends, _, err = self.steps.step(step, hosts)
            self.assertEqual((code, ends), (2, {}), text)
            self.assertIn(text, err)

    def test_a_package_with_another_checksum_is_installed_nowhere(self):
        self.forget(*self.steps.all)
        name = f"{FOLDER}/package/{TARBALL.name}"
        self.inside("control", f"cp {name}.sha256 /tmp/right && sed -i 's/^./x/' {name}.sha256")
        code, ends, _, _ = self.steps.step("deploy")
        self.inside("control", f"cp /tmp/right {name}.sha256")
        self.assertEqual(code, 1)
        self.assertEqual(sorted(self.failures(ends)), self.steps.all)
        self.assertIn("checksum", ends["worker-001"]["why"])
        self.inside("worker-001", "! ls /opt/baiwan*")

    def test_a_package_for_another_processor_is_refused_by_name(self):
        other = "aarch64" if os.uname().machine == "x86_64" else "x86_64"
        name = f"package/baiwan-1-{other}.tar.gz"
        self.inside("control", f"cd {FOLDER} && ln -f package/{TARBALL.name} {name} && "
                               f"sha256sum {name} > {name}.sha256")  # fmt: skip
        self.steps.change(package=name)
        code, ends, _, _ = self.steps.step("deploy", ["worker-000"])
        self.assertEqual(code, 1)
        self.assertIn(f"baiwan-1-{other}.tar.gz is for {other}, but this host is {os.uname().machine}",
                      ends["worker-000"]["why"])  # fmt: skip

    def test_who_cannot_join_the_peers_gets_a_copy(self):
        self.forget("worker-000", "worker-001", "worker-002")
        self.inside("worker-000", "mv /usr/bin/aria2c /usr/bin/aria2c.away")
        rule = "ip saddr 10.0.1.11 tcp sport { 6969, 6881 } drop"
        self.inside("worker-001", f"nft insert rule inet firewall input {rule}")
        self.inside("worker-001", "nft insert rule inet firewall input tcp dport 6881 drop")
        progress, _ = self.steps.done("deploy", self.steps.workers)
        self.inside("worker-000", "mv /usr/bin/aria2c.away /usr/bin/aria2c")
        self.assertEqual(progress["worker-000"][:2],
                         ["no aria2 here: the package comes by ssh", "package by ssh"])  # fmt: skip
        self.assertIn("no peers within", progress["worker-001"][0])
        self.assertIn("package from peers", progress["worker-002"][0])
        for worker in self.steps.workers:
            self.inside(worker, "/opt/baiwan/bin/baiwan --help && cd /opt/baiwan && sha256sum --quiet -c SHA256SUMS")

    def test_an_address_of_the_package_is_one_more_source_and_no_condition(self):
        self.forget("worker-000", "worker-001")
        cut = ("table inet cut { chain c { type filter hook input priority -1;"
               " ip saddr 10.0.0.0/16 tcp sport { 6969, 6881 } drop; tcp dport 6881 drop; }; }")  # fmt: skip
        self.inside("worker-001", f"nft -f - <<<'{cut}'")
        serve = f"cd {FOLDER}/package && exec python3 -m http.server --bind 10.0.1.11 8099"
        process = subprocess.Popen([*self.steps.run.host("control")["exec"], "bash", "-c", serve],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        try:
            self.inside("control", "until curl -sfo /dev/null http://10.0.1.11:8099; do sleep 0.1; done")
            self.web_seed(f"http://10.0.1.11:8099/{TARBALL.name}?for=a-while")
            progress, _ = self.steps.done("deploy", ["worker-001"])
            self.assertIn("package from peers and a web seed", progress["worker-001"][0], "who reaches only the address")
        finally:
            process.kill()
            process.wait()
        progress, _ = self.steps.done("deploy", ["worker-000"])
        self.assertIn("package from peers", progress["worker-000"][0], "nobody answers at the address")
        self.inside("worker-001", "nft delete table inet cut")
        self.web_seed("ftp://example.org/package")
        code, ends, _, err = self.steps.step("deploy", ["worker-000"])
        self.assertEqual((code, ends), (2, {}))
        self.assertIn("web-seed", err)
        self.inside("control", f"rm {FOLDER}/web-seed")

    def web_seed(self, address):
        self.inside("control", f"umask 077 && echo '{address}' > {FOLDER}/web-seed")

    def test_without_a_tracker_all_get_copies(self):
        self.forget("worker-002")
        self.inside("control", "mv /usr/bin/opentracker /usr/bin/opentracker.away")
        progress, _ = self.steps.done("deploy", ["worker-002"])
        self.inside("control", "mv /usr/bin/opentracker.away /usr/bin/opentracker")
        self.assertEqual(progress["worker-002"][:2],
                         ["not peer to peer: opentracker not installed here", "package by ssh"])  # fmt: skip

    def test_a_host_that_dies_in_deploy_is_named_and_holds_up_nobody(self):
        self.forget("worker-000", "worker-001")
        step = self.steps.start("deploy", ["worker-000", "worker-001"])
        self.wait_until("worker-001", "ls /var/lib/baiwan/.package/baiwan-*")
        os.kill(self.steps.run.host("worker-001")["pid"], signal.SIGKILL)
        code, ends, _, _ = self.steps.finish(step)
        self.assertEqual(code, 1)
        self.assertEqual(ends["worker-000"]["event"], "done")
        self.assertRegex(ends["worker-001"]["why"], "^cannot be reached over ssh: .")
        code, ends, _, _ = self.steps.step("start", ["worker-001"])  # it is not there at all now
        self.assertRegex(self.failures(ends)["worker-001"], "^cannot be reached over ssh: .")
        self.steps.run.up()
        self.steps.done("deploy", ["worker-001"])

    def test_one_that_is_asked_for_twice_takes_nothing_of_the_others(self):
        """As where the first was cut short and works on while the repeat waits for it."""
        self.steps.done("deploy", ["worker-000"])
        self.inside("worker-000", f"echo 0 > {RUN}/load.ended; mkdir {RUN}/.steps/incoming.4194304")
        self.addCleanup(self.inside, "worker-000", f"rm -f {RUN}/load.ended")
        argv = [*self.steps.run.host("worker-000")["exec"], "flock", "/run/lock/baiwan-step", "cat"]
        with subprocess.Popen(argv, stdin=subprocess.PIPE) as busy:
            self.wait_until("worker-000", "pgrep -x cat")
            asked = []
            for number in ("1", "2"):
                asked.append(self.steps.start("deploy", ["worker-000"]))
                self.wait_until("worker-000", f"test $(pgrep -fc '^flock -w') = {number}")
            busy.stdin.close()
        for step in asked:
            code, ends, _, err = self.steps.finish(step)
            self.assertEqual((code, self.failures(ends)), (0, {}), err)
        self.inside("worker-000", f"test -e {RUN}/load.ended && test -s {RUN}/link.secret")
        self.inside("worker-000", f"! ls -d {RUN}/.steps/incoming*")

    def wait_until(self, host, script, limit_s=60):
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            if self.steps.run.inside(host, "bash", "-c", script)[0] == 0:
                return
            time.sleep(0.1)
        self.fail(f"{host}: not within {limit_s} s: {script}")

    def test_what_does_not_start_is_told_with_its_log(self):
        self.steps.done("deploy", ["worker-000"])
        child = '[[child]]\nname = "bad"\ncommand = ["/bin/sh", "-c", "echo no such sun; exit 3"]\n' \
                'log = "/var/lib/baiwan/logs/bad.log"\nready = true\nmax_restarts = 2\n'  # fmt: skip
        self.inside("worker-000", f"cd {RUN} && cp host.toml kept && cp load.toml kept-load && "
                                  f"cat > host.toml <<'E'\n{child}E\ncp host.toml load.toml")  # fmt: skip
        for step, why in (("start", "bad does not start"), ("run", "the load clients ended with 2")):
            code, ends, _, _ = self.steps.step(step, ["worker-000"])
            self.assertEqual((code, ends["worker-000"]["why"]), (1, why))
            self.assertIn("no such sun", ends["worker-000"]["log_tail"])
            self.assertIn("supervise", ends["worker-000"]["command"])
        self.inside("worker-000", f"cd {RUN} && mv kept host.toml && mv kept-load load.toml && ! pgrep -x baiwan")
        # Once mended, what the log says of the former life does not count.
        self.steps.done("deploy", ["control"])
        self.steps.done("start", ["control", "worker-000"])
        self.inside("worker-000", "pgrep -f '^/opt/baiwan/bin/baiwan serve'")
        self.steps.done("stop", ["control", "worker-000"])
        self.inside("worker-000", "! pgrep -x baiwan")
        self.steps.done("start", ["control", "worker-000"])
        self.inside("worker-000", "pgrep -f '^/opt/baiwan/bin/baiwan serve'")
        self.steps.done("stop", ["control", "worker-000"])

    def as_another_service(self, argv, ready):
        """worker-000 serves this from now on, as a plan's `service` would have it."""
        child = f'[[child]]\nname = "service"\ncommand = {json.dumps(argv)}\n' \
                'log = "/var/lib/baiwan/logs/service.log"\nmax_restarts = 3\n'  # fmt: skip
        self.inside("worker-000", f"cat > {RUN}/host.toml <<'E'\n{child}E")
        worker = next(h for h in self.steps.document["hosts"] if h["name"] == "worker-000")
        worker["ready"] = ready
        self.steps.change()

    def test_another_service_is_started_when_it_serves_and_not_before(self):
        self.steps.done("deploy", ["worker-000"])
        self.inside("worker-000", f"cp {RUN}/host.toml {RUN}/kept")
        for argv, why in (
            (["no-such-program"], "the service ends again and again"),
            (["/bin/sh", "-c", "echo no such sun; exit 3"], "service does not start"),
        ):
            self.as_another_service(argv, [])
            code, ends, _, _ = self.steps.step("start", ["worker-000"])
            self.assertEqual((code, ends["worker-000"].get("why")), (1, why))
            self.assertRegex(ends["worker-000"]["log_tail"], "no such")
        # Without a probe it has to stand; with one it has to answer.
        self.as_another_service(["sleep", "600"], [])
        self.steps.done("start", ["worker-000"])
        self.steps.done("stop", ["worker-000"])
        self.as_another_service(["/bin/sh", "-c", f"sleep 4; touch {RUN}/served; exec sleep 600"],
                                ["test", "-e", f"{RUN}/served"])  # fmt: skip
        self.steps.done("start", ["worker-000"])
        self.inside("worker-000", f"test -e {RUN}/served")
        self.steps.done("stop", ["worker-000"])
        self.as_another_service(["sleep", "600"], ["/bin/sh", "-c", "echo not yet; exit 1"])
        code, ends, _, _ = self.steps.step("start", ["worker-000"], "--limit", "25")
        self.assertEqual((code, ends["worker-000"]["why"][:32]), (1, "the service does not serve after"))
        self.assertIn("not yet", ends["worker-000"]["log_tail"])
        self.steps.done("stop", ["worker-000"])
        self.inside("worker-000", f"mv {RUN}/kept {RUN}/host.toml && rm {RUN}/served")
        next(h for h in self.steps.document["hosts"] if h["name"] == "worker-000")["ready"] = []
        self.steps.change()

    def endless_run(self):
        """Load clients without servers, which never end."""
        self.steps.done("deploy", ["control", "worker-000"])
        step = self.steps.start("run", ["worker-000"])
        self.wait_until("worker-000", "pgrep -f '^/opt/baiwan/bin/baiwan drive'")
        return step

    def assert_all_gone(self, since):
        gone = f"! pgrep -f '[a]nsible|[o]pentracker' && ! pgrep -x ssh && ! ls -d {FOLDER}/.step-*"
        self.wait_until("control", gone, ENDS_WITHIN_S)
        # The script there has nobody any more who waits for it; what it has started goes on.
        self.wait_until("worker-000", "! pgrep -f '[r]ead -r n'", ENDS_WITHIN_S)
        self.assertLess(time.monotonic() - since, ENDS_WITHIN_S)
        self.inside("worker-000", "sv status baiwan-load | grep ^run")
        _, seconds = self.steps.done("stop", ["worker-000"])
        self.assertLess(seconds, 30)  # of sixty, after which they would be killed
        self.inside("worker-000", f"test ! -e {RUN}/load.ended && ! pgrep -x baiwan")

    def test_sigterm_ends_everything(self):
        step = self.endless_run()
        began = time.monotonic()
        self.inside("control", "pkill -TERM -f '[a]nsible/step run'")
        code, ends, _, _ = self.steps.finish(step, ENDS_WITHIN_S)
        self.assertEqual((code, self.failures(ends)), (1, {"worker-000": "the step was ended by SIGTERM"}))
        self.assert_all_gone(began)

    def test_the_callers_death_ends_everything(self):
        step = self.endless_run()
        began = time.monotonic()
        step.kill()  # of nsenter, of which the step is the child
        step.communicate()
        self.assert_all_gone(began)

    def test_its_own_sudden_death_ends_what_it_started(self):
        step = self.endless_run()
        began = time.monotonic()
        self.inside("control", "pkill -KILL -f '[a]nsible/step run'")
        step.communicate()
        self.wait_until("control", "! pgrep -f '[a]nsible-playbook|[o]pentracker' && ! pgrep -x ssh", ENDS_WITHIN_S)
        self.steps.done("stop", ["worker-000"])  # and removes what it has left
        self.assert_gone_folder()
        self.assertLess(time.monotonic() - began, 4 * ENDS_WITHIN_S)

    def assert_gone_folder(self):
        self.inside("control", f"! ls -d {FOLDER}/.step-*")

    def test_what_does_not_end_is_given_up(self):
        self.steps.done("deploy", ["control", "worker-000"])
        began = time.monotonic()
        code, ends, _, _ = self.steps.step("run", ["worker-000"], "--limit", "15")
        self.assertEqual((code, self.failures(ends)),
                         (1, {"worker-000": "the load clients have not ended after 5 s"}))  # fmt: skip
        self.assertLess(time.monotonic() - began, 30)
        self.steps.done("stop", ["worker-000"])


if __name__ == "__main__":
    if not os.access(os.environ.get("BAIWAN_BINARY", ""), os.X_OK):
        sys.exit("BAIWAN_BINARY: expected the program to deploy; build it first")
    if lacking := steps_case.missing_tools():
        print(f"the steps cannot be tried here: {', '.join(lacking)}", flush=True)
        sys.exit(1 if os.environ.get("CI") == "true" else 77)
    sys.exit(steps_case.fleet_case.main())
