"""The document of one run on one machine: written as JSON, two runs give the same bytes; and read again."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from ..base import ROOT, Failure
from .arithmetic import FIGURES

SCHEMA = 2
# What every document has, in this order; `peers` may follow.
KEYS = ("schema", "commit", "arch", "machine", "options", "unit", "results")
OPTIONS = ("filter", "smp", "tags", "model")


def document(arch: str, machine: dict, options: dict, unit: str, results: list) -> dict:
    """Everything that a run gave, and what is needed to repeat it."""
    return dict(zip(KEYS, (SCHEMA, commit(), arch, machine, options, unit, results)))


def commit() -> str:
    """The commit that is measured, and whether files differ from it; the baselines, which are results, do not count."""
    head = _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!tests/bench/baseline")
    return (head or "unknown") + (", changed" if changed else "")


def _git(*words: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def text_of(content: dict) -> str:
    """The bytes of a file that holds this document."""
    return json.dumps(content, indent=2) + "\n"


def write(path: Path, content: dict) -> None:
    """Writes a document."""
    try:
        path.write_text(text_of(content))
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror}") from None


def read(path: Path) -> dict:
    """Reads a document, or says in one line why it is none."""
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise Failure(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise Failure(f"{path} is not JSON: {error}") from None
    complaint = _complaint(content)
    if complaint:
        raise Failure(f"{path} holds no results of ./x.py bench that can be read: {complaint}")
    return content


def _complaint(content: object) -> str:
    if not isinstance(content, dict):
        return "it is no object"
    if content.get("schema") != SCHEMA:
        return f"its schema is {content.get('schema')!r}, not {SCHEMA}"
    absent = [key for key in KEYS if key not in content]
    absent += [key for key in OPTIONS if key not in (content.get("options") or {})]
    if absent:
        return f"it lacks {', '.join(absent)}"
    wanted = {"name", "unit", *FIGURES}
    whole = isinstance(content["results"], list) and all(isinstance(each, dict) and wanted <= set(each) for each in content["results"])
    return "" if whole else f"each of its results has to have {', '.join(('name', 'unit', *FIGURES))}"
