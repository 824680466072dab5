"""The verbs `setup` and `doctor`: what Tessera needs on a machine, how to see it, and how to get it.

Every other verb calls `need` with the groups it uses, so a fresh machine sets itself up on the first command.
"""

from __future__ import annotations

import platform
import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from . import apt, base, bochs, browser, toolchain
from .base import Failure, say, step
from .toolchain import output_of, pinned

QEMU_OLDEST = (9, 0)


@dataclass(frozen=True)
class Need:
    """One thing that must be there: its group, how to tell, and the Debian packages that bring it."""

    name: str
    group: str
    is_there: Callable[[], bool]
    packages: tuple = ()


def _program(name: str) -> Callable[[], bool]:
    return lambda: shutil.which(name) is not None


def _tool(name: str) -> Callable[[], bool]:
    def look() -> bool:
        try:
            return bool(toolchain.find_tool(name))
        except Failure:
            return False
    return look


def _file(*names: str) -> Callable[[], bool]:
    return lambda: any(Path(name).exists() for name in names)


def _qemu(arch: str) -> Callable[[], bool]:
    return lambda: qemu_version(arch) >= QEMU_OLDEST


def _compiler_for_linux(arch: str) -> Callable[[], bool]:
    # With a C library to link programs with that need nothing else: an absolute path where there is one.
    return lambda: output_of([f"{arch}-linux-gnu-gcc", "-print-file-name=libc.a"]).startswith("/")


def _packages_for_linux(arch: str, debian: str) -> tuple:
    """Debian's packages of that compiler: the host's own, or one that compiles for another machine."""
    if platform.machine() == arch:
        return "gcc", "libc6-dev"
    return f"gcc-{arch.replace('_', '-')}-linux-gnu", f"libc6-dev-{debian}-cross"


def qemu_version(arch: str) -> tuple:
    """(major, minor) of the installed emulator, or (0, 0)."""
    found = re.search(r"version (\d+)\.(\d+)", output_of([f"qemu-system-{arch}", "--version"]))
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)


def _rust_is_there() -> bool:
    toolchain.kind.cache_clear()
    return toolchain.kind() is not None


def _lint_is_there() -> bool:
    if toolchain.kind() == "rustup":
        return bool(output_of(["cargo", "clippy", "--version"], toolchain.host_env()))
    matching = "clippy 0." + pinned()["channel"].rsplit(".", 1)[0]
    return matching in output_of(["/usr/bin/clippy-driver", "--version"]) and _file("/usr/bin/rustfmt")()


def _linker_is_there() -> bool:
    return toolchain.kind() == "rustup" or shutil.which("ld.lld") is not None


def _bochs_is_there() -> bool:
    # Debian has Bochs's screens as plugins in packages of their own; elsewhere they may be built in.
    plugins = list(Path("/usr/lib").glob("*/bochs/plugins"))
    has_screen = not plugins or any(folder.joinpath("libbx_term_gui.so").exists() for folder in plugins)
    return shutil.which("bochs") is not None and has_screen


NEEDS = (
    Need("Rust (see rust-toolchain.toml)", "build", _rust_is_there, ("rustc-web", "cargo-web", "rust-web-src")),
    Need("a C linker for host programs", "build", _program("cc"), ("gcc", "libc6-dev")),
    Need("the linker for bare targets", "build", _linker_is_there, ("lld",)),
    Need("llvm-objcopy", "build", _tool("llvm-objcopy"), ("llvm",)),
    Need("llvm-objdump", "build", _tool("llvm-objdump"), ("llvm",)),
    Need("llvm-symbolizer", "build", _program("llvm-symbolizer"), ("llvm",)),
    Need("QEMU 9 or later for x86_64", "qemu", _qemu("x86_64"), ("qemu-system-x86",)),
    Need("QEMU 9 or later for aarch64", "qemu", _qemu("aarch64"), ("qemu-system-arm",)),
    Need("clippy and rustfmt", "check", _lint_is_there, ("rust-web-clippy", "rustfmt-web")),
    Need("UEFI firmware for x86_64", "uefi", _file("/usr/share/OVMF/OVMF_CODE_4M.fd"), ("ovmf",)),
    Need("UEFI firmware for aarch64", "uefi", _file("/usr/share/AAVMF/AAVMF_CODE.fd"), ("qemu-efi-aarch64",)),
    Need("Bochs with its text screen", "bochs", _bochs_is_there, ("bochs", "bochs-term")),
    Need("a BIOS for Bochs", "bochs", lambda: all(Path(rom).exists() for rom in bochs.ROMS), ("seabios",)),
    Need("gdb for both architectures", "gdb", _program("gdb-multiarch"), ("gdb-multiarch",)),
    *(Need(f"a C compiler for Linux on {arch}", "peer", _compiler_for_linux(arch), _packages_for_linux(arch, debian))
      for arch, debian in (("x86_64", "amd64"), ("aarch64", "arm64"))),
    Need("a browser for the test of reports", "browser", lambda: browser.find() is not None, ("chromium",)),
)
GROUPS = tuple(dict.fromkeys(need.group for need in NEEDS))
# Installed by the verb that wants them only.
ON_DEMAND = ("bochs", "browser", "peer")


def missing(groups: tuple) -> list:
    """The needs of these groups that are not met."""
    return [need for need in NEEDS if need.group in groups and not need.is_there()]


def doctor() -> int:
    """Says of each need whether it is met. Changes nothing."""
    absent = 0
    for need in NEEDS:
        there = need.is_there()
        absent += not there and need.group not in ON_DEMAND
        word = "ok     " if there else "absent " if need.group in ON_DEMAND else "missing"
        say(f"  {word}  {need.name}" + ("" if there else f"  ({' '.join(need.packages)})"))
    if toolchain.kind():
        say(f"using {toolchain.describe()}")
    if qemu_version("x86_64") >= QEMU_OLDEST:
        say("using QEMU " + ".".join(map(str, qemu_version("x86_64"))))
    say("everything is there" if not absent else f"{absent} missing; ./x.py setup installs them")
    return 1 if absent else 0


def setup() -> int:
    """Installs all that is missing, but for what few need."""
    need(tuple(group for group in GROUPS if group not in ON_DEMAND))
    say(f"ready: {toolchain.describe()}; QEMU {'.'.join(map(str, qemu_version('x86_64')))}")
    return 0


def need(groups: tuple) -> None:
    """Makes sure everything in these groups is there: installs what is not, or says how."""
    absent = missing(groups)
    if not absent:
        return
    step("missing on this machine: " + ", ".join(item.name for item in absent))
    if any(item.name.startswith("Rust") for item in absent) and _install_with_rustup():
        absent = missing(groups)
    packages = list(dict.fromkeys(package for item in absent for package in item.packages))
    if packages:
        _install_packages(packages)
    toolchain.find_tool.cache_clear()
    still = missing(groups)
    if still:
        raise Failure("still missing after the set-up: " + ", ".join(item.name for item in still))
    step(f"set-up done, using {toolchain.describe()}")


def _install_with_rustup() -> bool:
    """Lets rustup fetch the pinned toolchain, where rustup is and can. Returns whether it did."""
    if not shutil.which("rustup"):
        return False
    channel = pinned()["channel"]
    words = ["rustup", "toolchain", "install", channel, "--profile", "minimal", "--no-self-update"]
    for flag, key in (("--component", "components"), ("--target", "targets")):
        words += [word for name in pinned()[key] for word in (flag, name)]
    step(f"asking rustup for {channel}")
    code, output = base.run(words, quiet=True, log=base.LOGS / "rustup.log", ticker="rustup")
    if code == 0:
        return True
    reason = next((line for line in output.splitlines() if line.startswith("error")), "it failed")
    say(f"    rustup cannot: {reason}")
    return False


def _install_packages(packages: list) -> None:
    if not apt.available():
        raise Failure("this machine has no apt-get; install by hand: " + " ".join(packages))
    root = apt.as_root()
    emulators = [name for name in packages if name.startswith("qemu-system")]
    others = [name for name in packages if name not in emulators]
    if root is None:
        commands = _commands_for_somebody_else(emulators, others)
        raise Failure("no root here; run this as root, then try again:\n" + "\n".join("  " + line for line in commands))
    if apt.lists_are_old() or not all(apt.candidate(name) for name in packages):
        apt.update(root)
    if others:
        apt.install(root, others)
    if emulators:
        release = None
        if not _candidate_is_new_enough(emulators[0]):
            if apt.add_backports(root):
                apt.update(root)
            release = f"{apt.release_codename()}-backports"
        apt.install(root, emulators, release)


def _candidate_is_new_enough(package: str) -> bool:
    found = re.match(r"(\d+)\.(\d+)", apt.candidate(package))
    return bool(found) and (int(found.group(1)), int(found.group(2))) >= QEMU_OLDEST


def _commands_for_somebody_else(emulators: list, others: list) -> list:
    commands = [["apt-get", "update"]]
    release = None
    if emulators and not _candidate_is_new_enough(emulators[0]):
        entry = apt.backports_entry()
        if entry:
            commands.insert(0, ["sh", "-c", f"printf %b {shlex.quote(entry)} > {apt.BACKPORTS}".replace("\n", "\\n")])
        release = f"{apt.release_codename()}-backports"
    if others:
        commands.append(apt.install_command(others))
    if emulators:
        commands.append(apt.install_command(emulators, release))
    return [" ".join(shlex.quote(word) for word in words) for words in commands]
