"""The verb `soak`: boots, or the whole `test`, again and again until one fails or so many have passed."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import subprocess
import sys
import time
from pathlib import Path

from . import base, build, setup, suites
from .base import LOGS, ROOT, is_arch_list, say, step, warn
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
    """Ends with 1 at the first failure, whose logs it names."""
    with busy(options.busy):
        return tests(options) if options.tests else boots(options)


@contextlib.contextmanager
def busy(count: int):
    """Takes CPU time away with so many endless loops, as a host does that has other work."""
    loops = [base.start([sys.executable, "-c", "while True: pass"], group=True, stdin=subprocess.DEVNULL)
             for _ in range(count)]
    if loops:
        step(f"beside {count} busy loops")
    try:
        yield
    finally:
        for loop in loops:
            base.end(loop)


def tests(options) -> int:
    """Runs `./x.py test` so many times; the logs of a failure stay."""
    wanted = argparse.Namespace(filter=options.filter, arch=options.arch, machine="qemu", cpu=None, host=False,
                                list=False, tlbcheck=False, smp=options.smp, tags=options.tags, jobs=options.jobs)
    began, seconds = time.monotonic(), []
    for number in range(1, options.tests + 1):
        step(f"test run {number} of {options.tests}")
        begun = time.monotonic()
        if suites.test_verb(wanted) != 0:
            kept = keep_all(number)
            warn(f"test run {number} of {options.tests} failed (logs: {kept})")
            say(f"{len(seconds)} test runs passed, then 1 failed")
            return 1
        seconds.append(time.monotonic() - begun)
    say(f"{len(seconds)} test runs beside {options.busy} busy loops passed, 0 failed; {min(seconds):.0f} to "
        f"{max(seconds):.0f} s each, {time.monotonic() - began:.0f} s in all")
    return 0


def keep_all(number: int) -> Path:
    """Copies all logs to a folder that the next run does not overwrite."""
    kept = LOGS.with_name(f"logs-of-failed-run-{number}")
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(LOGS, kept)
    return kept.relative_to(ROOT)


def boots(options) -> int:
    """Boots so many times on each architecture."""
    setup.need(("build", "qemu"))
    arches, cpus = is_arch_list(options.arch), options.smp or 4
    for arch in arches:
        build.build(arch, options.profile, PROGRAMS)
        if arch == "x86_64":
            build.image_tool()
    began, seconds = time.monotonic(), []
    for number in range(1, options.boots + 1):
        for arch in arches:
            outcome = one(arch, number, cpus, options)
            complaint = judge(outcome)
            if complaint:
                warn(f"boot {number} of {options.boots} on {arch}: {complaint} (log: {keep(outcome.log, number)})")
                say(f"{len(seconds)} boots passed, then 1 failed")
                return 1
            seconds.append(outcome.seconds)
            say(f"  boot {number} of {options.boots} on {arch}: ok ({outcome.seconds:.1f} s)")
    say(f"{len(seconds)} boots with {cpus} CPUs passed, 0 failed; {min(seconds):.1f} to {max(seconds):.1f} s each, "
        f"{time.monotonic() - began:.0f} s in all")
    return 0


def one(arch: str, number: int, cpus: int, options) -> Outcome:
    """Boots once."""
    job = Job(f"soak-{arch}", Machine(arch, cpus), options.profile, PROGRAMS, [*ARGUMENTS, str(number)],
              options="leakcheck=1 " + tags_option(options.tags), timeout_s=TIMEOUT_S)
    if number == 1:
        step(f"booting {arch} with {cpus} CPUs: {', '.join(PROGRAMS)}")
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
