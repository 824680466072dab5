"""The tests that need no emulator: cargo's, over the workspace's default members and the host tools."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from typing import Callable

from . import base, build, toolchain
from .base import LOGS, Failure

# The longest that cargo and the tests may say nothing, on however busy a host: the longest test takes a minute.
SILENCE_S = 30 * 60.0
RUNNING = re.compile(r"^\s*Running .*[/\\]([A-Za-z0-9_]+)-[0-9a-f]+\)")
DOC_TESTS = re.compile(r"^\s*Doc-tests (\S+)")
VERDICT = re.compile(r"^test (.+?)(?: - should panic)? \.\.\. (ok|FAILED|ignored)\b")
SUMMARY = re.compile(r"^test result: \S+ (\d+) passed; (\d+) failed")
LISTED = re.compile(r"^(.+): test$")


def listed() -> list:
    """Compiles the host tests and returns their names, each as `crate::test`."""
    output = ""
    for words in _commands():
        code, more = base.run([*words, "--", "--list"], toolchain.host_env(), quiet=True, log=LOGS / "host-list.log",
                              ticker="compiling the host tests")
        if code != 0:
            raise Failure("\n".join(more.splitlines()[-40:]) + "\nx.py: the host tests do not compile")
        output += more
    names, crate = [], ""
    for line in output.splitlines():
        crate = _crate(line) or crate
        found = LISTED.match(line)
        if found:
            names.append(f"{crate}::{found.group(1)}")
    return names


def _commands() -> list:
    """Cargo's, one for each workspace."""
    tools = [["--locked", *build.host_tool_arguments(folder)] for folder in build.HOST_TOOLS.values()]
    return [[toolchain.cargo(), "test", "--no-fail-fast", *words] for words in [[], *tools]]


def _crate(line: str) -> str | None:
    found = RUNNING.match(line) or DOC_TESTS.match(line)
    return found.group(1) if found else None


def run(only: list | None, report: Callable[[str, str, str], None]) -> None:
    """Runs the host tests, all or `only` those named; `report` gets (name, verdict, reason) of each."""
    log = LOGS / "host.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    names = ["--", "--exact", *dict.fromkeys(name.split("::", 1)[1] for name in only)] if only is not None else []
    with open(log, "w", encoding="utf-8") as log_file:
        for words in _commands():
            _run([*words, *names], _Reader(only, report), log_file)


def _run(words: list, reader: _Reader, log_file) -> None:
    """Runs one of cargo's commands."""
    process = base.start(words, toolchain.host_env(), group=True, cwd=base.ROOT, stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    watch = _Watch(process)
    try:
        with base.ticking(reader.what):
            for line in process.stdout:
                watch.heard()
                log_file.write(line)
                reader.line(line.rstrip("\n"))
        code = process.wait()
    finally:
        watch.stop.set()
        base.end(process)
    reader.finish(code, log_file.name)


class _Watch:
    """Ends a process that says nothing for too long, which closes the pipe that is read from it."""

    def __init__(self, process: subprocess.Popen):
        self.process, self.stop = process, threading.Event()
        self.heard()
        threading.Thread(target=self._look, daemon=True).start()

    def heard(self) -> None:
        """The process has said something."""
        self.last = time.monotonic()

    def _look(self) -> None:
        while not self.stop.wait(5):
            if time.monotonic() - self.last > SILENCE_S:
                base.warn(f"ending the host tests: not a word for {SILENCE_S:.0f} s")
                base.end(self.process)
                return


class _Reader:
    """Follows cargo's output, and checks its own count against the summaries."""

    def __init__(self, only: list | None, report: Callable[[str, str, str], None]):
        self.only, self.report = only, report
        self.crate = ""
        self.seen = {"ok": 0, "FAILED": 0}
        self.summed = {"ok": 0, "FAILED": 0}
        self.tail: list = []

    def what(self) -> str:
        """What is being done."""
        return f"host tests of {self.crate}" if self.crate else "compiling the host tests"

    def line(self, text: str) -> None:
        """Takes in one line."""
        self.tail = self.tail[-200:] + [text]
        self.crate = _crate(text) or self.crate
        if text.lstrip().startswith(("Compiling", "Running", "Doc-tests", "error", "warning")):
            base.say(text)
        verdict, summary = VERDICT.match(text), SUMMARY.match(text)
        if verdict:
            name, word = f"{self.crate}::{verdict.group(1)}", verdict.group(2)
            if word in self.seen:
                self.seen[word] += 1
            if self.only is None or name in self.only:
                self.report(name, "skipped" if word == "ignored" else word, "")
        elif summary:
            self.summed["ok"] += int(summary.group(1))
            self.summed["FAILED"] += int(summary.group(2))

    def finish(self, code: int, log) -> None:
        """Reports what the single verdicts could not."""
        if self.seen["FAILED"] or code != 0:
            begin = next((i for i, text in enumerate(self.tail) if text == "failures:"), max(0, len(self.tail) - 60))
            base.say("\n".join(self.tail[begin:]))
        # A test that prints on the verdict's line hides its verdict from us, but not from the summary.
        for word in ("ok", "FAILED"):
            for _ in range(self.summed[word] - self.seen[word] if self.only is None else 0):
                self.report("(a test whose output hides its name)", word, f"see {log}")
        if code != 0 and not self.summed["FAILED"]:
            self.report("cargo test", "FAILED", f"it ended with exit code {code}; see {log}")
