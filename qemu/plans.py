"""What the verb `test` boots: chosen by the options and the filter."""

from __future__ import annotations

from dataclasses import dataclass, field

from . import bochs, build, tlbcheck
from .base import is_arch_list, say
from .conformance import claims_of
from .directives import BootTest, conformance_options, read_boot_test
from .machine import Machine
from .rounds import Round, rounds_for, runs_for


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
    # Boots under the TLB checker.
    checks: list = field(default_factory=list)

    def where(self) -> str:
        """The machine, as reports and filters name it."""
        return f"{self.arch} bochs {self.cpu}" if self.cpu else self.arch

    def programs(self) -> list:
        """The names of the programs that must be built."""
        return ([test.name for test in self.tests] + [e for test in self.tests for e in test.extra] + self.conformance
                + [name for _, names, _, _ in self.runs for name in names]
                + [name for check in self.checks for name in check.programs])


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
                         if any(wanted in claim for claim in claims_of(boots.where(), name))]
    return boots


def plan(arch: str, options) -> Boots:
    """Chooses the boots whose tests match the filter."""
    wanted, rounds = options.filter, rounds_for(arch, options.smp, options.tags, options.machine)
    tests = [test for test in boot_tests() if arch in test.arches and wanted in boot_name(arch, test)]
    programs = [name for name in build.of_purpose("conformance")
                if not wanted or any(wanted in claim for claim in claims_of(arch, name))]
    if options.tlbcheck:
        rounds = rounds if options.smp or options.tags else tlbcheck.ROUNDS
        return Boots(arch, [], programs, rounds=rounds, checks=tlbcheck.checks(arch, wanted, True))
    checks = [] if options.smp or options.tags else tlbcheck.checks(arch, wanted, False)
    return Boots(arch, tests, programs, rounds=rounds, runs=runs_for(arch, rounds, wanted), checks=checks)


def boot_tests() -> list:
    """Every boot test there is."""
    return [read_boot_test(name, build.programs()[name].source) for name in build.of_purpose("boot")]


def boot_name(arch: str, test: BootTest) -> str:
    """How a boot test is called in reports, and what a filter is matched with."""
    return f"boot {arch} {test.name}"


def conformance_boots(entry: Boots) -> list:
    """The boots of conformance programs: the round, the options that programs wish for, and these programs."""
    found = []
    for each in entry.rounds:
        by_wish: dict = {}
        for name in each.chosen(entry.conformance):
            by_wish.setdefault(conformance_options(build.programs()[name].source), []).append(name)
        found += [(each, wish, programs) for wish, programs in by_wish.items()]
    return found


def list_tests(others: list, plans: list, wanted: str) -> int:
    """Prints the names of the tests, those that boot nothing first, with the claim of each boot test."""
    for name in others:
        say(name)
    for entry in plans:
        for test in entry.tests:
            say(f"{boot_name(entry.arch, test)}: {test.claim}")
        for program in entry.conformance:
            for name in claims_of(entry.where(), program):
                if wanted in name:
                    say(name)
        for title, *_ in entry.runs:
            say(title)
        for check in entry.checks:
            say(check.name())
    return 0
