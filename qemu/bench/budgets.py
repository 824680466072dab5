"""tests/bench/budgets.json: the highest median that a benchmark may have, and which may not grow beside more of everything."""

from __future__ import annotations

import json

from ..base import ROOT, Failure

FILE = ROOT / "tests" / "bench" / "budgets.json"


def limits() -> dict:
    """What the file says."""
    try:
        found = json.loads(FILE.read_text())
        return {key: found[key] for key in ("budgets", "for_each_other_cpu", "growth", "not_yet")}
    except (OSError, ValueError, KeyError) as error:
        raise Failure(f"{FILE.relative_to(ROOT)} cannot be read: {error}") from None


def twin(name: str) -> str:
    """The benchmark whose budget this one has: one thing may have two names."""
    budget = limits()["budgets"].get(name)
    return budget if isinstance(budget, str) else name


def budgets(cpus: int = 1) -> dict:
    """The highest median each benchmark may have on a machine of so many CPUs, in instructions."""
    told = limits()["budgets"]
    alone = {name: told[budget] if isinstance(budget, str) else budget for name, budget in told.items()}
    return {name: budget + (cpus - 1) * more(name) for name, budget in alone.items()}


def more(name: str) -> int:
    """What a budget is higher for each CPU that a machine has besides the first: at each of them something is written."""
    return limits()["for_each_other_cpu"].get(twin(name), 0)


def not_yet(name: str) -> bool:
    """Whether a budget is a goal as yet: shown, and not asked for."""
    return twin(name) in limits()["not_yet"]


def over(results: list, cpus: int) -> list:
    """A sentence for each budget that does not hold, and for each benchmark that grows too much."""
    told = {name: budget for name, budget in budgets(cpus).items() if not not_yet(name)}
    found = [f"{result['name']} takes {result['median']} {result['unit']}, its budget is {told[result['name']]}"
             for result in results if result["median"] > told.get(result["name"], result["median"])]
    return found + grown(results)


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
