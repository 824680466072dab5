"""docs/tlb-model.md and docs/sasid.md: what the TLB model tells without an emulator. The text is in qemu/tlb/pages."""

from __future__ import annotations

from .. import toolchain
from ..base import ROOT, TARGET, must_run
from .page import Page

MANIFEST = ROOT / "qemu" / "tlb" / "Cargo.toml"


def printed(name: str) -> str:
    """A page as the model's own program prints it."""
    program = TARGET / "tlb" / "release" / "tlb-pages"
    words = [toolchain.cargo(), "build", "--release", "--locked", "--manifest-path", MANIFEST, "--target-dir", TARGET / "tlb",
             "--bin", "tlb-pages"]
    must_run(words, "the TLB model did not build", env=toolchain.host_env(), quiet=True, ticker="building the TLB model")
    return must_run([program, name], f"the TLB model could not make the page {name}", quiet=True, ticker=f"the model's page {name}")


def page(name: str, what: str) -> Page:
    """The entry of one of them."""
    return Page(name, what, ("build",), lambda: printed(name), str)


PAGES = (page("tlb-model", "the TLB model, beside published figures"), page("sasid", "what a shared-space tag would be worth"))
