"""The rules of the house that a compiler does not know. Each breach is one line: `path:line: message`."""

from __future__ import annotations

import ast
import os
import re
from pathlib import Path

from .base import ROOT
from .rust_text import code_only, functions

# rustfmt aims at 120 columns; strings, macros and tables that it cannot break get some room.
FILE_LINES, FUNCTION_LINES, LINE_COLUMNS = 600, 80, 140
SKIPPED_FOLDERS = {"target", ".git", "__pycache__", ".venv"}
ARCH_CFG_HOMES = ("arch/", "libvas/raw.rs", "user/rt/")
EDGE_CRATES = ("x86_64", "aarch64-cpu", "uart_16550", "bootloader_api", "limine", "arm-gic", "smccc",
               "arm-pl011-uart", "x2apic")
EDGE_HOMES = ("arch/Cargo.toml", "qemu/stub/aarch64/Cargo.toml", "qemu/stub/x86_64/Cargo.toml")
UNSAFE_LIST = "docs/unsafe.md"
UNFINISHED = re.compile(r"\b(todo|unimplemented)!\s*[(\[{]")
ARCH_CFG = re.compile(r"\bcfg(?:_attr)?!?\s*\([^\n]*\btarget_arch\b")


def files() -> list:
    """Every file of the tree, as paths relative to it."""
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(name for name in folders if name not in SKIPPED_FOLDERS)
        found += [(Path(folder) / name).relative_to(ROOT).as_posix() for name in sorted(names)]
    return found


def breaches() -> list:
    """Every breach in the tree."""
    found: list = []
    with_unsafe = set()
    paths = files()
    for path in paths:
        if not path.endswith((".rs", ".py", ".md", ".toml")):
            continue
        text = (ROOT / path).read_text(encoding="utf-8", errors="replace")
        found += _of_any_file(path, text)
        if path.endswith(".rs"):
            code = code_only(text)
            found += _of_rust(path, code)
            if re.search(r"\bunsafe\b", code):
                with_unsafe.add(path)
                found += _unlisted(path, code)
        elif path.endswith(".py"):
            found += _of_python(path, text)
        elif path.endswith("Cargo.toml"):
            found += _of_manifest(path, text)
    return found + _listed_in_vain(with_unsafe)


def _of_any_file(path: str, text: str) -> list:
    lines = text.splitlines()
    found = []
    if path.endswith((".rs", ".py")) and len(lines) > FILE_LINES:
        found.append(f"{path}:{FILE_LINES + 1}: {len(lines)} lines in a file; at most {FILE_LINES}")
    if not path.endswith(".toml"):
        found += [f"{path}:{number}: {len(line)} columns; at most {LINE_COLUMNS}"
                  for number, line in enumerate(lines, 1) if len(line) > LINE_COLUMNS]
    return found


def _of_rust(path: str, code: str) -> list:
    found = [f"{path}:{first}: function {name} has {length} lines; at most {FUNCTION_LINES}"
             for name, first, length in functions(code) if length > FUNCTION_LINES]
    for number, line in enumerate(code.splitlines(), 1):
        if UNFINISHED.search(line):
            found.append(f"{path}:{number}: unfinished code")
        if ARCH_CFG.search(line) and not path.startswith(ARCH_CFG_HOMES):
            found.append(f"{path}:{number}: cfg(target_arch) is for arch/, libvas/raw.rs and user/rt only")
    return found


def _of_python(path: str, text: str) -> list:
    try:
        tree = ast.parse(text, path, feature_version=(3, 9))
    except SyntaxError as error:
        return [f"{path}:{error.lineno}: Python 3.9 cannot read this: {error.msg}"]
    found = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = node.end_lineno - node.lineno + 1
            if length > FUNCTION_LINES:
                found.append(f"{path}:{node.lineno}: function {node.name} has {length} lines; at most {FUNCTION_LINES}")
    return found


def _of_manifest(path: str, text: str) -> list:
    found = []
    if path != "qemu/image/Cargo.toml" and not re.search(r"^\[lints\]\s*\nworkspace = true", text, re.M):
        found.append(f"{path}:1: every member needs [lints] workspace = true")
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("["):
            section = line.strip()
        name = re.match(r"([A-Za-z0-9_-]+)(?:\.workspace)?\s*=", line)
        if not name or "dependencies" not in section:
            continue
        if section == "[workspace.dependencies]":
            version = re.search(r'(?:version = |^[A-Za-z0-9_-]+ = )"([^"]+)"', line)
            if version and not version.group(1).startswith("="):
                found.append(f"{path}:{number}: {name.group(1)} is not pinned; write =VERSION")
        elif name.group(1) in EDGE_CRATES and path not in EDGE_HOMES:
            found.append(f"{path}:{number}: {name.group(1)} may be named under arch/ and qemu/stub only")
    return found


def _unsafe_list() -> str:
    path = ROOT / UNSAFE_LIST
    return path.read_text() if path.exists() else ""


def _unlisted(path: str, code: str) -> list:
    if f"`{path}`" in _unsafe_list():
        return []
    number = code.count("\n", 0, re.search(r"\bunsafe\b", code).start()) + 1
    return [f"{path}:{number}: unsafe code in a file that {UNSAFE_LIST} does not list"]


def _listed_in_vain(with_unsafe: set) -> list:
    found = []
    for number, line in enumerate(_unsafe_list().splitlines(), 1):
        for path in re.findall(r"`([\w./-]+/[\w-]+\.rs)`", line):
            if path not in with_unsafe:
                found.append(f"{UNSAFE_LIST}:{number}: {path} has no unsafe code")
    return found
