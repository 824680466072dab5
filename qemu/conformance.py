"""Conformance programs: one boot runs several, and each says a verdict on each of its claims."""

from __future__ import annotations

import re

from . import build, plugin
from .base import Failure
from .boot import Job, boot
from .directives import claims_in
from .ending import Outcome
from .machine import Machine
from .report import Report
from .rounds import PROFILE, Round, tags_option, words_of

# In all, and without a line. The longest claim takes a minute.
TIMEOUT_S, SILENCE_S = 900.0, 240.0
BOCHS_TIMEOUT_S, BOCHS_SILENCE_S = 2700.0, 900.0
CLAIM_LINE = re.compile(r"^test (\S+)::(\S+) \.\.\. (ok|FAILED|skipped)(?:: (.*))?$")
SUITE_LINE = re.compile(r"^suite (\S+): (\d+) passed, (\d+) failed, (\d+) skipped")


def claims_of(where: str, program: str) -> list:
    """The same for the claims of a conformance program."""
    return [f"user {where} {program}::{claim}" for claim in claims_in(build.programs()[program].source)]


class Suite:
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
        unsaid = [name.split("::")[1] for name in claims_of(self.where, program) if name not in self.claims]
        return f"declared but never reported: {', '.join(unsaid)}" if unsaid else ""


def run(where: str, machine: Machine, each: Round, wish: str, programs: list, options, report: Report) -> None:
    """Boots once with these programs and reports on every claim."""
    is_bochs, slower = machine.emulator == "bochs", plugin.SLOWER if machine.plugin else 1
    label = re.sub(r"\W+", "-", f"test {where} conformance{each.label()} {wish}".strip())
    job = Job(label[:120], machine, PROFILE, programs, options=words_of(wish, tags_option(each.tags)),
              timeout_s=BOCHS_TIMEOUT_S if is_bochs else TIMEOUT_S * slower,
              silence_s=BOCHS_SILENCE_S if is_bochs else SILENCE_S * slower)
    suite = Suite(where, each.suffix(), options.filter, report)
    try:
        outcome = boot(job, suite.line)
    except Failure as failure:
        report.add(f"user {where} (the whole boot){each.suffix()}", "FAILED", str(failure))
        return
    suite.check(programs, outcome)
