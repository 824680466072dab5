"""docs/peers.md: what Linux and seL4 take for the same operations in the same emulator.

Linux is measured for this page, and what it takes is kept in tests/bench/linux.json for other pages. seL4's figures were
taken once, and stand in tests/bench/sel4.json.
"""

from __future__ import annotations

import json

from .. import peer
from ..base import ARCHES, ROOT
from ..bench import catalogue, running
from ..bench.verb import measure_all
from .page import Column, Page, pair, table

SEL4 = ROOT / "tests" / "bench" / "sel4.json"
LINUX = ROOT / "tests" / "bench" / "linux.json"
HEAD = """# Peers: the same operations in Linux and in seL4

Written by `./x.py figures peers`, which boots Debian's Linux with a small C program of ours (`qemu/peer`), and Tessera's
benchmarks, in the same emulator with one CPU and `-icount shift=0`; `./x.py bench --peer linux` prints the same beside its own
table. Figures are medians, in instructions unless another unit is told. A pair is x86_64 / aarch64; one alone serves both.
**ratio** is Tessera's figure divided by the peer's.

## What can be compared, and what cannot

* These are lengths of paths and no times. A miss of a cache or the TLB, a write of the root, a flush, `sysret` and `eret` count
  as any other instruction, or not at all: who flushes more or touches more memory looks better here than on hardware.
* Each repetition of a `rep` instruction counts. Linux on x86_64 therefore has a CPU without `erms` and `fsrm`, with which it
  clears and copies pages by 8 bytes, as Tessera does, and not by single ones.
* Linux is at its best: hardware flaws are not worked around, nothing is hardened, audited or random (its command line stands in
  `qemu/peer/linux.py`). Its timer's ticks fall into some samples, and show in the mean and the greatest, not in the median.
* `getppid` and `sched_yield` are called without the C library; the other calls have its few instructions with them. Tessera's
  figures have those of `libvas` with them, seL4's neither the stub's nor the counter's.
* A switch is half of a round trip, with the calls that it takes: one yield; a `write` and a `read`; a wake and a wait.
* What stands side by side is what is nearest, not the same. `map_1` maps a page of a segment into a space; `mmap` with
  `MAP_POPULATE` of a page that is present also makes the record of an area. `space_create_destroy` makes a space and nothing in
  it, and `fork_by_copying` and `fork_by_mapping` make one with the program and memory, and no thread; `fork`, `exit` and `wait`
  make and end a process, in whose space pages are shared until they are written to (`vfork` makes no space). `memory_read`
  reads a space, `process_vm_readv` a process.
* Page tables are counted by `VmPTE`, which leaves out each process's root, and without those that a process had before it
  mapped the shared memory. Tessera's `table_bytes_private` and `table_bytes_shared` have the roots with them.
"""


def measure() -> dict:
    """For each architecture what Linux takes, and Tessera's own medians of the same names."""
    entries = {arch: peer.measure(arch) for arch in ARCHES}
    LINUX.write_text(json.dumps(kept(entries), indent=2) + "\n")
    names = {entry["name"] for arch in ARCHES for entry in entries[arch]} | set(sel4()["figures"])
    wanted = [name for name in catalogue.resolve([]) if name in names]
    documents = measure_all([running.Setting(arch) for arch in ARCHES], [], wanted)
    own = {each["arch"]: {result["name"]: result["median"] for result in each["results"]} for each in documents}
    return {"linux": entries, "own": own}


def kept(entries: dict) -> dict:
    """What Linux takes beside Tessera's benchmarks, for the file: medians by name, and the operation's own name."""
    figures: dict = {}
    for arch, found in entries.items():
        for entry in (each for each in found if not peer.is_alone(each)):
            figures.setdefault(entry["name"], {"line": entry["operation"]})[arch] = entry["median"]
    return {"kernels": {arch: found[0]["peer"] for arch, found in entries.items()}, "figures": figures}


def sel4() -> dict:
    """The figures of seL4, each with the line of its benchmark that it is."""
    return json.loads(SEL4.read_text())


def known() -> dict:
    """What is kept of each peer, by benchmark: for pages that measure none."""
    found = {"seL4": sel4()["figures"], "Linux": json.loads(LINUX.read_text())["figures"]}
    names = dict.fromkeys(name for figures in found.values() for name in figures)
    return {name: {each: figures[name] for each, figures in found.items() if name in figures} for name in names}


def text(measured: dict) -> str:
    """The whole page."""
    return HEAD + linux_part(measured["linux"], measured["own"]) + sel4_part(measured["own"])


def linux_part(entries: dict, own: dict) -> str:
    """Linux's tables: what stands beside a benchmark, and what has none beside it."""
    theirs: dict = {}
    for arch in ARCHES:
        for entry in entries[arch]:
            counted = "" if entry["unit"] == "instructions" else f", {entry['unit']}"
            row = (entry["name"], entry["operation"] + counted, peer.is_alone(entry))
            theirs.setdefault(row, {})[arch] = entry["median"]
    kernels = ", ".join(f"{entries[arch][0]['peer']} ({arch})" for arch in ARCHES)
    beside = table(_beside("Linux", own), [(*row[:2], figures) for row, figures in theirs.items() if not row[2]])
    alone = table(_alone("Linux"), [(*row[:2], figures) for row, figures in theirs.items() if row[2]])
    return f"\n## Linux\n\n{kernels}.\n\n{beside}\nWithout a benchmark of the same:\n\n{alone}"


def sel4_part(own: dict) -> str:
    """seL4's tables. It is not booted here."""
    told = sel4()
    beside = [(name, figures["line"], figures) for name, figures in told["figures"].items()]
    alone = [("", figures["line"], figures) for figures in told["others"]]
    return (f"\n## seL4\n\n{told['source']}. Taken once, in {told['emulator']}, and not measured anew.\n\n"
            f"{table(_beside('seL4', own), beside)}\nWithout a benchmark of the same:\n\n{table(_alone('seL4'), alone)}")


def _beside(title: str, own: dict) -> list:
    """The columns of a table whose rows have a benchmark, the peer's operation, and its figures."""
    def ours(row: tuple) -> dict:
        return {arch: own[arch][row[0]] for arch in ARCHES if row[0] in own[arch]}

    def ratio(row: tuple) -> str:
        mine = ours(row)
        found = [f"{mine[arch] / row[2][arch]:.3f}" for arch in ARCHES if arch in mine and row[2].get(arch)]
        return " / ".join(dict.fromkeys(found))

    return [Column("benchmark", lambda row: f"`{row[0]}`", is_text=True), _operation(title),
            Column("Tessera", lambda row: pair(ours(row))), _figures(title), Column("ratio", ratio)]


def _alone(title: str) -> list:
    return [_operation(title), _figures(title)]


def _operation(title: str) -> Column:
    return Column(f"{title}'s operation", lambda row: row[1], is_text=True)


def _figures(title: str) -> Column:
    return Column(title, lambda row: pair(row[2]))


PAGE = Page("peers", "what Linux and seL4 take for the same operations", ("build", "qemu", "peer"), measure, text)
