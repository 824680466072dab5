"""docs/peers.md: what Linux and seL4 take for the same operations in the same emulator."""

from __future__ import annotations

import json

from ..base import ARCHES, ROOT
from ..bench import catalogue, running
from ..bench.verb import measure_all
from .page import Column, Page, pair, table

SEL4 = ROOT / "tests" / "bench" / "peers.json"
HEAD = """# Peers: the same operations elsewhere

Written by `./x.py figures peers`, which boots Debian's Linux with a small C program of ours (`qemu/peer`) and Tessera's
benchmarks in the same emulator, with one CPU and QEMU's `-icount shift=0`; `./x.py bench --peer linux` prints the same. Figures
are medians, in instructions unless another unit is told: lengths of paths, and no times. A pair is x86_64 / aarch64; one
alone serves both. **ratio** is Tessera's figure divided by the peer's; none where Tessera has no such operation.
"""


def measure() -> dict:
    """For each architecture what Linux takes, and Tessera's own medians of the same names."""
    from .. import peer
    entries = {arch: peer.measure(arch) for arch in ARCHES}
    names = {entry["name"] for arch in ARCHES for entry in entries[arch]} | set(sel4()["figures"])
    wanted = [name for name in catalogue.resolve([]) if name in names]
    documents = measure_all([running.Setting(arch) for arch in ARCHES], [], wanted)
    own = {each["arch"]: {result["name"]: result["median"] for result in each["results"]} for each in documents}
    return {"linux": entries, "own": own}


def sel4() -> dict:
    """The figures of seL4, each with the line of its benchmark that it is."""
    return json.loads(SEL4.read_text())


def text(measured: dict) -> str:
    """The whole page."""
    return HEAD + linux(measured["linux"], measured["own"]) + sel4_part(measured["own"])


def linux(entries: dict, own: dict) -> str:
    """Linux's table: one row for each operation."""
    first = entries[ARCHES[0]]
    medians = {arch: {(entry["name"], entry["operation"]): entry["median"] for entry in entries[arch]} for arch in ARCHES}
    units = {(entry["name"], entry["operation"]): entry["unit"] for arch in ARCHES for entry in entries[arch]}
    rows = list(dict.fromkeys((entry["name"], entry["operation"]) for arch in ARCHES for entry in entries[arch]))

    def theirs(row: tuple) -> dict:
        return {arch: medians[arch][row] for arch in ARCHES if row in medians[arch]}

    def told(row: tuple) -> str:
        return row[1] + (f", {units[row]}" if units[row] != "instructions" else "")

    return f"\n## {first[0]['peer']}\n\n" + table(_columns(told, own, theirs, "Linux"), rows)


def sel4_part(own: dict) -> str:
    """seL4's table. It is not booted here: its figures stand with the commit that they are of."""
    told = {name: peers["seL4"] for name, peers in sel4()["figures"].items() if "seL4" in peers}

    def theirs(row: tuple) -> dict:
        return {arch: told[row[0]][arch] for arch in ARCHES if arch in told[row[0]]}

    rows = [(name, figures["line"]) for name, figures in told.items()]
    return f"\n## seL4\n\n{sel4()['sources']['seL4']}. These figures were taken once, and are not measured anew.\n\n" + table(
        _columns(lambda row: row[1], own, theirs, "seL4"), rows)


def _columns(operation, own: dict, theirs, peer: str) -> list:
    def ours(row: tuple) -> dict:
        return {arch: own[arch][row[0]] for arch in ARCHES if row[0] in own[arch]}

    def ratio(row: tuple) -> str:
        found = [f"{ours(row)[arch] / figure:.3f}" for arch, figure in theirs(row).items() if arch in ours(row) and figure]
        return " / ".join(dict.fromkeys(found))

    return [
        Column("benchmark", lambda row: f"`{row[0]}`" if row[0] in own[ARCHES[0]] else "", is_text=True),
        Column(f"{peer}'s operation", operation, is_text=True),
        Column("Tessera", lambda row: pair(ours(row))),
        Column(peer, lambda row: pair(theirs(row))),
        Column("ratio", ratio),
    ]


PAGE = Page("peers", "what Linux and seL4 take for the same operations", ("build", "qemu"), measure, text)
