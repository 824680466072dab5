"""The table of all pages with figures. A new one is a file beside this one, and a line here."""

from __future__ import annotations

from . import benchmarks, peers, performance, sharing, shootdowns, tlb_model

PAGES = {page.name: page for page in (shootdowns.PAGE, sharing.PAGE, performance.PAGE, peers.PAGE, benchmarks.PAGE,
                                  *tlb_model.PAGES)}
