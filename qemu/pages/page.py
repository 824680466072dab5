"""What a page with figures is: what it is made from, how that becomes text, and the mark that it was so made."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from .. import build
from ..base import ARCHES, ROOT, Failure, say, step
from ..boot import Job, boot
from ..machine import Machine

TIMEOUT_S = 1800.0
STAMP = re.compile(r"<!-- `\./x\.py figures ([a-z-]+)` wrote this page; its digest is ([0-9a-f]{16})\. -->\n")


@dataclass(frozen=True)
class Page:
    """One page: docs/NAME.md."""

    name: str
    # What it tells, for those who choose a page.
    what: str
    # The groups of `setup` that it needs.
    needs: tuple
    # Boots or runs something and returns what was found, or reads sources.
    measure: Callable[[], object]
    # The text that this makes.
    text: Callable[[object], str]
    # Whether it is made of sources alone, so that `check` can tell at once that it is old.
    of_sources: bool = False

    def path(self) -> Path:
        """Where it is."""
        return ROOT / "docs" / f"{self.name}.md"

    def content(self) -> str:
        """The whole page, made anew."""
        return stamped(self.name, self.text(self.measure()))


def stamped(name: str, text: str) -> str:
    """A page's text with the line that tells what wrote it."""
    return f"<!-- `./x.py figures {name}` wrote this page; its digest is {digest(text)}. -->\n{text}"


def digest(text: str) -> str:
    """What differs if a single letter does."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Column:
    """A column of a table: its title, and what a row has there."""

    title: str
    cell: Callable[[object], object]
    is_text: bool = False


def table(columns: list, rows: list) -> str:
    """A table in Markdown."""
    lines = ["| " + " | ".join(column.title for column in columns) + " |",
             "|" + "|".join("---" if column.is_text else "---:" for column in columns) + "|"]
    lines += ["| " + " | ".join(str(column.cell(row)) for column in columns) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def number(value) -> str:
    """A figure, or nothing."""
    return "" if value is None else f"{value:,}"


def pair(figures: dict) -> str:
    """The figures of both architectures."""
    texts = [number(figures.get(arch)) or "-" for arch in ARCHES]
    return " / ".join(dict.fromkeys(texts)) if set(texts) != {"-"} else ""


def rows_of(what: str, machine: Machine, program: str, arguments: list, pattern: re.Pattern, make: Callable) -> list:
    """Boots a program once; `make` gets the groups of every line that the pattern matches, numbers as such."""
    build.build(machine.arch, "release", [program])
    step(f"{what} on {machine.arch}, {machine.emulator}")
    found: list = []

    def take(line: str) -> None:
        match = pattern.match(line)
        if match:
            found.append(make(*(int(group) if group.isdigit() else group for group in match.groups())))

    label = f"figures-{program}-{machine.arch}-{machine.emulator}"
    job = Job(label, machine, "release", [program], arguments, options=build.needs_of([program]).options, timeout_s=TIMEOUT_S)
    outcome = boot(job, take, on_wait=say)
    if outcome.kind != "exit" or outcome.code != 0:
        raise Failure(f"{what} on {machine.arch} did not end well: {outcome.sentence()}", outcome.exit_status() or 1)
    if not found:
        raise Failure(f"{program} printed no row on {machine.arch} (log: {outcome.log.relative_to(ROOT)})")
    return found
