"""Pages of docs/ that commands write, and figures elsewhere."""

from __future__ import annotations

import tempfile
import unittest
from collections import Counter
from pathlib import Path
from unittest import mock

from .. import base, cli
from ..bench import catalogue, running, stretches
from ..pages import benchmarks, blocks, inspection, page, performance, sharing, shootdowns
from ..pages.verb import figures_verb
from ..profiling import Profile


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

    LINE = "figures row arrangement=active others=3 unmaps=100 sent=300 marks=50 pages=400 tags=8"

    def test_part(self):
        groups = shootdowns.ROW_LINE.match(self.LINE).groups()
        row = shootdowns.Row(*(int(group) if group.isdigit() else group for group in groups))
        self.assertIn("## A, tags of 8 bits\n\n| the other", shootdowns.part("A", [row]))
        self.assertIn("\n|  | 3 | 3 | 0.50 | 4 |\n", shootdowns.part("A", [row]))


class Performance(unittest.TestCase):
    """The page of every call and every curve."""

    def test_page(self):
        alone = {arch: {name: (100 + len(arch), "instructions") for name in catalogue.resolve([])} for arch in base.ARCHES}
        beside = {arch: {**figures, "null": (999, "instructions")} for arch, figures in alone.items()}
        # A point that one machine skips.
        del alone["x86_64"]["example_pages/16"], alone["aarch64"]["example_pages/16"]
        followed = Profile(2, Counter({("kernel/vm/map.rs", "a"): 3}))
        profiles = {arch: [({"name": "null_call", "median": 5}, followed)] for arch in base.ARCHES}
        longest = {running.Setting("x86_64", 4): [stretches.Stretch("unmap", 12345, 6, 7), stretches.Stretch("fault", 3, 0, 1)]}
        text = performance.text((alone, beside, profiles, longest))
        self.assertIn("### x86_64, 4 CPUs\n\n|  | for |", text)
        self.assertIn("\n| 1 | `unmap` | 12,339 | 6 | 7 |\n| 2 | `fault` | 3 |  | 1 |\n", text)
        self.assertRegex(text, r"\n\| `null` \| 106 / 107 \| 999 \| 15 \|")
        self.assertIn("### `example_pages`\n\nBy pages: reading", text)
        self.assertIn("\n| 1 | 106 / 107 |  |\n| 16 |  | 106 / 107 |\n| 256 |", text)
        self.assertIn("\n|  | all | program | vm |\n|---|---:|---:|---:|\n| null_call | 5 | 2 | 3 |\n", text)


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


class Blocks(unittest.TestCase):
    """Pages of which a command writes the tables only."""

    def _text(self, *commands: str) -> str:
        return "# A\n\nBefore.\n" + "".join(f"\n<!-- figures: {command} -->\n<!-- end -->\n\nBetween.\n" for command in commands)

    def _filled(self, *commands: str) -> str:
        def measure_all(settings, _words, wanted) -> list:
            return [{"results": [{"name": name, "unit": "instructions", "median": 1000 * setting.smp + len(setting.arch),
                                  "model": {"walks": 2.5}} for name in wanted]} for setting in settings]

        linux = [{"operation": operation.what, "unit": "instructions", "median": 7} for operation in blocks.OPERATIONS]
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(blocks, "measure_all", measure_all), \
                mock.patch.object(blocks.peer, "measure", lambda arch: linux):
            path = Path(folder) / "a.md"
            path.write_text(self._text(*commands))
            text = blocks.BlockPage(path).content()
            path.write_text(text)
            # Filled once more, it is the same.
            self.assertEqual(blocks.BlockPage(path).content(), text)
        return text

    def test_names_and_curves(self):
        text = self._filled("bench null linux_getppid", "bench example_pages linux_mmap --smp 2", "bench example_pages/16 per=1000")
        self.assertIn("|  | instructions, x86_64 / aarch64 |\n|---|---:|\n| `null` | 1,006 / 1,007 |\n| `linux_getppid` | 7 |\n<!-- end: ",
                      text)
        self.assertIn("| pages | `example_pages` | `linux_mmap` |\n|---:|---:|---:|\n| 1 | 2,006 / 2,007 | 7 |\n"
                      "| 16 | 2,006 / 2,007 |  |\n", text)
        self.assertIn("| `example_pages/16` | 1.0 |\n", text)
        self.assertEqual(blocks.breaches("docs/a.md", text), [])
        self.assertNotIn("1,006", blocks.without_blocks(text))
        self.assertEqual(blocks.without_blocks(text).count("\n"), text.count("\n"))

    def test_the_model_s_figures(self):
        self.assertIn("| `null` | 2.5 |\n", self._filled("bench null --model skylake show=walks"))

    def test_what_was_not_written_by_the_command(self):
        self.assertIn("docs/a.md:5: this block of figures is not filled in", blocks.breaches("docs/a.md", self._text("bench null"))[0])
        text = self._filled("bench null")
        self.assertIn("was changed", blocks.breaches("docs/a.md", text.replace("1,006", "1,005"))[0])
        self.assertIn("was changed", blocks.breaches("docs/a.md", text.replace("bench null", "bench clock"))[0])

    def test_what_cannot_be_read(self):
        for command in ("bench frob", "test null", "bench null shown=walks", "bench null --frob"):
            with self.assertRaises(base.Failure) as caught:
                self._filled(command)
            self.assertNotIn("\n", str(caught.exception))

    def test_what_another_work_reports(self):
        text = "# A\n\n## What the original reported\n\n468 ns\n\n## What is reproduced\n\n5 cycles\n"
        self.assertEqual(inspection.figures_in(inspection.without_citations(text)), [(9, "5 cycles")])
