"""Runs one virtual machine from start to end: streams and logs its serial line, and ends it when its time is up."""

from __future__ import annotations

import os
import selectors
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, TextIO

from . import base, bochs, build, extras, image, machine, words
from .base import LOGS, TARGET
from .ending import Outcome, Said, judge
from .patience import Patience, used_s
from .serial import KERNEL, Line, Splitter, printable
from .symbols import Symboliser

# What a machine has to power off after the kernel's last word.
GRACE_S = 20.0
# What an emulator has to end after it closed the serial line.
END_S = 60.0
# How often it is looked whether time is up or something is to be said.
TICK_S = 1.0


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
    # How long it may say nothing.
    silence_s: float | None = None
    # Whether seconds are the host's, as the user gave them, however busy it is.
    exact: bool = False

    def cmdline(self) -> str:
        """The text of the archive's `cmdline`."""
        options = f"{self.machine.options()} {self.options}".strip()
        text = f"run={','.join(map(words.checked_name, self.run))} {words.checked_options(options)}".strip()
        return f"{text} args={words.checked_arguments(self.arguments)}" if self.arguments else text


def boot(job: Job, on_line: Callable[[str], None], on_wait: Callable[[str], None] | None = None) -> Outcome:
    """Boots the job's machine; `on_line` gets every line of the kernel and its programs, symbols added.

    When no line comes for a while, `on_wait` gets a line that says what is being waited for.
    """
    job.machine.check()
    cmdline = job.cmdline()
    names = [*job.run, *job.extra]
    booted = [build.INIT, *build.services(cmdline), *names]
    binaries = {name: build.output(job.machine.arch, job.profile, name) for name in booted}
    symboliser = Symboliser(build.output(job.machine.arch, job.profile, job.machine.kernel), binaries)
    files = extras.files_for(job.machine.arch, job.run)
    scratch = TARGET / "boot"
    scratch.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(scratch)
    folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=scratch))
    try:
        archive = folder / "archive.tar"
        image.write_archive(archive, job.machine.arch, job.profile, cmdline, names, job.machine.boot == "stub",
                            job.machine.kernel, files)
        disk = None
        if job.machine.needs_disk():
            disk = image.write_disk(folder, job.machine.arch, job.profile, job.machine.boot, archive,
                                    job.machine.limine_dir, job.machine.kernel)
        if job.machine.emulator == "bochs":
            command = bochs.command(folder, disk, job.machine.cpu, job.machine.smp, job.machine.memory_mib)
        else:
            command = machine.command(job.machine, job.profile, archive, disk)
        return _Session(job, command, folder, symboliser, on_line, on_wait).go()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_leftovers(scratch: Path) -> None:
    """Removes the folders of runs that were ended before they could do it themselves."""
    for folder in scratch.iterdir():
        owner = folder.name.split("-")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            shutil.rmtree(folder, ignore_errors=True)


class _Session:
    """One emulator while it lives."""

    def __init__(self, job: Job, command: list, folder: Path, symboliser: Symboliser, on_line: Callable[[str], None],
                 on_wait: Callable[[str], None] | None):
        self.job, self.command, self.symboliser = job, command, symboliser
        self.on_line, self.on_wait = on_line, on_wait
        LOGS.mkdir(parents=True, exist_ok=True)
        self.log, self.complaints = LOGS / f"{job.label}.log", folder / "complaints"
        self.began = self.last_line = self.last_told = time.monotonic()
        # Firmware writes to the same serial line; what comes before the kernel's first line is only logged.
        self.is_shown = not job.machine.needs_firmware()
        self.said, self.lines = Said(), []
        self.splitter = Splitter()
        self.log_file: TextIO | None = None

    def go(self) -> Outcome:
        """Runs it to its end."""
        with open(self.log, "w", encoding="utf-8") as self.log_file, open(self.complaints, "wb") as complaints:
            self.log_file.write("$ " + " ".join(self.command) + f"\n# cmdline: {self.job.cmdline()}\n")
            process = base.start(self.command, group=True, cwd=self.complaints.parent, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=complaints)
            try:
                timeout = self._read(process)
                status = None if timeout else self._wait(process)
            finally:
                base.end(process)
            outcome = self._outcome(status, timeout)
            self.log_file.write(f"# {outcome.kind} {outcome.code}, the emulator's status {status}, "
                                f"{outcome.seconds:.2f} s\n")
        return outcome

    def _read(self, process: subprocess.Popen) -> str:
        """Takes in lines until the other end closes, or returns why time is up."""
        patience = Patience(lambda: used_s(process.pid), self.job.timeout_s, self.job.silence_s, self.job.exact)
        complaint = ""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not complaint:
                if selector.select(TICK_S):
                    chunk = os.read(process.stdout.fileno(), 65536)
                    if not chunk:
                        break
                    patience.heard()
                    self._take(self.splitter.feed(chunk))
                patience.count()
                complaint = patience.complaint()
                if self.said.is_final and patience.silent_s > GRACE_S:
                    break
                self._tell_what_is_missing()
        self._take(self.splitter.rest())
        return complaint

    def _take(self, lines: list) -> None:
        for line in lines:
            self._line(line)

    def _line(self, line: Line) -> None:
        if not self.is_shown and KERNEL in line.text:
            # The firmware does not end its last line.
            self.is_shown, line = True, Line(line.text[line.text.index(KERNEL):])
        text = self.symboliser.annotate(line.text) if line.is_kernel() else line.text
        self.log_file.write(f"[{time.monotonic() - self.began:8.3f}] {text}\n")
        self.log_file.flush()
        if not (self.is_shown or base.verbose):
            return
        self.said.note(line)
        self.last_line = time.monotonic()
        self.lines.append(text)
        self.on_line(text)

    def _tell_what_is_missing(self) -> None:
        """Says what is waited for when nothing was said for a while."""
        now = time.monotonic()
        if self.on_wait is None or now - max(self.last_line, self.last_told) < base.QUIET_S:
            return
        self.last_told = now
        self.on_wait(f"    {now - self.last_line:.0f} s without a line; waiting for {self._what_is_missing()}")

    def _what_is_missing(self) -> str:
        if self.job.machine.gdb and not self.said.anything:
            return f"a debugger: ./x.py gdb {self.job.run[-1]} --arch {self.job.machine.arch}"
        if not self.said.anything:
            return f"{self.job.machine.loader()} to start the kernel"
        if self.said.last:
            return "the machine to power off"
        begun = self.splitter.unfinished()
        last = f"after the unfinished line {begun!r}" if begun else f"after: {self.lines[-1]}"
        return f"{' or '.join(self.job.run)}, {last}"

    def _wait(self, process: subprocess.Popen) -> int | None:
        """The emulator's exit status, or None if it has to be ended."""
        try:
            return process.wait(END_S)
        except subprocess.TimeoutExpired:
            return None

    def _outcome(self, status: int | None, timeout: str) -> Outcome:
        complaints = [printable(raw) for raw in self.complaints.read_bytes().splitlines()]
        self.log_file.writelines(f"# emulator: {text}\n" for text in complaints)
        complaints = [text for text in complaints if "warning:" not in text]
        if timeout and not self.said.is_final:
            outcome = Outcome("timeout", reason=timeout)
        else:
            emulator = self.job.machine.emulator if self.job.machine.emulator == "bochs" else self.job.machine.arch
            outcome = judge(self.said, emulator, status, complaints[-1] if complaints else "")
        outcome.seconds, outcome.lines, outcome.log = time.monotonic() - self.began, self.lines, self.log
        return outcome
