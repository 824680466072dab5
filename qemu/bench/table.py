"""Results on the terminal."""

from __future__ import annotations

from ..base import say
from .budgets import not_yet
from .catalogue import of_result, point_of

COLUMNS = ("min", "q1", "median", "q3", "p99", "max")
NAME_WIDTH, WIDTH = 40, 10


def show(results: list, unit: str, budgets: dict) -> None:
    """Prints a table; the points of a curve stand below its name."""
    say(f"  {unit:{NAME_WIDTH}} {'n':>6} " + " ".join(f"{column:>{WIDTH}}" for column in (*COLUMNS, "budget")))
    curve = None
    for result in results:
        point = point_of(result["name"])
        name = result["name"]
        if point is not None:
            benchmark = of_result(name)
            if benchmark.name != curve:
                say(f"  {benchmark.name}, by {benchmark.axis}")
            name = f"  {point:>10,}"
        curve = of_result(result["name"]).name if point is not None else None
        say(row(name, result, unit, budgets.get(result["name"])))


def row(name: str, result: dict, unit: str, budget: int | None) -> str:
    """One result's line."""
    figures = " ".join(f"{result[key]:>{WIDTH},}" for key in COLUMNS)
    told = "-" if budget is None else f"{budget:,}"
    above = "  not yet" if not_yet(result["name"]) else "  OVER"
    over = above if budget is not None and result["median"] > budget else ""
    counted = f"  {result['unit']}" if result["unit"] != unit else ""
    return f"  {name:{NAME_WIDTH}} {result['n']:>6,} {figures} {told:>{WIDTH}}{over}{counted}"


def show_peers(peers: list, results: list, unit: str) -> None:
    """Prints what peers take for the same, and this kernel's part of that."""
    medians = {result["name"]: result["median"] for result in results}
    for peer in dict.fromkeys(entry["peer"] for entry in peers):
        say(f"  {f'{unit}, median':{NAME_WIDTH}} {'Tessera':>{WIDTH}} {peer:>{max(WIDTH, len(peer))}} {'ratio':>{WIDTH}}  its operation")
        for entry in (each for each in peers if each["peer"] == peer):
            own = medians.get(entry["name"])
            told = "-" if own is None else f"{own:,}"
            ratio = "-" if entry["ratio"] is None else f"{entry['ratio']:.3f}"
            say(f"  {entry['name']:{NAME_WIDTH}} {told:>{WIDTH}} {entry['median']:>{max(WIDTH, len(peer))},} {ratio:>{WIDTH}}  "
                f"{entry['operation']}")


# Of what a model counts, all of which a document has: these fit on a line.
SHOWN_OF_MODELS = ("instruction_misses", "data_misses", "second_level_misses", "walks", "walk_references", "cycles")


def show_model(results: list) -> None:
    """Prints what a model of a TLB counted, for each time that a benchmark's operation was done."""
    told = [result for result in results if "model" in result]
    if not told:
        return
    keys = [key for key in SHOWN_OF_MODELS if key in told[0]["model"]]
    say(f"  {'model ' + told[0]['model']['profile']:{NAME_WIDTH}} " + " ".join(f"{key.replace('_', ' '):>20}" for key in keys))
    for result in told:
        say(f"  {result['name']:{NAME_WIDTH}} " + " ".join(f"{result['model'][key]:>20,}" for key in keys))
