"""`soak` ends at the first failure and leaves nothing running; long work is seen to go on."""

from __future__ import annotations

import contextlib
import io
import time
import unittest
from unittest import mock

from .. import base, cli, soak
from ..patience import used_s


class Soaking(unittest.TestCase):
    """The verb without a machine."""

    def _soak(self, results: list, *words: str) -> tuple:
        with mock.patch.object(soak.suites, "test_verb", side_effect=results) as verb, \
                mock.patch.object(soak, "keep_all", return_value="kept"), \
                contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            code = soak.soak_verb(cli.parse("soak", ["--tests", "3", *words]))
        return code, [call.args[0] for call in verb.call_args_list]

    def test_all_runs_pass(self):
        code, runs = self._soak([0, 0, 0], "--filter", "boot", "--arch", "aarch64")
        self.assertEqual((code, len(runs)), (0, 3))
        self.assertEqual((runs[0].filter, runs[0].arch, runs[0].smp), ("boot", "aarch64", None))
        # It is what `test` itself reads from its command line.
        self.assertEqual(set(vars(cli.parse("test", []))) - {"verbose"}, set(vars(runs[0])))

    def test_the_first_failure_ends_it(self):
        code, runs = self._soak([0, 1, 0])
        self.assertEqual((code, len(runs)), (1, 2))

    def test_busy_loops_work_and_end(self):
        with contextlib.redirect_stdout(io.StringIO()), soak.busy(2):
            loops = [process for process in base._live if "while True: pass" in process.args]
            self.assertEqual(len(loops), 2)
            time.sleep(0.5)
            self.assertGreater(sum(used_s(loop.pid) or 1 for loop in loops), 0)
        self.assertTrue(all(loop.poll() is not None for loop in loops))

    def test_long_work_is_seen_to_go_on(self):
        for quiet_s, expected in ((0, True), (60, False)):
            with mock.patch.object(base, "QUIET_S", quiet_s), contextlib.redirect_stdout(io.StringIO()) as output:
                began = time.monotonic()
                with base.ticking(lambda: "compiling"):
                    while time.monotonic() - began < (30 if expected else 2.5) and not output.getvalue():
                        time.sleep(0.1)
            self.assertEqual("    compiling: " in output.getvalue(), expected)
