"""The table of all pages with figures. A new one is a file beside this one, and a line here; or any page with a block of figures."""

from __future__ import annotations

from . import benchmarks, blocks, peers, performance, sharing, shootdowns, tlb_model

PAGES = {page.name: page for page in (shootdowns.PAGE, sharing.PAGE, performance.PAGE, peers.PAGE, benchmarks.PAGE,
                                  *tlb_model.PAGES)}


def all_pages() -> dict:
    """These, and those of which only blocks are written, by their names."""
    return {**PAGES, **blocks.pages()}
