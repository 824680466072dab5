"""Which Rust compiler builds Tessera, and the environment it needs. Two kinds of machine are served:

* `rustup`: rustup holds the toolchain that rust-toolchain.toml pins;
* `system`: the distribution's packages hold the same version under /usr (Debian's rustc-web and friends).

Both build `core` and `alloc` from source for the bare targets, with the same flags, so that the code is the same.
"""

from __future__ import annotations

import functools
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

from .base import ROOT, TARGET, Failure, ticking

TARGETS = {"x86_64": "x86_64-unknown-none", "aarch64": "aarch64-unknown-none-softfloat"}
BUILD_STD = ["-Zbuild-std=core,alloc,compiler_builtins", "-Zbuild-std-features=compiler-builtins-mem"]
# Panics and line tables name sources by their place in the tree, in a crate or in Rust's own library, and no folder of
# this machine: a build is the same, byte by byte, in whatever folder it is made. The profile `checked` inherits it.
NO_FOLDERS = ["-Ztrim-paths", "--config", 'profile.release.trim-paths="all"']
# The kernel is linked at a fixed address, and the backtrace walks frame pointers.
RUSTFLAGS = "-C relocation-model=static -C force-frame-pointers=yes"
# What one architecture needs besides: the linker keeps an ADRP from where a Cortex-A53 mistakes it (erratum 843419).
ARCH_RUSTFLAGS = {"x86_64": "", "aarch64": "-C link-arg=--fix-cortex-a53-843419"}
LINKS = TARGET / "toolchain"
# Variables of a user's environment that make cargo or the compiler build something else.
CHANGES_THE_BUILD = re.compile(r"RUSTC|RUSTDOC|RUSTFLAGS|RUST_TEST_|MAKEFLAGS|MFLAGS|"
                               r"CARGO_(BUILD|PROFILE|TARGET|UNSTABLE|INCREMENTAL|MAKEFLAGS|ENCODED_)")


@functools.lru_cache(maxsize=None)
def pinned() -> dict:
    """What rust-toolchain.toml says: `channel` as a string, `components` and `targets` as lists."""
    text = (ROOT / "rust-toolchain.toml").read_text()
    found = {"channel": re.search(r'^channel = "([^"]+)"', text, re.M).group(1)}
    for key in ("components", "targets"):
        found[key] = re.findall(r'"([^"]+)"', re.search(rf"^{key} = \[([^\]]*)\]", text, re.M).group(1))
    return found


def output_of(words: list, env: dict | None = None) -> str:
    """The output of a short command, or nothing when it fails or does not exist."""
    try:
        with ticking(lambda: f"waiting for {' '.join(words)}"):
            return subprocess.run(words, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, text=True, errors="replace", timeout=60).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def rustup_holds_it() -> bool:
    """Whether rustup already has the pinned toolchain with its sources. Never makes rustup download anything."""
    if not shutil.which("rustup"):
        return False
    channel = pinned()["channel"]
    listed = output_of(["rustup", "toolchain", "list"])
    if not re.search(rf"^{re.escape(channel)}-", listed, re.M):
        return False
    env = dict(os.environ, RUSTUP_TOOLCHAIN=channel, RUSTUP_AUTO_INSTALL="0")
    sysroot = output_of(["rustup", "run", channel, "rustc", "--print", "sysroot"], env).strip()
    return bool(sysroot) and (Path(sysroot) / "lib/rustlib/src/rust/library/core").is_dir()


def system_holds_it() -> bool:
    """Whether /usr holds the pinned version with its sources."""
    version = output_of(["/usr/bin/rustc", "--version"])
    return (version.startswith(f"rustc {pinned()['channel']} ") and Path("/usr/bin/cargo").exists()
            and Path("/usr/lib/rustlib/src/rust/library/core").is_dir())


@functools.lru_cache(maxsize=None)
def kind() -> str | None:
    """`rustup`, `system`, or None when there is no usable compiler yet."""
    if rustup_holds_it():
        return "rustup"
    return "system" if system_holds_it() else None


def describe() -> str:
    """One line for the user: which compiler is used, and why it was chosen."""
    channel = pinned()["channel"]
    if kind() == "rustup":
        return f"rustc {channel} from rustup (the toolchain that rust-toolchain.toml pins)"
    return f"rustc {channel} from the system's packages in /usr/bin (rustup does not hold {channel})"


def cargo() -> str:
    """The cargo to call."""
    if kind() is None:
        raise Failure("no Rust toolchain; try ./x.py setup")
    return "cargo" if kind() == "rustup" else "/usr/bin/cargo"


def sysroot() -> Path:
    """Where the chosen compiler's libraries are."""
    compiler = "rustc" if kind() == "rustup" else "/usr/bin/rustc"
    return Path(output_of([compiler, "--print", "sysroot"], host_env()).strip())


def host_env() -> dict:
    """The environment for programs that run on this machine: host tests, formatting, linting."""
    env = {key: value for key, value in os.environ.items() if not CHANGES_THE_BUILD.match(key)}
    env["CARGO_TARGET_DIR"] = str(TARGET)
    # What a later compiler will say about the standard library's own sources is nothing a user could act on.
    env["CARGO_FUTURE_INCOMPAT_REPORT_FREQUENCY"] = "never"
    if kind() == "rustup":
        env["RUSTUP_TOOLCHAIN"] = pinned()["channel"]
    else:
        env.update(RUSTC="/usr/bin/rustc", PATH="/usr/bin:" + env.get("PATH", ""))
    return env


def bare_env() -> dict:
    """The environment for code that runs on the bare machine."""
    env = host_env()
    # Needed for -Zbuild-std only: neither the kernel nor a user program uses an unstable language feature.
    env["RUSTC_BOOTSTRAP"] = "1"
    for arch, target in TARGETS.items():
        name = target.upper().replace("-", "_")
        env[f"CARGO_TARGET_{name}_RUSTFLAGS"] = f"{RUSTFLAGS} {ARCH_RUSTFLAGS[arch]}".strip()
    if kind() == "system":
        _link(LINKS / "bin" / "rust-lld", find_tool("ld.lld"))
        env["PATH"] = f"{LINKS / 'bin'}:{env['PATH']}"
    return env


def image_env() -> dict:
    """The environment for the image tool, whose boot loader crate builds itself for bare targets as well."""
    env = bare_env()
    # Set, it counts instead of what `bare_env` says for single targets.
    env["RUSTFLAGS"] = ""
    # The boot loader's build calls cargo again: with this set, the inner one would wait for the outer one's lock.
    del env["CARGO_TARGET_DIR"]
    if kind() == "system":
        _write_sysroot_answerer()
        env["PATH"] = f"{LINKS / 'image-bin'}:{env['PATH']}"
    return env


def _write_sysroot_answerer() -> None:
    """The boot loader's build looks for LLVM's tools in rustc's sysroot, where a distribution does not put them.

    A `rustc` first on PATH answers `--print sysroot` with a folder that holds links to them; every other question
    goes to the real compiler, which RUSTC names anyway.
    """
    host = re.search(r"^host: (\S+)", output_of(["/usr/bin/rustc", "-vV"]), re.M).group(1)
    answer = LINKS / "sysroot"
    for tool in ("llvm-objcopy", "llvm-objdump"):
        _link(answer / "lib/rustlib" / host / "bin" / tool, find_tool(tool))
    script = LINKS / "image-bin" / "rustc"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(sysroot_answerer(answer))
    script.chmod(0o755)


def sysroot_answerer(answer: Path) -> str:
    """The text of that script."""
    return ('#!/bin/sh\nif [ "$*" = "--print sysroot" ]; then printf "%s\\n" ' + shlex.quote(str(answer))
            + '; else exec /usr/bin/rustc "$@"; fi\n')


def _link(link: Path, goal: str) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.is_symlink() and os.readlink(link) == goal:
        return
    if link.is_symlink():
        link.unlink()
    link.symlink_to(goal)


@functools.lru_cache(maxsize=None)
def find_tool(name: str) -> str:
    """The path of one of LLVM's tools: on PATH, or where rustup's `llvm-tools` component puts it."""
    found = shutil.which(name)
    if not found and kind() == "rustup":
        found = next((str(path) for path in sysroot().glob(f"lib/rustlib/*/bin/{name}")), None)
    if not found:
        raise Failure(f"{name} is not installed; try ./x.py setup")
    return found
