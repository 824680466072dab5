"""The verb `bench`: instruction counts in an emulator without a clock of its own, and their budgets."""

from __future__ import annotations

import json
import re
from pathlib import Path

from . import build, profiling, setup
from .base import EXIT_USAGE, ROOT, Failure, is_arch_list, say, step, warn
from .boot import Job, boot
from .machine import Machine
from .rounds import tags_option, words_of

PROGRAM = "bench"
FOLDER = ROOT / "tests" / "bench"
BUDGETS = FOLDER / "budgets.json"
TIMEOUT_S = 600.0
LINE = re.compile(r"^bench (\S+) n=(\d+) min=(\d+) median=(\d+) max=(\d+)\s*$")
FIGURES = ("n", "min", "median", "max")
# How a benchmark is named in tests/bench, and a call in the table of calls.
NAME_IN_SOURCE = re.compile(r'\(\s*"([a-z][a-z0-9_]*)",\s*(?:\|meter\||measure_)')
CALL_IN_SOURCE = re.compile(r"^ +\d+ ([a-z_]+) [A-Z]\w*\(", re.M)
# What is shown of a profile: the files and functions with most of the instructions.
SHOWN = 12


def names() -> list:
    """The benchmarks that there are, as the sources name them."""
    texts = [path.read_text() for path in sorted(FOLDER.glob("*.rs"))]
    return [name for text in texts for name in NAME_IN_SOURCE.findall(text)]


def calls() -> list:
    """The calls of the ABI, in order."""
    return CALL_IN_SOURCE.findall((ROOT / "kernel" / "abi" / "syscall.rs").read_text())


def limits() -> dict:
    """What tests/bench/budgets.json says."""
    try:
        found = json.loads(BUDGETS.read_text())
        return {key: found[key] for key in ("budgets", "growth")}
    except (OSError, ValueError, KeyError) as error:
        raise Failure(f"{BUDGETS.relative_to(ROOT)} cannot be read: {error}") from None


def twin(name: str) -> str:
    """The benchmark whose budget this one has: one thing may have two names."""
    budget = limits()["budgets"].get(name)
    return budget if isinstance(budget, str) else name


def budgets() -> dict:
    """The highest median each benchmark may have, in instructions."""
    told = limits()["budgets"]
    return {name: told[budget] if isinstance(budget, str) else budget for name, budget in told.items()}


def bench_verb(options) -> int:
    """Runs the benchmarks, prints a table per architecture, and says whether the budgets hold."""
    if options.json and not options.arch:
        raise Failure("--json needs --arch: a file holds the results of one architecture", EXIT_USAGE)
    told = budgets()
    setup.need(("build", "qemu"))
    if PROGRAM not in build.programs():
        raise Failure("there is no program bench (tests/bench)")
    if options.profile:
        return profile(options)
    over = []
    for arch in is_arch_list(options.arch):
        results = measure(arch, options.smp, options.names, options.tags)
        if not options.names:
            have = {result["name"] for result in results}
            over += [f"{arch} {name} has a budget but no result" for name in told if name not in have]
        over += [f"{arch} {text}" for text in [*show(results, told), *grown(results)]]
        if options.json:
            write_json(Path(options.json), arch, results)
    for text in over:
        warn(text)
    return 1 if over else 0


def profile(options) -> int:
    """Shows where the instructions of the named benchmarks go."""
    if not options.names or options.smp != 1:
        raise Failure("--profile wants the names of benchmarks, and one CPU", EXIT_USAGE)
    for arch in is_arch_list(options.arch):
        for result, found in measured_profiles(arch, options.names, options.tags):
            say(f"\n{result['name']} on {arch}: {found.total()} instructions, {found.user} of them the program's; "
                f"median {result['median']}")
            for title, counts in (("part", found.by_part()), ("file", found.by_file()), ("function", found.kernel)):
                for place, count in counts.most_common(SHOWN):
                    text = place if isinstance(place, str) else f"{place[1]} ({place[0]})"
                    say(f"  {title:9} {count:>6} {text}")
    return 0


def measured_profiles(arch: str, wanted: list, tags: str | None = None) -> list:
    """Boots once and follows the last measurement of each of these; pairs of result and profile, in order."""
    build.build(arch, "release", [PROGRAM])
    with profiling.Follower(arch, PROGRAM, len(set(wanted))) as follower:
        results = measure(arch, 1, wanted, tags, follower.place)
    return list(zip(results, follower.profiles()))


def measure(arch: str, smp: int, wanted: list, tags: str | None = None, stub: Path | None = None) -> list:
    """Boots the benchmarks once and returns their results, in the order they came."""
    build.build(arch, "release", [PROGRAM])
    machine = Machine(arch, smp, icount=True, stub=stub)
    options = words_of(build.needs_of([PROGRAM]).options, tags_option(tags))
    job = Job(f"bench-{arch}", machine, "release", [PROGRAM], wanted, options=options, timeout_s=TIMEOUT_S)
    step(f"counting on {arch}" + (f" with {smp} CPUs" if smp > 1 else ""))
    results: list = []

    def take(line: str) -> None:
        found = LINE.match(line)
        if found:
            results.append({"name": found.group(1), **dict(zip(FIGURES, map(int, found.groups()[1:])))})

    outcome = boot(job, take, on_wait=say)
    if outcome.kind != "exit" or outcome.code != 0:
        last = "\n".join(outcome.lines[-8:])
        raise Failure(f"{last}\nx.py: the benchmarks did not end well on {arch}: {outcome.sentence()}",
                      outcome.exit_status() or 1)
    have = [result["name"] for result in results]
    missing = [name for name in wanted if name not in have]
    if missing:
        raise Failure(f"there is no benchmark {', '.join(missing)} on {arch}", EXIT_USAGE)
    twice = {name for name in have if have.count(name) > 1}
    if twice or not results:
        raise Failure(f"the benchmarks on {arch} gave " + (f"two results for {twice}" if twice else "no result"))
    return [result for result in results if not wanted or result["name"] in wanted]


def show(results: list, told: dict) -> list:
    """Prints the table; returns a sentence for each budget that does not hold."""
    say(f"  {'instructions':38} {'n':>7} {'min':>9} {'median':>9} {'max':>9} {'budget':>9}")
    over = []
    for result in results:
        limit = told.get(result["name"])
        mark = ""
        if limit is not None and result["median"] > limit:
            mark = "  OVER"
            over.append(f"{result['name']} takes {result['median']} instructions, its budget is {limit}")
        figures = " ".join(f"{result[key]:>{7 if key == 'n' else 9}}" for key in FIGURES)
        say(f"  {result['name']:38} {figures} {limit if limit is not None else '-':>9}{mark}")
    return over


def grown(results: list) -> list:
    """A sentence for each benchmark that takes too much more where there is more of everything."""
    rule, medians = limits()["growth"], {result["name"]: result["median"] for result in results}
    pairs = [(name, other) for name, other in rule["pairs"].items() if name in medians and other in medians]
    return [f"{name} takes {medians[name]} instructions, more than {factor_of(name)} times the {medians[other]} of {other}"
            for name, other in pairs if medians[name] > factor_of(name) * medians[other]]


def factor_of(name: str) -> float:
    """How much more a benchmark may take than the one that it is compared with."""
    rule = limits()["growth"]
    return rule["ceilings"].get(name, rule["factor"])


def write_json(path: Path, arch: str, results: list) -> None:
    """Writes the results; two runs of one build give the same bytes."""
    content = {"schema": 1, "arch": arch, "unit": "instructions", "results": results}
    try:
        path.write_text(json.dumps(content, indent=2) + "\n")
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror}") from None
    say(f"wrote {path}")
