"""Debian packages for either architecture, fetched and unpacked without a trace on the machine that asks for them.

apt works in a folder of its own, for the architecture that is wanted: with its own lists, its own record of what is installed
(nothing), and the mirror and key that this machine has its release from. Root is not needed.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from . import apt, base
from .base import LOGS, TARGET, Failure

NAMES = {"x86_64": "amd64", "aarch64": "arm64"}


def source() -> tuple | None:
    """Where packages come from, as `apt.release_source` says; None where there is no apt, or it is no Debian's."""
    return apt.release_source() if apt.available() and shutil.which("dpkg") else None


def scratch() -> tempfile.TemporaryDirectory:
    """A folder for a while, where boot.py removes those of runs that were ended before they could do it themselves."""
    folder = TARGET / "boot"
    folder.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix=f"{os.getpid()}-", dir=folder)


class Packages:
    """apt in a folder of its own."""

    def __init__(self, arch: str, where: tuple, folder: Path, log: Path):
        """Reads the lists. A source that does not answer, as of a release without backports, is no reason to stop."""
        self.folder, self.log = folder, log
        self.options = private(NAMES[arch], where, folder)
        base.run(["apt-get", *self.options, "update"], quiet=True, log=log, ticker="apt-get update")

    def shown(self, package: str) -> str:
        """What apt-cache tells of a package, the newest version first; the empty string if there is none."""
        code, output = base.run(["apt-cache", *self.options, "show", package], quiet=True)
        return output if code == 0 else ""

    def unpacked(self, package: str) -> Path:
        """The folder with a package's files; `=VERSION` may stand behind its name."""
        name = package.partition("=")[0]
        base.must_run(["apt-get", *self.options, "download", package], f"apt-get could not fetch {name}", quiet=True,
                      cwd=self.folder, ticker="apt-get download")
        file, goal = next(self.folder.glob(f"{name}_*.deb")), self.folder / "unpacked" / name
        goal.mkdir(parents=True)
        base.must_run(["dpkg", "-x", file, goal], f"dpkg could not unpack {file.name}", quiet=True)
        return goal


def packages(arch: str, folder: Path, purpose: str) -> Packages:
    """apt for an architecture in this folder; `purpose` becomes part of the name of its log."""
    where = source()
    if where is None:
        raise Failure("this machine is no Debian with apt")
    return Packages(arch, where, folder, LOGS / f"{purpose}-apt-{NAMES[arch]}.log")


def private(debian: str, where: tuple, folder: Path) -> list:
    """Furnishes the folder, and returns the options by which apt uses it and nothing of the machine."""
    for name in ("state/lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    (folder / "debian.sources").write_text(entry(debian, apt.release_codename(), *where))
    settings = {"APT::Architecture": debian, "APT::Architectures": debian, "Acquire::Languages": "none",
                "Dir::State": folder / "state", "Dir::State::status": folder / "status", "Dir::Cache": folder / "cache",
                "Dir::Etc::SourceList": folder / "debian.sources", "Dir::Etc::SourceParts": "/dev/null"}
    return ["-q", *(word for key, value in settings.items() for word in ("-o", f"{key}={value}"))]


def entry(debian: str, codename: str, mirror: str, signed: str) -> str:
    """The one source: the release and its backports."""
    return (f"Types: deb\nURIs: {mirror}\nSuites: {codename} {codename}-backports\nComponents: main\n"
            f"Architectures: {debian}\n{signed}")
