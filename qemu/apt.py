"""Installing Debian packages: what to say, when to read the lists anew, and where a newer QEMU comes from."""

from __future__ import annotations

import os
import re
import shutil
import time
from pathlib import Path

from . import base
from .base import LOGS, Failure, say, step, warn
from .toolchain import output_of

LISTS = Path("/var/lib/apt/lists")
SOURCES = Path("/etc/apt/sources.list.d")
BACKPORTS = SOURCES / "tessera-backports.sources"
LISTS_OLD_AFTER_S = 24 * 3600
OPTIONS = ["-q", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=600", "-o", "Dpkg::Use-Pty=0"]


def available() -> bool:
    """Whether this machine installs programs with apt."""
    return shutil.which("apt-get") is not None


def as_root() -> list | None:
    """The words to put before a command so that root runs it; None when there is no way without a password."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and base.run(["sudo", "-n", "true"], quiet=True)[0] == 0:
        return ["sudo", "-n"]
    return None


def candidate(package: str) -> str:
    """The version apt would install, or the empty string."""
    found = re.search(r"Candidate: (?:\d+:)?(\S+)", output_of(["apt-cache", "policy", package]))
    return "" if not found or found.group(1) == "(none)" else found.group(1)


def release_codename() -> str:
    """The distribution's code name, `bookworm` for instance."""
    try:
        found = re.search(r"^VERSION_CODENAME=(\S+)", Path("/etc/os-release").read_text(), re.M)
    except OSError:
        found = None
    return found.group(1).strip('"') if found else ""


def lists_are_old() -> bool:
    """Whether the package lists are missing or were read more than a day ago."""
    times = [path.stat().st_mtime for path in LISTS.glob("*_Packages*")] if LISTS.is_dir() else []
    return not times or time.time() - max(times) > LISTS_OLD_AFTER_S


def source_texts() -> tuple:
    """What the files of sources say: the newer ones' texts, and the text of all of the older kind."""
    texts = [path.read_text() for path in sorted(SOURCES.glob("*.sources"))]
    lists = [Path("/etc/apt/sources.list"), *sorted(SOURCES.glob("*.list"))]
    return texts, "\n".join(path.read_text() for path in lists if path.exists())


def release_source() -> tuple | None:
    """Where this machine has its release from: the mirror, and the line that names its key, if there is one."""
    codename, (texts, old_style) = release_codename(), source_texts()
    if not codename:
        return None
    for stanza in "\n\n".join(texts).split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z-]+):\s*(.+)$", stanza, re.M))
        if codename in fields.get("Suites", "").split():
            return fields["URIs"], f"Signed-By: {fields['Signed-By']}\n" if "Signed-By" in fields else ""
    found = re.search(rf"^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+{re.escape(codename)}\s", old_style, re.M)
    return (found.group(1), "") if found else None


def backports_entry() -> str | None:
    """A source entry for this release's backports, with the mirror and key this machine already uses.

    None when it is no Debian, or when a source for backports exists already.
    """
    suite, source, (texts, old_style) = f"{release_codename()}-backports", release_source(), source_texts()
    if source is None or any(suite in text for text in [*texts, old_style]):
        return None
    mirror, signed = source
    return f"Types: deb\nURIs: {mirror}\nSuites: {suite}\nComponents: main\n{signed}"


def add_backports(root: list) -> bool:
    """Adds the backports source when it is missing. Returns whether it did."""
    entry = backports_entry()
    if entry is None:
        return False
    step(f"adding {BACKPORTS}: this release's own QEMU is too old, its backports have a newer one")
    scratch = LOGS / "tessera-backports.sources"
    scratch.parent.mkdir(parents=True, exist_ok=True)
    scratch.write_text(entry)
    base.must_run([*root, "cp", scratch, BACKPORTS], f"could not write {BACKPORTS}")
    return True


def update(root: list) -> None:
    """Reads the package lists anew. A source that does not answer is no reason to stop."""
    step("reading the package lists (apt-get update)")
    code, output = base.run([*root, "apt-get", "-q", "update"], quiet=True, log=LOGS / "apt-update.log",
                            ticker="apt-get update")
    if code != 0 or "\nE:" in output or "\nW:" in output:
        warn(f"apt-get update had complaints (see {LOGS / 'apt-update.log'}); going on")


def install(root: list, packages: list, release: str | None = None) -> None:
    """Installs packages, from the named release (backports) if one is given; retries once with fresh lists."""
    words = install_command(packages, release)
    step("installing: " + " ".join(packages) + (f" (from {release})" if release else ""))
    log = LOGS / "apt-install.log"
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    for attempt in (1, 2):
        code, output = base.run([*root, *words], env=env, quiet=True, log=log, ticker="apt-get install")
        if code == 0:
            done = len(re.findall(r"^Setting up ", output, re.M))
            say(f"    {done} packages set up")
            return
        if attempt == 1:
            update(root)
    tail = "\n".join(output.splitlines()[-12:])
    raise Failure(f"{tail}\nx.py: apt-get could not install {' '.join(packages)}; all of its output: {log}")


def install_command(packages: list, release: str | None = None) -> list:
    """The command `install` runs, also for showing to somebody who must run it as root."""
    return ["apt-get", "install", *OPTIONS, *(["-t", release] if release else []), *packages]
