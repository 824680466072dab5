"""The verb `test`: host tests, and beside them boot tests and conformance programs, several machines at a time."""

from __future__ import annotations

import contextlib
import re
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from . import browser_test, build, conformance, host_tests, setup, tlbcheck, toolchain
from .base import ARCHES, EXIT_USAGE, ROOT, Failure, say, step, ticking
from .boot import Job, boot
from .directives import BootTest
from .ending import Outcome
from .machine import Machine
from .plans import Boots, boot_name, conformance_boots, list_tests, plans_for
from .report import Report
from .rounds import PROFILE, Round, tags_option, words_of
from .serial import KERNEL

# For a boot of programs that check themselves, in all and without a line.
RUN_TIMEOUT_S, RUN_SILENCE_S = 600.0, 240.0
# How a program that checks itself says that it could not, or not all: a line of its own.
SKIPPED_LINE = re.compile(r"^([a-z0-9_-]+): skipped: (.+)$")
# What is booted at the moment, by the names of reports.
_running: list = []


def test_verb(options) -> int:
    """Runs or lists the tests."""
    if options.tlbcheck and (options.host or options.machine != "qemu"):
        raise Failure("--tlbcheck watches boots in QEMU; it goes neither with --host nor with --machine bochs", EXIT_USAGE)
    began = time.monotonic()
    setup.need(("build",) if options.host or options.list else ("build", options.machine))
    if options.filter.startswith("browser") and not options.list:
        setup.need(("browser",))
    plans = [] if options.host else plans_for(options)
    pages = browser_test.chosen(options.filter) if _is_whole(options) else []
    host = None
    if options.filter or options.list:
        host = host_tests.listed() if _may_match_host(options) else []
        host = [name for name in host if options.filter in f"host {name}"]
        if not host and not pages and not any(entry.programs() for entry in plans):
            raise Failure(f"no test matches {options.filter!r} (see ./x.py test --list)", EXIT_USAGE)
    if options.list:
        return list_tests([*(f"host {name}" for name in host), *pages], plans, options.filter)
    say(f"using {toolchain.describe()}")
    report = Report()
    for entry in plans:
        if entry.programs():
            build_for(entry, report, options.tlbcheck)
    with ThreadPoolExecutor(1) as beside:
        hosts = None
        if (host or host is None) and (options.host or not (options.arch or options.tlbcheck or options.machine == "bochs")):
            step("host tests")
            hosts = beside.submit(host_tests.run, host, lambda name, *rest: report.add(f"host {name}", *rest))
        run_boots(plans, options, report)
        if hosts:
            hosts.result()
    browser_test.run(pages, report.add)
    say(f"took {time.monotonic() - began:.0f} s")
    return report.finish()


def _is_whole(options) -> bool:
    """Whether nothing says that only a part of the tests is meant, but perhaps a filter."""
    return not (options.host or options.arch or options.tlbcheck or options.machine == "bochs")


def _may_match_host(options) -> bool:
    """Whether host tests are asked for at all; if not, there is no need to compile them."""
    begins_so = options.filter.startswith(("user", "boot", "programs", "browser"))
    for_boots = begins_so or any(arch in options.filter for arch in ARCHES)
    return options.host or not (options.arch or options.tlbcheck or for_boots or options.machine == "bochs")


def build_for(entry: Boots, report: Report, is_checked: bool) -> None:
    """Builds what one architecture's boots need. A build that fails is a failed test, and nothing is booted."""
    try:
        build.build(entry.arch, PROFILE, entry.programs())
        if entry.arch == "x86_64" and not entry.cpu:
            build.image_tool()
        if entry.checks or is_checked:
            tlbcheck.build_for(entry.checks)
    except Failure as failure:
        report.add(f"build {entry.arch}", "FAILED", str(failure).splitlines()[-1])
        entry.tests, entry.conformance, entry.runs, entry.checks = [], [], [], []


def run_boots(plans: list, options, report: Report) -> None:
    """Does every boot, the long ones first."""
    with ThreadPoolExecutor(options.jobs) as pool, ticking(lambda: "still running " + ", ".join(_running)):
        waiting = []
        for entry in plans:
            for each, wish, programs in conformance_boots(entry):
                waiting.append(pool.submit(_conformance, entry, each, wish, programs, options, report))
        for entry in plans:
            waiting += [pool.submit(_run, entry.arch, run, report) for run in entry.runs]
            waiting += [pool.submit(_boot_test, entry.arch, test, options, report) for test in entry.tests]
            waiting += [pool.submit(_tlb_check, check, report) for check in entry.checks]
        if waiting:
            step(f"{len(waiting)} boots, {options.jobs} at a time")
        for done in as_completed(waiting):
            done.result()


@contextlib.contextmanager
def _named(name: str):
    """Says, while a boot runs, that it does."""
    _running.append(name)
    try:
        yield
    finally:
        _running.remove(name)


def _conformance(entry: Boots, each: Round, wish: str, programs: list, options, report: Report) -> None:
    name = f"user {entry.where()}{each.suffix()}"
    with _named(name):
        if not options.tlbcheck:
            machine = Machine(entry.arch, each.smp, emulator=options.machine, cpu=entry.cpu)
            conformance.run(entry.where(), machine, each, wish, programs, options, report)
            return
        name = f"tlbcheck {entry.where()} {programs[0] if len(programs) == 1 else 'conformance'}{each.suffix()} {wish}".strip()
        machine, out = tlbcheck.watched(entry.arch, each.smp, tlbcheck.label_of(name))
        conformance.run(entry.where(), machine, each, wish, programs, options, report)
        tlbcheck.report_on(name, out, report)


def _tlb_check(check: tlbcheck.Check, report: Report) -> None:
    with _named(check.name()):
        tlbcheck.run(check, report)


def _boot_test(arch: str, test: BootTest, options, report: Report) -> None:
    machine = Machine(arch, options.smp or test.smp, test.memory_mib)
    job = Job(f"test-{arch}-{test.name}", machine, PROFILE, [test.name], test.args, test.extra,
              f"{test.options} {tags_option(options.tags)}".strip(), test.timeout_s)
    name = boot_name(arch, test)
    try:
        with _named(name):
            outcome = boot(job, lambda _line: None)
    except Failure as failure:
        report.add(name, "FAILED", str(failure))
        return
    complaint = judge(test, outcome)
    report.add(name, "FAILED" if complaint else "ok", complaint, outcome.seconds)


def _run(arch: str, run: tuple, report: Report) -> None:
    """Boots user programs that check themselves."""
    title, names, arguments, each = run
    needs = build.needs_of(names)
    job = Job(f"test-{arch}-{names[-1]}{each.label()}", Machine(arch, each.smp, needs.memory_mib), PROFILE, names,
              arguments, options=words_of(needs.options, "leakcheck=1", tags_option(each.tags)),
              timeout_s=RUN_TIMEOUT_S, silence_s=RUN_SILENCE_S)
    try:
        with _named(title):
            outcome = boot(job, lambda _line: None)
    except Failure as failure:
        report.add(title, "FAILED", str(failure))
        return
    report.add(title, *verdict_on_run(outcome, names), outcome.seconds)


def verdict_on_run(outcome: Outcome, names: list) -> tuple:
    """The verdict on such a boot, and why."""
    if outcome.kind == "exit" and outcome.code == 0:
        found = [each for each in map(SKIPPED_LINE.match, outcome.lines) if each and each.group(1) in names]
        return ("skipped", "; ".join(each.group(0) for each in found)) if found else ("ok", "")
    told = next((f"; {line}" for line in outcome.lines if "[init]" in line), "")
    return "FAILED", f"{outcome.sentence()}{told} (log: {_short(outcome.log)})"


def judge(test: BootTest, outcome: Outcome) -> str:
    """What is wrong with a boot test's outcome; the empty string when nothing is."""
    if test.expect_panic and outcome.kind != "panic":
        return f"expected a kernel panic, but: {outcome.sentence()}"
    if not test.expect_panic and outcome.kind != "exit":
        return outcome.sentence()
    if not test.expect_panic and outcome.code != test.expect_exit:
        told = next((line for line in reversed(outcome.lines) if "panicked" in line or "FAILED" in line), "")
        return f"exit code {outcome.code}, expected {test.expect_exit} {told}(log: {_short(outcome.log)})"
    for text in test.expect_output:
        # What the kernel is to say, no program can say for it.
        lines = [line for line in outcome.lines if line.startswith(KERNEL) or not text.startswith(KERNEL)]
        if not any(text in line for line in lines):
            return f"the output does not hold {text!r} (log: {_short(outcome.log)})"
    return ""


def _short(path: Path) -> Path:
    return path.relative_to(ROOT)
