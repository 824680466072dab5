"""What x.py itself must get right, for `./x.py check`: judging a boot, reading directives, reading Rust's text."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path

from . import base, build, cli, directives, rounds, rust_text, sharing
from .boot import EXIT_LINE, PANIC_LINE, Outcome
from .directives import BootTest, read_boot_test
from .machine import Machine
from .suites import CLAIM_LINE, SUITE_LINE, judge
from .symbols import FAULT, KERNEL_ADDRESS

CODE = '''
fn short<'a>(x: &'a str) -> char { '{' } // unsafe {
/* outer /* unsafe */ still a comment { */
fn declared(&self);
fn long() {
    let text = "fn not_one() { unsafe";
    let raw = r#"a " quote {"#;
}
'''


class RustText(unittest.TestCase):
    """Comments and literals never count as code."""

    def test_code_only_keeps_lines_and_drops_texts(self):
        code = rust_text.code_only(CODE)
        self.assertEqual(code.count("\n"), CODE.count("\n"))
        self.assertNotIn("unsafe", code)
        self.assertIn("fn long()", code)

    def test_functions_have_their_lines(self):
        found = list(rust_text.functions(rust_text.code_only(CODE)))
        self.assertEqual(found, [("short", 2, 1), ("long", 5, 4)])


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
        self.assertNotEqual(judge(panics, Outcome("exit", 0, lines=["reason"], log=log)), "")

    def test_lines_of_the_kernel(self):
        self.assertEqual(EXIT_LINE.search("[kernel] exit code 12").group(1), "12")
        self.assertEqual(PANIC_LINE.search("[kernel] PANIC: why").group(1), "why")
        self.assertTrue(KERNEL_ADDRESS.search("[kernel]   at 0xffffffff80001000"))
        self.assertTrue(FAULT.search("[kernel] fault: program=hello thread=main ip=0x400010: nothing there"))
        self.assertEqual(CLAIM_LINE.match("test a::b ... FAILED: why").groups(), ("a", "b", "FAILED", "why"))
        self.assertEqual(SUITE_LINE.match("suite a: 3 passed, 0 failed, 1 skipped").groups(), ("a", "3", "0", "1"))


class Directives(unittest.TestCase):
    """The first lines of a boot test."""

    def _read(self, text: str) -> BootTest:
        with tempfile.TemporaryDirectory(dir=base.ROOT / "target") as folder:
            source = Path(folder) / "one.rs"
            source.write_text(text)
            return read_boot_test("one", source)

    def test_words(self):
        test = self._read('//! It holds.\n//! boot: smp=2 expect-exit=3 expect-output="two words"\n\nfn main() {}\n')
        self.assertEqual((test.claim, test.smp, test.expect_exit), ("It holds.", 2, 3))
        self.assertEqual(test.expect_output, ["two words"])

    def test_mistakes(self):
        for text in ("fn main() {}\n", "//! It holds.\n//! boot: cpus=2\n", "//! It holds.\n//! boot: smp=many\n"):
            with self.assertRaises(base.Failure):
                self._read(text)

    def test_conformance_options(self):
        with tempfile.TemporaryDirectory(dir=base.ROOT / "target") as folder:
            source = Path(folder) / "one.rs"
            source.write_text('//! Claims.\n//! boot: options="machine=control tags=2"\n')
            self.assertEqual(directives.conformance_options(source), "machine=control tags=2")
            source.write_text("//! Claims.\n")
            self.assertEqual(directives.conformance_options(source), "")
            source.write_text("//! Claims.\n//! boot: smp=2\n")
            with self.assertRaises(base.Failure):
                directives.conformance_options(source)

    def test_claims(self):
        with tempfile.TemporaryDirectory(dir=base.ROOT / "target") as folder:
            source = Path(folder) / "one.rs"
            source.write_text("// claim!(no)\nconst C: &[Claim] = &[claim!(first), claim!(\n second)];\n")
            self.assertEqual(directives.claims_in(source), ["first", "second"])


class Needs(unittest.TestCase):
    """What a program's Cargo.toml asks for its boot."""

    def _read(self, told) -> build.Needs:
        return build.read_needs({"name": "one", "metadata": told})

    def test_words(self):
        self.assertEqual(self._read(None), build.Needs(build.MEMORY_MIB, ""))
        self.assertEqual(self._read({"other": {}}), build.Needs())
        told = {"tessera": {"memory": 2048, "options": "machine=control"}}
        self.assertEqual(self._read(told), build.Needs(2048, "machine=control"))

    def test_mistakes(self):
        for told in ({"memory": "2G"}, {"memory": 0}, {"memory": True}, {"options": 1}, {"cpus": 2}):
            with self.assertRaises(base.Failure):
                self._read({"tessera": told})

    def test_what_is_given_comes_last(self):
        self.assertEqual(rounds.words_of("machine=control", " tags=2 ", "", "leakcheck=1"),
                         "machine=control tags=2 leakcheck=1")
        self.assertEqual(cli.parse("run", ["tour"]).memory, None)


class Sharing(unittest.TestCase):
    """The page that is made of the lines of `sga rows`."""

    LINE = "sga row mib=64 clients=10 tables=139264 roots=40960 taken=200000 private=143360"

    def _row(self) -> sharing.Row:
        return sharing.Row(*map(int, sharing.ROW_LINE.match(self.LINE).groups()))

    def test_page(self):
        text = sharing.page({"x86_64": [self._row()], "aarch64": [self._row()]})
        self.assertIn("## 64 MiB: 16,384 pages", text)
        self.assertIn("The area's tables: 34, 136 KiB. One more space takes 4 KiB.", text)
        self.assertIn("| 10 | 176 KiB | 195.31 KiB | 195.31 KiB | 1.37 MiB | 8.0 |", text)

    def test_architectures_must_agree(self):
        other = sharing.Row(64, 10, 4096, 40960, 200000, 143360)
        for measured in ({"x86_64": [self._row()], "aarch64": [other]}, {"x86_64": [], "aarch64": []}):
            with self.assertRaises(base.Failure):
                sharing.page(measured)


class CommandLine(unittest.TestCase):
    """A wrong argument is one line and exit code 2."""

    def test_mistakes(self):
        for words in (["--smp", "0"], ["--arch", "vax"], ["--frob"], ["--memory", "x"]):
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
