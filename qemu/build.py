"""Building: the kernel and the user programs by one cargo call for each architecture, the host tools by others."""

from __future__ import annotations

import functools
import json
import os
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from . import base, toolchain
from .base import ROOT, TARGET, Failure, must_run, step
from .words import checked_name

IMAGE_SOURCES = ROOT / "qemu" / "image"
IMAGE_TOOL = TARGET / "image" / "release" / "tessera-image"
# Host tools that are workspaces of their own, tested and checked with the rest; the image tool needs more than they do.
HOST_TOOLS = {"report tool": ROOT / "qemu" / "report_tool", "TLB model": ROOT / "qemu" / "tlb"}
REPORT_TOOL = TARGET / "report_tool" / "release" / "tessera-report"
KERNEL, INIT = "tessera", "init"
# The program that `init` starts beside others if this word stands in the archive's `cmdline`.
NAMES, NAMES_WORD = "names", "names=start"
# The kernel with bugs to be switched on (tests/seeded), and its package.
SEEDED, SEEDED_PACKAGE = "tessera-seeded", "seeded"
# The program that stands in for a loader, one for each architecture.
STUBS = {"x86_64": "tessera-stub-x86_64", "aarch64": "tessera-stub-aarch64"}
# What a machine has unless somebody says otherwise, MiB.
MEMORY_MIB = 512
# The folders whose packages hold programs for the bare machine, by what they are for.
PROGRAM_FOLDERS = {"user": "user", "tests/user": "conformance", "tests/boot": "boot", "tests/bench": "bench"}


@dataclass(frozen=True)
class Needs:
    """What a program's boot must have, unless the user says otherwise."""

    memory_mib: int = MEMORY_MIB
    # Words for the kernel's command line.
    options: str = ""
    # What is in the boot archive beside programs, by a name that `extras.py` knows.
    files: str = ""
    # Whether the program splits its arguments as a shell does, so that blanks in them have to be quoted.
    is_quoted: bool = False


@dataclass(frozen=True)
class Program:
    """One user program: the name it has in the boot archive, its package, its source, what it is for and needs."""

    name: str
    package: str
    source: Path
    purpose: str
    needs: Needs = Needs()


@functools.lru_cache(maxsize=None)
def metadata(folder: Path = ROOT) -> dict:
    """What cargo says about the workspace in a folder."""
    words = [toolchain.cargo(), "metadata", "--no-deps", "--format-version", "1", "--manifest-path", folder / "Cargo.toml"]
    text = must_run(words, "cargo cannot read the workspace", env=toolchain.host_env(), quiet=True)
    # Cargo's warnings may stand around it.
    line = next((line for line in text.splitlines() if line.startswith('{"packages"')), None)
    if line is None:
        raise Failure("cargo metadata gave no description of the workspace")
    return json.loads(line)


def workspace() -> list:
    """The workspace's packages, as cargo describes them."""
    return metadata()["packages"]


def read_needs(package: dict) -> Needs:
    """Reads `[package.metadata.tessera]` of a package, as cargo gives it."""
    told = (package.get("metadata") or {}).get("tessera") or {}
    memory, options, files = told.get("memory", MEMORY_MIB), told.get("options", ""), told.get("files", "")
    arguments = told.get("arguments", "")
    is_sound = (type(memory) is int and memory > 0 and isinstance(options, str) and isinstance(files, str)
                and arguments in ("", "quoted"))
    if set(told) - {"memory", "options", "files", "arguments"} or not is_sound:
        raise Failure(f"{package['name']}: [package.metadata.tessera] has memory = MIB, options = \"WORDS\", "
                      f"files = \"NAME\" and arguments = \"quoted\"; not {told}")
    return Needs(memory, options, files, arguments == "quoted")


def needs_of(names: list) -> Needs:
    """What a boot must have that runs all of these programs."""
    each = [programs()[name].needs for name in names]
    words = dict.fromkeys(word for needs in each for word in needs.options.split())
    return Needs(max((needs.memory_mib for needs in each), default=MEMORY_MIB), " ".join(words))


def services(options: str) -> list:
    """The programs that `init` starts beside those it is to run, as the words of the command line say."""
    return [NAMES] if NAMES_WORD in options.split(" args=")[0].split() else []


def arguments_for(name: str, arguments: list) -> list:
    """A program's arguments as it wants them."""
    return [shlex.quote(each) for each in arguments] if programs()[name].needs.is_quoted else arguments


@functools.lru_cache(maxsize=None)
def programs() -> dict:
    """Every user program in the tree, by name."""
    found = {}
    for package in workspace():
        folder = Path(package["manifest_path"]).parent.relative_to(ROOT).as_posix()
        purpose = PROGRAM_FOLDERS.get(folder) or PROGRAM_FOLDERS.get(folder.rsplit("/", 1)[0])
        if purpose is None:
            continue
        for target in package["targets"]:
            if "bin" in target["kind"]:
                program = Program(checked_name(target["name"]), package["name"], Path(target["src_path"]), purpose,
                                  read_needs(package))
                if program.name in found:
                    raise Failure(f"two programs are called {program.name}: {found[program.name].source} and "
                                  f"{program.source}")
                found[program.name] = program
    return dict(sorted(found.items()))


def of_purpose(purpose: str) -> list:
    """The names of the programs of one purpose, in order."""
    return [name for name, program in programs().items() if program.purpose == purpose]


def output(arch: str, profile: str, name: str) -> Path:
    """Where cargo puts a binary."""
    return TARGET / toolchain.TARGETS[arch] / profile / name


def bare_arguments(arch: str) -> list:
    """What any cargo command needs to work on code for this architecture's bare machine."""
    return ["--target", toolchain.TARGETS[arch], *toolchain.BUILD_STD, *toolchain.NO_FOLDERS]


def specification(package: str) -> str:
    """How cargo is told which package is meant, though a dependency may have the same name."""
    version = next(entry["version"] for entry in workspace() if entry["name"] == package)
    return f"{package}@{version}"


def forget_another_place() -> None:
    """Has build scripts run again in a tree that was moved or copied with what it built.

    They tell the linker where its scripts lie, and cargo keeps what they told for as long as they do not change.
    """
    note = TARGET / "place"
    if note.is_file() and note.read_text() == str(ROOT):
        return
    for package in workspace():
        if any("custom-build" in target["kind"] for target in package["targets"]):
            for folder in [*TARGET.glob(f"*/.fingerprint/{package['name']}-*"),
                           *TARGET.glob(f"*/*/.fingerprint/{package['name']}-*")]:
                shutil.rmtree(folder)
    TARGET.mkdir(exist_ok=True)
    note.write_text(str(ROOT))


def build(arch: str, profile: str, names: list) -> None:
    """Builds the kernel, what boots it, and the named programs, with one cargo call."""
    forget_another_place()
    packages = {KERNEL, STUBS[arch], *(programs()[name].package for name in (INIT, NAMES) if name in programs())}
    packages.update(programs()[name].package for name in names)
    step(f"building for {arch} ({profile}): {', '.join(sorted(packages))}")
    words = [toolchain.cargo(), "build", "--profile", profile, *bare_arguments(arch)]
    for package in sorted(packages):
        words += ["-p", specification(package)]
    must_run(words, f"the build for {arch} failed", env=toolchain.bare_env(), ticker=f"building for {arch}")


def build_seeded(arch: str, profile: str) -> None:
    """Builds the kernel with bugs to be switched on: apart, as one cargo call builds a crate with one set of features."""
    words = [toolchain.cargo(), "build", "--profile", profile, *bare_arguments(arch), "-p", specification(SEEDED_PACKAGE)]
    step(f"building the kernel with bugs for {arch} ({profile})")
    must_run(words, f"the seeded kernel did not build for {arch}", env=toolchain.bare_env(), ticker="building it")


def stripped(arch: str, profile: str, name: str) -> Path:
    """A binary without its symbols, for the machine to load faster; the symbols stay here for backtraces."""
    source = output(arch, profile, name)
    if not source.exists():
        raise Failure(f"there is no {source.relative_to(ROOT)}; did the build leave it out?")
    goal = source.parent / "stripped" / name
    if _is_older(goal, source):
        _converted(source, goal, ["--strip-all"])
        told = folders_in(goal.read_bytes())
        if told:
            goal.unlink()
            raise Failure(f"{name} holds the name of {told[0]}, so that it would differ in another folder")
    return goal


def folders_in(binary: bytes) -> list:
    """The folders of this machine that a binary names: that of the tree, of cargo's crates, of Rust's library."""
    crates = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    folders = [ROOT, crates, toolchain.sysroot() / "lib" / "rustlib"]
    # A name of one part can be part of another one.
    return [folder for folder in folders if len(folder.parts) > 2 and os.fsencode(folder / "_")[:-1] in binary]


def stub_image(arch: str, profile: str) -> Path:
    """The boot stub as a flat image: on aarch64 what `-kernel` takes, on x86_64 the beginning of a disk."""
    source = output(arch, profile, STUBS[arch])
    return _converted(source, source.parent / "stub.img", ["-O", "binary"])


def _converted(source: Path, goal: Path, options: list) -> Path:
    if _is_older(goal, source):
        goal.parent.mkdir(parents=True, exist_ok=True)
        must_run([toolchain.find_tool("llvm-objcopy"), *options, source, goal], f"could not convert {source}",
                 quiet=True)
    return goal


def _is_older(goal: Path, source: Path) -> bool:
    return not goal.exists() or goal.stat().st_mtime_ns < source.stat().st_mtime_ns


def image_tool() -> Path:
    """The host tool that makes disk images, built when it is missing or older than its sources."""
    sources = [path for path in IMAGE_SOURCES.iterdir() if path.is_file()]
    newest = max(path.stat().st_mtime for path in sources)
    if IMAGE_TOOL.exists() and IMAGE_TOOL.stat().st_mtime >= newest:
        return IMAGE_TOOL
    step("building the disk image tool and the x86_64 boot loader (once)")
    words = [toolchain.cargo(), "build", "--release", "--locked", "--manifest-path", IMAGE_SOURCES / "Cargo.toml",
             "--target-dir", TARGET / "image"]
    must_run(words, "the image tool did not build", env=toolchain.image_env(), ticker="building the image tool")
    IMAGE_TOOL.touch()
    return IMAGE_TOOL


def host_tool_arguments(folder: Path) -> list:
    """What any cargo command but `fmt` needs to work on one of the host tools."""
    return ["--release", "--manifest-path", folder / "Cargo.toml", "--target-dir", TARGET / folder.name]


def report_tool() -> Path:
    """The host tool that draws reports; cargo knows whether it has to be built."""
    words = [toolchain.cargo(), "build", "--locked", *host_tool_arguments(HOST_TOOLS["report tool"])]
    if not REPORT_TOOL.exists():
        step("building the report tool (once)")
    must_run(words, "the report tool did not build", env=toolchain.host_env(), quiet=True, ticker="building the report tool")
    return REPORT_TOOL


def clean() -> int:
    """Removes everything that was built or logged."""
    if TARGET.exists():
        step(f"removing {TARGET}")
        base.must_run(["rm", "-rf", TARGET], f"could not remove {TARGET}")
    return 0
