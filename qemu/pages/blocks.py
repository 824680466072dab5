"""Pages of which only the tables are written by a command: between `<!-- figures: bench NAMES -->` and `<!-- end -->`.

    <!-- figures: bench NAME.. [--smp N] [--tags off|N] [--model PROFILE show=KEY] [per=N] -->

Names are those of benchmarks, curves and points; those that begin with `linux_` are the peer's. Curves become a table by their
points, anything else a table by names. `show` tells a figure of the model in place of the median, `per` divides it. The end
is marked with a digest, as whole pages are.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from pathlib import Path

from .. import peer
from ..base import ARCHES, ROOT, Failure
from ..bench import catalogue, running
from ..bench.verb import measure_all
from ..peer.operations import OPERATIONS, PREFIX
from .page import Column, digest, pair, table

BLOCK = re.compile(r"<!-- figures: (?P<command>.+?) -->\n(?P<body>.*?)<!-- end(?:: (?P<digest>[0-9a-f]{16}))? -->", re.S)


@dataclass(frozen=True)
class BlockPage:
    """A page with such blocks; its name is that of its file."""

    file: Path
    needs: tuple = ("build", "qemu")

    def path(self) -> Path:
        """Where it is."""
        return self.file

    def content(self) -> str:
        """The page, every block of it made anew."""
        text = self.file.read_text()
        figures = Figures([Block.read(found["command"]) for found in BLOCK.finditer(text)])
        return BLOCK.sub(lambda found: filled(found["command"], figures.table(Block.read(found["command"]))), text)


def pages() -> dict:
    """Every page of docs/ with a block, by its name."""
    return {path.stem: BlockPage(path) for path in sorted((ROOT / "docs").rglob("*.md")) if BLOCK.search(path.read_text())}


def filled(command: str, body: str) -> str:
    """A block with its end, which tells what its body was."""
    return f"<!-- figures: {command} -->\n{body}<!-- end: {digest(command + body)} -->"


def breaches(path: str, text: str) -> list:
    """The blocks of a page that no command wrote, or that were changed since."""
    found = []
    for block in BLOCK.finditer(text):
        if block["digest"] != digest(block["command"] + block["body"]):
            line = text.count("\n", 0, block.start()) + 1
            why = "was changed after its command wrote it" if block["digest"] else "is not filled in"
            found.append(f"{path}:{line}: this block of figures {why}; ./x.py figures {Path(path).stem} writes it")
    return found


def without_blocks(text: str) -> str:
    """The rest of a page; every line keeps its number."""
    return BLOCK.sub(lambda block: "\n" * block.group().count("\n"), text)


class _Words(argparse.ArgumentParser):
    def error(self, message: str):
        raise Failure(f"a block of figures cannot be read: {message}")


@dataclass(frozen=True)
class Block:
    """What one block asks for."""

    names: tuple
    smp: int
    tags: str | None
    model: str | None
    # A figure of the model, or nothing for the median.
    show: str
    per: int

    @staticmethod
    def read(command: str) -> Block:
        """Reads a block's command."""
        parser = _Words(add_help=False, allow_abbrev=False)
        parser.add_argument("verb", choices=("bench",))
        parser.add_argument("words", nargs="+")
        parser.add_argument("--smp", type=int, default=1)
        parser.add_argument("--tags")
        parser.add_argument("--model")
        found = parser.parse_intermixed_args(command.split())
        settings = dict(word.split("=", 1) for word in found.words if "=" in word)
        if set(settings) - {"show", "per"}:
            raise Failure(f"a block of figures has show=KEY and per=N, and nothing else of that form: {command}")
        names = tuple(word for word in found.words if "=" not in word)
        return Block(names, found.smp, found.tags, found.model, settings.get("show", "median"), int(settings.get("per", "1")))

    def setting(self, arch: str) -> running.Setting:
        """The machine that it wants."""
        return running.Setting(arch, self.smp, self.tags, model=self.model)

    def own(self) -> list:
        """The results of Tessera's that it tells of."""
        known = catalogue.resolve([])
        mine = [name for name in self.names if not name.startswith(PREFIX)]
        unknown = [name for name in mine if name not in catalogue.catalogue() and name not in known]
        if unknown:
            raise Failure(f"a block of figures names {', '.join(unknown)}, which there is not")
        return catalogue.resolve(mine) if mine else []


class Figures:
    """Everything that the blocks of one page tell: each machine is booted once."""

    def __init__(self, blocks: list):
        self.found: dict = {}
        wanted: dict = {}
        for block in blocks:
            for arch in ARCHES:
                wanted.setdefault(block.setting(arch), set()).update(block.own())
        for setting, names in wanted.items():
            chosen = [name for name in catalogue.resolve([]) if name in names]
            results = measure_all([setting], [], chosen)[0]["results"] if chosen else []
            self.found[setting] = {result["name"]: result for result in results}
        if any(name.startswith(PREFIX) for block in blocks for name in block.names):
            for arch in ARCHES:
                # Beside a benchmark an operation has that one's name; here it is to have its own.
                entries = {entry["operation"]: entry for entry in peer.measure(arch)}
                self.found[arch] = {PREFIX + operation.name: entries[operation.what] for operation in OPERATIONS
                                    if operation.parts == 1}

    def table(self, block: Block) -> str:
        """A block's table."""
        curves = [self.points(block, name) for name in block.names]
        if all(curves):
            return self._by_points(block, curves)
        rows = [result for name in block.names for result in ([f"{name}/{point}" for point in self.points(block, name)] or [name])]
        what = Column("", lambda name: f"`{name}`", is_text=True)
        return table([what, Column(f"{self.unit(block, rows)}, x86_64 / aarch64", lambda name: self.cell(block, name))], rows)

    def _by_points(self, block: Block, curves: list) -> str:
        axis = next((catalogue.catalogue()[name].axis for name in block.names if name in catalogue.catalogue()), "")
        columns = [Column(axis, lambda point: f"{point:,}")]
        columns += [Column(f"`{name}`", lambda point, name=name: self.cell(block, f"{name}/{point}")) for name in block.names]
        return table(columns, sorted({point for points in curves for point in points}))

    def points(self, block: Block, name: str) -> list:
        """The points of a curve; none if it is no curve."""
        if name in catalogue.catalogue():
            return list(catalogue.catalogue()[name].points)
        found = self.found.get(ARCHES[0], {})
        return [int(other.partition("/")[2]) for other in found if other.startswith(name + "/")]

    def result(self, block: Block, arch: str, name: str) -> dict | None:
        """A result, if there is one."""
        return self.found[arch if name.startswith(PREFIX) else block.setting(arch)].get(name)

    def unit(self, block: Block, names: list) -> str:
        """What the figures count."""
        if block.show != "median":
            return block.show.replace("_", " ")
        results = (self.result(block, arch, name) for name in names for arch in ARCHES)
        return ", ".join(dict.fromkeys(result["unit"] for result in results if result))

    def cell(self, block: Block, name: str) -> str:
        """The figures of both architectures."""
        found = {}
        for arch in ARCHES:
            result = self.result(block, arch, name)
            if result:
                figure = result["median"] if block.show == "median" or name.startswith(PREFIX) else result["model"][block.show]
                found[arch] = figure if block.per == 1 else round(figure / block.per, 1)
        return pair(found)
