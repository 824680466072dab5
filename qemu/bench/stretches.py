"""The verb's `--stretches`: how long the kernel works in one go, and for which call.

A stretch goes from the kernel's entry to its leaving, to waiting for an interrupt, or to where it takes those that are pending
(qemu/tlb/src/stretches.rs). A plugin of QEMU counts its instructions, so that the kernel is the one that is measured otherwise.
Stretches are compared by what they work: how long one waits for another CPU is the emulator's affair, who runs CPUs by turns.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from .. import plugin
from ..base import EXIT_USAGE, Failure, is_arch_list, say
from . import baseline, catalogue, running

# How many are shown.
SHOWN = 10


@dataclass(frozen=True)
class Stretch:
    """The longest stretch of one cause."""

    # The name of a call, or `fault`, or `interrupt`.
    cause: str
    # All of them, waiting included.
    instructions: int
    # Those of them that waited for another CPU.
    waiting: int
    # How many stretches of this cause there were.
    count: int

    @property
    def worked(self) -> int:
        """Those of them that did not wait."""
        return self.instructions - self.waiting


def show(options) -> int:
    """Shows the longest stretches while the named benchmarks run, or those of a baseline."""
    if options.accel != "tcg":
        raise Failure("--stretches looks on in the emulator; it does not go with --accel kvm", EXIT_USAGE)
    wanted = catalogue.resolve(options.filter) if options.filter else baseline.selection()
    for arch in is_arch_list(options.arch):
        setting = running.Setting(arch, options.smp or 1, options.tags)
        found = measured(setting, wanted)
        say(f"\n{arch}, CPUs: {setting.smp}; the longest stretches of the kernel, in instructions")
        for stretch in found[:SHOWN]:
            say(f"  {stretch.cause:24} {stretch.worked:>12,}  {told(stretch)}")
    return 0


def told(stretch: Stretch) -> str:
    """What else is known of one, in words."""
    waiting = f"besides, {stretch.waiting:,} waiting for another CPU; " if stretch.waiting else ""
    return f"{waiting}the longest of {stretch.count:,}"


def measured(setting: running.Setting, wanted: list) -> list:
    """The longest stretch of each cause while these benchmarks run, the longest first."""
    plugin.library()
    running.prepare(setting.arch)
    found: dict = {}
    for lines in running.watched(dataclasses.replace(setting, watches_stretches=True), wanted):
        for stretch in map(parsed, lines):
            before = found.get(stretch.cause)
            found[stretch.cause] = longer(before, stretch) if before else stretch
    return sorted(found.values(), key=lambda stretch: (-stretch.worked, stretch.cause))


def longer(one: Stretch, other: Stretch) -> Stretch:
    """The longer of two stretches of one cause, which stands for those of both."""
    return dataclasses.replace(max(one, other, key=lambda stretch: stretch.worked), count=one.count + other.count)


def parsed(line: str) -> Stretch:
    """A line of the plugin's: `stretch cause=call:48 instructions=12 waiting=0 count=3`."""
    said = dict(word.split("=") for word in line.split()[1:])
    kind, _, number = said["cause"].partition(":")
    return Stretch(name_of(int(number)) if number else kind, *(int(said[key]) for key in ("instructions", "waiting", "count")))


def name_of(number: int) -> str:
    """The name of a call, which programs may make by any number."""
    calls = catalogue.calls()
    return calls[number] if number < len(calls) else "no call"
