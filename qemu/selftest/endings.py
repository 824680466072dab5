"""Every end of a boot is told from every other."""

from __future__ import annotations

import unittest

from .. import base
from ..conformance import CLAIM_LINE, SUITE_LINE
from ..directives import BootTest
from ..ending import Outcome, Said
from ..ending import judge as judge_end
from ..serial import Line
from ..suites import judge
from ..symbols import FAULT, KERNEL_ADDRESS


class Judging(unittest.TestCase):
    """Every end of a boot is told from every other."""

    def test_exit_statuses(self):
        expected = {"panic": 101, "reset": 102, "timeout": 124, "broken": 1}
        for kind, status in expected.items():
            self.assertEqual(Outcome(kind).exit_status(), status)
        for code, status in ((0, 0), (7, 7), (256, 1), (-1, 255)):
            self.assertEqual(Outcome("exit", code).exit_status(), status)

    def test_a_boot_test_wants_its_own_end(self):
        plain, panics = BootTest("a", "b"), BootTest("a", "b", expect_panic=True, expect_output=["reason"])
        log = base.ROOT / "log"
        self.assertEqual(judge(plain, Outcome("exit", 0, log=log)), "")
        self.assertNotEqual(judge(plain, Outcome("exit", 1, log=log)), "")
        for kind in ("panic", "reset", "timeout", "broken"):
            self.assertNotEqual(judge(plain, Outcome(kind, log=log)), "")
        self.assertEqual(judge(panics, Outcome("panic", lines=["the reason"], log=log)), "")
        self.assertNotEqual(judge(panics, Outcome("panic", lines=[], log=log)), "")
        kernel = BootTest("a", "b", expect_output=["[kernel] fault: x"])
        self.assertEqual(judge(kernel, Outcome("exit", 0, lines=["[kernel] fault: x y"], log=log)), "")
        self.assertNotEqual(judge(kernel, Outcome("exit", 0, lines=["a [kernel] fault: x y"], log=log)), "")
        self.assertNotEqual(judge(panics, Outcome("exit", 0, lines=["reason"], log=log)), "")

    def test_lines_of_test_programs(self):
        self.assertEqual(CLAIM_LINE.match("test a::b ... FAILED: why").groups(), ("a", "b", "FAILED", "why"))
        self.assertEqual(SUITE_LINE.match("suite a: 3 passed, 0 failed, 1 skipped").groups(), ("a", "3", "0", "1"))


class BelievedLines(unittest.TestCase):
    """A line and the emulator's status count together; text alone proves nothing."""

    def _end(self, emulator: str, status, *texts: str, complaint: str = "") -> Outcome:
        said = Said()
        for text in texts:
            said.note(Line(text))
        return judge_end(said, emulator, status, complaint)

    def _is(self, outcome: Outcome, kind: str, code: int = 0) -> None:
        self.assertEqual((outcome.kind, outcome.code), (kind, code), outcome.reason)

    def test_exit_codes(self):
        for emulator, statuses in (("x86_64", {0: 33, 7: 35, 101: 35}), ("aarch64", {0: 0, 7: 7, 101: 101})):
            for code, status in statuses.items():
                self._is(self._end(emulator, status, f"[kernel] exit code {code}"), "exit", code)
                self._is(self._end(emulator, 99, f"[kernel] exit code {code}"), "broken")
        self._is(self._end("bochs", 1, "[kernel] exit code 7"), "exit", 7)

    def test_panics(self):
        for emulator, status in (("x86_64", 37), ("aarch64", 101), ("bochs", 1)):
            outcome = self._end(emulator, status, "[kernel] PANIC: why", "[kernel] PANIC: later", "[kernel] panicked")
            self._is(outcome, "panic")
            self.assertEqual(outcome.reason, "why")
        # The status alone is enough where it means nothing else.
        self._is(self._end("x86_64", 37), "panic")
        self._is(self._end("aarch64", 101), "reset")

    def test_a_program_cannot_fake_an_end(self):
        for fake in ("[kernel] PANIC: false", "[kernel] exit code 5"):
            for emulator, status in (("x86_64", 33), ("aarch64", 0)):
                # Even where the kernel let such a line pass.
                self._is(self._end(emulator, status, fake, "[kernel] exit code 0"), "exit", 0)
                self._is(self._end(emulator, 3, fake), "broken")
        for text in ("[kernel?] PANIC: false", "x [kernel] PANIC: false", " [kernel] exit code 5"):
            said = Said()
            said.note(Line(text))
            self.assertEqual((said.last, said.is_final), ("", False))
        said = Said()
        said.note(Line("[kernel] exit code 5", is_start=False))
        self.assertEqual(said.last, "")

    def test_ends_without_a_word(self):
        self._is(self._end("x86_64", 0), "reset")
        self._is(self._end("x86_64", 33), "reset")
        self._is(self._end("bochs", 1), "reset")
        self._is(self._end("x86_64", 1, complaint="qemu-system-x86_64: no memory"), "broken")
        self.assertIn("SIGKILL", self._end("x86_64", -9).reason)
        self.assertIn("[stub] error: no kernel", self._end("x86_64", 37, "[stub] error: no kernel").reason)
        # A machine that said its last word and stands still did not power off.
        self._is(self._end("x86_64", None, "[kernel] exit code 0"), "broken")
        self._is(self._end("x86_64", None), "broken")

    def test_who_goes_on_has_not_ended(self):
        said = Said()
        for text, final in (("[kernel] exit code 5", True), ("more", False), ("[kernel] PANIC: x", False),
                            ("[kernel] panicked", True)):
            said.note(Line(text))
            self.assertEqual(said.is_final, final, text)

    def test_addresses_in_the_kernel_s_lines(self):
        self.assertTrue(KERNEL_ADDRESS.search("[kernel]   at 0xffffffff80001000"))
        self.assertTrue(FAULT.search("[kernel] fault: program=hello thread=main ip=0x400010: nothing there"))
