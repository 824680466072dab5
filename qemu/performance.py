"""docs/performance.md, for the verb `figures`: what every call costs, beside its budget and what its peers take."""

from __future__ import annotations

import json
import textwrap
from collections import Counter

from . import bench, setup
from .base import ARCHES, ROOT, say

PAGE = ROOT / "docs" / "performance.md"
PEERS = bench.FOLDER / "peers.json"
SMP = 4
# The ten most used: where their instructions go is shown.
FOLLOWED = ("null_call", "common_call", "space_switch", "yield_thread", "map_1", "unmap_1", "protect_1", "first_touch",
            "memory_read_4096", "derive_delete")
FILES_SHOWN = 6
LINE_COLUMNS = 120
PARTS = (
    ("program", "the caller's own instructions, in libvas"),
    ("assembly", "registers saved and restored"),
    ("entry", "from the trap to the call, or the quickest calls whole"),
    ("abi", "the call's words"),
    ("syscall", "decode: every check of the call"),
    ("vm", "perform: mappings, faults, copies"),
    ("sched", "perform: threads, and entering a space"),
    ("lifecycle", "perform: what goes when nothing refers to it"),
    ("tlb", "flush"),
    ("state", "lookups, references, charges, the scheduler's queues"),
    ("object", "records of objects, capabilities, mappings"),
    ("paging", "page tables"),
    ("cpu", "what each CPU reads without the lock"),
    ("mem", "frames and heap"),
    ("base", "locks, counters"),
    ("kernel", "what all of it shares"),
    ("arch", "instructions of the hardware"),
    ("copying", "memory copied or cleared by the compiler's routines"),
    ("Rust", "Rust's library, where it is not inlined"),
)
HEAD = """# Performance: what every call costs

Written by `./x.py figures performance`, which boots `tests/bench` on both architectures with one CPU and with {smp}, and
follows ten benchmarks instruction by instruction. Figures are **instructions** from the user's call to its return, the
median of a thousand: QEMU's counter counts them exactly (`-icount shift=0`), however busy the host is. A `rep`
instruction counts once for each repetition; caches and the TLB cost nothing here, so these are lengths of paths, not times.
`./x.py bench` compares the same figures with the budgets; [figures.md](figures.md) has what other CPUs pay for an unmap,
[sharing.md](sharing.md) what tables take.

Peers run in the same emulator, with one CPU ([peers.json](../tests/bench/peers.json) names the line of each figure):

{sources}

**above** names a peer that takes less for the same thing. A pair of figures is x86_64 / aarch64; one alone serves both.
"""

NOTES = """
Calls that cannot be measured alone: `machine_power_off` is its refusal, as it does not return; `machine_provoke` is the
interrupt that cannot be masked (nothing on aarch64); `thread_exit` ends at the next instruction of the thread that has its
turn then, `space_jump` at the first one where it lands; `thread_join` joins a thread that has ended; `sleep` is for no time,
parked and woken with nothing else to run. Amounts: names of 16 bytes, lines of 64, tables of 64 slots, segments and mappings
of one page, copies of 4,096 bytes, the first item of a list.
"""


def write_page() -> None:
    """Measures everything and writes the page."""
    setup.need(("build", "qemu"))
    alone = {arch: medians(arch, 1) for arch in ARCHES}
    beside = {arch: medians(arch, SMP) for arch in ARCHES}
    profiles = {arch: bench.measured_profiles(arch, list(FOLLOWED)) for arch in ARCHES}
    PAGE.write_text(page(alone, beside, profiles))
    say(f"wrote {PAGE.relative_to(ROOT)}")


def medians(arch: str, smp: int) -> dict:
    """Every benchmark's median."""
    return {result["name"]: result["median"] for result in bench.measure(arch, smp, [])}


def page(alone: dict, beside: dict, profiles: dict) -> str:
    """The whole page, from medians by architecture with one CPU and with several, and from profiles."""
    peers, calls = json.loads(PEERS.read_text()), bench.calls()
    others = [name for name in alone[ARCHES[0]] if name not in calls]
    sources = "\n".join(item(peer, text + ".") for peer, text in peers["sources"].items())
    head = HEAD.format(smp=SMP, sources=sources)
    text = head + table("Every call", calls, alone, beside, peers) + NOTES
    return text + table("What goes together", others, alone, beside, peers) + growth(alone) + places(profiles)


def table(title: str, names: list, alone: dict, beside: dict, peers: dict) -> str:
    """Benchmarks with their figures, budgets and peers."""
    lines = [f"\n## {title}\n", f"| benchmark | one CPU | {SMP} CPUs, where it differs | budget | seL4 | Linux | above |",
             "|---|---:|---:|---:|---:|---:|---|"]
    budgets = bench.budgets()
    for name in names:
        own = {arch: alone[arch][name] for arch in ARCHES}
        several = {arch: beside[arch][name] for arch in ARCHES}
        told = peers["figures"].get(name) or peers["figures"].get(bench.twin(name), {})
        cells = [pair(own), pair(several) if several != own else "", number(budgets.get(name)),
                 pair(told.get("seL4", {})), pair(told.get("Linux", {})), above(own, told)]
        lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def above(own: dict, told: dict) -> str:
    """The peers that take less, and where."""
    found = []
    for peer, figures in told.items():
        worse = [arch for arch in ARCHES if own[arch] > figures.get(arch, own[arch])]
        found += [peer if len(worse) == len(ARCHES) else f"{peer} ({', '.join(worse)})"] if worse else []
    return ", ".join(found)


def growth(alone: dict) -> str:
    """What takes how much more where there is more of everything."""
    rule = bench.limits()["growth"]
    lines = ["\n## Where there is more of everything\n",
             f"A call is to take at most {rule['factor']} times as much beside so many mappings, spaces, capabilities, "
             "threads or segments as without\nthem. `./x.py bench` refuses more, but for those that do not hold it yet: "
             "they have a ceiling.\n",
             "| benchmark | it takes | alone | factor | ceiling |", "|---|---:|---:|---:|---:|"]
    for name, other in rule["pairs"].items():
        with_it, without = ({arch: alone[arch][each] for arch in ARCHES} for each in (name, other))
        factors = [f"{with_it[arch] / without[arch]:.2f}" for arch in ARCHES]
        lines.append(f"| {name} | {pair(with_it)} | {pair(without)} | {' / '.join(dict.fromkeys(factors))} | "
                     f"{rule['ceilings'].get(name, '')} |")
    return "\n".join(lines) + "\n"


def places(profiles: dict) -> str:
    """Where the instructions of the ten go, by part and by file."""
    lines = ["\n## Where the instructions go\n",
             "By the part of the kernel that they were written in, inlined or not. `./x.py bench --profile NAME` shows "
             "functions too.\n"]
    lines += [f"* **{part}**: {meaning}" for part, meaning in PARTS]
    for arch in ARCHES:
        rows = [(title(result, profile), parts_of(profile), profile) for result, profile in profiles[arch]]
        parts = [part for part, _ in PARTS if any(found[part] for _, found, _ in rows)]
        lines += [f"\n### {arch}\n", "||all|" + "|".join(parts) + "|", "|---" + "|---:" * (len(parts) + 1) + "|"]
        for name, found, profile in rows:
            cells = [str(profile.total()), *(str(found[part] or "") for part in parts)]
            lines.append(f"|{name}|" + "|".join(cells) + "|")
        lines += ["\nThe files with most:\n"]
        for name, _, profile in rows:
            most = [f"{path} {count}" for path, count in profile.by_file().most_common(FILES_SHOWN)]
            lines.append(item(name, ", ".join(most)))
    return "\n".join(lines) + "\n"


def title(result: dict, profile) -> str:
    """A benchmark's name, and how often it was done where a measurement is of more than one."""
    return result["name"] + (", twice" if profile.total() > 1.5 * result["median"] else "")


def parts_of(profile) -> Counter:
    """The parts of a profile, the program's own among them."""
    found = profile.by_part()
    found["program"] = profile.user
    unknown = set(found) - {part for part, _ in PARTS}
    assert not unknown, f"PARTS does not say what {unknown} are"
    return found


def item(name: str, text: str) -> str:
    """One point of a list, in lines as long as everywhere."""
    return textwrap.fill(f"* **{name}**: {text}", LINE_COLUMNS, subsequent_indent="  ", break_on_hyphens=False)


def number(value) -> str:
    """A figure, or nothing."""
    return "" if value is None else f"{value:,}"


def pair(figures: dict) -> str:
    """The figures of both architectures."""
    texts = [number(figures.get(arch)) or "-" for arch in ARCHES]
    return " / ".join(dict.fromkeys(texts)) if set(texts) != {"-"} else ""
