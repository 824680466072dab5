"""docs/figures.md: what unmapping a page costs other CPUs."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..base import Failure
from ..machine import Machine
from .page import Column, Page, rows_of, table

PROGRAM = "figures"
SMP = 4
ROW_LINE = re.compile(r"^figures row arrangement=(\w+) others=(\d+) unmaps=(\d+) sent=(\d+) marks=(\d+) "
                      r"pages=(\d+) tags=(\d+)\s*$")
MACHINES = (("QEMU, x86_64", "x86_64", "qemu"), ("Bochs, x86_64 with PCID", "x86_64", "bochs"),
            ("QEMU, aarch64", "aarch64", "qemu"))
ARRANGEMENTS = {
    "active": "are in the space",
    "inactive": "were in the space and left it",
    "absent": "were never in the space",
    "local": "run elsewhere; the space is local to the caller's CPU",
    "window": "are in the space; the page is in a core window of the caller's CPU",
}
HEAD = """# Figures: what unmapping a page costs other CPUs

Written by `./x.py figures figures`, which boots `user/figures` with {smp} CPUs. A thread on one CPU, inside a space, unmaps one
page of it {unmaps} times; the table tells where the other CPUs are meanwhile, and what all CPUs counted for each unmap.
Unmaps during which any CPU changed its thread are not counted.

* **interrupts**: shootdown interrupts sent. On x86_64 exactly one for each other CPU that is in the space, none for
  one that is not. On aarch64 none at all: the hardware broadcasts the invalidation.
* **marks**: CPUs whose tag of the space was marked stale instead, to be flushed when they come back. There are none
  where the CPU has no tags, because a switch flushes everything there.
* **pages**: pages invalidated, on all CPUs together. On aarch64 one broadcast counts once, on the CPU that sends it.
"""


@dataclass(frozen=True)
class Row:
    """One line of the program."""

    arrangement: str
    # How many other CPUs there are.
    others: int
    unmaps: int
    sent: int
    marks: int
    pages: int
    tag_bits: int

    def per_unmap(self, count: int) -> str:
        """A count for each unmap: a whole number if it is one, which is the rule."""
        return str(count // self.unmaps) if count % self.unmaps == 0 else f"{count / self.unmaps:.2f}"


COLUMNS = [
    # The first row of each arrangement says it; with no other CPU they are all the same.
    Column("the other CPUs", lambda row: ARRANGEMENTS[row.arrangement] if row.others == 0 else "", is_text=True),
    Column("how many", lambda row: row.others),
    Column("interrupts", lambda row: row.per_unmap(row.sent)),
    Column("marks", lambda row: row.per_unmap(row.marks)),
    Column("pages", lambda row: row.per_unmap(row.pages)),
]


def measure() -> dict:
    """The rows of each machine, by its title."""
    return {title: _rows(title, Machine(arch, SMP, emulator=emulator)) for title, arch, emulator in MACHINES}


def _rows(title: str, machine: Machine) -> list:
    rows = rows_of("counting interrupts", machine, PROGRAM, [], ROW_LINE, Row)
    if len(rows) != SMP * len(ARRANGEMENTS):
        raise Failure(f"{title} gave {len(rows)} rows")
    return rows


def text(measured: dict) -> str:
    """The whole page."""
    unmaps = next(iter(measured.values()))[0].unmaps
    return HEAD.format(smp=SMP, unmaps=unmaps) + "".join(part(title, rows) for title, rows in measured.items())


def part(title: str, rows: list) -> str:
    """One machine's table."""
    bits = rows[0].tag_bits
    return f"\n## {title}, {f'tags of {bits} bits' if bits else 'no tags'}\n\n" + table(COLUMNS, rows)


PAGE = Page("figures", "shootdown interrupts on QEMU and Bochs", ("build", "qemu", "bochs"), measure, text)
