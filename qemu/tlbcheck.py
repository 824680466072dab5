"""Boots under the TLB checker: `test --tlbcheck`, and the few that every `test` does (docs/tlbcheck.md).

Programs must run without a report. A kernel with a seeded bug must be reported: that shows that the checker sees such bugs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from . import build, plugin
from .base import ARCHES, LOGS, ROOT, Failure
from .boot import Job, boot
from .directives import conformance_options
from .machine import Machine
from .report import Report
from .rounds import PROFILE, SEVERAL, Round, tags_option, words_of

# How many reports of one boot are shown.
SHOWN = 10
# In all, and without a line.
TIMEOUT_S, SILENCE_S = 600.0, 240.0
ROUNDS = (Round(4), Round(1), Round(4, "2", SEVERAL))


@dataclass(frozen=True)
class Check:
    """One boot of a few conformance programs."""

    arch: str
    programs: tuple
    smp: int = 2
    tags: str | None = None
    arguments: str = ""
    # A bug of kernel/base/mutants.rs, which has to be reported.
    seed: str = ""
    # Whether every `./x.py test` does it.
    always: bool = False

    def name(self) -> str:
        """How reports and filters call it."""
        suffix = Round(self.smp, self.tags).suffix()
        return f"tlbcheck {self.arch} {'+'.join(self.programs)}{f' with {self.seed}' if self.seed else ''}{suffix}"


CLEAN = [check for arch in ARCHES for check in (
    Check(arch, ("protection", "smp_shootdown"), always=True),
    Check(arch, ("stress",), 4, arguments="3"),
    # Forks: spaces that have tables in common until one writes.
    Check(arch, ("linux",), 1), Check(arch, ("linux",), 1, "2"))]
# Bugs, a program that meets each, CPUs and tags: on both architectures, and where only one has what the bug is in.
BUGS = (("ProtectUnflushed", "protection", 1, None), ("FreedBeforeFlush", "mapping", 1, None),
        ("TablesFreedUnflushed", "mapping", 1, None),
        ("WithdrawUnflushed", "subtree_withdraw", 1, None), ("ViewUnflushed", "views", 1, None),
        ("PublicRangeShort", "public", 1, None), ("SharerForgotten", "subtree_changes", 1, None),
        ("NoFlushAtRollOver", "smp_spaces", 2, "2"))
OWN_BUGS = {"x86_64": (("StaleMarkForgotten", "mapping", 1, None), ("RangeOnePageShort", "mapping", 1, None)),
            "aarch64": (("DetachUnflushed", "subtrees", 1, None), ("AddressForgotten", "subtree_changes", 1, None))}
# Those that every `./x.py test` sees to.
ALWAYS = ("ProtectUnflushed", "FreedBeforeFlush")
SEEDS = [Check(arch, (program,), smp, tags, seed=bug, always=bug in ALWAYS)
         for arch in ARCHES for bug, program, smp, tags in BUGS + OWN_BUGS[arch]]


def checks(arch: str, wanted: str, all_of_them: bool) -> list:
    """The boots for an architecture whose names hold a text: all of them, or those of every `test`."""
    found = [check for check in CLEAN + SEEDS if check.arch == arch and (all_of_them or check.always)]
    return [check for check in found if wanted in check.name()]


def build_for(found: list) -> None:
    """Builds what these boots need beside their programs."""
    plugin.library()
    for arch in sorted({check.arch for check in found if check.seed}):
        build.build_seeded(arch, PROFILE)


def label_of(name: str) -> str:
    """A name as that of a log."""
    return re.sub(r"\W+", "-", name).strip("-")[:120]


def watched(arch: str, smp: int, label: str, kernel: str = build.KERNEL) -> tuple:
    """A machine that the checker watches, and the file that its reports go to. Instructions are its time, so that a slow boot
    is no other boot."""
    LOGS.mkdir(parents=True, exist_ok=True)
    out = LOGS / f"{label}.tlb"
    out.unlink(missing_ok=True)
    return Machine(arch, smp, icount=True, plugin=plugin.arguments(arch, None, True, out), kernel=kernel), out


def wish_of(program: str) -> str:
    """The options that a program asks to be booted with."""
    found = build.programs()[program]
    return conformance_options(found.source) if found.purpose == "conformance" else found.needs.options


def run(check: Check, report: Report) -> None:
    """Does one such boot."""
    label = label_of(check.name())
    machine, out = watched(check.arch, check.smp, label, build.SEEDED if check.seed else build.KERNEL)
    seed = f"seed={check.seed}" if check.seed else ""
    job = Job(label, machine, PROFILE, list(check.programs), check.arguments.split(),
              options=words_of(*map(wish_of, check.programs), tags_option(check.tags), seed),
              timeout_s=TIMEOUT_S, silence_s=SILENCE_S)
    try:
        outcome = boot(job, lambda _line: None)
        complaint = "" if outcome.kind == "exit" and not outcome.code else outcome.sentence()
        if check.seed:
            # Such a kernel may end as it likes.
            complaint = "" if plugin.reports(out) else "the bug was not reported"
            report.add(check.name(), "FAILED" if complaint else "ok", complaint, outcome.seconds)
        else:
            report_on(check.name(), out, report, complaint)
    except Failure as failure:
        report.add(check.name(), "FAILED", str(failure))


def report_on(name: str, out: Path, report: Report, complaint: str = "") -> None:
    """Reports what a boot without seeded bugs came to: a line for each dead translation."""
    found = plugin.reports(out)
    for line in found[:SHOWN]:
        report.add(name, "FAILED", line)
    if len(found) > SHOWN:
        report.add(name, "FAILED", f"{len(found) - SHOWN} more dead translations, in {out.relative_to(ROOT)}")
    complaint = complaint or plugin.complaint(out)
    if complaint or not found:
        report.add(name, "FAILED" if complaint else "ok", complaint)
