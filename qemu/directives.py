"""Reads what the test programs say about themselves: the claim and the wishes of a boot test, the claims of a
conformance program."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

from .base import ARCHES, ROOT, Failure
from .rust_text import code_only

# How a program of tests/user declares a claim: `claim!(name_of_the_function)`.
CLAIM = re.compile(r"\bclaim!\(\s*([a-z][a-z0-9_]*)\s*\)")


@dataclass
class BootTest:
    """One file of tests/boot: its claim, and how it wants to be booted and judged."""

    name: str
    claim: str
    arches: tuple = ARCHES
    smp: int = 1
    memory_mib: int = 512
    options: str = ""
    args: list = field(default_factory=list)
    extra: list = field(default_factory=list)
    expect_exit: int = 0
    expect_panic: bool = False
    expect_output: list = field(default_factory=list)
    timeout_s: float = 60.0


def _number(text: str) -> int:
    if not re.fullmatch(r"-?\d+", text):
        raise ValueError("is not a whole number")
    return int(text)


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("is neither true nor false")
    return text == "true"


def _arches(text: str) -> tuple:
    chosen = tuple(text.split(","))
    if not set(chosen) <= set(ARCHES):
        raise ValueError("names no architecture of ours")
    return chosen


# What a word of a `//! boot:` line sets, and how its value is read.
WORDS = {
    "arch": ("arches", _arches),
    "smp": ("smp", _number),
    "memory": ("memory_mib", _number),
    "options": ("options", str),
    "args": ("args", str.split),
    "with": ("extra", lambda text: text.split(",")),
    "expect-exit": ("expect_exit", _number),
    "expect-panic": ("expect_panic", _truth),
    "timeout": ("timeout_s", lambda text: float(_number(text))),
}


def read_header(source: Path) -> tuple:
    """Reads the `//!` lines at the top of a test: the claim, and the words of its `boot:` lines."""
    claim, words = [], []
    for line in source.read_text().splitlines():
        if not line.startswith("//!"):
            break
        text = line[3:].strip()
        if text.startswith("boot:"):
            words += shlex.split(text[len("boot:"):])
        elif not words and (text or claim):
            claim.append(text)
    claim = claim[:claim.index("")] if "" in claim else claim
    if not claim:
        raise Failure(f"{source.relative_to(ROOT)}: the first line must be the claim, after //!")
    return " ".join(claim), words


def conformance_options(source: Path) -> str:
    """The options that a conformance program asks to be booted with; those that ask for none share one boot."""
    options = ""
    for word in read_header(source)[1]:
        key, equals, value = word.partition("=")
        if key != "options" or not equals:
            raise Failure(f"{source.relative_to(ROOT)}: {word!r} is no word for a conformance program (options= is)")
        options = value
    return options


def read_boot_test(name: str, source: Path) -> BootTest:
    """Reads the `//!` lines at the top of a boot test."""
    place = source.relative_to(ROOT)
    claim, words = read_header(source)
    test = BootTest(name, claim)
    for word in words:
        key, equals, value = word.partition("=")
        if key == "expect-output" and value:
            test.expect_output.append(value)
            continue
        if key not in WORDS or not equals:
            raise Failure(f"{place}: {word!r} is no word of a boot: line (see qemu/README.md)")
        attribute, read = WORDS[key]
        try:
            setattr(test, attribute, read(value))
        except ValueError as error:
            raise Failure(f"{place}: {key}: {value!r} {error}") from None
    return test


def claims_in(source: Path) -> list:
    """The names of the claims a conformance program declares, in order."""
    folder = source.with_suffix("")
    texts = [path.read_text() for path in [source, *sorted(folder.glob("*.rs"))]]
    return list(dict.fromkeys(name for text in texts for name in CLAIM.findall(code_only(text))))
