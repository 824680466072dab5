"""Whatever x.py is started from and writes to: no traceback, and the right exit code."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
import unittest

from .. import base, cli

X = base.ROOT / "x.py"
PAGES = ("README.md", "docs/README.md", "docs/testing.md", "docs/contributing.md", "qemu/README.md")


class Surroundings(unittest.TestCase):
    """x.py as a process."""

    def _run(self, *arguments, shell: str = '"$@"', env: dict | None = None) -> subprocess.CompletedProcess:
        line = ["sh", "-c", shell, "sh", sys.executable, X, *arguments]
        done = subprocess.run(line, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=120)
        self.assertNotIn(b"Traceback", done.stdout + done.stderr)
        self.assertNotIn(b"Exception ignored", done.stdout + done.stderr)
        return done

    def test_arguments_that_are_no_text(self):
        done = self._run("run", b"\xff\xfe")
        self.assertEqual((done.returncode, done.stderr.count(b"\n")), (base.EXIT_USAGE, 1))

    def test_a_complaint_is_one_line(self):
        for words in (["frob\n"], ["run", "--arch", "a\nb"], ["run", "--a\x1b\nb"], ["new", "a\nb"], ["test", "--smp", "65"]):
            done = self._run(*words)
            self.assertEqual((done.returncode, done.stderr.count(b"\n")), (base.EXIT_USAGE, 1), done.stderr)
            self.assertNotIn(b"\x1b", done.stderr)

    def test_output_that_nobody_reads(self):
        self.assertEqual(self._run("--help", shell='"$@" >&-').returncode, 0)
        self.assertEqual(self._run("--help", shell='"$@" >&- 2>&- <&-').returncode, 0)
        for words in (["--help"], ["run", "--help"]):
            done = self._run(*words, shell='{ sleep 0.3; "$@"; echo $? >&2; } | true')
            self.assertEqual(done.stderr.strip(), str(128 + signal.SIGPIPE).encode())

    @unittest.skipUnless(os.path.exists("/dev/full"), "there is no /dev/full")
    def test_a_full_disk(self):
        for words in (["--help"], ["run", "--help"]):
            done = self._run(*words, shell='"$@" >/dev/full')
            self.assertEqual((done.returncode, done.stderr.count(b"\n")), (1, 1), done.stderr)

    def test_a_bare_environment(self):
        for env in ({}, {"LANG": "C"}, {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONUTF8": "0"},
                    {"LC_ALL": "en_US.ISO-8859-1"}):
            done = self._run("new", "ü", env={"PATH": os.environ["PATH"], **env})
            self.assertEqual(done.returncode, base.EXIT_USAGE, done.stderr)

    def test_an_interrupt_ends_everything(self):
        program = ("from qemu import base\nbase.end_everything_on_exit()\n"
                   "process = base.start(['sleep', '60'], group=True)\nprint(process.pid, flush=True)\nprocess.wait()\n")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            child = subprocess.Popen([sys.executable, "-B", "-c", program], cwd=base.ROOT, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, preexec_fn=_heed_signals)
            started = int(child.stdout.readline())
            child.send_signal(number)
            _, complaint = child.communicate(timeout=60)
            self.assertEqual((child.returncode, complaint), (128 + number, b"\nx.py: interrupted\n"))
            self.assertTrue(_is_gone(started))


def _heed_signals() -> None:
    """Undoes what a shell does for work in the background, which it lets ignore some signals."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _is_gone(process_id: int) -> bool:
    for _ in range(100):
        try:
            with open(f"/proc/{process_id}/stat", encoding="utf-8") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except OSError:
            return True
        time.sleep(0.1)
    return False


class Pages(unittest.TestCase):
    """What pages tell a reader to type."""

    def test_commands_in_pages_are_understood(self):
        count = 0
        for page in PAGES:
            for text in re.findall(r"\./x\.py( [^`\n&|]*)?", (base.ROOT / page).read_text()):
                # Blocks have a comment or an explanation behind the command.
                words = shlex.split(re.split(r"  +|\(", text.strip())[0], comments=True)
                if words and words[0] not in ("VERB", "--help"):
                    self.assertIn(words[0].rstrip(",.;:"), cli.VERBS, f"{page}: {text}")
                    self._parse(page, words)
                    count += 1
        self.assertGreater(count, 30)

    def _parse(self, page: str, words: list) -> None:
        words = [word.rstrip(",.;:)") for word in words]
        if "--help" in words or "FILE" in words:
            return
        try:
            cli.parse(words[0], words[1:])
        except base.Failure as failure:
            self.fail(f"{page}: ./x.py {' '.join(words)}: {failure}")

    def test_the_program_of_the_guide_is_a_boot_test(self):
        guide = (base.ROOT / "docs" / "README.md").read_text().split("```rust\n")[1].split("```")[0]
        test = (base.ROOT / "tests" / "boot" / "guide.rs").read_text()
        without_header = [re.sub(r"\A(//!.*\n)+", "", text).strip() for text in (guide, test)]
        self.assertEqual(*without_header)
