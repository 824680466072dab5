"""The verb `test`: host tests, then boot tests and conformance programs, two machines at a time."""

from __future__ import annotations

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import shorten

from . import bochs, build, host_tests, setup, toolchain
from .base import ARCHES, EXIT_USAGE, ROOT, Failure, is_arch_list, say, step
from .boot import Job, Outcome, boot
from .directives import BootTest, claims_in, conformance_options, read_boot_test
from .machine import Machine
from .rounds import Round, rounds_for, runs_for, tags_option, words_of

PROFILE = "checked"
JOBS = 2
CONFORMANCE_TIMEOUT_S = 300.0
BOCHS_TIMEOUT_S = 900.0
CLAIM_LINE = re.compile(r"^test (\S+)::(\S+) \.\.\. (ok|FAILED|skipped)(?:: (.*))?$")
SUITE_LINE = re.compile(r"^suite (\S+): (\d+) passed, (\d+) failed, (\d+) skipped")


class Report:
    """Counts verdicts and prints each as it comes."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.failures: list = []
        self._lock = threading.Lock()

    def add(self, name: str, verdict: str, reason: str = "", seconds: float | None = None) -> None:
        """Takes in the verdict of one test: ok, FAILED or skipped."""
        with self._lock:
            if verdict == "ok":
                self.passed += 1
            elif verdict == "skipped":
                self.skipped += 1
            else:
                self.failed += 1
                self.failures.append(shorten(f"{name}: {reason}" if reason else name, 200, placeholder=" ..."))
        time_text = f" ({seconds:.1f} s)" if seconds is not None else ""
        say(f"  {verdict:7} {name}{time_text}{': ' + reason if reason else ''}")

    def finish(self) -> int:
        """Prints the failures again and the last line; returns the exit code."""
        if self.failures:
            say("\nfailed:")
            for text in self.failures:
                say(f"  {text}")
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        say(f"{self.passed} passed, {self.failed} failed{skipped}")
        return 1 if self.failed or not self.passed else 0


@dataclass
class Boots:
    """What is to be booted for one architecture."""

    arch: str
    tests: list
    conformance: list
    # A model of Bochs, or None for QEMU.
    cpu: str | None = None
    # How often the conformance programs are booted, and the boots of programs that check themselves.
    rounds: tuple = (Round(),)
    runs: list = field(default_factory=list)

    def where(self) -> str:
        """The machine, as reports and filters name it."""
        return f"{self.arch} bochs {self.cpu}" if self.cpu else self.arch

    def programs(self) -> list:
        """The names of the programs that must be built."""
        return ([test.name for test in self.tests] + [e for test in self.tests for e in test.extra] + self.conformance
                + [name for _, names, _, _ in self.runs for name in names])


def plans_for(options) -> list:
    """The boots that the options ask for: on QEMU or, conformance programs only, on each of Bochs's models."""
    if options.machine == "qemu":
        Machine(cpu=options.cpu).check()
        return [plan(arch, options) for arch in is_arch_list(options.arch)]
    Machine(options.arch or "x86_64", emulator="bochs", smp=options.smp or 1, cpu=options.cpu).check()
    return [plan_bochs(cpu, options) for cpu in ([options.cpu] if options.cpu else bochs.MODELS)]


def plan_bochs(cpu: str, options) -> Boots:
    """The conformance programs that match the filter, on one of Bochs's models."""
    wanted = options.filter
    boots = Boots("x86_64", [], [], cpu, rounds_for("x86_64", options.smp, options.tags, options.machine))
    boots.conformance = [name for name in build.of_purpose("conformance")
                         if any(wanted in claim for claim in conformance_names(boots.where(), name))]
    return boots


def plan(arch: str, options) -> Boots:
    """Chooses the boots whose tests match the filter."""
    wanted, rounds = options.filter, rounds_for(arch, options.smp, options.tags, options.machine)
    tests = [test for test in boot_tests() if arch in test.arches and wanted in boot_name(arch, test)]
    programs = [name for name in build.of_purpose("conformance")
                if not wanted or any(wanted in claim for claim in conformance_names(arch, name))]
    return Boots(arch, tests, programs, rounds=rounds, runs=runs_for(arch, rounds, wanted))


def boot_tests() -> list:
    """Every boot test there is."""
    return [read_boot_test(name, build.programs()[name].source) for name in build.of_purpose("boot")]


def boot_name(arch: str, test: BootTest) -> str:
    """How a boot test is called in reports, and what a filter is matched with."""
    return f"boot {arch} {test.name}"


def conformance_names(where: str, program: str) -> list:
    """The same for the claims of a conformance program."""
    return [f"user {where} {program}::{claim}" for claim in claims_in(build.programs()[program].source)]


def test_verb(options) -> int:
    """Runs or lists the tests."""
    began = time.monotonic()
    setup.need(("build",) if options.host or options.list else ("build", options.machine))
    plans = [] if options.host else plans_for(options)
    host = None
    if options.filter or options.list:
        host = host_tests.listed() if _may_match_host(options) else []
        host = [name for name in host if options.filter in f"host {name}"]
        if not host and not any(entry.programs() for entry in plans):
            raise Failure(f"no test matches {options.filter!r} (see ./x.py test --list)", EXIT_USAGE)
    if options.list:
        return list_tests(host, plans, options.filter)
    say(f"using {toolchain.describe()}")
    report = Report()
    if (host or host is None) and (options.host or not (options.arch or options.machine == "bochs")):
        step("host tests")
        host_tests.run(host, lambda name, verdict, reason: report.add(f"host {name}", verdict, reason))
    for entry in plans:
        if entry.programs():
            build_for(entry, report)
    run_boots(plans, options, report)
    say(f"took {time.monotonic() - began:.0f} s")
    return report.finish()


def _may_match_host(options) -> bool:
    """Whether host tests are asked for at all; if not, there is no need to compile them."""
    begins_so = options.filter.startswith(("user", "boot", "programs"))
    for_boots = begins_so or any(arch in options.filter for arch in ARCHES)
    return options.host or not (options.arch or for_boots or options.machine == "bochs")


def list_tests(host: list, plans: list, wanted: str) -> int:
    """Prints the names of the tests, with the claim of each boot test."""
    for name in host:
        say(f"host {name}")
    for entry in plans:
        for test in entry.tests:
            say(f"{boot_name(entry.arch, test)}: {test.claim}")
        for program in entry.conformance:
            for name in conformance_names(entry.where(), program):
                if wanted in name:
                    say(name)
        for title, *_ in entry.runs:
            say(title)
    return 0


def build_for(entry: Boots, report: Report) -> None:
    """Builds what one architecture's boots need. A build that fails is a failed test, and nothing is booted."""
    try:
        build.build(entry.arch, PROFILE, entry.programs())
        if entry.arch == "x86_64" and not entry.cpu:
            build.image_tool()
    except Failure as failure:
        report.add(f"build {entry.arch}", "FAILED", str(failure).splitlines()[-1])
        entry.tests, entry.conformance, entry.runs = [], [], []


def run_boots(plans: list, options, report: Report) -> None:
    """Does every boot, the long ones first."""
    with ThreadPoolExecutor(JOBS) as pool:
        waiting = []
        for entry in plans:
            for each, wish, programs in conformance_boots(entry):
                waiting.append(pool.submit(_conformance, entry, each, wish, programs, options, report))
        for entry in plans:
            waiting += [pool.submit(_run, entry.arch, run, report) for run in entry.runs]
            waiting += [pool.submit(_boot_test, entry.arch, test, options, report) for test in entry.tests]
        if waiting:
            step(f"{len(waiting)} boots, {JOBS} at a time")
        for done in as_completed(waiting):
            done.result()


def conformance_boots(entry: Boots) -> list:
    """The boots of conformance programs: the round, the options that programs wish for, and these programs."""
    found = []
    for each in entry.rounds:
        by_wish: dict = {}
        for name in each.chosen(entry.conformance):
            by_wish.setdefault(conformance_options(build.programs()[name].source), []).append(name)
        found += [(each, wish, programs) for wish, programs in by_wish.items()]
    return found


def _boot_test(arch: str, test: BootTest, options, report: Report) -> None:
    machine = Machine(arch, options.smp or test.smp, test.memory_mib)
    job = Job(f"test-{arch}-{test.name}", machine, PROFILE, [test.name], test.args, test.extra,
              f"{test.options} {tags_option(options.tags)}".strip(), test.timeout_s)
    name = boot_name(arch, test)
    try:
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
              timeout_s=CONFORMANCE_TIMEOUT_S)
    try:
        outcome = boot(job, lambda _line: None)
    except Failure as failure:
        report.add(title, "FAILED", str(failure))
        return
    report.add(title, *_verdict_on_run(outcome), outcome.seconds)


def _verdict_on_run(outcome: Outcome) -> tuple:
    """The verdict on such a boot, and why."""
    if outcome.kind == "exit" and outcome.code == 0:
        return "ok", ""
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
        if not any(text in line for line in outcome.lines):
            return f"the output does not hold {text!r} (log: {_short(outcome.log)})"
    return ""


def _short(path: Path) -> Path:
    return path.relative_to(ROOT)


class _Suite:
    """Follows the lines of a boot with conformance programs."""

    def __init__(self, where: str, suffix: str, wanted: str, report: Report):
        self.where, self.suffix, self.wanted, self.report = where, suffix, wanted, report
        self.counts: dict = {}
        self.finished: dict = {}
        self.claims: set = set()

    def line(self, text: str) -> None:
        """Takes in one line of the serial output."""
        claim, suite = CLAIM_LINE.match(text), SUITE_LINE.match(text)
        if claim:
            program, name, verdict, reason = claim.groups()
            counts = self.counts.setdefault(program, {"ok": 0, "FAILED": 0, "skipped": 0})
            counts[verdict] += 1
            full = f"user {self.where} {program}::{name}"
            self.claims.add(full)
            if self.wanted in full:
                self.report.add(full + self.suffix, verdict, reason or "")
        elif suite:
            self.finished[suite.group(1)] = tuple(int(number) for number in suite.groups()[1:])

    def check(self, programs: list, outcome: Outcome) -> None:
        """Reports as failed what was promised but not said."""
        complaints = 0
        for program in programs:
            counts = self.counts.get(program, {"ok": 0, "FAILED": 0, "skipped": 0})
            said = self.finished.get(program)
            if said is None:
                complaint = f"it gave no result; {outcome.sentence()}"
            elif said != tuple(counts.values()):
                complaint = f"it says {said} passed, failed and skipped, but printed {tuple(counts.values())}"
            elif not sum(said):
                complaint = "it tested nothing"
            else:
                complaint = self._unsaid(program)
            if complaint:
                complaints += 1
                self.report.add(f"user {self.where} {program}{self.suffix}", "FAILED", complaint)
        failed = sum(counts["FAILED"] for counts in self.counts.values())
        if not complaints and (outcome.kind != "exit" or (outcome.code != 0 and not failed)):
            self.report.add(f"user {self.where} (the whole boot){self.suffix}", "FAILED", outcome.sentence())

    def _unsaid(self, program: str) -> str:
        unsaid = [name.split("::")[1] for name in conformance_names(self.where, program) if name not in self.claims]
        return f"declared but never reported: {', '.join(unsaid)}" if unsaid else ""


def _conformance(entry: Boots, each: Round, wish: str, programs: list, options, report: Report) -> None:
    machine = Machine(entry.arch, each.smp, emulator=options.machine, cpu=entry.cpu)
    timeout_s = BOCHS_TIMEOUT_S if entry.cpu else CONFORMANCE_TIMEOUT_S
    label = re.sub(r"\W+", "-", f"test {entry.where()} conformance{each.label()} {wish}".strip())
    job = Job(label, machine, PROFILE, programs, options=words_of(wish, tags_option(each.tags)),
              timeout_s=timeout_s)
    suite = _Suite(entry.where(), each.suffix(), options.filter, report)
    try:
        outcome = boot(job, suite.line)
    except Failure as failure:
        report.add(f"user {entry.where()} (the whole boot){each.suffix()}", "FAILED", str(failure))
        return
    suite.check(programs, outcome)
