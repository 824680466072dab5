"""The rule that every test in the tree is run: by cargo, which `./x.py test` calls for default members and host tools."""

from __future__ import annotations

import re
from pathlib import Path

from . import build, host_tests
from .base import ROOT
from .rust_text import code_only
from .style import files

HAS_TESTS = re.compile(r"#\[\s*(?:test|cfg\(\s*test\s*\))\s*\]|\bproptest!")
# The begin of an example in documentation that rustdoc compiles.
FENCE = re.compile(r"^\s*//[/!]\s*```(\S*)\s*$")
NOT_COMPILED = {"text", "ignore", "toml", "sh", "json"}
MODULE = re.compile(r"\bmod\s+([a-z_][a-z0-9_]*)\s*;")


def breaches() -> list:
    """Every file with a test or a documentation example that no cargo target of the host tests reaches."""
    tested, documented = reached(build.metadata())
    for folder in build.HOST_TOOLS.values():
        more = reached(build.metadata(folder))
        tested, documented = tested | more[0], documented | more[1]
    found = []
    for path in files():
        if not path.endswith(".rs"):
            continue
        text = (ROOT / path).read_text()
        if HAS_TESTS.search(code_only(text)) and path not in tested:
            found.append(f"{path}:1: tests that ./x.py test does not run: no tested target of a default member or host tool has them")
        if has_example(text) and path not in documented:
            found.append(f"{path}:1: an example in documentation that ./x.py test does not compile")
    return found


def has_example(text: str) -> bool:
    """Whether rustdoc would compile a part of this file's documentation."""
    is_open = False
    for line in text.splitlines():
        fence = FENCE.match(line)
        if fence and not is_open and not set(fence.group(1).split(",")) & NOT_COMPILED:
            return True
        is_open ^= bool(fence)
    return False


def reached(metadata: dict) -> tuple:
    """The files of tested targets, and those of targets whose documentation is, among the default members."""
    tested, documented = set(), set()
    for package in metadata["packages"]:
        if package["id"] not in metadata["workspace_default_members"]:
            continue
        for target in package["targets"]:
            modules = set(modules_of(Path(target["src_path"])))
            tested |= modules if target["test"] else set()
            documented |= modules if target["doctest"] else set()
    return tested, documented


def modules_of(source: Path) -> list:
    """A target's files: its root and the modules that it declares, theirs as well, as paths relative to the tree."""
    found, waiting = [], [(source, source.parent)]
    while waiting:
        path, folder = waiting.pop()
        found.append(path.relative_to(ROOT).as_posix())
        for name in MODULE.findall(code_only(path.read_text())):
            for candidate in (folder / f"{name}.rs", folder / name / "mod.rs"):
                if candidate.is_file():
                    waiting.append((candidate, folder / name))
    return found
