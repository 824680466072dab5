"""What test programs and manifests say about themselves."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path

from .. import base, build, cli, directives, rounds
from ..directives import BootTest, read_boot_test


def _folder() -> tempfile.TemporaryDirectory:
    """A folder in the tree, as the places in complaints are relative to it."""
    base.TARGET.mkdir(exist_ok=True)
    return tempfile.TemporaryDirectory(dir=base.TARGET)


class Directives(unittest.TestCase):
    """The first lines of a boot test."""

    def _read(self, text: str) -> BootTest:
        with _folder() as folder:
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
        with _folder() as folder:
            source = Path(folder) / "one.rs"
            source.write_text('//! Claims.\n//! boot: options="machine=control tags=2"\n')
            self.assertEqual(directives.conformance_options(source), "machine=control tags=2")
            source.write_text("//! Claims.\n")
            self.assertEqual(directives.conformance_options(source), "")
            source.write_text("//! Claims.\n//! boot: smp=2\n")
            with self.assertRaises(base.Failure):
                directives.conformance_options(source)

    def test_claims(self):
        with _folder() as folder:
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
