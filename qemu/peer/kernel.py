"""Debian's kernel for virtual machines, for either architecture, without a trace on the machine that asks for it.

apt works in a folder of its own, for the guest's architecture: with its own lists, its own record of what is installed
(nothing), and the mirror and key that this machine has its release from. The newest kernel of the release or its backports is
fetched once, and kept; without target/peer it is fetched anew.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .. import apt, base
from ..base import LOGS, TARGET, Failure, step

FOLDER = TARGET / "peer"
DEBIAN = {"x86_64": "amd64", "aarch64": "arm64"}
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
        source = apt.release_source() if apt.available() and shutil.which("dpkg") else None
        if source is None:
            raise Failure("--peer linux boots Debian's kernel, which comes by apt; this machine is no Debian with apt")
        image.parent.mkdir(parents=True, exist_ok=True)
        with scratch() as folder:
            fetch(DEBIAN[arch], source, Path(folder), image, told)
    return Kernel(image, told.read_text().strip())


def scratch() -> tempfile.TemporaryDirectory:
    """A folder for a while, where boot.py removes those of runs that were ended before they could do it themselves."""
    folder = TARGET / "boot"
    folder.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix=f"{os.getpid()}-", dir=folder)


def fetch(debian: str, source: tuple, folder: Path, image: Path, told: Path) -> None:
    """Fetches the package, unpacks it, and keeps its kernel."""
    options = private(debian, source, folder)
    step(f"fetching Debian's kernel for {debian} into {image.parent.relative_to(base.ROOT)} (nothing is installed)")
    log = LOGS / f"peer-apt-{debian}.log"
    # A source that does not answer, as of a release without backports, is no reason to stop: what counts is the package.
    base.run(["apt-get", *options, "update"], quiet=True, log=log, ticker="apt-get update")
    code, output = base.run(["apt-cache", *options, "show", NEWEST.format(debian=debian)], quiet=True)
    name, version = newest(output) if code == 0 else ("", "")
    if not name:
        raise Failure(f"apt finds no package {NEWEST.format(debian=debian)} in this machine's release (see {log})")
    base.must_run(["apt-get", *options, "download", f"{name}={version}"], f"apt-get could not fetch {name}", quiet=True,
                  cwd=folder, ticker="apt-get download")
    package = next(folder.glob("*.deb"))
    base.must_run(["dpkg", "-x", package, folder / "unpacked"], f"dpkg could not unpack {package.name}", quiet=True)
    found = list(folder.glob("unpacked/boot/vmlinuz-*"))
    if len(found) != 1:
        raise Failure(f"{package.name} has {len(found)} kernels; one was expected")
    found[0].replace(image)
    told.write_text(f"{name} {version}\n")


def newest(output: str) -> tuple:
    """The package of the newest kernel and its version, from what apt-cache shows: the newest comes first."""
    found = NAMED.search(output)
    return found.groups() if found else ("", "")


def private(debian: str, source: tuple, folder: Path) -> list:
    """Furnishes the folder, and returns the options by which apt uses it and nothing of the machine."""
    for name in ("state/lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    (folder / "debian.sources").write_text(entry(debian, apt.release_codename(), *source))
    settings = {"APT::Architecture": debian, "APT::Architectures": debian, "Acquire::Languages": "none",
                "Dir::State": folder / "state", "Dir::State::status": folder / "status", "Dir::Cache": folder / "cache",
                "Dir::Etc::SourceList": folder / "debian.sources", "Dir::Etc::SourceParts": "/dev/null"}
    return ["-q", *(word for key, value in settings.items() for word in ("-o", f"{key}={value}"))]


def entry(debian: str, codename: str, mirror: str, signed: str) -> str:
    """The one source: the release and its backports."""
    return (f"Types: deb\nURIs: {mirror}\nSuites: {codename} {codename}-backports\nComponents: main\n"
            f"Architectures: {debian}\n{signed}")
