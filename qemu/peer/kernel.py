"""Debian's kernel for virtual machines, for either architecture, without a trace on the machine that asks for it.

The newest kernel of the release or its backports is fetched once, and kept; without target/peer it is fetched anew.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .. import base, debian
from ..base import TARGET, Failure, step

FOLDER = TARGET / "peer"
# The package that needs the newest kernel, which it names.
NEWEST = "linux-image-cloud-{debian}"
NAMED = re.compile(r"^Depends:.*?\b(linux-image-\S+) \(= (\S+)\)", re.M)


@dataclass(frozen=True)
class Kernel:
    """A kernel to boot, and the package and version that it comes from."""

    image: Path
    package: str


def kernel(arch: str) -> Kernel:
    """The kernel that was fetched, or the newest that there is."""
    image, told = FOLDER / arch / "vmlinuz", FOLDER / arch / "package"
    if not (image.exists() and told.exists()):
        if debian.source() is None:
            raise Failure("--peer linux boots Debian's kernel, which comes by apt; this machine is no Debian with apt")
        image.parent.mkdir(parents=True, exist_ok=True)
        with debian.scratch() as folder:
            fetch(arch, Path(folder), image, told)
    return Kernel(image, told.read_text().strip())


def fetch(arch: str, folder: Path, image: Path, told: Path) -> None:
    """Fetches the package, unpacks it, and keeps its kernel."""
    name_there = debian.NAMES[arch]
    step(f"fetching Debian's kernel for {name_there} into {image.parent.relative_to(base.ROOT)} (nothing is installed)")
    packages = debian.packages(arch, folder, "peer")
    name, version = newest(packages.shown(NEWEST.format(debian=name_there)))
    if not name:
        raise Failure(f"apt finds no package {NEWEST.format(debian=name_there)} in this machine's release (see {packages.log})")
    found = list(packages.unpacked(f"{name}={version}").glob("boot/vmlinuz-*"))
    if len(found) != 1:
        raise Failure(f"the package {name} has {len(found)} kernels; one was expected")
    found[0].replace(image)
    told.write_text(f"{name} {version}\n")


def newest(output: str) -> tuple:
    """The package of the newest kernel and its version, from what apt-cache shows: the newest comes first."""
    found = NAMED.search(output)
    return found.groups() if found else ("", "")
