"""The command line, and machines that cannot be."""

from __future__ import annotations

import unittest

from .. import base, bochs, cli
from ..directives import read_boot_test
from ..machine import BOOTS, LEAST_MIB, Machine, host_memory_mib


class CommandLine(unittest.TestCase):
    """A wrong argument is one line and exit code 2."""

    def test_mistakes(self):
        for words in (["--smp", "0"], ["--smp", "65"], ["--arch", "vax"], ["--frob"], ["--memory", "x"], ["--memory", "0"],
                      ["--memory", "-5"], ["--memory", "²"], ["--memory", "9" * 5000], ["--timeout", "1e3"],
                      ["--tags", "1"], ["--tags", "٣"], ["--frob\nx"]):
            with self.assertRaises(base.Failure) as caught:
                cli.parse("run", words)
            self.assertEqual(caught.exception.code, base.EXIT_USAGE)
            self.assertNotIn("\n", str(caught.exception))

    def test_arguments_of_the_program(self):
        options = cli.parse("run", ["tour", "a", "--smp", "2", "b", "--", "--smp"])
        self.assertEqual((options.program, options.arguments, options.smp), ("tour", ["a", "b", "--smp"], 2))

    def test_machines_that_cannot_be(self):
        for machine in (Machine("x86_64", accel="kvm", icount=True), Machine("aarch64", boot="bios"),
                        Machine("aarch64", accel="kvm"), Machine("x86_64", boot="limine")):
            with self.assertRaises(base.Failure):
                machine.check()

    def test_memory_that_is_too_little_or_too_much(self):
        for arch, boots in BOOTS.items():
            for boot in set(boots) - {"limine"}:
                least = LEAST_MIB[boot]
                Machine(arch, memory_mib=least, boot=boot).check()
                for memory_mib in (1, least - 1, host_memory_mib() + 1):
                    with self.assertRaises(base.Failure) as caught:
                        Machine(arch, memory_mib=memory_mib, boot=boot).check()
                    self.assertEqual(caught.exception.code, base.EXIT_USAGE)
        booted = read_boot_test("least_memory", base.ROOT / "tests" / "boot" / "least_memory.rs").memory_mib
        self.assertEqual((booted, booted), (LEAST_MIB["bios"], LEAST_MIB["stub"]))
        Machine("x86_64", memory_mib=bochs.MEMORY_MIB_MAX, emulator="bochs").check()
        with self.assertRaises(base.Failure):
            Machine("x86_64", memory_mib=bochs.MEMORY_MIB_MAX + 1, emulator="bochs").check()
