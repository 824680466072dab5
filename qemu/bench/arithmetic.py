"""From samples to figures."""

from __future__ import annotations

import statistics

# In the order of tables and documents.
FIGURES = ("n", "min", "q1", "median", "q3", "mean", "p99", "max")


def nearest_rank(ordered: list, per_cent: int) -> int:
    """The least sample that at least so many per cent of all do not exceed: always one that was taken."""
    rank = -(-len(ordered) * per_cent // 100)
    return ordered[max(rank, 1) - 1]


def figures(samples: list) -> dict:
    """What is told of samples, of which there is at least one: whole numbers, but for the mean."""
    ordered = sorted(samples)
    return {
        "n": len(ordered),
        "min": ordered[0],
        "q1": nearest_rank(ordered, 25),
        # The lower one of the two in the middle, which is what the nearest rank says as well.
        "median": statistics.median_low(ordered),
        "q3": nearest_rank(ordered, 75),
        "mean": round(statistics.fmean(ordered), 1),
        "p99": nearest_rank(ordered, 99),
        "max": ordered[-1],
    }
