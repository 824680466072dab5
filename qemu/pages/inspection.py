"""The part of `check` that finds figures in documents which no command wrote.

A page that `./x.py figures` writes begins with a line that tells so, with a digest of the rest: whoever changes a figure by
hand is found; so is a block of a page that it writes in part. Any other document has no amount of what is measured:
instructions, cycles, seconds of a small kind, events of the TLB, factors. Limits of the design (bytes, milliseconds of a
turn) are no figures of this kind.
"""

from __future__ import annotations

import re

from ..base import ROOT
from ..style import files
from . import blocks
from .catalogue import PAGES
from .page import STAMP, digest

NUMBER = r"(?<![\w.#-])\d[\d,]*(?:\.\d+)?"
UNIT = (r"(?:million |thousand )?(?:instructions?|cycles?|ticks?|nanoseconds?|ns|microseconds?|µs|us|misses|walks?|walk references"
        r"|interrupts|faults|%|per cent)")
FIGURE = re.compile(rf"{NUMBER}\s*{UNIT}(?!\w)"
                    rf"|{NUMBER}\s+times\s+(?:as\s+(?:much|many|long)|more|less|faster|slower)"
                    # Without a unit: `takes 913 with one sharer`; an amount of memory or of a clock's time is no such figure.
                    rf"|(?:takes?|costs?)\s+(?:(?:about|only|up\s+to|at\s+most)\s+)?{NUMBER}(?![\d,.]*\d)"
                    r"(?!\s*(?:[KMG]iB|bytes|bits|ms|s|minutes)\b)")
MEASURED = re.compile(rf"\b{UNIT}(?!\w)")
# Decisions, taken on figures of their day; what tells of the past; what another command writes, with a test of its own; and
# text that a command makes a page of, with the figures that it cites.
EXEMPT = ("docs/adr/", "docs/changes.md", "docs/abi.md", "qemu/tlb/pages/")
# Part of a page that tells of another work's figures.
CITED = re.compile(r"^## What the original reported\n.*?(?=^## |\Z)", re.M | re.S)
# What looks like a figure and is none, each with the reason.
ALLOWED: dict = {
}


def breaches() -> list:
    """Every such figure, and every page that is not what its command wrote, as `path:line: message`."""
    found = []
    for page in PAGES.values():
        found += _of_page(page)
    written = {f"docs/{name}.md" for name in PAGES}
    for path in files():
        if path.endswith(".md") and path not in written and not path.startswith(EXEMPT):
            text = (ROOT / path).read_text(encoding="utf-8", errors="replace")
            found += blocks.breaches(path, text)
            text = without_citations(blocks.without_blocks(text))
            found += [f"{path}:{line}: no command wrote {figure!r}; make it part of a page of ./x.py figures, or name that page"
                      for line, figure in figures_in(text) if not _is_allowed(path, figure)]
    return found + [f"{__name__}: nothing in {path} is {text!r} any more" for path, text in _unused()]


def _of_page(page) -> list:
    """What is wrong with a page that a command writes."""
    path, command = f"docs/{page.name}.md", f"./x.py figures {page.name}"
    if not page.path().exists():
        return [f"{path}:1: there is no such page; {command} writes it"]
    text = page.path().read_text()
    stamp = STAMP.match(text)
    if not stamp or stamp.group(1) != page.name:
        return [f"{path}:1: its first line does not say that {command} wrote it"]
    if stamp.group(2) != digest(text[stamp.end():]):
        return [f"{path}:1: it was changed after {command} wrote it"]
    if page.of_sources and page.content() != text:
        return [f"{path}:1: its sources have changed since; {command} writes it anew"]
    return []


def without_citations(text: str) -> str:
    """A page without what it says that another work has reported; every line keeps its number."""
    return CITED.sub(lambda part: "\n" * part.group().count("\n"), text)


def figures_in(text: str) -> list:
    """The figures in a document, each as `(line, figure)`; an amount and its unit may stand on two lines."""
    found = [(text.count("\n", 0, match.start()) + 1, " ".join(match.group().split())) for match in FIGURE.finditer(text)]
    return found + _in_tables(text)


def _in_tables(text: str) -> list:
    """Numbers in columns of tables whose titles are units."""
    found, titles = [], None
    for number, line in enumerate(text.splitlines(), 1):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.lstrip().startswith("|") else None
        if cells is None or titles is None:
            titles = cells
            continue
        found += [(number, f"{cell} {title}") for title, cell in zip(titles, cells)
                  if MEASURED.search(title) and re.fullmatch(r"[\d,. /x]*\d[\d,. /x]*", cell)]
    return found


def _is_allowed(path: str, figure: str) -> bool:
    return (path, figure) in ALLOWED


def _unused() -> list:
    """What is allowed and not there."""
    def is_there(path: str, figure: str) -> bool:
        return (ROOT / path).exists() and figure in [each for _, each in figures_in((ROOT / path).read_text())]
    return [entry for entry in ALLOWED if not is_there(*entry)]
