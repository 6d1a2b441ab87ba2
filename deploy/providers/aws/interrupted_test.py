#!/usr/bin/env python3
"""The aws provider killed at any of its calls: what is left is found, and the next command goes on."""

import os
import random
import sys
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import aws_case  # noqa: E402
from aws_case import Case, throttled  # noqa: E402

SEED = int(os.environ.get("BAIWAN_SEED", "20261"))


class Interrupted(Case):
    def kill_at(self, run, number, command="up"):
        """Kills it when its nth call is on its way, before or after it has happened."""
        process, count, lock = run.start(command), [0], threading.Lock()
        after = number % 2

        def fault(action, parameters):
            with lock:
                count[0] += 1
                if count[0] < number or process.poll() is not None:
                    return None
                process.kill()
                process.wait()
            return ("lose",) if after else throttled()

        self.emulation.faults = [fault]
        process.communicate(timeout=300)
        self.emulation.faults = []
        self.emulation.wait_idle()  # calls of other threads that were on their way

    def test_down_finds_what_a_killed_up_left_and_up_goes_on(self):
        dice = random.Random(SEED)
        print(f"seed {SEED}", file=sys.stderr)
        for index, number in enumerate(sorted(dice.sample(range(3, 45), 6))):
            with self.subTest(call=number):
                self.emulation.reset()
                run = self.run_of(f"k{index}", 3, placement_group=True)
                self.kill_at(run, number)
                if index % 2:
                    run.must("up")
                    self.assertEqual(len(self.instances(run)), 4)
                run.must("down")
                self.assertEqual(self.things(run), [])
                self.assertEqual(os.listdir(run.request["state"]), [])
                self.assertEqual(run.must("down")["removed"], [])
                self.nothing_refused()

    def test_down_ends_an_instance_that_is_seen_late(self):
        run = self.run_of("l", 2)
        run.must("up")
        self.emulation.rules.late = {"w-0": 1}
        code, answer, _ = run.call("down", changed={"teardown.RELEASE_LIMIT_S": 10})
        self.assertEqual((code, len(answer.get("removed", []))), (0, 3 + 8), answer)
        self.assertEqual(self.things(run), [])
        self.assertEqual(self.emulation.rules.late, {"w-0": 0})

    def test_what_an_instance_that_is_never_seen_holds_is_told(self):
        run = self.run_of("n", 1)
        run.must("up")
        held = self.instances(run)["w-0"]
        self.emulation.rules.late = {"w-0": 1000}
        code, answer, _ = run.call("down", changed={"teardown.RELEASE_LIMIT_S": 2})
        self.assertEqual(code, 1)
        self.assertIn("left over: ", answer["error"])
        self.assertIn(held["VpcId"], answer["error"])
        self.emulation.rules.late = {}

    def test_up_after_a_killed_down_begins_anew(self):
        run = self.run_of("d", 2)
        for number in (5, 14, 22, 30):
            with self.subTest(call=number):
                run.must("up")
                self.kill_at(run, number, "down")
                run.must("up")
                self.assertEqual(len(self.instances(run)), 3)
                self.assertEqual(run.must("describe")["missing"], [])
                self.nothing_refused()


if __name__ == "__main__":
    sys.exit(aws_case.main())
