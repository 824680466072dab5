"""The verb `figures`: boots programs that measure, and writes docs/figures.md (here) and two more pages."""

from __future__ import annotations

import re

from . import build, performance, setup, sharing
from .base import EXIT_USAGE, ROOT, Failure, say, step
from .boot import Job, boot
from .machine import Machine

PROGRAM = "figures"
PAGE = ROOT / "docs" / "figures.md"
SMP = 4
TIMEOUT_S = 600.0
MACHINE_LINE = re.compile(r"^figures machine cpus=(\d+) tag_bits=(\d+)\s*$")
ROW_LINE = re.compile(r"^figures row arrangement=(\w+) others=(\d+) unmaps=(\d+) sent=(\d+) marks=(\d+) "
                      r"pages=(\d+)\s*$")
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

Written by `./x.py figures`, which boots `user/figures` with {smp} CPUs. A thread on one CPU, inside a space, unmaps one
page of it {unmaps} times; the table tells where the other CPUs are meanwhile, and what all CPUs counted for each unmap.
Unmaps during which any CPU changed its thread are not counted.

* **interrupts**: shootdown interrupts sent. On x86_64 exactly one for each other CPU that is in the space, none for
  one that is not. On aarch64 none at all: the hardware broadcasts the invalidation.
* **marks**: CPUs whose tag of the space was marked stale instead, to be flushed when they come back. There are none
  where the CPU has no tags, because a switch flushes everything there.
* **pages**: pages invalidated, on all CPUs together. On aarch64 one broadcast counts once, on the CPU that sends it.
"""


def figures_verb(options) -> int:
    """Writes the pages that are asked for, or all."""
    writers = {"figures": write_page, "sharing": sharing.write_page, "performance": performance.write_page}
    unknown = [page for page in options.pages if page not in writers]
    if unknown:
        raise Failure(f"there is no page {unknown[0]!r} to write; there are: {', '.join(writers)}", EXIT_USAGE)
    for page in options.pages or writers:
        writers[page]()
    return 0


def write_page() -> None:
    """Counts shootdown interrupts on each machine and writes docs/figures.md."""
    setup.need(("build", "qemu", "bochs"))
    parts = [measure(*machine) for machine in MACHINES]
    unmaps = parts[0][1][0][2]
    text = HEAD.format(smp=SMP, unmaps=unmaps) + "".join(part(*entry) for entry in parts)
    PAGE.write_text(text)
    say(f"wrote {PAGE.relative_to(ROOT)}")


def measure(title: str, arch: str, emulator: str) -> tuple:
    """Boots once; returns the title with the tags' width, and the rows as numbers."""
    build.build(arch, "release", [PROGRAM])
    step(f"counting on {title}")
    found: dict = {"bits": None, "rows": []}

    def take(line: str) -> None:
        machine, row = MACHINE_LINE.match(line), ROW_LINE.match(line)
        if machine:
            found["bits"] = int(machine.group(2))
        elif row:
            found["rows"].append((row.group(1), *map(int, row.groups()[1:])))

    job = Job(f"figures-{arch}-{emulator}", Machine(arch, SMP, emulator=emulator), "release", [PROGRAM],
              timeout_s=TIMEOUT_S)
    outcome = boot(job, take, on_wait=say)
    if outcome.kind != "exit" or outcome.code != 0:
        raise Failure(f"counting on {title} did not end well: {outcome.sentence()}", outcome.exit_status() or 1)
    if found["bits"] is None or len(found["rows"]) != SMP * len(ARRANGEMENTS):
        raise Failure(f"{title} gave {len(found['rows'])} rows (log: {outcome.log.relative_to(ROOT)})")
    return title, found["rows"], found["bits"]


def part(title: str, rows: list, bits: int) -> str:
    """One machine's table."""
    tags = f"tags of {bits} bits" if bits else "no tags"
    lines = [f"\n## {title}, {tags}\n", "| the other CPUs | how many | interrupts | marks | pages |",
             "|---|---:|---:|---:|---:|"]
    for arrangement, others, unmaps, *counts in rows:
        # The first row of each arrangement says it; with no other CPU they are all the same.
        told = ARRANGEMENTS[arrangement] if others == 0 else ""
        lines.append(f"| {told} | {others} | " + " | ".join(per_unmap(count, unmaps) for count in counts) + " |")
    return "\n".join(lines) + "\n"


def per_unmap(count: int, unmaps: int) -> str:
    """A count for each unmap: a whole number if it is one, which is the rule."""
    return str(count // unmaps) if count % unmaps == 0 else f"{count / unmaps:.2f}"
