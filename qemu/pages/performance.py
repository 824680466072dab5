"""docs/performance.md: what every call costs, beside its budget and what its peers take."""

from __future__ import annotations

import textwrap
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ..base import ARCHES
from ..bench import baseline, budgets, catalogue, following, running, stretches
from ..bench.verb import AT_ONCE, measure_all
from . import peers
from .page import Column, Page, number, pair, table

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

seL4 and Linux did what is nearest in the same emulator, with one CPU: [peers.md](peers.md) says what, and what more they do.
**above** names a peer that takes less for the same thing. A pair of figures is x86_64 / aarch64; one alone serves both.
"""

NOTES = """
Calls that cannot be measured alone: `machine_power_off` is its refusal, as it does not return; `machine_provoke` is the
interrupt that cannot be masked (nothing on aarch64); `thread_exit` ends at the next instruction of the thread that has its
turn then, `space_jump` at the first one where it lands; `thread_join` joins a thread that has ended; `sleep` is for no time,
parked and woken with nothing else to run. Amounts: names of 16 bytes, lines of 64, tables of 64 slots, segments and mappings
of one page, copies of 4,096 bytes, the first item of a list.
"""

STRETCHES = """
## The longest stretches

How long the kernel works in one go, interrupts off: from its entry to leaving, to waiting for an interrupt, or to where it takes
those that are pending. Of each call the longest stretch, and of all calls the ten with the longest, while the benchmarks of a
baseline run and make ready what they measure. A plugin of QEMU counts (`./x.py bench --stretches`). **Waiting** is for another
CPU, with what that one asks for meanwhile, and counts apart; `fault` is a page fault, `interrupt` whatever else brings a CPU into the
kernel. `worst_lateness` above is how late that makes a thread of top priority; its budget is {goal}.
"""


def measure() -> tuple:
    """Medians by architecture with one CPU and with several, profiles, and the longest stretches by setting."""
    settings = [running.Setting(arch, smp) for smp in (1, SMP) for arch in ARCHES]
    alone, beside = {}, {}
    for document in measure_all(settings, [], catalogue.resolve([])):
        medians = {result["name"]: (result["median"], result["unit"]) for result in document["results"]}
        (alone if document["options"]["smp"] == 1 else beside)[document["arch"]] = medians
    profiles = {arch: following.measured_profiles(arch, list(FOLLOWED)) for arch in ARCHES}
    workload = baseline.selection()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        longest = list(pool.map(lambda setting: stretches.measured(setting, workload)[:stretches.SHOWN], settings))
    return alone, beside, profiles, dict(zip(settings, longest))


def text(measured: tuple) -> str:
    """The whole page."""
    alone, beside, profiles, longest = measured
    calls = catalogue.calls()
    plain = [each.name for each in catalogue.catalogue().values() if not each.points and each.name not in calls]
    figures = Medians(alone, beside, peers.known())
    return (HEAD.format(smp=SMP) + "\n## Every call\n\n" + table(figures.columns(), calls) + NOTES
            + "\n## What goes together\n\n" + table(figures.columns(), plain)
            + longest_stretches(longest) + curves(figures) + growth(figures) + places(profiles))


@dataclass(frozen=True)
class Medians:
    """Medians with their units, by architecture and name, and what peers take."""

    alone: dict
    beside: dict
    peers: dict

    def of(self, where: dict, name: str) -> dict:
        """A benchmark's medians by architecture, where it has given any."""
        return {arch: where[arch][name][0] for arch in ARCHES if name in where[arch]}

    def several(self, name: str) -> str:
        """The medians with several CPUs, where they differ."""
        found = self.of(self.beside, name)
        return pair(found) if found != self.of(self.alone, name) else ""

    def peer(self, name: str) -> dict:
        """What peers take for the same."""
        return self.peers.get(name) or self.peers.get(budgets.twin(name), {})

    def columns(self) -> list:
        """The columns of a table whose rows are names of benchmarks."""
        told = budgets.budgets()
        return [
            Column("benchmark", lambda name: f"`{name}`", is_text=True),
            Column("one CPU", lambda name: pair(self.of(self.alone, name))),
            Column(f"{SMP} CPUs, where it differs", self.several),
            Column("budget", lambda name: number(told.get(name)) + for_others(name)),
            Column("seL4", lambda name: pair(self.peer(name).get("seL4", {}))),
            Column("Linux", lambda name: pair(self.peer(name).get("Linux", {}))),
            Column("above", lambda name: above(self.of(self.alone, name), self.peer(name)), is_text=True),
        ]


def for_others(name: str) -> str:
    """What a budget is more for each CPU besides the first."""
    return f", {number(budgets.more(name))} for each other CPU" if budgets.more(name) else ""


def longest_stretches(longest: dict) -> str:
    """A table of the ten longest for each machine."""
    columns = [
        Column("", lambda row: row[0]),
        Column("for", lambda row: f"`{row[1].cause}`", is_text=True),
        Column("instructions", lambda row: number(row[1].worked)),
        Column("waiting besides", lambda row: number(row[1].waiting or None)),
        Column("longest of", lambda row: number(row[1].count)),
    ]
    parts = [STRETCHES.format(goal=number(budgets.budgets()["worst_lateness"]))]
    for setting, found in longest.items():
        parts.append(f"\n### {setting.arch}, {'one CPU' if setting.smp == 1 else f'{setting.smp} CPUs'}\n\n"
                     + table(columns, list(enumerate(found, 1))))
    return "".join(parts)


def curves(figures: Medians) -> str:
    """A table for each benchmark that has points."""
    parts = []
    for each in (each for each in catalogue.catalogue().values() if each.points):
        unit = next((figures.alone[arch][name][1] for name in each.results() for arch in ARCHES if name in figures.alone[arch]), "")
        columns = [
            Column(each.axis, lambda name: f"{catalogue.point_of(name):,}"),
            Column("one CPU", lambda name: pair(figures.of(figures.alone, name))),
            Column(f"{SMP} CPUs, where it differs", figures.several),
        ]
        counted = "" if unit == "instructions" else f", in {unit}"
        what = textwrap.fill(f"By {each.axis}: {each.what.rstrip('.')}{counted}.", LINE_COLUMNS)
        parts.append(f"\n### `{each.name}`\n\n{what}\n\n" + table(columns, each.results()))
    return "\n## What grows with what\n" + "".join(parts) if parts else ""


def above(own: dict, told: dict) -> str:
    """The peers that take less, and where."""
    found = []
    for peer, figures in told.items():
        worse = [arch for arch in ARCHES if arch in own and own[arch] > figures.get(arch, own[arch])]
        found += [peer if len(worse) == len(ARCHES) else f"{peer} ({', '.join(worse)})"] if worse else []
    return ", ".join(found)


def growth(figures: Medians) -> str:
    """What takes how much more where there is more of everything."""
    rule = budgets.limits()["growth"]

    def factors(names: tuple) -> str:
        with_it, without = (figures.of(figures.alone, name) for name in names)
        return " / ".join(dict.fromkeys(f"{with_it[arch] / without[arch]:.2f}" for arch in with_it))

    columns = [
        Column("benchmark", lambda names: names[0], is_text=True),
        Column("it takes", lambda names: pair(figures.of(figures.alone, names[0]))),
        Column("alone", lambda names: pair(figures.of(figures.alone, names[1]))),
        Column("factor", factors),
        Column("ceiling", lambda names: rule["ceilings"].get(names[0], "")),
    ]
    return (f"\n## Where there is more of everything\n\nA call is to take at most {rule['factor']} times as much beside so many "
            "mappings, spaces, capabilities, threads or segments as without\nthem. `./x.py bench` refuses more, but for those that "
            "do not hold it yet: they have a ceiling.\n\n" + table(columns, list(rule["pairs"].items())))


def places(profiles: dict) -> str:
    """Where the instructions of the ten go, by part and by file."""
    lines = ["\n## Where the instructions go\n",
             "By the part of the kernel that they were written in, inlined or not. `./x.py bench --profile NAME` shows "
             "functions too.\n"]
    lines += [f"* **{part}**: {meaning}" for part, meaning in PARTS]
    for arch in ARCHES:
        rows = [(title(result, profile), parts_of(profile), profile) for result, profile in profiles[arch]]
        columns = [Column("", lambda row: row[0], is_text=True), Column("all", lambda row: row[2].total())]
        columns += [Column(part, lambda row, part=part: row[1][part] or "") for part, _ in PARTS
                    if any(found[part] for _, found, _ in rows)]
        lines += [f"\n### {arch}\n", table(columns, rows), "The files with most:\n"]
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


PAGE = Page("performance", "the cost of every call and every curve, beside budgets and peers", ("build", "qemu"), measure, text)
