"""What a machine prints of its benchmarks, line by line.

    bench NAME 95x200,97,95x799     samples in the order they were taken; equal neighbours as VALUExCOUNT
    bench NAME end n=1000           that was the last one; `unit=WORD` behind it where it counts no ticks
    bench NAME skipped: REASON      instead, where this machine has not what is to be measured

The kernel's lines begin with its prefix, as all of them do, and it says `NAME is left out: REASON` of what it skips.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field

from ..base import Failure
from ..serial import KERNEL

NAME = r"[a-z][a-z0-9_]*(?:/\d+)?"
BEGIN = re.compile(rf"bench ({NAME}) (.*)")
END = re.compile(r"end n=(\d+)(?: unit=([a-z_]+))?")
LEFT_OUT = re.compile(rf"({NAME}) is left out: (.+)")
SKIPPED = re.compile(r"skipped: (.+)")
RUN = re.compile(r"(\d+)(?:x([1-9]\d*))?")
# More would be a mistake of the program, and fill this machine's memory.
COUNT_MAX = 1_000_000


@dataclass
class Samples:
    """The samples of one benchmark."""

    name: str
    samples: list
    # What they count, where it is not the counter's ticks.
    unit: str | None = None

    def text(self) -> str:
        """All of them as one text, as they were printed."""
        runs = ((value, len(list(same))) for value, same in itertools.groupby(self.samples))
        return ",".join(f"{value}x{count}" if count > 1 else str(value) for value, count in runs)


@dataclass
class Reader:
    """Takes in lines; `ended` are the benchmarks that are complete, in order, and `skipped` the others with the reason."""

    ended: list = field(default_factory=list)
    skipped: dict = field(default_factory=dict)
    begun: dict = field(default_factory=dict)

    def line(self, text: str) -> None:
        """Takes in one line; what is not a benchmark's is passed over."""
        is_kernels, text = text.startswith(KERNEL), text.rstrip().removeprefix(KERNEL)
        left_out, found = LEFT_OUT.fullmatch(text), BEGIN.fullmatch(text)
        if left_out and is_kernels:
            self.skipped[left_out.group(1)] = left_out.group(2)
        if not found:
            return
        name, rest = found.groups()
        end, skipped = END.fullmatch(rest), SKIPPED.fullmatch(rest)
        if end:
            self._end(name, int(end.group(1)), end.group(2))
        elif skipped:
            self.skipped[name] = skipped.group(1)
        else:
            self.begun.setdefault(name, []).extend(_samples(rest, text))

    def _end(self, name: str, count: int, unit: str | None) -> None:
        samples = self.begun.pop(name, [])
        if any(each.name == name for each in self.ended):
            raise Failure(f"the machine gave two results for {name}")
        if len(samples) != count or not count:
            raise Failure(f"the machine says that {name} has {count} samples, and printed {len(samples)}")
        self.ended.append(Samples(name, samples, unit))

    def check(self) -> None:
        """Refuses samples without an end."""
        if self.begun:
            raise Failure(f"the machine did not end its samples of {', '.join(self.begun)}")


def _samples(text: str, line: str) -> list:
    found: list = []
    for word in text.split(","):
        run = RUN.fullmatch(word)
        count = int(run.group(2) or 1) if run else 0
        if not run or count > COUNT_MAX:
            raise Failure(f"these are no samples of a benchmark: {line[:120]!r}")
        found += [int(run.group(1))] * count
    return found
