"""Linux programs for the program `linux`: Debian's busybox-static, files for it to read, and what it prints under Linux.

It is fetched once for each architecture, and kept under target/linux; remove that for a newer one. Whatever else lies in
target/linux/ARCH/root is in the boot archive as well, so a static program of one's own can be put into `bin` there.

What programs print, the same files print on the host: by themselves, or in QEMU's user mode, which is fetched likewise. Where
neither is to be had, the other architecture's busybox has to serve, for what does not depend on the architecture.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import base, debian
from .base import ARCHES, ROOT, TARGET, Failure, say, step, warn
from .linux_commands import commands, scripts

FOLDER = TARGET / "linux"
SOURCES = ROOT / "user" / "linux" / "root"
PACKAGE, PROGRAM = "busybox-static", "bin/busybox"
# Debian 12's has a name of its own for programs that need nothing else.
EMULATORS = ("qemu-user-static", "qemu-user")
# What programs find in their environment, there as here (`ENVIRONMENT` in user/linux/run.rs).
ENVIRONMENT = {"PATH": "/bin", "HOME": "/"}
COMMAND_TIMEOUT_S = 60
ROOT_IN_ARCHIVE, EXPECTED, SKIPPED = "linux/", "linux.expected", "linux.skipped"


@dataclass(frozen=True)
class Runner:
    """How programs of an architecture are run on this machine."""

    # Whose programs.
    arch: str
    # What stands before the program's name.
    prefix: tuple
    # Who runs them, for people.
    name: str


def files(arch: str) -> dict:
    """The files of the boot archive: the root of Linux programs, and what to expect, or why there is nothing."""
    try:
        root = furnished(arch)
    except Failure as failure:
        return _skipped(f"{PACKAGE} is not to be had: {str(failure).splitlines()[-1]}")
    found, runner = in_archive(root), runner_for(arch)
    if runner is None:
        return {**found, **_skipped(f"nothing on this machine runs {PACKAGE} to compare with")}
    step(f"what Linux programs for {arch} print is compared with what {runner.name} gives")
    try:
        return {**found, EXPECTED: expected(runner, arch)}
    except Failure as failure:
        return {**found, **_skipped(str(failure))}


def _skipped(reason: str) -> dict:
    warn(reason)
    return {SKIPPED: reason.encode() + b"\n"}


def furnished(arch: str) -> Path:
    """The folder that is the root of Linux programs, with all its files."""
    root = FOLDER / arch / "root"
    if not (root / PROGRAM).exists():
        _fetch(arch, root / PROGRAM)
    shutil.copytree(SOURCES, root, dirs_exist_ok=True)
    return root


def in_archive(root: Path) -> dict:
    """All files under a folder, by their names in the archive."""
    found = sorted(path for path in root.rglob("*") if path.is_file())
    return {ROOT_IN_ARCHIVE + path.relative_to(root).as_posix(): path.read_bytes() for path in found}


def _fetch(arch: str, goal: Path) -> None:
    step(f"fetching Debian's {PACKAGE} for {arch} into {goal.parent.relative_to(ROOT)} (nothing is installed)")
    with debian.scratch() as folder:
        unpacked = debian.packages(arch, Path(folder), "linux").unpacked(PACKAGE)
        source = next((path for path in (unpacked / PROGRAM, unpacked / "usr" / PROGRAM) if path.exists()), None)
        if source is None:
            raise Failure(f"the package {PACKAGE} has no {PROGRAM}")
        keep(source, goal)


def keep(source: Path, goal: Path) -> None:
    """Puts a program where it is looked for, whole or not at all."""
    goal.parent.mkdir(parents=True, exist_ok=True)
    part = goal.with_name(f".{goal.name}-{os.getpid()}")
    shutil.copyfile(source, part)
    part.chmod(0o755)
    part.replace(goal)


def runner_for(arch: str) -> Runner | None:
    """Who runs programs of this architecture here, or of the other one if nobody does."""
    for each in (arch, *(other for other in ARCHES if other != arch)):
        found = _runner_of(each)
        if found:
            return found
    return None


def _runner_of(arch: str) -> Runner | None:
    try:
        root = furnished(arch)
    except Failure:
        return None
    native = _native_runner(arch, root)
    if native:
        return native
    emulator = emulator_of(arch)
    if emulator:
        emulated = Runner(arch, (emulator, "-r", "6.1.0"), f"the same program in QEMU's user mode ({arch})")
        if runs(emulated, root):
            return emulated
    return None


def _native_runner(arch: str, root: Path) -> Runner | None:
    if platform.machine() != arch or platform.system() != "Linux":
        return None
    native = Runner(arch, (), f"the same program on this machine ({arch})")
    return native if runs(native, root) else None


def runner_of_scripts() -> Runner | None:
    """Who runs scripts, whatever the architecture: this machine itself."""
    for arch in ARCHES:
        found = _runner_of(arch) if arch == platform.machine() else None
        if found and not found.prefix:
            return found
    return None


def emulator_of(arch: str) -> str | None:
    """QEMU's user mode for an architecture: the machine's own, or one that is fetched and kept."""
    names = (f"qemu-{arch}-static", f"qemu-{arch}")
    installed = next((path for path in map(shutil.which, names) if path), None)
    if installed or platform.machine() not in debian.NAMES:
        return installed
    kept = FOLDER / f"qemu-{arch}"
    if not kept.exists():
        step(f"fetching QEMU's user mode for {arch} into {FOLDER.relative_to(ROOT)} (nothing is installed)")
        try:
            _fetch_emulator(names, kept)
        except Failure as failure:
            say(f"    it is not to be had: {str(failure).splitlines()[-1]}")
            return None
    return str(kept)


def _fetch_emulator(names: tuple, goal: Path) -> None:
    with debian.scratch() as folder:
        packages = debian.packages(platform.machine(), Path(folder), "linux-qemu")
        for package in (each for each in EMULATORS if packages.shown(each)):
            unpacked = packages.unpacked(package)
            found = [unpacked / "usr" / "bin" / name for name in names if (unpacked / "usr" / "bin" / name).is_file()]
            if found:
                keep(found[0], goal)
                return
    raise Failure(f"no package of {' and '.join(EMULATORS)} has it")


def runs(runner: Runner, root: Path) -> bool:
    """Whether programs can be run so at all."""
    try:
        return outcome(runner, root, ["busybox", "echo", "yes"]) == (0, b"yes\n")
    except Failure:
        return False


def outcome(runner: Runner, root: Path, words: list) -> tuple:
    """Runs a command in the root; returns its exit status, as shells have it, and all of its output."""
    program = root / "bin" / words[0]
    # The program is told the name by which it was called, as programs are there.
    command = [*runner.prefix, "-0", words[0], program] if runner.prefix else [words[0]]
    command = [str(word) for word in [*command, *words[1:]]]
    base.show_command(command)
    try:
        done = subprocess.run(command, executable=None if runner.prefix else program, cwd=root, env=ENVIRONMENT,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=COMMAND_TIMEOUT_S, check=False)
    except OSError as error:
        raise Failure(f"{words[0]} cannot be run here: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise Failure(f"{' '.join(words)} does not end here within {COMMAND_TIMEOUT_S} s") from None
    return (done.returncode if done.returncode >= 0 else 128 - done.returncode), done.stdout


def expected(runner: Runner, arch: str) -> bytes:
    """The file of commands and what came of them, which user/linux/expectations.rs reads."""
    each = [(words, *outcome(runner, FOLDER / runner.arch / "root", words)) for words in commands(runner.arch == arch)]
    native = runner_of_scripts()
    if native is None:
        warn("scripts for Linux programs are left out: nothing runs them here but an emulator")
        return written(runner.name, each)
    each += [(words, *outcome(native, FOLDER / native.arch / "root", words)) for words in scripts()]
    return written(runner.name if native == runner else f"{runner.name}, scripts by {native.name}", each)


def written(by: str, each: list) -> bytes:
    """The same from commands, exit statuses and outputs."""
    parts = [by.encode() + b"\n"]
    for words, status, output in each:
        if any("\n" in word for word in words):
            raise Failure(f"a command for Linux programs has a line end in {words}")
        parts.append(f"{len(words)} {status} {len(output)}\n".encode())
        parts += [word.encode() + b"\n" for word in words]
        parts.append(output + b"\n")
    return b"".join(parts)
