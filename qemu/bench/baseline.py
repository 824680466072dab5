"""The baselines that the repository keeps: documents of each architecture, with one CPU and with four, which `.ci/run` compares with.

Of a curve they hold the first and the last point, everything else whole: that takes little time, and tells of any call.
"""

from __future__ import annotations

from pathlib import Path

from ..base import ARCHES, ROOT, Failure
from . import results
from .catalogue import catalogue, point_of

# What a user says instead of a file's name.
WORD = "baseline"
# The numbers of CPUs with which there is one: what takes several CPUs is skipped with one.
CPUS = (1, 4)
# How far the curves over CPUs go with these.
MOST_CPUS = {"CPUs": max(CPUS), "other CPUs": max(CPUS) - 1}
# What takes tags of a certain width, which the emulated CPUs have not unless `--tags` says so.
FOR_TAGS = ("kernel_root_write_tagged", "switch_at_rollover", "switch_after_rollover", "lateness_tag_rollover")
FOLDER = ROOT / "tests" / "bench" / "baseline"
TO_WRITE = "./x.py bench --bless"


def path_of(arch: str, smp: int) -> Path:
    """The file of an architecture, with so many CPUs."""
    return FOLDER / (f"{arch}.json" if smp == 1 else f"{arch}-{smp}-cpus.json")


def load(arch: str, smp: int) -> dict:
    """Reads a baseline."""
    path = path_of(arch, smp)
    if not path.exists():
        raise Failure(f"there is no baseline {path.relative_to(ROOT)}; {TO_WRITE} --arch {arch} --smp {smp} writes it")
    return results.read(path)


def selection() -> list:
    """The results that a baseline has, of those that there are."""
    found = []
    for each in catalogue().values():
        names = [name for name in each.results() if (point_of(name) or 0) <= MOST_CPUS.get(each.axis, 1 << 63)]
        found += names if len(names) < 3 else [names[0], names[-1]]
    return found


def breaches() -> list:
    """What is wrong with the baselines, for `./x.py check`: together, those of an architecture have all that they should."""
    found, wanted = [], selection()
    for arch in ARCHES:
        documents = {}
        for smp in CPUS:
            try:
                documents[smp] = {result["name"] for result in load(arch, smp)["results"]}
            except Failure as failure:
                found.append(f"{path_of(arch, smp).relative_to(ROOT)}:1: {failure}")
        needed = {name for name in wanted if name.partition("/")[0] not in FOR_TAGS}
        lost = sorted(needed.difference(*documents.values()))
        if lost and len(documents) == len(CPUS):
            found.append(f"{path_of(arch, CPUS[0]).relative_to(ROOT)}:1: it lacks {', '.join(lost)}; write it anew: {TO_WRITE}")
        for smp, names in documents.items():
            gone = sorted(names - set(wanted))
            if gone:
                found.append(f"{path_of(arch, smp).relative_to(ROOT)}:1: there is no {', '.join(gone)}; write it anew: {TO_WRITE}")
    return found
