"""The verb's `--compare`: what differs between two documents, and whether that is too much.

The median decides. It has grown too much if it is more than the threshold above the old one, and by `LEAST` at least: of
a call of ten instructions one more is ten per cent, and may be the compiler's. What has become less never fails. How late a
sleeper wakes depends on where in a call its moment falls, which any change of code moves: there the budget alone decides.
"""

from __future__ import annotations

from ..base import EXIT_USAGE, Failure

THRESHOLD_PER_CENT = 2.0
LEAST = 3
BY_BUDGET = ("lateness_", "worst_lateness")
SHOWN = ("min", "q1", "median", "q3", "p99", "max")


def check_comparable(old: dict, arch: str, options: dict, unit: str, what: str) -> None:
    """Refuses a document of another kind than what is to be measured."""
    pairs = [("architecture", old["arch"], arch), ("unit", old["unit"], unit)]
    pairs += [(f"option {key}", old["options"][key], options[key]) for key in ("smp", "tags", "model")]
    for name, before, now in pairs:
        if before != now:
            raise Failure(f"{what} cannot be compared with: its {name} is {_told(before)}, not {_told(now)}", EXIT_USAGE)


def _told(value: object) -> str:
    return "none" if value is None else str(value)


def changes(old: list, new: list, asked: list, known: list) -> dict:
    """What differs: `changed` as pairs of results, `new` and `gone` as names.

    Gone is what was there and gave nothing now, though it was asked for; or what there is no more at all.
    """
    before, now = ({result["name"]: result for result in results} for results in (old, new))
    pairs = [(before[name], now[name]) for name in now if name in before]
    return {
        "changed": [pair for pair in pairs if any(pair[0][key] != pair[1][key] for key in (*SHOWN, "unit"))],
        "new": [name for name in now if name not in before],
        "gone": [name for name in before if name not in now and (name in asked or name not in known)],
    }


def per_cent(before: int, now: int) -> float:
    """By how many per cent of the old a figure has changed."""
    return (now - before) / before * 100 if before else float("inf") if now else 0.0


def is_too_much(before: dict, now: dict, threshold: float) -> bool:
    """Whether a result has grown above the threshold, or counts something else."""
    more = now["median"] - before["median"]
    is_compared = not now["name"].startswith(BY_BUDGET)
    return now["unit"] != before["unit"] or (is_compared and more >= LEAST and per_cent(before["median"], now["median"]) > threshold)


def lines(found: dict, threshold: float) -> list:
    """What is printed: a line for each change, one for what is new, one for what is gone."""
    told = [line(*pair) + ("  TOO MUCH" if is_too_much(*pair, threshold) else "") for pair in found["changed"]]
    told += [f"  {word}: {', '.join(found[word])}" for word in ("new", "gone") if found[word]]
    return told or ["  no change"]


def line(before: dict, now: dict) -> str:
    """One result's changes: the median with its per cent, then whatever else differs."""
    if before["unit"] != now["unit"]:
        return f"  {now['name']}: counted {before['unit']}, counts {now['unit']}"
    more = now["median"] - before["median"]
    told = f"median {before['median']:,} -> {now['median']:,} ({more:+,}, {per_cent(before['median'], now['median']):+.1f} %)"
    others = [f"{key} {now[key] - before[key]:+,}" for key in SHOWN if key != "median" and now[key] != before[key]]
    return f"  {now['name']}: " + "; ".join([*([told] if more else []), *([", ".join(others)] if others else [])])


def complaints(found: dict, threshold: float) -> list:
    """A sentence for each reason to fail."""
    told = []
    for before, now in found["changed"]:
        if is_too_much(before, now, threshold):
            told.append(f"{now['name']} takes {now['median']} {now['unit']}; it was {before['median']} {before['unit']}")
    return told + [f"{name} is gone" for name in found["gone"]]
