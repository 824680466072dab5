"""The verb's `--profile`: where the instructions of the named benchmarks go."""

from __future__ import annotations

from .. import profiling
from ..base import EXIT_USAGE, Failure, is_arch_list, say
from . import catalogue, running

# What is shown of a profile: the files and functions with most of the instructions.
SHOWN = 12


def profile(options) -> int:
    """Shows where the instructions of the named benchmarks go."""
    if not options.filter or options.smp not in (None, 1) or options.accel != "tcg":
        raise Failure("--profile wants the names of benchmarks, and one emulated CPU", EXIT_USAGE)
    wanted = catalogue.resolve(options.filter)
    if any(catalogue.of_result(name).is_kernel() for name in wanted):
        raise Failure("--profile follows programs; the benchmarks named kernel_ have none", EXIT_USAGE)
    for arch in is_arch_list(options.arch):
        for result, found in measured_profiles(arch, wanted, options.tags):
            say(f"\n{result['name']} on {arch}: {found.total()} instructions, {found.user} of them the program's; "
                f"median {result['median']}")
            for title, counts in (("part", found.by_part()), ("file", found.by_file()), ("function", found.kernel)):
                for place, count in counts.most_common(SHOWN):
                    text = place if isinstance(place, str) else f"{place[1]} ({place[0]})"
                    say(f"  {title:9} {count:>6} {text}")
    return 0


def measured_profiles(arch: str, wanted: list, tags: str | None = None) -> list:
    """Boots once and follows the last measurement of each of these; pairs of result and profile, in order."""
    # Before anybody waits for the machine.
    running.prepare(arch)
    with profiling.Follower(arch, running.PROGRAM, len(wanted)) as follower:
        results = running.measure(running.Setting(arch, tags=tags), wanted, stub=follower.place)
    return list(zip(results, follower.profiles()))
