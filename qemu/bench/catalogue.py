"""Which benchmarks there are: the `Benchmark { .. }` values in the sources, and the names that a user may say."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path

from ..base import EXIT_USAGE, ROOT, Failure

FOLDERS = (ROOT / "tests" / "bench", ROOT / "kernel" / "bench")
# Benchmarks of the bare mechanism, which the kernel runs before there is a program.
KERNEL = "kernel_"
NAME = re.compile(r"[a-z][a-z0-9_]*")
# A call in the table of calls.
CALL = re.compile(r"^ +\d+ ([a-z_]+) [A-Z]\w*\(", re.M)
TOKEN = re.compile(r'(?P<comment>//[^\n]*)|(?P<text>"(?:\\.|[^"\\])*")|(?P<word>[A-Za-z_]\w*)|(?P<number>\d[\d_]*)|\S', re.S)
FIELDS = ("name", "points", "axis", "what", "leaves_out")


@dataclass(frozen=True)
class Benchmark:
    """One benchmark, as its source tells of it; a curve if it has points."""

    name: str
    points: tuple
    # What the points count.
    axis: str
    what: str
    leaves_out: str
    # Its file, relative to the tree.
    path: str

    def results(self) -> list:
        """The names of all its results: its own, or one for each point."""
        return [f"{self.name}/{point}" for point in self.points] if self.points else [self.name]

    def is_kernel(self) -> bool:
        """Whether the kernel runs it, and no program."""
        return self.name.startswith(KERNEL)


@functools.lru_cache(maxsize=None)
def catalogue() -> dict:
    """Every benchmark by its name, in the order of the files."""
    found: dict = {}
    for path in (path for folder in FOLDERS for path in sorted(folder.rglob("*.rs"))):
        for each in read(path.read_text(), path.relative_to(ROOT).as_posix()):
            if each.name in found:
                raise Failure(f"two benchmarks are called {each.name}: {found[each.name].path} and {each.path}")
            found[each.name] = each
    return found


def read(source: str, path: str) -> list:
    """The benchmarks of one file."""
    tokens = [(found.lastgroup, found.group()) for found in TOKEN.finditer(source) if found.lastgroup != "comment"]
    words = [text for _, text in tokens]
    # The name stands first, and is a text; a type, or a value made of variables, is none.
    begins = [at for at in range(len(words) - 4) if words[at:at + 4] == ["Benchmark", "{", "name", ":"] and tokens[at + 4][0] == "text"]
    return [_benchmark(tokens, at + 2, path) for at in begins]


def _benchmark(tokens: list, at: int, path: str) -> Benchmark:
    """Reads `field: value, ..` up to the closing brace."""
    fields: dict = {}
    while tokens[at][1] != "}":
        field, at = tokens[at][1], at + 2
        begin, depth = at, 0
        while depth or tokens[at][1] not in (",", "}"):
            depth += (tokens[at][1] in "([{") - (tokens[at][1] in ")]}")
            at += 1
        fields[field] = tokens[begin:at]
        at += tokens[at][1] == ","
    absent = [field for field in FIELDS if field not in fields]
    if absent:
        raise Failure(f"{path}: a Benchmark does not tell its {', '.join(absent)}")
    texts = {field: _text(fields[field], field, path) for field in FIELDS if field != "points"}
    if not NAME.fullmatch(texts["name"]):
        raise Failure(f"{path}: {texts['name']!r} is no name for a benchmark: small letters, digits and _")
    points = _points(fields["points"], tokens, f"{path}: the points of {texts['name']}")
    return Benchmark(points=points, path=path, **texts)


def _text(value: list, field: str, path: str) -> str:
    if len(value) != 1 or value[0][0] != "text":
        raise Failure(f"{path}: the {field} of a Benchmark is one text in double quotes")
    plain = re.sub(r"\\\n\s*", "", value[0][1][1:-1])
    return plain.replace('\\"', '"').replace("\\\\", "\\")


def _points(value: list, tokens: list, what: str) -> tuple:
    """The numbers of `&[1, 2]`, or of the constant of this name in the same file."""
    words = [text for _, text in value]
    if len(words) == 1:
        name = words[0]
        at = next((at for at, (_, text) in enumerate(tokens) if text == "const" and tokens[at + 1][1] == name), None)
        if at is None:
            raise Failure(f"{what}: there is no const {name} in this file")
        all_words = [text for _, text in tokens]
        begin = all_words.index("=", at) + 1
        words = all_words[begin:all_words.index(";", begin)]
    inside = words[2:-1]
    if words[:2] != ["&", "["] or words[-1] != "]" or any(not re.fullmatch(r"\d[\d_]*|,", word) for word in inside):
        raise Failure(f"{what} are to be numbers, as in &[1, 2]")
    return tuple(int(word) for word in inside if word != ",")


def calls() -> list:
    """The calls of the ABI, in order."""
    return CALL.findall((ROOT / "kernel" / "abi" / "calls.rs").read_text())


def resolve(words: list) -> list:
    """The results that a user means by these words, in order; all of them if there is no word.

    A word that is the name of a benchmark, a curve or a point means that; any other means all whose names hold it.
    """
    everything = [name for each in catalogue().values() for name in each.results()]
    if not words:
        return everything
    chosen: set = set()
    for word in words:
        exact = catalogue()[word].results() if word in catalogue() else [name for name in everything if name == word]
        meant = exact or [name for name in everything if word in name]
        if not meant:
            raise Failure(f"there is no benchmark whose name holds {word!r} (docs/benchmarks.md names them)", EXIT_USAGE)
        chosen.update(meant)
    return [name for name in everything if name in chosen]


def whole(results: list) -> list:
    """The same as few words: a curve's name for all of its points."""
    found = []
    for each in catalogue().values():
        mine = [name for name in each.results() if name in results]
        found += [each.name] if mine == each.results() else mine
    return found


def of_result(name: str) -> Benchmark:
    """The benchmark that gives this result."""
    return catalogue()[name.partition("/")[0]]


def point_of(name: str) -> int | None:
    """Which point of a curve a result is."""
    return int(name.partition("/")[2]) if "/" in name else None
