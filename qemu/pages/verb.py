"""The verb `figures`: writes the pages that are asked for, or all."""

from __future__ import annotations

from .. import setup
from ..base import EXIT_USAGE, ROOT, Failure, say
from .catalogue import PAGES


def figures_verb(options) -> int:
    """Measures what each page tells of and writes it."""
    unknown = [name for name in options.pages if name not in PAGES]
    if unknown:
        raise Failure(f"there is no page {unknown[0]!r} to write; there are: {', '.join(PAGES)}", EXIT_USAGE)
    chosen = [PAGES[name] for name in options.pages or PAGES]
    setup.need(tuple(dict.fromkeys(group for page in chosen for group in page.needs)))
    for page in chosen:
        page.path().write_text(page.content())
        say(f"wrote {page.path().relative_to(ROOT)}")
    return 0
