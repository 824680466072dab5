"""Documents for the tests of the report: of the form that `bench --json` writes, their figures made up."""

from __future__ import annotations

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CURVES = {
    "switch_round_robin": ([2 ** power for power in range(1, 14)], "spaces"),
    "attach_sharers": ([1, 2, 4, 16, 1500], "sharers"),
    "shootdown_active": ([1, 2, 3], "other CPUs"),
    "kernel_page_walk": ([16, 64, 256, 1024, 8192], "pages"),
}
SINGLES = ("null_call", "space_switch", "map_1", "map_1_10000_mappings", "kernel_root_write_tagged")


def result(name: str, median: int, unit: str = "instructions", spread: int = 0, model: str | None = None) -> dict:
    """One result."""
    found = {"name": name, "unit": unit, "n": 1000, "min": max(median - spread, 0), "q1": median, "median": median,
             "q3": median, "mean": median + 0.5, "p99": median + 2 * spread, "max": median + 40 * spread}
    if model:
        walks = round(median / 100, 2)
        found["model"] = {"profile": model, "instruction_misses": round(walks / 4, 2), "data_misses": walks,
                          "second_level_misses": walks, "walks": walks, "walk_references": 4 * walks,
                          "cycles": round(40 * walks, 2)}
    return found


def document(arch: str, smp: int = 1, model: str | None = None, scale: float = 1.0) -> dict:
    """One run's document."""
    results = [result(name, int(scale * (8 + 90 * index)), spread=index, model=model) for index, name in enumerate(SINGLES)]
    for number, (curve, (points, _axis)) in enumerate(CURVES.items()):
        medians = (int(scale * (80 + 5 * point ** 0.5 * (number + 1))) for point in points)
        results += [result(f"{curve}/{point}", median, spread=3 * number, model=model)
                    for point, median in zip(points, medians)]
    results += [result(f"table_bytes/{point}", 4096 * point * (number % 2), "bytes") for number, point in enumerate((1, 64, 1500))]
    machine = {"emulator": "QEMU 10.0.2", "accelerator": "tcg", "counting": "-icount shift=0,sleep=off", "cpu": "max",
               "memory_mib": 512, "boot": "bios" if arch == "x86_64" else "stub"}
    return {"schema": 2, "commit": COMMIT, "arch": arch, "machine": machine,
            "options": {"filter": [], "smp": smp, "tags": None, "model": model}, "unit": "instructions", "results": results,
            "peers": [{"peer": "Linux 6.12.95", "operation": "getppid", **result("null_call", int(311 * scale)), "ratio": 0.03},
                      {"peer": "Linux 6.12.95", "operation": "fork <of 64 MiB>", **result("fork", 2000000), "ratio": None}]}


def documents() -> list:
    """Three runs on two architectures."""
    return [document("x86_64", model="skylake"), document("x86_64", smp=4, scale=1.3),
            document("aarch64", model="neoverse_n1", scale=0.9)]


def catalogue() -> dict:
    """What the sources say of them."""
    told = {name: {"what": f"What {name} is & does <here>.", "leaves_out": "what it does not", "axis": ""} for name in SINGLES}
    told.update({name: {"what": f"How {name} grows.", "leaves_out": "", "axis": axis} for name, (_, axis) in CURVES.items()})
    return told
