"""The verb `figures`: writes the pages that are asked for, or all."""

from __future__ import annotations

from .. import setup
from ..base import EXIT_USAGE, ROOT, Failure, say
from .catalogue import all_pages


def figures_verb(options) -> int:
    """Measures what each page tells of and writes it."""
    there = all_pages()
    unknown = [name for name in options.pages if name not in there]
    if unknown:
        raise Failure(f"there is no page {unknown[0]!r} to write; there are: {', '.join(there)}", EXIT_USAGE)
    chosen = [there[name] for name in options.pages or there]
    setup.need(tuple(dict.fromkeys(group for page in chosen for group in page.needs)))
    for page in chosen:
        page.path().write_text(page.content())
        say(f"wrote {page.path().relative_to(ROOT)}")
    return 0
