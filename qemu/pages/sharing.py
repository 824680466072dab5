"""docs/sharing.md: what page tables take when many spaces share one subtree."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .. import build
from ..base import ARCHES, Failure
from ..machine import Machine
from .page import Column, Page, rows_of, table

PROGRAM = "sga"
ARGUMENTS = ["rows"]
ROW_LINE = re.compile(r"^sga row mib=(\d+) clients=(\d+) tables=(\d+) roots=(\d+) taken=(\d+) private=(\d+)\s*$")
PAGE_BYTES = 4096
UNITS = (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))
HEAD = """# Page tables of N spaces that share one subtree

Written by `./x.py figures sharing`, which boots `user/sga` with the argument `rows` on both architectures. An area of
4 KiB pages is mapped once, into one subtree, which is then attached to N spaces.

* **shared**: the subtree's page tables, once, and a root table for each space, as the kernel's `info` calls tell them.
  All that one more space adds is its root, 4 KiB.
* **memory taken**: how much more memory of the machine was in use than before the area was mapped. That is the tables,
  and all that the kernel keeps besides: records of mappings, spaces, capabilities and attachments.
* **private**: what the same tables would take if each space had its own, root included. Areas of up to 1 GiB are mapped
  into one space that way as well, and have to take exactly this.

`subtree_attach` in [performance.md](performance.md) is what it takes to attach such an area to one more space.
"""


@dataclass(frozen=True)
class Row:
    """One line of the program: an area and a number of clients; amounts in bytes."""

    mib: int
    clients: int
    tables: int
    roots: int
    taken: int
    # What one client would need if it shared nothing.
    private: int

    def shared(self) -> int:
        """What all clients need together."""
        return self.tables + self.roots

    def all_private(self) -> int:
        """What they would need if they shared nothing."""
        return self.private * self.clients


def measure() -> dict:
    """The rows of each architecture."""
    needs = build.needs_of([PROGRAM])
    return {arch: rows_of("measuring shared tables", Machine(arch, 1, needs.memory_mib), PROGRAM, ARGUMENTS, ROW_LINE, Row)
            for arch in ARCHES}


def text(measured: dict) -> str:
    """The whole page, from the rows of each architecture, which differ in nothing but the memory taken."""
    tables = {arch: [(row.mib, row.clients, row.tables, row.roots, row.private) for row in rows]
              for arch, rows in measured.items()}
    first = next(iter(tables.values()))
    if not first or any(rows != first for rows in tables.values()):
        raise Failure(f"the tables differ from one architecture to the other: {tables}")
    areas = list(dict.fromkeys(row[0] for row in first))
    return HEAD + "".join(part(mib, measured) for mib in areas)


def part(mib: int, measured: dict) -> str:
    """The table of one area; a row of it has one row of each architecture."""
    arches = list(measured)
    rows = list(zip(*([row for row in measured[arch] if row.mib == mib] for arch in arches)))
    tables = rows[0][0].tables
    columns = [
        Column("spaces", lambda same: f"{same[0].clients:,}"),
        Column("shared", lambda same: size(same[0].shared())),
        *(Column(f"memory taken, {arch}", lambda same, index=index: size(same[index].taken)) for index, arch in enumerate(arches)),
        Column("private", lambda same: size(same[0].all_private())),
        Column("ratio", lambda same: f"{same[0].all_private() / same[0].shared():.1f}"),
    ]
    return (f"\n## {size(mib << 20)}: {mib * 256:,} pages\n\n"
            f"The area's tables: {tables // PAGE_BYTES:,}, {size(tables)}. One more space takes {further(rows)}.\n\n"
            + table(columns, rows))


def further(rows: list) -> str:
    """The memory that each further space took, tables and records, where there are several."""
    first, last = rows[0], rows[-1]
    if last[0].clients == first[0].clients:
        return size(PAGE_BYTES)
    amounts = [(after.taken - before.taken) / (after.clients - before.clients) for before, after in zip(first, last)]
    return " or ".join(dict.fromkeys(f"{amount:,.0f} bytes" for amount in amounts)) + ", all in all"


def size(amount: int) -> str:
    """An amount of bytes in the largest unit of which there is at least one."""
    for unit, unit_bytes in UNITS:
        if amount >= unit_bytes:
            text = f"{amount / unit_bytes:.2f}".rstrip("0").rstrip(".")
            return f"{text} {unit}"
    return f"{amount} bytes"


PAGE = Page("sharing", "page tables of shared memory by the number of spaces", ("build", "qemu"), measure, text)
