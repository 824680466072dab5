"""`bench --report DIR`: all figures in one page for a browser, drawn by the report tool."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from . import base, build, toolchain
from .base import EXIT_USAGE, ROOT, TARGET, Failure

PAGE = "index.html"
BUDGETS = ROOT / "tests" / "bench" / "budgets.json"
# Peers' figures that were measured once.
SEL4, LINUX = (ROOT / "tests" / "bench" / f"{name}.json" for name in ("sel4", "linux"))
# The TLB model's sizes and costs.
PROFILES = ROOT / "qemu" / "tlb" / "profiles.toml"


def write(folder: Path, documents: list, catalogue: dict) -> Path:
    """Writes the page of these documents into a folder, and returns where it is; the same documents give the same bytes.

    `catalogue` has for each benchmark and curve what it measures (`what`), what it leaves out (`leaves_out`) and what a
    curve's points count (`axis`).
    """
    refuse(folder)
    page = page_of(documents, catalogue)
    goal = folder / PAGE
    new = folder / f"{PAGE}.new"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        new.write_bytes(page)
        os.replace(new, goal)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise Failure(f"cannot write {goal}: {error.strerror}") from None
    return goal


def refuse(folder: Path) -> None:
    """Refuses a folder in which no page can be written; to be called before anything is measured."""
    there = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    if not there.is_dir():
        raise Failure(f"--report wants a folder; {there} is a file", EXIT_USAGE)
    if not os.access(there, os.W_OK | os.X_OK):
        raise Failure(f"--report: nothing can be written in {there}", EXIT_USAGE)
    if (folder / PAGE).is_dir():
        raise Failure(f"--report: {folder / PAGE} is a folder", EXIT_USAGE)


def _recorded_peers() -> dict:
    """Peers' figures that stand in files, by benchmark and peer, with their sources."""
    sel4, linux = _read(SEL4), _read(LINUX)
    figures: dict = {}
    for peer, told in (("seL4", sel4), ("Linux", linux)):
        for name, figure in told["figures"].items():
            figures.setdefault(name, {})[peer] = figure
    sources = {"seL4": sel4["source"], "Linux": ", ".join(dict.fromkeys(linux["kernels"].values()))}
    return {"unit": sel4["unit"], "emulator": sel4["emulator"], "sources": sources, "figures": figures}


def page_of(documents: list, catalogue: dict) -> bytes:
    """The page of these documents."""
    told = {"documents": documents, "catalogue": catalogue, "budgets": _read(BUDGETS), "peers": _recorded_peers(),
            "profiles": PROFILES.read_text(encoding="utf-8") if PROFILES.exists() else ""}
    try:
        text = json.dumps(told, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise Failure(f"the report cannot be made: a document is no JSON: {error}") from None
    tool = build.report_tool()
    with tempfile.TemporaryDirectory(dir=TARGET) as place:
        source, goal = Path(place) / "input.json", Path(place) / PAGE
        source.write_text(text, encoding="utf-8")
        code, output = base.run([tool, source, goal], toolchain.host_env(), quiet=True, ticker="drawing the report")
        if code != 0:
            complaint = (output.strip().splitlines() or [f"exit code {code}"])[-1]
            raise Failure(f"the report cannot be made: {complaint.replace('tessera-report: ', '', 1)}")
        return goal.read_bytes()


def _read(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Failure(f"{path.relative_to(ROOT)} cannot be read: {error}") from None
