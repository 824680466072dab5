"""How long a machine may take. A busy host makes it slower, and must not make a test fail.

A second counts in full while the emulator has work and gets a CPU, and while it has no work. While it has work and
gets a CPU for a part of the time only, that part counts.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Callable

# An emulator that uses less of a CPU than this has no work: it waits for an interrupt.
IDLE_BELOW = 0.1
# Time is counted in steps of at least this length, s; the system counts a process's time in hundredths.
STEP_S = 0.5


def used_s(process_id: int) -> float | None:
    """The CPU time that a process has used, all its threads together; None where the system does not say."""
    try:
        words = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None


class Patience:
    """Counts what a process has had, in all and since it was heard last."""

    def __init__(self, used: Callable[[], float | None], total_s: float, silence_s: float | None = None,
                 exact: bool = False, clock: Callable[[], float] = time.monotonic):
        self.total_limit_s, self.silence_limit_s = total_s, silence_s
        self.used, self.exact, self.clock = used, exact, clock
        self.total_s = self.silent_s = 0.0
        self.last, self.last_used = clock(), used()

    def heard(self) -> None:
        """The process has said something."""
        self.silent_s = 0.0

    def count(self) -> None:
        """Takes in the time since the last call."""
        now = self.clock()
        passed = now - self.last
        if passed < STEP_S:
            return
        used = self.used()
        fair = passed
        if not self.exact and used is not None and self.last_used is not None:
            worked = used - self.last_used
            fair = passed if worked < IDLE_BELOW * passed else min(passed, worked)
        self.total_s += fair
        self.silent_s += fair
        self.last, self.last_used = now, used

    def complaint(self) -> str:
        """Why it is time to end it; the empty string while it is not."""
        if self.total_s >= self.total_limit_s:
            return f"no end within {self.total_limit_s:.0f} s"
        if self.silence_limit_s is not None and self.silent_s >= self.silence_limit_s:
            return f"not a word for {self.silence_limit_s:.0f} s"
        return ""
