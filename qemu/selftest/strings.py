"""Strings that become part of another syntax arrive as what they were, or are refused in one line."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import tempfile
import unittest
from pathlib import Path

from .. import base, bochs, build, new, symbols, toolchain, words
from ..bench import results
from ..boot import Job
from ..machine import Machine, command

ODD = "/tmp/a,b c'd\"e$HOME\\n`f`=;#ü"


class Strings(unittest.TestCase):
    """Quoting, and what cannot be quoted."""

    def _refused(self, function, *arguments) -> None:
        with self.assertRaises(base.Failure) as caught:
            function(*arguments)
        self.assertEqual(caught.exception.code, base.EXIT_USAGE)
        self.assertTrue(str(caught.exception).isprintable(), str(caught.exception))

    def test_qemu_s_options(self):
        machine = Machine("x86_64")
        machine.check()
        line = command(machine, "release", Path(ODD) / "archive.tar", Path(ODD) / "disk.img")
        drive = line[line.index("-drive") + 1]
        # As QEMU reads it: single commas part options, double ones are one of the value's.
        values = dict(each.replace("\0", ",").split("=", 1) for each in drive.replace(",,", "\0").split(","))
        self.assertEqual(values["file"], f"{ODD}/disk.img")
        self.assertEqual(len(values), 5)

    def test_gdb_s_words(self):
        # gdb reads a word as a shell does, but for `$` and the like, which it leaves alone.
        self.assertEqual(shlex.split(f"add-symbol-file {words.for_gdb(ODD)}"), ["add-symbol-file", ODD])

    def test_folders_of_this_machine(self):
        inside = os.fsencode(base.ROOT / "kernel" / "main.rs")
        if len(base.ROOT.parts) > 2:
            self.assertEqual(build.folders_in(b"\0" + inside + b"\0"), [base.ROOT])
        self.assertEqual(build.folders_in(b"kernel/main.rs"), [])

    def test_places_of_sources(self):
        for place, told in (("/rustc/0a1b/library/core/src/option.rs:5:3", "rust:core/src/option.rs:5"),
                            ("./kernel/main.rs:12:34", "kernel/main.rs:12"), ("spin-0.12.3/src/once.rs:1:1",
                            "spin-0.12.3/src/once.rs:1"), ("kernel/main.rs:0:0", "")):
            self.assertEqual(symbols._place(place), told)

    def test_the_rustc_script(self):
        with tempfile.TemporaryDirectory() as folder:
            script = Path(folder) / "rustc"
            script.write_text(toolchain.sysroot_answerer(Path(ODD)))
            said = subprocess.run(["sh", script, "--print", "sysroot"], stdout=subprocess.PIPE, check=True).stdout
        self.assertEqual(said.decode(), ODD + "\n")

    def test_bochs_gets_no_folder(self):
        with tempfile.TemporaryDirectory(suffix="a,b \"c") as folder:
            line = bochs.command(Path(folder), Path(folder) / "disk.img", "ryzen", 1, bochs.MEMORY_MIB_MAX)
            texts = line + [(Path(folder) / "bochsrc").read_text(), (Path(folder) / "commands").read_text()]
            self.assertFalse([text for text in texts if folder in text])

    def test_the_command_line_of_the_archive(self):
        job = Job("a", Machine(), "release", ["hello", "tour"], ["a=b", "c  d", "run=x", ""], options=" tags=2  x=")
        self.assertEqual(job.cmdline(), "run=hello,tour tags=2 x= args=a=b c  d run=x ")
        self.assertEqual(Job("a", Machine(), "release", ["hello"]).cmdline(), "run=hello")

    def test_options_of_the_kernel(self):
        for text in ("tags", "args=x", "run=x", "tags=2 args=", "a\u00a0=b", "TAGS=2", "=x", "a=\x1b"):
            self._refused(words.checked_user_options, text)

    def test_arguments_of_a_program(self):
        self.assertEqual(words.checked_arguments(["ü", "a 'b\" $c"]), "ü a 'b\" $c")
        for text in ("a\nb", "\x1b[2J", "\x00", "\x85", "x" * (words.ARGUMENTS_BYTES_MAX + 1)):
            self._refused(words.checked_arguments, [text])

    def test_the_longest_arguments_have_room(self):
        layout = (base.ROOT / "kernel" / "abi" / "layout.rs").read_text()
        room = int(re.search(r"INFO_BYTES: u64 = (0x[0-9a-f_]+);", layout).group(1), 16)
        self.assertLessEqual(words.ARGUMENTS_BYTES_MAX + 512, room)

    def test_folders_of_the_checkout(self):
        self.assertEqual(words.checked_folder(ODD), ODD)
        for folder in ("/tmp/a:b", "/tmp/a%b", "/tmp/a\nb", "/tmp/a\x1b", "/tmp/\udcff"):
            self._refused(words.checked_folder, folder)

    def test_arguments_that_are_no_text(self):
        self.assertEqual(words.checked_words(["run", "ü"]), ["run", "ü"])
        self._refused(words.checked_words, ["run", "\udcff"])

    def test_names_of_programs(self):
        for name in ("hello", "mapping_2", "a-b"):
            self.assertEqual(words.checked_name(name), name)
        for name in ("", "a,b", "a b", "../a", "-a", "a" * 65, "ü", "a\n"):
            self._refused(words.checked_name, name)

    def test_names_of_new_programs(self):
        for name in ("match", "a.b", "ü", "A", "1a", "a_b", "a-", "-a", "a" * 41, "a\n", "", "../a", "kernel", "stripped",
                     "hello", "init", "libvas", "fuzz", "elf", "spin", "test", "a b", "a/b", "a'"):
            self.assertNotEqual(new.complaint_about(name), "", name)
        self.assertEqual(new.complaint_about("a-name-that-nobody-has"), "")

    def test_results_as_json(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / 'a "b'
            results.write(path, {"results": [{"name": 'odd "\\\n', "n": 1}]})
            self.assertEqual(json.loads(path.read_text())["results"][0]["name"], 'odd "\\\n')

    def test_no_variable_of_the_user_changes_what_is_built(self):
        for key in ("RUSTFLAGS", "RUSTC", "RUSTC_WRAPPER", "CARGO_BUILD_RUSTFLAGS", "CARGO_PROFILE_RELEASE_LTO",
                    "CARGO_TARGET_DIR", "CARGO_TARGET_X86_64_UNKNOWN_NONE_LINKER", "CARGO_ENCODED_RUSTFLAGS", "MAKEFLAGS"):
            self.assertTrue(toolchain.CHANGES_THE_BUILD.match(key), key)
        for key in ("PATH", "CARGO_HOME", "CARGO_NET_OFFLINE", "CARGO_HTTP_PROXY", "RUSTUP_HOME", "RUST_BACKTRACE"):
            self.assertFalse(toolchain.CHANGES_THE_BUILD.match(key), key)
