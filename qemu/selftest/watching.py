"""The TLB plugin's words and lines, and the boots that it watches."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path
from unittest import mock

from .. import build, machine, plugin, tlbcheck
from ..base import Failure
from ..boot import Job
from ..machine import Machine

LINES = """figures regions=2 loads=7 cycles=90
stale CPU 1 under tag 5 may use for 0x1000 the page 0x2000
figures regions=1 loads=3 cycles=10
checked served=1 comparisons=12 stale=1 unreadable=0
"""


class Watching(unittest.TestCase):
    """What goes to QEMU, and what comes back."""

    def _out(self, text: str) -> Path:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        out = Path(folder.name) / "out"
        out.write_text(text)
        return out

    def test_lines_are_told_apart(self):
        out = self._out(LINES)
        self.assertEqual(plugin.figures(out), [{"regions": 2, "loads": 7, "cycles": 90},
                                               {"regions": 1, "loads": 3, "cycles": 10}])
        self.assertEqual([line.split()[:3] for line in plugin.reports(out)], [["stale", "CPU", "1"]])
        self.assertEqual(plugin.complaint(out), "")

    def test_a_boot_that_checked_nothing_is_a_failure(self):
        for text in ("", "checked served=0 comparisons=0 stale=0 unreadable=0\n",
                     "checked served=1 comparisons=0 stale=0 unreadable=0\n",
                     "unreadable entry at 0x1\nchecked served=1 comparisons=3 stale=0 unreadable=4\n"):
            self.assertNotEqual(plugin.complaint(self._out(text)), "")
        with self.assertRaises(Failure):
            plugin.reports(Path("/nowhere/out"))

    def test_words_for_the_emulator_and_the_kernel(self):
        with mock.patch.object(plugin, "library", return_value=Path("/a,b/lib.so")):
            words = plugin.arguments("x86_64", "zen2", True, Path("/c,d"))
        self.assertEqual(words, ["-plugin", "/a,,b/lib.so,out=/c,,d,check=on,profile=zen2"])
        watched = Machine("x86_64", plugin=words)
        self.assertEqual(Job("a", watched, "release", ["hello"]).cmdline(), "run=hello tlb_plugin=1")
        command = machine.command(watched, "release", Path("archive"), Path("disk"))
        self.assertEqual(command[command.index("-accel") + 1], "tcg,thread=single")
        self.assertIn("-plugin", command)
        for wrong in (Machine("x86_64", accel="kvm", plugin=words), Machine("x86_64", emulator="bochs", plugin=words)):
            with self.assertRaises(Failure):
                wrong.check()

    def test_every_seeded_bug_exists_and_meets_a_program(self):
        known = (build.ROOT / "kernel" / "base" / "mutants.rs").read_text()
        for check in tlbcheck.SEEDS:
            self.assertIn(f"    Mutant::{check.seed},", known)
            self.assertIn(check.programs[0], build.of_purpose("conformance"))
        for arch in ("x86_64", "aarch64"):
            seeds = {check.seed for check in tlbcheck.SEEDS if check.arch == arch}
            self.assertGreaterEqual(len(seeds), 8)


if __name__ == "__main__":
    unittest.main()
