"""Turns the addresses in the kernel's messages into functions and source lines, while they stream by."""

from __future__ import annotations

import functools
import re
import subprocess
from pathlib import Path

KERNEL_ADDRESS = re.compile(r"^\[kernel\].* (at|ip=?:?) ?(0x[0-9a-f]+)")
FAULT = re.compile(r"^\[kernel\] fault: .*\bprogram=(\S+).*\bip=(0x[0-9a-f]+)")


class Symboliser:
    """Knows the kernel's symbols and those of the programs in one boot."""

    def __init__(self, kernel: Path, programs: dict):
        self.kernel = kernel
        self.programs = programs

    def annotate(self, line: str) -> str:
        """The line, with ` [function at file:line]` after it when it names an address."""
        fault = FAULT.search(line)
        if fault:
            return line + _bracket(self.programs.get(fault.group(1)), int(fault.group(2), 16))
        found = KERNEL_ADDRESS.search(line)
        if not found:
            return line
        # A line of the backtrace holds a return address: the call is the instruction before it.
        back = 1 if found.group(1) == "at" else 0
        return line + _bracket(self.kernel, int(found.group(2), 16) - back)


def _bracket(binary: Path | None, address: int) -> str:
    text = look_up(binary, address) if binary else ""
    return f" [{text}]" if text else ""


@functools.lru_cache(maxsize=None)
def look_up(binary: Path, address: int) -> str:
    """`function at file:line`, of the innermost inlined function, then what it is inlined into."""
    words = ["llvm-symbolizer", "--relativenames", f"--obj={binary}", hex(max(address, 0))]
    try:
        text = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=20).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = [line for line in text.splitlines() if line]
    frames = [(lines[i], lines[i + 1]) for i in range(0, len(lines) - 1, 2)]
    frames = [(name, place) for name, place in frames if name != "??"]
    if not frames:
        return ""
    place = _place(frames[0][1])
    first = _tidy(frames[0][0]) + (f" at {place}" if place else "")
    return first + (f", inlined into {_tidy(frames[-1][0])}" if len(frames) > 1 else "")


def _tidy(name: str) -> str:
    return re.sub(r"::h[0-9a-f]{16}$", "", name)


def _place(place: str) -> str:
    """`file:line` as short as it is clear; nothing where the compiler gave no line."""
    without_column = re.sub(r":\d+$", "", place)
    if without_column.endswith((":0", ":?")):
        return ""
    return re.sub(r"^/rustc/[^/]*/library/", "rust:", without_column).removeprefix("./")
