"""docs/sharing.md, for the verb `figures`: what page tables take when many spaces share one subtree."""

from __future__ import annotations

import re
from dataclasses import dataclass

from . import build, setup
from .base import ARCHES, ROOT, Failure, say, step
from .boot import Job, boot
from .machine import Machine

PROGRAM = "sga"
ARGUMENTS = ["rows"]
PAGE = ROOT / "docs" / "sharing.md"
TIMEOUT_S = 600.0
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

Linux 6.12 on x86_64, in the same emulator, with its mitigations off, takes 128 KiB of last-level tables and 39.0
million instructions for each further process that maps 64 MiB of shared memory and writes to each of its pages. Here
one more space takes 4 KiB, and `subtree_attach` in [the budgets](../tests/bench/budgets.json) says how many
instructions.
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


def write_page() -> None:
    """Measures on each architecture and writes the page."""
    setup.need(("build", "qemu"))
    PAGE.write_text(page({arch: measure(arch) for arch in ARCHES}))
    say(f"wrote {PAGE.relative_to(ROOT)}")


def measure(arch: str) -> list:
    """Boots once; returns the rows."""
    build.build(arch, "release", [PROGRAM])
    step(f"measuring shared tables on {arch}")
    needs, rows = build.needs_of([PROGRAM]), []

    def take(line: str) -> None:
        found = ROW_LINE.match(line)
        if found:
            rows.append(Row(*map(int, found.groups())))

    job = Job(f"sharing-{arch}", Machine(arch, 1, needs.memory_mib), "release", [PROGRAM], ARGUMENTS,
              options=needs.options, timeout_s=TIMEOUT_S)
    outcome = boot(job, take, on_wait=say)
    if outcome.kind != "exit" or outcome.code != 0:
        raise Failure(f"measuring on {arch} did not end well: {outcome.sentence()}", outcome.exit_status() or 1)
    return rows


def page(measured: dict) -> str:
    """The whole page, from the rows of each architecture, which differ in nothing but the memory taken."""
    tables = {arch: [(row.mib, row.clients, row.tables, row.roots, row.private) for row in rows]
              for arch, rows in measured.items()}
    first = next(iter(tables.values()))
    if not first or any(rows != first for rows in tables.values()):
        raise Failure(f"the tables differ from one architecture to the other: {tables}")
    areas = list(dict.fromkeys(row[0] for row in first))
    return HEAD + "".join(part(mib, measured) for mib in areas)


def part(mib: int, measured: dict) -> str:
    """The table of one area."""
    arches = list(measured)
    rows = list(zip(*([row for row in measured[arch] if row.mib == mib] for arch in arches)))
    tables = rows[0][0].tables
    lines = [f"\n## {size(mib << 20)}: {mib * 256:,} pages\n",
             f"The area's tables: {tables // PAGE_BYTES:,}, {size(tables)}. One more space takes {further(rows)}.\n",
             "| spaces | shared | " + " | ".join(f"memory taken, {arch}" for arch in arches) + " | private | ratio |",
             "|---:" * (len(arches) + 4) + "|"]
    for same in rows:
        row = same[0]
        shared, private = row.tables + row.roots, row.private * row.clients
        taken = " | ".join(size(each.taken) for each in same)
        lines.append(f"| {row.clients:,} | {size(shared)} | {taken} | {size(private)} | {private / shared:.1f} |")
    return "\n".join(lines) + "\n"


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
