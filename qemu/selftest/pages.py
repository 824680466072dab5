"""Pages of docs/ that commands write, and figures elsewhere."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path
from unittest import mock

from .. import base, cli
from ..pages import benchmarks, inspection, page, sharing, shootdowns
from ..pages.verb import figures_verb


class Sharing(unittest.TestCase):
    """The page that is made of the lines of `sga rows`."""

    LINE = "sga row mib=64 clients=10 tables=139264 roots=40960 taken=200000 private=143360"

    def _row(self) -> sharing.Row:
        return sharing.Row(*map(int, sharing.ROW_LINE.match(self.LINE).groups()))

    def test_page(self):
        text = sharing.text({"x86_64": [self._row()], "aarch64": [self._row()]})
        self.assertIn("## 64 MiB: 16,384 pages", text)
        self.assertIn("The area's tables: 34, 136 KiB. One more space takes 4 KiB.", text)
        self.assertIn("| 10 | 176 KiB | 195.31 KiB | 195.31 KiB | 1.37 MiB | 8.0 |", text)

    def test_architectures_must_agree(self):
        other = sharing.Row(64, 10, 4096, 40960, 200000, 143360)
        for measured in ({"x86_64": [self._row()], "aarch64": [other]}, {"x86_64": [], "aarch64": []}):
            with self.assertRaises(base.Failure):
                sharing.text(measured)


class Shootdowns(unittest.TestCase):
    """The page that is made of the lines of `figures`."""

    LINE = "figures row arrangement=active others=3 unmaps=100 sent=300 marks=50 pages=400 tag_bits=8"

    def test_part(self):
        groups = shootdowns.ROW_LINE.match(self.LINE).groups()
        row = shootdowns.Row(*(int(group) if group.isdigit() else group for group in groups))
        self.assertIn("## A, tags of 8 bits\n\n| the other", shootdowns.part("A", [row]))
        self.assertIn("\n|  | 3 | 3 | 0.50 | 4 |\n", shootdowns.part("A", [row]))


class Inspection(unittest.TestCase):
    """Figures that no command wrote."""

    def test_figures_are_found(self):
        for text in ("it takes 95 instructions.", "up to 9,300\n  instructions", "39.0 million instructions", "1.34 times as much", "7 ns",
                     "12 % more", "3 cycles", "4 walk references"):
            self.assertEqual(len(inspection.figures_in(text)), 1, text)
        self.assertEqual(inspection.figures_in("a\n\nup to 9,300\ninstructions"), [(3, "9,300 instructions")])
        self.assertEqual(inspection.figures_in("| a | instructions |\n|---|---:|\n| x | 95 / 105 |\n"), [(3, "95 / 105 instructions")])

    def test_others_are_none(self):
        for text in ("turns of 10 ms", "512 GiB", "64 slots", "`-icount shift=0`", "two instructions", "it takes 4 KiB", "costs 12 bytes",
                     "| what | pages |\n|---|---|\n| a | 3 |", "| instructions |\n|---|\n| few |"):
            self.assertEqual(inspection.figures_in(text), [], text)

    def test_a_page_that_was_changed_by_hand(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(page, "ROOT", Path(folder)):
            path = Path(folder) / "docs" / "a.md"
            path.parent.mkdir()
            mine = page.Page("a", "", (), lambda: 3, lambda found: f"# A\n\n{found} cycles\n", of_sources=True)
            self.assertEqual(len(inspection._of_page(mine)), 1)
            path.write_text(mine.content())
            self.assertEqual(inspection._of_page(mine), [])
            path.write_text(mine.content().replace("3 cycles", "2 cycles"))
            self.assertIn("was changed", inspection._of_page(mine)[0])
            path.write_text(page.stamped("a", "# A\n"))
            self.assertIn("sources", inspection._of_page(mine)[0])
            path.write_text("# A\n")
            self.assertIn("first line", inspection._of_page(mine)[0])

    def test_the_page_of_benchmarks_shows_a_file_that_is_run(self):
        self.assertIn(f"mod {benchmarks.EXAMPLE.stem};", (benchmarks.EXAMPLE.parent / "main.rs").read_text())

    def test_a_page_that_there_is_not(self):
        with self.assertRaises(base.Failure) as caught:
            figures_verb(cli.parse("figures", ["frob"]))
        self.assertEqual(caught.exception.code, base.EXIT_USAGE)
