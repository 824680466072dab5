"""The verb `soak`: boots again and again, until one boot fails or so many have passed."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from . import build, setup
from .base import ROOT, is_arch_list, say, step, warn
from .boot import Job, boot
from .ending import Outcome
from .machine import Machine
from .rounds import tags_option

PROGRAMS = ["hello", "stress"]
# One second of stress, the argument that both programs get.
ARGUMENTS = ["1"]
TIMEOUT_S = 180.0
# What both programs say when all is well; a boot that says less has failed, whatever its exit code.
EXPECTED = ("hello from an address space", " operations, 0 wrong, 0 kinds of object left over")


def soak_verb(options) -> int:
    """Boots; ends with 1 at the first failure, whose log it names."""
    setup.need(("build", "qemu"))
    arches = is_arch_list(options.arch)
    for arch in arches:
        build.build(arch, options.profile, PROGRAMS)
        if arch == "x86_64":
            build.image_tool()
    began, seconds = time.monotonic(), []
    for number in range(1, options.boots + 1):
        for arch in arches:
            outcome = one(arch, number, options)
            complaint = judge(outcome)
            if complaint:
                warn(f"boot {number} of {options.boots} on {arch}: {complaint} (log: {keep(outcome.log, number)})")
                say(f"{len(seconds)} boots passed, then 1 failed")
                return 1
            seconds.append(outcome.seconds)
            say(f"  boot {number} of {options.boots} on {arch}: ok ({outcome.seconds:.1f} s)")
    say(f"{len(seconds)} boots with {options.smp} CPUs passed, 0 failed; {min(seconds):.1f} to {max(seconds):.1f} s "
        f"each, {time.monotonic() - began:.0f} s in all")
    return 0


def one(arch: str, number: int, options) -> Outcome:
    """Boots once."""
    job = Job(f"soak-{arch}", Machine(arch, options.smp), options.profile, PROGRAMS, [*ARGUMENTS, str(number)],
              options="leakcheck=1 " + tags_option(options.tags), timeout_s=TIMEOUT_S)
    if number == 1:
        step(f"booting {arch} with {options.smp} CPUs: {', '.join(PROGRAMS)}")
    return boot(job, lambda _line: None, on_wait=say)


def judge(outcome: Outcome) -> str:
    """What is wrong with a boot; the empty string when nothing is."""
    if outcome.kind != "exit" or outcome.code != 0:
        return outcome.sentence()
    missing = [text for text in EXPECTED if not any(text in line for line in outcome.lines)]
    return f"the output does not hold {missing[0]!r}" if missing else ""


def keep(log: Path, number: int) -> Path:
    """Copies a log to a name that the next soak does not overwrite."""
    kept = log.with_name(f"{log.stem}-failed-{number}.log")
    shutil.copyfile(log, kept)
    return kept.relative_to(ROOT)
