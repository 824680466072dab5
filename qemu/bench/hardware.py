"""Results from the log of a machine's serial line, where no emulator was: the option `--from` (docs/hardware.md)."""

from __future__ import annotations

import re
from pathlib import Path

from ..base import EXIT_USAGE, Failure
from ..serial import KERNEL
from . import results
from .arithmetic import figures
from .catalogue import resolve
from .protocol import Reader

UNIT = "cycles"
ENTERED = re.compile(r"Tessera \S+, entered by (.+)")
MEMORY = re.compile(r"memory: (\d+) MiB free")
CPUS = re.compile(r"cpus: (\d+) of \d+ running")
FEATURES = re.compile(r"cpu: (.+)")


def document(path: Path, arch: str, words: list, raw: bool) -> dict:
    """The document of what a log tells; of the benchmarks that these words mean, or of all."""
    lines = _lines(path)
    reader = Reader()
    for line in lines:
        reader.line(line)
    reader.check()
    wanted = set(resolve(words))
    found = [{"name": each.name, "unit": each.unit or UNIT, **figures(each.samples), **({"samples": each.text()} if raw else {})}
             for each in reader.ended if each.name in wanted]
    if not found:
        raise Failure(f"{path} tells of none of these benchmarks", EXIT_USAGE)
    said = [line.removeprefix(KERNEL) for line in lines if line.startswith(KERNEL)]
    machine = {"emulator": "none", "accelerator": "none", "counting": "the CPU's own counter",
               "cpu": _first(FEATURES, said, "not told"), "memory_mib": int(_first(MEMORY, said, "0")),
               "boot": _first(ENTERED, said, "not told")}
    options = {"filter": words, "smp": int(_first(CPUS, said, "1")), "tags": None, "model": None}
    return results.document(arch, machine, options, UNIT, found)


def _lines(path: Path) -> list:
    try:
        text = path.read_bytes().decode("utf-8", errors="replace")
    except OSError as error:
        raise Failure(f"cannot read {path}: {error.strerror}", EXIT_USAGE) from None
    return [line.strip("\r") for line in text.split("\n")]


def _first(pattern: re.Pattern, lines: list, otherwise: str) -> str:
    """What the first line that matches tells."""
    return next((found.group(1).strip() for found in map(pattern.match, lines) if found), otherwise)
