"""Linux programs for the boot archive: what is expected of them, who runs them here, and why there are none."""

from __future__ import annotations

import contextlib
import io
import platform
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from .. import base, build, debian, extras, linux_programs, suites
from ..ending import Outcome
from ..linux_commands import commands, scripts
from ..linux_programs import Runner

SHELL = Runner("x86_64", (), "a shell")


class Expectations(unittest.TestCase):
    """The file that the program compares with."""

    def test_it_is_written_as_it_is_read(self):
        each = [(["busybox", "echo", "a b"], 0, b"a b\n"), (["faults"], 139, b"")]
        self.assertEqual(linux_programs.written("somebody", each),
                         b"somebody\n3 0 4\nbusybox\necho\na b\na b\n\n1 139 0\nfaults\n\n")

    def test_a_word_is_a_line(self):
        with self.assertRaises(base.Failure):
            linux_programs.written("somebody", [(["echo", "a\nb"], 0, b"")])
        self.assertEqual([words for words in commands(True) + scripts() if any("\n" in word for word in words)], [])

    def test_some_depend_on_the_architecture(self):
        both, one = commands(False), commands(True)
        self.assertEqual(one[:len(both)], both)
        self.assertIn(["busybox", "uname", "-m"], one)
        self.assertNotIn(["busybox", "uname", "-m"], both)
        self.assertEqual({words[0] for words in one}, {"busybox"})

    def test_commands_are_run_in_the_root(self):
        with tempfile.TemporaryDirectory() as folder:
            root, program = Path(folder), Path(folder) / "bin" / "script"
            program.parent.mkdir()
            program.write_text('#!/bin/sh\ncat file; echo "$1 $HOME" >&2; exit 7\n')
            program.chmod(0o755)
            (root / "file").write_text("text\n")
            self.assertEqual(linux_programs.outcome(SHELL, root, ["script", "x"]), (7, b"text\nx /\n"))
            program.write_text("#!/bin/sh\nkill -ABRT $$\n")
            self.assertEqual(linux_programs.outcome(SHELL, root, ["script"]), (134, b""))
            self.assertFalse(linux_programs.runs(SHELL, root))
            (root / "bin" / "busybox").symlink_to("script")
            for text, answer in (("#!/bin/sh\necho yes\n", True), ("#!/bin/sh\necho no\n", False), ("", False)):
                program.write_text(text)
                self.assertEqual(linux_programs.runs(SHELL, root), answer)

    def test_a_command_that_does_not_end(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(linux_programs, "COMMAND_TIMEOUT_S", 0.1):
            program = Path(folder) / "bin" / "sleeper"
            program.parent.mkdir()
            program.write_text("#!/bin/sh\nexec sleep 60\n")
            program.chmod(0o755)
            with self.assertRaises(base.Failure) as caught:
                linux_programs.outcome(SHELL, Path(folder), ["sleeper", "x"])
            self.assertEqual(str(caught.exception), "sleeper x does not end here within 0.1 s")


class Archive(unittest.TestCase):
    """What the boot archive has for them."""

    def _files(self, *patches) -> dict:
        with tempfile.TemporaryDirectory(dir=base.ROOT) as folder, contextlib.ExitStack() as stack, \
                contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            stack.enter_context(mock.patch.object(linux_programs, "FOLDER", Path(folder)))
            for patch in patches:
                stack.enter_context(patch)
            return linux_programs.files("aarch64")

    @staticmethod
    def _fetched():
        def fetch(_arch: str, goal: Path) -> None:
            goal.parent.mkdir(parents=True)
            goal.write_bytes(b"elf")
        return mock.patch.object(linux_programs, "_fetch", fetch)

    def test_without_apt_the_reason_is_there_and_nothing_else(self):
        found = self._files(mock.patch.object(debian, "source", return_value=None))
        self.assertEqual(found, {"linux.skipped": b"busybox-static is not to be had: this machine is no Debian with apt\n"})

    def test_where_nobody_runs_it_the_files_are_there(self):
        found = self._files(self._fetched(), mock.patch.object(linux_programs, "_runner_of", return_value=None))
        self.assertEqual(found["linux/bin/busybox"], b"elf")
        self.assertIn("linux/share/poem.txt", found)
        self.assertEqual(found["linux.skipped"], b"nothing on this machine runs busybox-static to compare with\n")

    def test_the_other_architecture_serves_where_it_must(self):
        asked: list = []

        def outcome(runner: Runner, _root: Path, words: list) -> tuple:
            asked.append(words)
            return 0, runner.arch.encode()

        found = self._files(self._fetched(), mock.patch.object(linux_programs, "outcome", outcome),
                            mock.patch.object(linux_programs, "_runner_of", lambda arch: SHELL if arch == SHELL.arch else None),
                            mock.patch.object(platform, "machine", return_value=SHELL.arch))
        self.assertEqual(asked, commands(False) + scripts())
        self.assertTrue(found["linux.expected"].startswith(b"a shell\n2 0 6\nbusybox\ntrue\nx86_64\n"))

    def test_an_emulator_runs_no_scripts(self):
        emulated = Runner("aarch64", ("emulator",), "an emulator")
        for machine, native, by in (("x86_64", SHELL, b"an emulator, scripts by a shell"), ("aarch64", None, b"an emulator")):
            asked: list = []
            runners = {"aarch64": emulated, "x86_64": native}
            found = self._files(self._fetched(), mock.patch.object(linux_programs, "_runner_of", runners.get),
                                mock.patch.object(platform, "machine", return_value=machine),
                                mock.patch.object(linux_programs, "outcome",
                                                  lambda runner, _root, words: asked.append((runner, words)) or (0, b"")))
            self.assertEqual(found["linux.expected"].splitlines()[0], by)
            self.assertEqual([words for runner, words in asked if runner == emulated], commands(True))
            self.assertEqual([words for runner, words in asked if runner == native], scripts() if native else [])

    def test_files_are_got_once(self):
        supplier = mock.Mock(return_value={"linux/a": b"a"})
        programs = {"one": build.Program("one", "one", Path("one"), "user", build.Needs(files="some")),
                    "two": build.Program("two", "two", Path("two"), "user")}
        with mock.patch.object(build, "programs", return_value=programs), mock.patch.dict(extras.SUPPLIERS, {"some": supplier}), \
                mock.patch.dict(extras._found, clear=True):
            self.assertEqual(extras.files_for("x86_64", ["two"]), {})
            for _ in range(2):
                self.assertEqual(extras.files_for("x86_64", ["one", "two"]), {"linux/a": b"a"})
        supplier.assert_called_once_with("x86_64")

    def test_files_that_nobody_has(self):
        programs = {"one": build.Program("one", "one", Path("one"), "user", build.Needs(files="none"))}
        with mock.patch.object(build, "programs", return_value=programs), self.assertRaises(base.Failure):
            extras.files_for("x86_64", ["one"])


class Verdicts(unittest.TestCase):
    """A boot of programs that check themselves."""

    @staticmethod
    def _verdict(lines: list, code: int = 0) -> tuple:
        return suites.verdict_on_run(Outcome("exit", code, lines=lines, log=base.ROOT / "log"), ["linux", "tour"])

    def test_skipped_is_not_passed(self):
        self.assertEqual(self._verdict(["linux: all as told"]), ("ok", ""))
        line = "linux: skipped: no apt"
        self.assertEqual(self._verdict(["== a", line, "linux: all as told"]), ("skipped", line))
        self.assertEqual(self._verdict(["other: skipped: no apt", "  " + line]), ("ok", ""))

    def test_failed_is_not_skipped(self):
        self.assertEqual(self._verdict(["linux: skipped: no apt"], 1)[0], "FAILED")


class Arguments(unittest.TestCase):
    """Programs get their arguments as they want them."""

    def test_quoted_where_a_program_asks(self):
        programs = {"one": build.Program("one", "one", Path("one"), "user", build.Needs(is_quoted=True)),
                    "two": build.Program("two", "two", Path("two"), "user")}
        words = ["busybox", "awk", "BEGIN { print 6*7 }", "it's"]
        with mock.patch.object(build, "programs", return_value=programs):
            self.assertEqual(build.arguments_for("two", words), words)
            self.assertEqual(build.arguments_for("one", words), ["busybox", "awk", "'BEGIN { print 6*7 }'", "'it'\"'\"'s'"])

    def test_needs(self):
        told = {"files": "linux", "arguments": "quoted"}
        self.assertEqual(build.read_needs({"name": "one", "metadata": {"tessera": told}}),
                         build.Needs(files="linux", is_quoted=True))
        for told in ({"files": 1}, {"arguments": "split"}):
            with self.assertRaises(base.Failure):
                build.read_needs({"name": "one", "metadata": {"tessera": told}})
