"""How a boot ended: what the kernel's lines say, and what the emulator's own status says. Only both together count.

A program can write what it likes to the serial line, but it cannot choose the status without the machine's end being
asked for by `init` or by the kernel. Bochs has no status: there the kernel's lines have to be enough.
"""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass, field
from pathlib import Path

from .base import EXIT_PANIC, EXIT_RESET, EXIT_TIMEOUT, ROOT
from .serial import Line

EXIT_LINE = re.compile(r"^\[kernel\] exit code (-?\d{1,9})$")
PANIC_LINE = re.compile(r"^\[kernel\] PANIC: ?(.*)")
STUB_LINE = re.compile(r"^\[stub\] error: .*")
PANIC_END = re.compile(r"^\[kernel\] panicked$")
# What QEMU ends with when the kernel writes 0x10, 0x11 or 0x12 to `isa-debug-exit`: twice the value and one.
SUCCESS, OTHER_CODE, PANICKED = 0x10 * 2 + 1, 0x11 * 2 + 1, 0x12 * 2 + 1
KINDS = {"panic": "the kernel panicked", "reset": "the machine stopped or reset by itself", "timeout": "timed out",
         "broken": "the machine did not work"}


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
        return f"{KINDS[self.kind]}{': ' + self.reason if self.reason else ''} (log: {log})"


class Said:
    """What the kernel has said so far about the end."""

    def __init__(self):
        self.code: int | None = None
        self.panic: str | None = None
        # Which of the two came last: exit, panic or nothing.
        self.last = ""
        # Whether the kernel has said anything, and why the boot stub gave up before.
        self.anything = False
        self.stub = ""
        # Whether the machine should be gone in a moment.
        self.is_final = False

    def note(self, line: Line) -> None:
        """Takes in one line. Whoever says more after a last word has not ended."""
        self.is_final = False
        if not line.is_kernel():
            self.stub = line.text if not self.anything and STUB_LINE.match(line.text) else self.stub
            return
        self.anything = True
        panic, ending = PANIC_LINE.match(line.text), EXIT_LINE.match(line.text)
        if panic:
            # Of several CPUs that panic the first one has the reason.
            self.panic, self.last = panic.group(1) if self.last != "panic" else self.panic, "panic"
        elif ending:
            self.code, self.last, self.is_final = int(ending.group(1)), "exit", True
        elif PANIC_END.match(line.text):
            self.is_final = self.last == "panic"


def judge(said: Said, emulator: str, status: int | None, complaint: str) -> Outcome:
    """The outcome. `emulator` is x86_64 or aarch64 for QEMU, or bochs; `complaint` is what it said about itself."""
    if status is None:
        word = {"exit": "its exit code", "panic": f"PANIC: {said.panic}", "": "nothing"}[said.last]
        return Outcome("broken", reason=f"it said {word} but did not power off")
    if said.stub and not said.anything:
        return Outcome("reset", reason=said.stub)
    if emulator == "bochs":
        return _by_the_lines(said)
    means_panic = status == PANICKED if emulator == "x86_64" else status == EXIT_PANIC and said.last == "panic"
    if means_panic:
        return Outcome("panic", reason=said.panic if said.panic is not None else "it said no reason")
    if said.code is not None and status == _status_of(said.code, emulator):
        return Outcome("exit", said.code)
    return _without_an_end(said, status, complaint)


def _status_of(code: int, emulator: str) -> int:
    if emulator == "x86_64":
        return SUCCESS if code == 0 else OTHER_CODE
    return code & 0xFF


def _by_the_lines(said: Said) -> Outcome:
    if said.last == "panic":
        return Outcome("panic", reason=said.panic or "")
    if said.last == "exit":
        return Outcome("exit", said.code or 0)
    return Outcome("reset", reason="without an exit code")


def _without_an_end(said: Said, status: int, complaint: str) -> Outcome:
    """The emulator's status is none that the kernel asked for."""
    if status < 0:
        return Outcome("broken", reason=f"the emulator was ended by {signal.Signals(-status).name}")
    if complaint:
        return Outcome("broken", reason=complaint)
    if said.last:
        word = f"exit code {said.code}" if said.last == "exit" else f"PANIC: {said.panic}"
        return Outcome("broken", reason=f"the kernel said {word} but the emulator ended with status {status}")
    return Outcome("reset", reason=f"without an exit code; the emulator's status is {status}")
