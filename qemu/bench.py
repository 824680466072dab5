"""The verb `bench`: instruction counts in an emulator without a clock of its own, and their budgets."""

from __future__ import annotations

import json
import re
from pathlib import Path

from . import build, setup
from .base import EXIT_USAGE, ROOT, Failure, is_arch_list, say, step, warn
from .boot import Job, boot
from .machine import Machine
from .rounds import tags_option

PROGRAM = "bench"
BUDGETS = ROOT / "tests" / "bench" / "budgets.json"
TIMEOUT_S = 600.0
LINE = re.compile(r"^bench (\S+) n=(\d+) min=(\d+) median=(\d+) max=(\d+)\s*$")
FIGURES = ("n", "min", "median", "max")


def budgets() -> dict:
    """The highest median each benchmark may have, in instructions."""
    try:
        return json.loads(BUDGETS.read_text())["budgets"]
    except (OSError, ValueError, KeyError) as error:
        raise Failure(f"{BUDGETS.relative_to(ROOT)} cannot be read: {error}") from None


def bench_verb(options) -> int:
    """Runs the benchmarks, prints a table per architecture, and says whether the budgets hold."""
    if options.json and not options.arch:
        raise Failure("--json needs --arch: a file holds the results of one architecture", EXIT_USAGE)
    limits = budgets()
    setup.need(("build", "qemu"))
    if PROGRAM not in build.programs():
        raise Failure("there is no program bench (tests/bench)")
    over = []
    for arch in is_arch_list(options.arch):
        results = measure(arch, options.smp, options.names, options.tags)
        if not options.names:
            have = {result["name"] for result in results}
            over += [f"{arch} {name} has a budget but no result" for name in limits if name not in have]
        over += [f"{arch} {text}" for text in show(results, limits)]
        if options.json:
            write_json(Path(options.json), arch, results)
    for text in over:
        warn(text)
    return 1 if over else 0


def measure(arch: str, smp: int, names: list, tags: str | None = None) -> list:
    """Boots the benchmarks once and returns their results, in the order they came."""
    build.build(arch, "release", [PROGRAM])
    machine = Machine(arch, smp, icount=True)
    job = Job(f"bench-{arch}", machine, "release", [PROGRAM], names, options=tags_option(tags), timeout_s=TIMEOUT_S)
    step(f"counting on {arch}")
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
    twice = {result["name"] for result in results if [r["name"] for r in results].count(result["name"]) > 1}
    missing = [name for name in names if name not in {result["name"] for result in results}]
    if missing:
        raise Failure(f"there is no benchmark {', '.join(missing)} on {arch}", EXIT_USAGE)
    if twice or not results:
        raise Failure(f"the benchmarks on {arch} gave " + (f"two results for {twice}" if twice else "no result"))
    return [result for result in results if not names or result["name"] in names]


def show(results: list, limits: dict) -> list:
    """Prints the table; returns a sentence for each budget that does not hold."""
    say(f"  {'instructions':28} {'n':>7} {'min':>9} {'median':>9} {'max':>9} {'budget':>9}")
    over = []
    for result in results:
        limit = limits.get(result["name"])
        mark = ""
        if limit is not None and result["median"] > limit:
            mark = "  OVER"
            over.append(f"{result['name']} takes {result['median']} instructions, its budget is {limit}")
        figures = " ".join(f"{result[key]:>{7 if key == 'n' else 9}}" for key in FIGURES)
        say(f"  {result['name']:28} {figures} {limit if limit is not None else '-':>9}{mark}")
    return over


def write_json(path: Path, arch: str, results: list) -> None:
    """Writes the results; two runs of one build give the same bytes."""
    content = {"schema": 1, "arch": arch, "unit": "instructions", "results": results}
    try:
        path.write_text(json.dumps(content, indent=2) + "\n")
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror}") from None
    say(f"wrote {path}")
