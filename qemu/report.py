"""The verdicts of the verb `test`: printed as they come, counted, and the failures once more at the end."""

from __future__ import annotations

import threading
from textwrap import shorten

from .base import say


class Report:
    """Counts verdicts and prints each as it comes."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.failures: list = []
        self._lock = threading.Lock()

    def add(self, name: str, verdict: str, reason: str = "", seconds: float | None = None) -> None:
        """Takes in the verdict of one test: ok, FAILED or skipped."""
        with self._lock:
            if verdict == "ok":
                self.passed += 1
            elif verdict == "skipped":
                self.skipped += 1
            else:
                self.failed += 1
                self.failures.append(shorten(f"{name}: {reason}" if reason else name, 200, placeholder=" ..."))
        time_text = f" ({seconds:.1f} s)" if seconds is not None else ""
        say(f"  {verdict:7} {name}{time_text}{': ' + reason if reason else ''}")

    def finish(self) -> int:
        """Prints the failures again and the last line; returns the exit code."""
        if self.failures:
            say("\nfailed:")
            for text in self.failures:
                say(f"  {text}")
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        say(f"{self.passed} passed, {self.failed} failed{skipped}")
        return 1 if self.failed or not self.passed else 0
