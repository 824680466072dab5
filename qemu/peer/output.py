"""What the program of qemu/peer/linux prints: its results in the lines of Tessera's own benchmarks, and how it went.

    peer kernel: Linux 6.12.95     the first line
    peer error: WHAT: WHY          a step failed, and the machine is powered off
    peer complete                  the last line
"""

from __future__ import annotations

from ..base import Failure
from ..bench.arithmetic import figures
from ..bench.protocol import Reader
from .operations import NAMES, OPERATIONS, PREFIX, Operation

KERNEL, ERROR, COMPLETE = "peer kernel: ", "peer error: ", "peer complete"


class Output:
    """Takes in lines, and has the results."""

    def __init__(self):
        self.kernel, self.error = "", ""
        self.is_complete = False
        self.reader = Reader()

    def take(self, line: str) -> None:
        """Takes in one line; the kernel's own are passed over."""
        if line.startswith(KERNEL):
            self.kernel = line[len(KERNEL):]
        elif line.startswith(ERROR):
            self.error = line[len(ERROR):]
        elif line == COMPLETE:
            self.is_complete = True
        else:
            self.reader.line(line)

    def entries(self) -> list:
        """For each operation, and each benchmark that it stands beside, what `bench --json` has in `peers`."""
        self._check()
        return [{"peer": self.kernel, "name": name, "operation": operation.what, **self._figures(operation)}
                for operation in OPERATIONS for name in operation.names()]

    def _figures(self, operation: Operation) -> dict:
        ended = next(each for each in self.reader.ended if each.name == PREFIX + operation.name)
        return {"unit": ended.unit or "instructions", **figures([sample // operation.parts for sample in ended.samples])}

    def _check(self) -> None:
        """Refuses anything but all results."""
        if self.error:
            raise Failure(f"the program failed: {self.error}")
        have = [ended.name for ended in self.reader.ended]
        if not (self.is_complete and self.kernel):
            raise Failure(f"the machine ended early, after {have[-1] if have else 'nothing'} was measured")
        self.reader.check()
        if have != list(NAMES):
            odd = ", ".join(sorted(set(have) ^ set(NAMES))) or "their order"
            raise Failure(f"the program does not measure what qemu/peer/operations.py names: {odd}")
