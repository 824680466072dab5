"""Runs one virtual machine from start to end: streams and logs its serial line, and judges how it ended."""

from __future__ import annotations

import os
import re
import selectors
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

from . import base, bochs, build, image, machine
from .base import EXIT_PANIC, EXIT_RESET, EXIT_TIMEOUT, LOGS, ROOT, TARGET
from .symbols import Symboliser

EXIT_LINE = re.compile(r"\[kernel\] exit code (-?\d+)")
PANIC_LINE = re.compile(r"\[kernel\] PANIC: ?(.*)")
PANIC_END = "[kernel] panicked"
# What QEMU has to power off after the kernel's last word.
GRACE_S = 5.0


@dataclass
class Outcome:
    """How a boot ended: `kind` is exit, panic, reset, timeout or broken."""

    kind: str = "reset"
    code: int = 0
    reason: str = ""
    seconds: float = 0.0
    lines: list = field(default_factory=list)
    log: Path | None = None

    def exit_status(self) -> int:
        """What x.py ends with after this boot."""
        if self.kind == "exit":
            return self.code & 0xFF if self.code & 0xFF or self.code == 0 else 1
        return {"panic": EXIT_PANIC, "reset": EXIT_RESET, "timeout": EXIT_TIMEOUT}.get(self.kind, 1)

    def sentence(self) -> str:
        """One clear line for the user."""
        log = self.log.relative_to(ROOT) if self.log else "no log"
        if self.kind == "exit":
            return f"exit code {self.code}"
        words = {"panic": "the kernel panicked", "reset": "the machine stopped or reset by itself",
                 "timeout": "timed out", "broken": "the machine did not work"}[self.kind]
        return f"{words}{': ' + self.reason if self.reason else ''} (log: {log})"


@dataclass
class Job:
    """One boot to do."""

    label: str
    machine: machine.Machine
    profile: str
    run: list
    arguments: list = field(default_factory=list)
    extra: list = field(default_factory=list)
    options: str = ""
    timeout_s: float = 60.0

    def cmdline(self) -> str:
        """The text of the archive's `cmdline`."""
        words = [f"run={','.join(self.run)}"] + ([self.options] if self.options else [])
        return " ".join(words + ([f"args={' '.join(self.arguments)}"] if self.arguments else []))


def boot(job: Job, on_line: Callable[[str], None]) -> Outcome:
    """Boots the job's machine; `on_line` gets every line of the kernel and its programs, symbols added."""
    job.machine.check()
    names = [*job.run, *job.extra]
    binaries = {name: build.output(job.machine.arch, job.profile, name) for name in [build.INIT, *names]}
    symboliser = Symboliser(build.output(job.machine.arch, job.profile, build.KERNEL), binaries)
    scratch = TARGET / "boot"
    scratch.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(scratch)
    folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=scratch))
    try:
        archive = folder / "archive.tar"
        image.write_archive(archive, job.machine.arch, job.profile, job.cmdline(), names, job.machine.boot == "stub")
        disk = None
        if job.machine.needs_disk():
            disk = image.write_disk(folder, job.machine.arch, job.profile, job.machine.boot, archive,
                                    job.machine.limine_dir)
        if job.machine.emulator == "bochs":
            words = bochs.command(folder, disk, job.machine.cpu, job.machine.smp, job.machine.memory_mib, job.timeout_s)
        else:
            words = machine.command(job.machine, job.profile, archive, disk)
        return _Session(job, words, symboliser, on_line).go()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_leftovers(scratch: Path) -> None:
    """Removes the folders of runs that were ended before they could do it themselves."""
    for folder in scratch.iterdir():
        owner = folder.name.split("-")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            shutil.rmtree(folder, ignore_errors=True)


class _Session:
    """One QEMU process while it lives."""

    def __init__(self, job: Job, words: list, symboliser: Symboliser, on_line: Callable[[str], None]):
        self.job, self.words, self.symboliser, self.on_line = job, words, symboliser, on_line
        LOGS.mkdir(parents=True, exist_ok=True)
        self.outcome = Outcome(log=LOGS / f"{job.label}.log")
        self.began = time.monotonic()
        self.deadline = self.began + job.timeout_s
        # Firmware writes to the same serial line; what comes before the kernel's first line is only logged.
        self.kernel_spoke = not job.machine.needs_firmware()
        self.ended_by: str | None = None

    def go(self) -> Outcome:
        with open(self.outcome.log, "w", encoding="utf-8") as self.log_file:
            self.log_file.write("$ " + " ".join(self.words) + f"\n# cmdline: {self.job.cmdline()}\n")
            process = base.start(self.words, group=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT)
            try:
                self._read(process)
                status = self._wait(process)
            finally:
                base.end(process)
            self._judge(status)
            self.log_file.write(f"# {self.outcome.kind} {self.outcome.code}, the emulator's status {status}, "
                                f"{self.outcome.seconds:.2f} s\n")
        return self.outcome

    def _read(self, process: subprocess.Popen) -> None:
        """Takes in lines until the other end closes or time is up."""
        pending = b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while True:
                left = self.deadline - time.monotonic()
                if left <= 0 or not selector.select(left):
                    break
                chunk = os.read(process.stdout.fileno(), 65536)
                if not chunk:
                    break
                *whole, pending = (pending + chunk).split(b"\n")
                for line in whole:
                    self._line(line)
        if pending:
            self._line(pending)

    def _line(self, raw: bytes) -> None:
        text = raw.decode("utf-8", "replace").rstrip("\r")
        if not self.kernel_spoke and "[kernel] " in text:
            self.kernel_spoke = True
            text = text[text.index("[kernel] "):]
        text = self.symboliser.annotate(text)
        self.log_file.write(f"[{time.monotonic() - self.began:8.3f}] {text}\n")
        self.log_file.flush()
        if not (self.kernel_spoke or base.verbose):
            return
        self._note(text)
        self.outcome.lines.append(text)
        self.on_line(text)

    def _note(self, text: str) -> None:
        """Recognises the lines that say how the run ends."""
        # Searched, not matched: the kernel may have to write behind a program's unfinished line.
        panic, ending = PANIC_LINE.search(text), EXIT_LINE.search(text)
        if panic and self.ended_by != "panic":
            self.ended_by, self.outcome.reason = "panic", panic.group(1)
        elif ending and self.ended_by != "panic":
            self.ended_by, self.outcome.code = "exit", int(ending.group(1))
        if ending or PANIC_END in text:
            self.deadline = min(self.deadline, time.monotonic() + GRACE_S)

    def _wait(self, process: subprocess.Popen) -> int | None:
        """QEMU's exit status, or None if it has to be ended."""
        try:
            return process.wait(max(0.1, min(GRACE_S, self.deadline - time.monotonic())))
        except subprocess.TimeoutExpired:
            return None

    def _judge(self, status: int | None) -> None:
        outcome = self.outcome
        outcome.seconds = time.monotonic() - self.began
        if self.ended_by == "panic":
            outcome.kind = "panic"
        elif status is None and self.ended_by is None:
            outcome.kind, outcome.reason = "timeout", f"no end within {self.job.timeout_s:.0f} s"
        elif status is None:
            outcome.kind, outcome.reason = "broken", "it said its exit code but did not power off"
        elif self.ended_by is None:
            complaint = next((line for line in outcome.lines if line.startswith("qemu-system-")), "")
            outcome.kind = "broken" if complaint else "reset"
            outcome.reason = complaint or f"before any exit code, with the emulator's status {status}"
        elif self.job.machine.emulator != "bochs" and (outcome.code == 0) != (status in (0, 33)):
            outcome.kind = "broken"
            outcome.reason = f"the kernel said exit code {outcome.code} but QEMU ended with {status}"
        else:
            outcome.kind = "exit"
