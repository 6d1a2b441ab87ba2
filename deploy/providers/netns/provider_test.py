#!/usr/bin/env python3
"""The netns provider against its contract, with real hosts, a real sshd and real firewalls."""

import copy
import json
import os
import pathlib
import signal
import stat
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import fleet_case  # noqa: E402
import machine  # noqa: E402
from fleet_case import OUTSIDE, Run, trace_of, wait_for  # noqa: E402

RATE_MBIT = 80
QUIET = "/run/quiet"


def machine_network():
    """What the machine's own namespace has: interfaces, addresses, routes, settings of kernel.conf."""
    shown = [
        subprocess.run(["ip", "-json", *what], capture_output=True, text=True, check=True).stdout
        for what in (["addr"], ["route", "show", "table", "all"])
    ]
    names = sorted(link["ifname"] for link in json.loads(shown[0]))
    settings = [
        pathlib.Path("/proc/sys/net", name).read_text()
        for name in ("core/somaxconn", "ipv4/ip_forward", "ipv4/tcp_tw_reuse", "ipv4/tcp_keepalive_time")
    ]
    return names, " ".join(shown), settings


def setUpModule():
    global MOUNTS_BEFORE, NETWORK_BEFORE
    MOUNTS_BEFORE, NETWORK_BEFORE = fleet_case.mounts(), machine_network()


def tearDownModule():
    left = set(fleet_case.mounts()) ^ set(MOUNTS_BEFORE)
    if left or trace_of(fleet_case.MINE):
        raise AssertionError(f"left over: {left} {trace_of(fleet_case.MINE)}")


class OneRun(unittest.TestCase):
    """What can be seen on one run of four hosts that all tests here share."""

    @classmethod
    def setUpClass(cls):
        cls.run_ = Run("a", rate_mbit=RATE_MBIT)
        cls.addClassCleanup(cls.run_.close)
        cls.run_.up()
        # The outside learns a route that no internet has: the firewalls alone must hold.
        add = ["ip", "route", "add", "10.0.0.0/16", "via", "203.0.113.1"]
        subprocess.run([*cls.run_.namespace("_outside"), *add], check=True)

    def listen(self, host, port):
        process = self.run_.listen(host, port)
        self.addCleanup(process.wait, 10)
        self.addCleanup(process.kill)
        self.addCleanup(process.stdout.close)

    def test_the_answer_names_every_host_running(self):
        answer = self.run_.answer
        names = ["control", "w-0", "w-1", "w-2"]
        self.assertEqual([h["name"] for h in answer["hosts"]], names)
        self.assertEqual({h["state"] for h in answer["hosts"]}, {"running"})
        self.assertEqual(answer["missing"], [])
        self.assertEqual(self.run_.host("w-1")["address"], "10.0.2.21")

    def test_control_logs_in_to_each_worker_by_key(self):
        for worker in ("w-0", "w-1", "w-2"):
            self.assertEqual(self.run_.inside("control", "ssh", worker, "hostname"), (0, worker, ""))

    def test_the_operator_logs_in_as_described(self):
        for name in ("control", "w-2"):
            self.assertEqual(self.run_.inside(name, "hostname", via="ssh"), (0, name, ""))

    def test_hosts_fill_no_table_that_all_of_the_machine_share(self):
        self.listen("w-1", 8085)
        self.assertTrue(self.run_.reaches("w-0", "10.0.2.21", 8085))
        for where in (self.run_.host("w-0")["exec"], self.run_.namespace("_router")):
            shown = subprocess.run([*where, "ip", "-json", "neigh"], capture_output=True, check=True).stdout
            inner = [n for n in json.loads(shown) if n["dst"].startswith("10.")]
            self.assertGreater(len(inner), 2)
            self.assertEqual({s for n in inner for s in n["state"]}, {"PERMANENT"})

    def test_workers_hold_no_key_to_the_others(self):
        code, _, _ = self.run_.inside("w-0", "ssh", "-oBatchMode=yes", "-oStrictHostKeyChecking=no",
                                      "10.0.2.21", "true")  # fmt: skip
        self.assertNotEqual(code, 0)

    def test_the_runs_key_is_for_its_owner_only(self):
        mode = os.stat(self.run_.answer["ssh_key"]).st_mode
        self.assertEqual(stat.S_IMODE(mode), 0o600)

    def test_only_control_reaches_the_outside(self):
        self.listen("_outside", 8080)
        self.assertTrue(self.run_.reaches("control", OUTSIDE, 8080))
        self.assertFalse(self.run_.reaches("w-0", OUTSIDE, 8080, 1))
        _, routes, _ = self.run_.inside("w-0", "ip", "route")
        self.assertNotIn("default", routes)
        self.run_.inside("w-0", "ip", "route", "add", "default", "via", "10.0.2.1")
        self.addCleanup(self.run_.inside, "w-0", "ip", "route", "del", "default")
        self.assertFalse(self.run_.reaches("w-0", OUTSIDE, 8080, 1), "a route of its own must not help")
        self.assertEqual(self.datagrams_outside(["w-0", "control"]), {"control"})

    def datagrams_outside(self, senders):
        """Which of these hosts' datagrams arrive outside: no answer has to find its way back."""
        receive = (
            "import socket\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\n"
            "s.bind(('0.0.0.0',8084));s.settimeout(30);print('ready',flush=True)\n"
            "got=''\n"
            "while got!='end':\n  got=s.recv(64).decode();print(got,flush=True)\n"
        )
        send = (
            "import socket,sys\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\n"
            "[s.sendto(w.encode(),(sys.argv[1],8084)) for w in sys.argv[2:]]\n"
        )
        argv = [*self.run_.namespace("_outside"), "/usr/bin/python3", "-c", receive]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as receiver:
            self.assertEqual(receiver.stdout.readline(), "ready\n")
            for host in senders:
                self.run_.inside(host, "/usr/bin/python3", "-c", send, OUTSIDE, host)
            self.run_.inside("control", "/usr/bin/python3", "-c", send, OUTSIDE, "end")
            out, _ = receiver.communicate(timeout=40)
        return set(out.split()) - {"end"}

    def test_the_outside_reaches_ssh_of_control_and_nothing_else(self):
        for host in ("control", "w-0"):
            self.listen(host, 8081)
        public = self.run_.host("control")["public_address"]
        self.assertTrue(self.run_.reaches("_outside", public, 22))
        for address, port in ((public, 8081), ("10.0.1.11", 8081), ("10.0.2.20", 8081), ("10.0.2.20", 22)):
            self.assertFalse(self.run_.reaches("_outside", address, port, 1), f"{address}:{port}")
        for host in ("control", "w-1"):  # the listener does listen
            self.assertTrue(self.run_.reaches(host, "10.0.2.20", 8081), host)

    def test_a_hosts_own_firewall_holds_where_the_routers_is_open(self):
        for host in ("control", "w-0"):
            self.listen(host, 8083)
        self.addCleanup(self.router_policy, "drop")
        self.router_policy("accept")
        for address, port in (("10.0.1.11", 8083), ("10.0.2.20", 8083), ("10.0.2.20", 22)):
            self.assertFalse(self.run_.reaches("_outside", address, port, 1), f"{address}:{port}")
        self.assertTrue(self.run_.reaches("_outside", "10.0.1.11", 22))

    def router_policy(self, policy):
        change = f"chain inet firewall forward {{ policy {policy}; }}"
        subprocess.run([*self.run_.namespace("_router"), "nft", "add", change], check=True)

    def test_the_machine_gets_nothing_of_the_network(self):
        names, shown, settings = machine_network()
        self.assertEqual(names, NETWORK_BEFORE[0])
        self.assertEqual(settings, NETWORK_BEFORE[2])
        for part in ('"10.0.', "203.0.113."):
            self.assertNotIn(part, shown)

    def test_a_host_has_a_root_of_its_own(self):
        pathlib.Path(self.run_.folder, "secret").write_text("x")
        code, text, _ = self.run_.inside("w-0", "cat", "/proc/1/comm", "/etc/hostname")
        self.assertEqual((code, text.split()), (0, ["runsvdir", "w-0"]))
        for path in (self.run_.folder + "/secret", "/run/netns", self.run_.answer["ssh_key"]):
            self.assertNotEqual(self.run_.inside("w-0", "test", "-e", path)[0], 0, path)
        self.run_.inside("w-0", "touch", "/usr/bin/mine", "/etc/mine", "/tmp/mine", "/opt/mine")
        for path in ("/usr/bin/mine", "/etc/mine", "/tmp/mine", "/opt/mine"):
            self.assertEqual(self.run_.inside("w-0", "test", "-e", path)[0], 0, path)
            self.assertNotEqual(self.run_.inside("w-1", "test", "-e", path)[0], 0, path)
        for path in ("/usr/bin/mine", "/etc/mine", "/opt/mine"):
            self.assertFalse(os.path.exists(path), path)

    def test_kernel_settings_hold_inside_and_only_what_is_the_hosts_own_can_be_set(self):
        self.assertEqual(self.run_.inside("w-0", "cat", "/proc/sys/net/core/somaxconn")[1], "16384")
        write = ["sh", "-c", "cat /proc/sys/vm/swappiness > /proc/sys/vm/swappiness"]
        self.assertNotEqual(self.run_.inside("w-0", *write)[0], 0)
        self.assertFalse([w for w in self.run_.answer["warnings"] if not w.startswith("this machine")])

    def test_a_hosts_rate_is_limited(self):
        self.listen("w-2", 8082)
        script = (
            "import socket,time\ns=socket.create_connection(('10.0.2.22',8082),5)\ns.recv(6)\n"
            "t=time.monotonic();s.sendall(bytes(8<<20));s.shutdown(1);s.recv(1)\n"
            "print((8<<20)*8/1e6/(time.monotonic()-t))\n"
        )
        rates = []
        while len(rates) < 10 and max(rates, default=0) < RATE_MBIT * 0.5:  # a busy machine is slower still
            code, text, error = self.run_.inside("w-1", "/usr/bin/python3", "-c", script)
            self.assertEqual(code, 0, error)
            rates.append(float(text))
        self.assertLess(max(rates), RATE_MBIT * 1.1)
        self.assertGreater(max(rates), RATE_MBIT * 0.5)

    def test_up_again_changes_nothing(self):
        again = self.run_.must("up")
        self.assertEqual(again["started"], [])
        self.assertEqual(again["hosts"], self.run_.answer["hosts"])
        self.assertEqual(self.run_.must("describe")["hosts"], self.run_.answer["hosts"])

    def test_a_killed_host_is_seen_and_comes_back_with_its_disk(self):
        self.run_.inside("w-1", "sh", "-c", "echo kept > /opt/kept; touch /tmp/lost")
        os.kill(self.run_.host("w-1")["pid"], signal.SIGKILL)
        wait_for(self, lambda: self.run_.states()["w-1"] == "ended")
        described = self.run_.must("describe")
        self.assertEqual(described["missing"], ["w-1"])
        self.assertTrue(next(h for h in described["hosts"] if h["name"] == "w-1")["disk_kept"])
        answer = self.run_.up()
        self.assertEqual((answer["started"], answer["disks_kept"]), (["w-1"], ["w-1"]))
        self.assertEqual(self.run_.inside("w-1", "cat", "/opt/kept"), (0, "kept", ""))
        self.assertNotEqual(self.run_.inside("w-1", "test", "-e", "/tmp/lost")[0], 0)
        self.assertEqual(self.run_.inside("control", "ssh", "w-1", "hostname"), (0, "w-1", ""))

    def test_a_process_1_within_a_host_is_not_taken_for_the_hosts(self):
        argv = ["unshare", "--pid", "--fork", "--kill-child", "sleep", "999"]
        within = subprocess.Popen([*self.run_.host("w-0")["exec"], *argv])
        self.addCleanup(within.wait, 10)
        self.addCleanup(within.kill)
        wait_for(self, lambda: self.run_.inside("w-0", "pgrep", "-f", "^sleep 999")[0] == 0)
        prefix = f"bw.{self.run_.name}."
        pids = sorted(pid for pid, name in machine.processes_of(prefix).items() if name == f"{prefix}w-0")
        for order in (pids, pids[::-1]):  # the numbers begin again at 32,768
            self.assertEqual(machine.first_process(order)[0], self.run_.host("w-0")["pid"])

    def test_a_killed_sshd_is_started_again(self):
        self.run_.inside("w-0", "sv", "kill", "/etc/service/sshd")
        wait_for(self, lambda: self.run_.inside("control", "ssh", "w-0", "hostname")[0] == 0)

    def test_a_host_may_come_later_but_none_may_change(self):
        more = copy.deepcopy(self.run_.request)
        more["hosts"][1]["address"] = "10.0.2.99"
        code, answer, _ = self.run_.call("up", more)
        self.assertEqual(code, 2)
        self.assertIn("w-0", answer["error"])
        elsewhere = dict(self.run_.request, state=self.run_.folder + "/other")
        for command in ("up", "down"):
            self.assertEqual(self.run_.call(command, elsewhere)[0], 2)
        self.assertFalse(os.path.exists(elsewhere["state"]))
        self.assertEqual(set(self.run_.states().values()), {"running"})

    def test_it_costs_nothing_and_has_all_it_needs(self):
        price = self.run_.must("price")
        self.assertEqual((price["total"], price["items"][0]["cost"]), (0, 0))
        check = self.run_.must("check")
        self.assertTrue(check["shared"])
        self.assertEqual((check["ok"], check["missing"]), (True, []))
        self.assertGreater(check["memory_mb"], 0)


def keep_alive(case, run, name):
    """Touches the heartbeat of a host, in the host itself, until there is a file QUIET in it."""
    script = (f"n=0; until [ -e {QUIET} ] || [ $n -ge 600 ]; do touch {run.answer['heartbeat']}; "
              "sleep 0.5; n=$((n+1)); done")  # fmt: skip
    process = subprocess.Popen([*run.host(name)["exec"], "sh", "-c", script])
    case.addCleanup(process.wait, 10)
    case.addCleanup(process.kill)


class Systemd(unittest.TestCase):
    """Hosts with systemd instead of runit."""

    def setUp(self):
        self.run_ = Run("s", workers=1, heartbeat_s=25, options={"init": "systemd"})
        self.addCleanup(self.run_.close)
        if why := fleet_case.cannot_have_systemd():
            self.skipTest(why)
        self.run_.up()

    def test_it_is_the_hosts_own_and_goes_with_it(self):
        run = self.run_
        for name in ("control", "w-0"):
            keep_alive(self, run, name)
        for name in ("control", "w-0"):
            self.assertEqual(run.inside(name, "cat", "/proc/1/comm"), (0, "systemd", ""))
            up = lambda n=name: run.inside(n, "systemctl", "is-system-running")[1] == "running"  # noqa: E731
            wait_for(self, up, limit_s=90)
        self.assertEqual(run.inside("control", "ssh", "w-0", "hostname"), (0, "w-0", ""))
        # It sees no group but its own, and its services are in that.
        where = run.inside("control", "ssh", "w-0", "cat /proc/self/cgroup")[1]
        self.assertIn(":/system.slice/ssh.service", where)
        self.assertNotIn("bw.", where)
        # What is killed starts again.
        self.assertEqual(run.inside("w-0", "systemctl", "kill", "--signal=KILL", "sshd")[0], 0)
        wait_for(self, lambda: run.inside("control", "ssh", "w-0", "hostname")[1] == "w-0")
        # Silence ends a host, and it comes back as it was.
        run.inside("w-0", "touch", QUIET)
        wait_for(self, lambda: run.states()["w-0"] == "ended", limit_s=90)
        self.assertIn("w-0", run.up()["disks_kept"])
        self.assertEqual(run.inside("w-0", "cat", "/var/log/deadman.log")[1].split()[-2:], ["no", "heartbeat"])
        run.must("down")
        self.assertEqual(trace_of(run.name), [])


class TwoRuns(unittest.TestCase):
    def test_the_same_addresses_at_once(self):
        runs = [Run("b", workers=1), Run("c", workers=1)]
        for run in runs:
            self.addCleanup(run.close)
        processes = [run.start("up") for run in runs]
        for run, process in zip(runs, processes):
            code, run.answer, events = run.finish(process)
            self.assertEqual(code, 0, (run.answer, events))
        runs[0].inside("w-0", "touch", "/opt/mine")
        self.assertEqual(runs[0].inside("control", "ssh", "w-0", "test -e /opt/mine")[0], 0)
        self.assertEqual(runs[1].inside("control", "ssh", "w-0", "test -e /opt/mine")[0], 1)
        removed = runs[0].must("down")["removed"]
        self.assertEqual(len(removed), 4)
        self.assertEqual(runs[1].inside("control", "ssh", "w-0", "hostname"), (0, "w-0", ""))
        self.assertEqual(trace_of(runs[0].name), [])


class AlikeNames(unittest.TestCase):
    def test_a_host_that_starts_again_takes_none_with_it_whose_name_begins_alike(self):
        run = Run("u", workers=2)
        run.request["hosts"].append({"name": "w-10", "address": "10.0.2.30", "subnet": "workers"})
        self.addCleanup(run.close)
        run.up()
        before = run.host("w-10")["pid"]
        os.kill(run.host("w-1")["pid"], signal.SIGKILL)
        wait_for(self, lambda: run.states()["w-1"] == "ended")
        self.assertEqual(run.up()["started"], ["w-1"])
        self.assertEqual(run.host("w-10")["pid"], before)
        self.assertEqual(set(run.states().values()), {"running"})


class NamesFolder(unittest.TestCase):
    """The folder of the namespaces' names is mounted with the first run and goes with the last one."""

    def setUp(self):
        if self.mounted() or os.path.isdir("/run/netns") and os.listdir("/run/netns"):
            self.skipTest("others have namespaces on this machine")

    def mounted(self):
        return "/run/netns" in machine.mounts_under("/run/netns")

    def test_it_is_waited_for_while_it_is_in_use(self):
        run = Run("n", workers=0)
        self.addCleanup(run.close)
        run.up()
        user = subprocess.Popen(["sleep", "2"], cwd="/run/netns")
        self.addCleanup(user.wait, 10)
        run.must("down")
        self.assertFalse(self.mounted())

    def test_one_that_nobody_could_unmount_goes_with_the_next_run(self):
        first, second = Run("o", workers=0), Run("p", workers=0)
        self.addCleanup(second.close)
        self.addCleanup(first.close)
        first.up()
        user = subprocess.Popen(["sleep", "30"], cwd="/run/netns")
        self.addCleanup(user.wait, 10)
        self.addCleanup(user.kill)
        code, answer, events = first.call("down")
        self.assertEqual((code, answer["left"]), (0, []))
        self.assertIn("/run/netns stays mounted", json.dumps(events))
        user.kill()
        second.up()
        second.must("down")
        self.assertFalse(self.mounted())

    def test_a_run_that_begins_while_one_ends_takes_it_over(self):
        for turn in range(3):
            first, second = Run(f"q{turn}", workers=0), Run(f"r{turn}", workers=0)
            self.addCleanup(second.close)
            self.addCleanup(first.close)
            first.up()
            going, coming = first.start("down"), second.start("up")
            self.assertEqual([first.finish(going)[0], second.finish(coming)[0]], [0, 0])
            second.must("down")
            self.assertFalse(self.mounted())


class Interrupted(unittest.TestCase):
    def test_down_finds_what_a_killed_up_left(self):
        for wait_s in (0.15, 0.3, 0.5, 0.8):
            with self.subTest(wait_s=wait_s):
                run = Run(f"d{int(wait_s * 100)}", workers=2)
                self.addCleanup(run.close)
                self.kill_in_the_middle(run, wait_s)
                self.assertEqual(run.must("down")["left"], [])
                time.sleep(0.2)  # whatever would still come up late
                self.assertEqual(trace_of(run.name), [])
                self.assertEqual(os.listdir(run.folder + "/state") if os.path.exists(
                    run.folder + "/state") else [], [])  # fmt: skip
                self.assertEqual(run.must("down")["removed"], [])

    def test_up_goes_on_where_a_killed_up_ended(self):
        for wait_s in (0.35, 0.6):
            run = Run(f"e{int(wait_s * 100)}", workers=2)
            self.addCleanup(run.close)
            self.kill_in_the_middle(run, wait_s)
            run.up()
            self.assertEqual(run.inside("control", "ssh", "w-1", "hostname"), (0, "w-1", ""))
            run.must("down")

    def kill_in_the_middle(self, run, wait_s):
        process = run.start("up")
        time.sleep(wait_s)
        process.kill()
        process.communicate(timeout=20)


class Deadman(unittest.TestCase):
    def test_silence_and_the_end_of_time_end_a_host(self):
        run = Run("f", workers=1, heartbeat_s=12, deadline_s=45)
        self.addCleanup(run.close)
        run.up()
        keep_alive(self, run, "w-0")
        wait_for(self, lambda: run.states()["control"] == "ended")
        self.assertEqual(run.states(), {"control": "ended", "w-0": "running"})
        wait_for(self, lambda: run.states()["w-0"] == "ended", limit_s=60)
        log = pathlib.Path(run.request["state"], "disk/w-0/root/var/log/deadman.log").read_text()
        self.assertIn("time is over", log)


class WrongRequests(unittest.TestCase):
    def setUp(self):
        self.run_ = Run("g", workers=1)
        self.addCleanup(self.run_.close)

    def refused(self, change, part):
        request = copy.deepcopy(self.run_.request)
        change(request)
        code, answer, _ = self.run_.call("up", request)
        self.assertEqual(code, 2, answer)
        self.assertIn(part, answer["error"])
        self.assertEqual(trace_of(self.run_.name), [])

    def test_each_is_refused_with_the_field_and_changes_nothing(self):
        hosts = lambda r: r["hosts"]  # noqa: E731
        for change, part in (
            (lambda r: r.update(run="A_b"), "run"),
            (lambda r: r.update(run="x" * 21), "run"),
            (lambda r: r.update(state="relative"), "state"),
            (lambda r: r.update(state="/var/tmp/../../etc/x"), "state"),
            (lambda r: r.update(state="/usr/x"), "state"),
            (lambda r: r.update(state="/var/tmp/a,b"), "state"),
            (lambda r: r.update(extra=1), "extra"),
            (lambda r: r.update(options={"type": "c7g.large"}), "options.type"),
            (lambda r: r.update(options={"init": "openrc"}), "options.init"),
            (lambda r: r.update(options=[]), "options"),
            (lambda r: r.update(network=None), "network"),
            (lambda r: r["network"].update(vpc="8.8.0.0/16"), "network.vpc"),
            (lambda r: r["network"]["subnets"].update(workers="10.0.1.0/25"), "overlaps"),
            (lambda r: r["network"]["subnets"].update(workers="10.9.1.0/24"), "workers"),
            (lambda r: r.update(hosts=[]), "hosts"),
            (lambda r: hosts(r)[1].update(name="control"), "taken"),
            (lambda r: hosts(r)[1].update(name="_router"), "name"),
            (lambda r: hosts(r)[1].update(address="10.0.1.11", subnet="control"), "taken"),
            (lambda r: hosts(r)[1].update(address="10.0.2.2"), "first four"),
            (lambda r: hosts(r)[1].update(address="10.0.3.20"), "not within"),
            (lambda r: hosts(r)[1].update(subnet="none"), "subnet"),
            (lambda r: hosts(r)[1].update(outside="yes"), "outside"),
            (lambda r: r.update(rate_mbit=-1), "rate_mbit"),
            (lambda r: r.update(deadline_s=0), "deadline_s"),
            (lambda r: r.pop("deadline_s"), "deadline_s"),
            (lambda r: r.update(heartbeat_s=1), "heartbeat_s"),
        ):
            self.refused(change, part)

    def test_no_json_and_no_such_command(self):
        for argv, text in ((["up"], "{"), (["up"], "[1]"), (["destroy"], "{}"), ([], "{}")):
            done = subprocess.run(
                [str(fleet_case.PROVIDER), *argv], input=text, capture_output=True, text=True,
                timeout=20, check=False,
            )  # fmt: skip
            self.assertEqual(done.returncode, 2)
            self.assertTrue(json.loads(done.stdout)["error"])

    def test_a_folder_with_files_of_others_is_left_alone(self):
        state = pathlib.Path(self.run_.request["state"])
        (state / "disk").mkdir(parents=True)
        (state / "disk" / "precious").write_text("x")
        self.assertEqual(self.run_.call("up")[0], 2)
        self.assertEqual(self.run_.call("down")[0], 0)
        self.assertTrue((state / "disk" / "precious").exists())


if __name__ == "__main__":
    sys.exit(fleet_case.main())
