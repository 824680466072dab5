"""The verb `new`: a user program from the template, which is the shortest program there is."""

from __future__ import annotations

import re
import shutil

from . import build, setup
from .base import EXIT_USAGE, ROOT, Failure, say

TEMPLATE = ROOT / "user" / "hello"
# Names that mean something else: members of the boot archive, Rust's own crates, folders in cargo's `target`.
RESERVED = {"kernel", "cmdline", "rt", "init", "core", "alloc", "std", "test", "self", "super", "crate", "build",
            "deps", "examples", "incremental", "proc-macro", "stripped", "target"}
KEYWORDS = set("""
    as async await break const continue dyn else enum extern false fn for gen if impl in let loop match mod move mut pub
    ref return static struct trait true type unsafe use where while abstract become box do final macro override priv
    try typeof unsized virtual yield
""".split())


def complaint_about(name: str) -> str:
    """Why this name cannot be had; the empty string when it can."""
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name) or name.endswith("-") or len(name) > 40:
        return f"{name!r} is no name for a program: lower-case letters, digits and dashes, a letter first"
    if name in RESERVED or name in KEYWORDS:
        return f"{name} is a reserved word"
    if (ROOT / "user" / name).exists():
        return f"user/{name} exists already"
    if name in build.programs():
        return f"there is a program {name} already: {build.programs()[name].source.relative_to(ROOT)}"
    taken = set(re.findall(r'^name = "([^"]+)"', (ROOT / "Cargo.lock").read_text(), re.M)
                if (ROOT / "Cargo.lock").exists() else [])
    taken |= {package["name"] for package in build.workspace()}
    if name in taken or name.replace("-", "_") in taken:
        return f"{name} is the name of a library that is used here"
    return ""


def main_of(name: str) -> str:
    """The template's source under a new name."""
    text = (TEMPLATE / "main.rs").read_text()
    text = re.sub(r"\A(//!.*\n)+", f"//! {name}: say here what it shows.\n", text)
    return re.sub(r'println!\("[^"]*"\)', f'println!("hello from {name}")', text, count=1)


def new_verb(options) -> int:
    """Makes the folder, or changes nothing."""
    setup.need(("build",))
    complaint = complaint_about(options.name)
    if complaint:
        raise Failure(complaint, EXIT_USAGE)
    goal = ROOT / "user" / options.name
    manifest = (TEMPLATE / "Cargo.toml").read_text()
    manifest = re.sub(r'^name = "hello"', f'name = "{options.name}"', manifest, flags=re.M)
    manifest = re.sub(r'^description = .*$', 'description = "A user program."', manifest, flags=re.M)
    goal.mkdir()
    try:
        (goal / "Cargo.toml").write_text(manifest)
        (goal / "main.rs").write_text(main_of(options.name))
        if (TEMPLATE / "build.rs").exists():
            shutil.copy(TEMPLATE / "build.rs", goal / "build.rs")
    except OSError as error:
        shutil.rmtree(goal, ignore_errors=True)
        raise Failure(f"could not write user/{options.name}: {error}") from None
    say(f"made user/{options.name}: edit user/{options.name}/main.rs, then ./x.py run {options.name}")
    return 0
