"""The TLB plugin in QEMU: building it, asking for it, and reading what it wrote (docs/tlbcheck.md, docs/tlb-model.md)."""

from __future__ import annotations

from pathlib import Path

from . import toolchain
from .base import ROOT, TARGET, Failure, must_run, step
from .words import for_qemu

SOURCES = ROOT / "qemu" / "tlb"
LIBRARY = TARGET / "tlb" / "release" / "libtlb_plugin.so"
# The kernel's option for such a boot, which Machine adds.
OPTION = "tlb_plugin=1"
# How much more time a boot takes.
SLOWER = 10


def library() -> Path:
    """The plugin, built when it is missing or older than its sources."""
    sources = [path for ending in ("*.rs", "*.toml", "Cargo.lock") for path in SOURCES.rglob(ending) if path.is_file()]
    newest = max(path.stat().st_mtime for path in sources)
    if LIBRARY.exists() and LIBRARY.stat().st_mtime >= newest:
        return LIBRARY
    step("building the TLB plugin")
    words = [toolchain.cargo(), "build", "--release", "--locked", "--package", "tlb-plugin", "--manifest-path",
             SOURCES / "Cargo.toml", "--target-dir", TARGET / "tlb"]
    must_run(words, "the TLB plugin did not build", env=toolchain.host_env(), ticker="building the TLB plugin")
    LIBRARY.touch()
    return LIBRARY


def arguments(arch: str, profile: str | None, check: bool, out: Path) -> list:
    """QEMU's words for a boot that the plugin watches: for Machine's field `plugin`.

    `profile` names a TLB to model, `check` has dead translations reported; lines go to the file `out`.
    """
    words = [for_qemu(library()), f"out={for_qemu(out)}"]
    words += ["check=on"] if check else []
    words += [f"profile={profile}"] if profile else []
    return ["-plugin", ",".join(words)]


def for_stretches(out: Path) -> list:
    """Likewise, where only stretches are watched. The kernel need not know."""
    return ["-plugin", f"{for_qemu(library())},out={for_qemu(out)},stretches=on"]


def wants_to_be_served(words: list) -> bool:
    """Whether the kernel is to tell a plugin, asked for by these words, what it cannot see by itself."""
    return bool(words) and "stretches=on" not in words[-1].split(",")


def stretches(out: Path) -> list:
    """The lines about stretches, of a boot that was watched to its end."""
    lines = _lines(out)
    found = [line for line in lines if line.startswith("stretch ")]
    if not found or not lines[-1].startswith("stretches "):
        raise Failure(f"the plugin did not come to its end ({out.name})")
    return found


def figures(out: Path) -> list:
    """What the model counted: for each benchmark, in the order in which they ended, figures by name."""
    lines = [line.split()[1:] for line in _lines(out) if line.startswith("figures ")]
    return [{name: int(value) for name, value in (word.split("=") for word in line)} for line in lines]


def reports(out: Path) -> list:
    """What the checker reported: a line for each translation that may be used though it is dead."""
    return [line for line in _lines(out) if line.startswith("stale ")]


def complaint(out: Path) -> str:
    """What is wrong with a boot that was to be checked, reports aside: it may not have been."""
    lines = _lines(out)
    last = next((line for line in lines if line.startswith("checked ")), None)
    if last is None:
        return "the plugin did not come to its end"
    said = {name: int(value) for name, value in (word.split("=") for word in last.split()[1:])}
    if not said["served"]:
        return f"the kernel did not serve the plugin ({OPTION})"
    if said["unreadable"]:
        return next(line for line in lines if line.startswith("unreadable "))
    return "" if said["comparisons"] else "nothing was checked"


def _lines(out: Path) -> list:
    try:
        return out.read_text().splitlines()
    except OSError as error:
        raise Failure(f"the TLB plugin wrote nothing: {error.strerror} ({out.name})") from None
