"""The rules of the house for x.py's own files. Those for everything else are in `tests/tidy`."""

from __future__ import annotations

import ast
import os
from pathlib import Path

from .base import ROOT

FILE_LINES, FUNCTION_LINES, LINE_COLUMNS = 600, 80, 140
SKIPPED_FOLDERS = {"target", ".git", "__pycache__", ".venv"}


def files() -> list:
    """Every file of the tree, as paths relative to it."""
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(name for name in folders if name not in SKIPPED_FOLDERS)
        found += [(Path(folder) / name).relative_to(ROOT).as_posix() for name in sorted(names)]
    return found


def breaches() -> list:
    """Every breach in the tree's Python, each as `path:line: message`."""
    found: list = []
    for path in (path for path in files() if path.endswith(".py")):
        text = (ROOT / path).read_text(encoding="utf-8", errors="replace")
        found += _of_lines(path, text) + _of_python(path, text)
    return found


def _of_lines(path: str, text: str) -> list:
    lines = text.splitlines()
    found = [f"{path}:{number}: {len(line)} columns; at most {LINE_COLUMNS}"
             for number, line in enumerate(lines, 1) if len(line) > LINE_COLUMNS]
    if len(lines) > FILE_LINES:
        found.append(f"{path}:{FILE_LINES + 1}: {len(lines)} lines in a file; at most {FILE_LINES}")
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
