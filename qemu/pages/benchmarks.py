"""docs/benchmarks.md: the names of all benchmarks and what each measures, read from their sources."""

from __future__ import annotations

from pathlib import PurePath

from ..base import ROOT
from ..bench.baseline import selection
from ..bench.catalogue import Benchmark, catalogue
from ..bench.compare import LEAST, THRESHOLD_PER_CENT
from .page import Column, Page, table

EXAMPLE = ROOT / "tests" / "bench" / "example.rs"
HEAD = """# Benchmarks: names, and what each measures

Names are frozen: papers and baselines refer to them. A benchmark that measures something else gets another name. The
figures are in [performance.md](performance.md); `./x.py bench` measures them anew, and `--json FILE` writes them down.

## How

A benchmark does its operation some hundred times before the first sample and then takes {samples} samples (fewer where one
takes long: `n` tells). A sample is the difference of two readings of the counter, just before and just after, less what
two readings cost with nothing between; where an operation does its subject several times, divided by that. Programs take
them at user level, from before the call to behind its return; the benchmarks named `kernel_` are the kernel's own,
before there is a program, with interrupts off and no call around them.

Under QEMU's `-icount shift=0,sleep=off` the counter counts instructions, so that a run gives the same figures whenever it
is repeated, byte by byte. Caches, the TLB and the CPU's pipeline are not part of that: figures are lengths of paths, and no
times. With `--accel kvm` they are cycles of the machine; every report says which.

The median and the others (`q1`, `q3`, `p99`) are the nearest rank: the least sample that so many per cent do not exceed. A
result in another unit, such as bytes, says so.

## What there is

`./x.py bench WORD` runs the benchmark, the curve or the point of this name (`{curve_point}`), or else all whose names hold the
word. `./x.py bench --compare baseline` runs {selected} of {all} results, of a curve the first and last point, and fails if a
median has grown by more than {threshold:g} % and by {least} at least; `.ci/run` does that. After a change that is meant,
`./x.py bench --bless` writes the baselines anew.
"""
ADDING = """
## Adding a benchmark

1. A file in a folder of `tests/bench` and a line for it in `tests/bench/main.rs`, or one more `Benchmark` in a file about the same.
   This one is `tests/bench/example.rs`, whole, and is run with all others:

```rust
{example}```

2. `./x.py bench NAME` runs it. Each field stands on a line of its own, so that this page can be made from them. Points make
   it a curve: `measure` is called for each, with a fresh meter.
3. `./x.py figures benchmarks`, `./x.py figures performance` and `./x.py bench --bless`: `./x.py check` wants the name in all
   three. A budget in `tests/bench/budgets.json` is for what must not grow at all.

A result that counts no ticks names its unit. What a benchmark makes it drops again, so that the next one finds the machine as it was.
"""
COLUMNS = [
    Column("name", lambda each: f"`{each.name}`", is_text=True),
    Column("by", lambda each: points(each), is_text=True),
    Column("what is measured", lambda each: sentence(each.what), is_text=True),
    Column("what it leaves out", lambda each: sentence(each.leaves_out), is_text=True),
]


def points(each: Benchmark) -> str:
    """A curve's axis with the range of its points."""
    return f"{each.axis}: " + ", ".join(f"{point:,}" for point in each.points) if each.points else ""


def sentence(text: str) -> str:
    """A text as one begins in a table."""
    return text[:1].upper() + text[1:].rstrip(".")


def text(benchmarks: list) -> str:
    """The whole page."""
    curve = next((each for each in benchmarks if each.points), benchmarks[0])
    results = [name for each in benchmarks for name in each.results()]
    parts = [HEAD.format(samples="1,000", curve_point=curve.results()[0], selected=len(selection()), all=len(results),
                         threshold=THRESHOLD_PER_CENT, least=LEAST)]
    for folder in dict.fromkeys(PurePath(each.path).parent for each in benchmarks):
        parts.append(f"\n### `{folder}`\n\n" + table(COLUMNS, [each for each in benchmarks if PurePath(each.path).parent == folder]))
    return "".join(parts) + ADDING.format(example=EXAMPLE.read_text())


PAGE = Page("benchmarks", "the benchmarks' names and what each measures, from the sources", (),
            lambda: list(catalogue().values()), text, of_sources=True)
