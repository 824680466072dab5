"""The suite's own arithmetic: from a machine's lines to samples, figures, documents and comparisons."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from .. import base, cli, plugin
from ..bench import arithmetic, baseline, catalogue, compare, hardware, protocol, results, running, stretches, table, verb
from ..ending import Outcome

MACHINE = {"emulator": "QEMU 10.0.2", "accelerator": "tcg", "counting": "-icount", "cpu": "max", "memory_mib": 512, "boot": "bios"}
OPTIONS = {"filter": [], "smp": 1, "tags": None, "model": None}


def result(name: str, samples: list, unit: str = "instructions") -> dict:
    """A result as a document has it."""
    return {"name": name, "unit": unit, **arithmetic.figures(samples)}


class Arithmetic(unittest.TestCase):
    """Answers computed by hand."""

    def test_one_sample_is_every_figure(self):
        self.assertEqual(arithmetic.figures([7]), {"n": 1, "min": 7, "q1": 7, "median": 7, "q3": 7, "mean": 7.0, "p99": 7, "max": 7})

    def test_ten_samples(self):
        # Ranks 3, 5, 8 and 10 of ten: 25 % of 10 is 2.5, rounded up; the sum is 73.
        found = arithmetic.figures([9, 1, 10, 2, 8, 3, 7, 4, 6, 23])
        self.assertEqual(found, {"n": 10, "min": 1, "q1": 3, "median": 6, "q3": 9, "mean": 7.3, "p99": 23, "max": 23})

    def test_a_thousand_samples(self):
        found = arithmetic.figures(list(range(1000, 0, -1)))
        self.assertEqual(found, {"n": 1000, "min": 1, "q1": 250, "median": 500, "q3": 750, "mean": 500.5, "p99": 990, "max": 1000})

    def test_two_samples(self):
        self.assertEqual(arithmetic.figures([4, 1]), {"n": 2, "min": 1, "q1": 1, "median": 1, "q3": 4, "mean": 2.5, "p99": 4, "max": 4})


class Lines(unittest.TestCase):
    """What a machine prints."""

    def _read(self, *lines: str) -> protocol.Reader:
        reader = protocol.Reader()
        for line in lines:
            reader.line(line)
        reader.check()
        return reader

    def test_samples_go_over_lines(self):
        found = self._read("bench a 95x2,97", "hello", "[kernel] x", "bench a 95x3", "bench a end n=6", "bench b/64 5",
                           "bench b/64 end n=1 unit=bytes").ended
        self.assertEqual([(each.name, each.samples, each.unit) for each in found],
                         [("a", [95, 95, 97, 95, 95, 95], None), ("b/64", [5], "bytes")])
        self.assertEqual(found[0].text(), "95x2,97,95x3")
        kernel = self._read("[kernel] bench kernel_a 1x2", "[kernel] bench kernel_a end n=2", "[kernel] kernel_b/3 is left out: no tags",
                            "kernel_c is left out: a program says so")
        self.assertEqual((kernel.ended[0].samples, kernel.skipped), ([1, 1], {"kernel_b/3": "no tags"}))
        self.assertEqual(self._read("bench c skipped: it needs 2 CPUs").skipped, {"c": "it needs 2 CPUs"})

    def test_what_is_wrong(self):
        for lines in (["bench a 1", "bench a end n=2"], ["bench a end n=0"], ["bench a 1"], ["bench a 1;2"], ["bench a 1x0"],
                      ["bench a 1", "bench a end n=1", "bench a 2", "bench a end n=1"], ["bench a 1x9999999999"], ["bench a -1"]):
            with self.assertRaises(base.Failure) as caught:
                self._read(*lines)
            self.assertNotIn("\n", str(caught.exception))


class Logs(unittest.TestCase):
    """What a machine without an emulator printed."""

    LOG = ("\x00\r\n[kernel] Tessera 0.1.0, entered by Limine\r\n[kernel] cpu: pan tags\r\n"
           "[kernel] memory: 7800 MiB free; tags: 12 bits\r\n[kernel] cpus: 4 of 4 running\r\n"
           "bench null_call 80x2,90\r\nbench null_call end n=3\r\n"
           "bench table_bytes_shared/1 8\r\nbench table_bytes_shared/1 end n=1 unit=bytes\r\n")

    def _document(self, log: str, words: list) -> dict:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "log"
            path.write_bytes(log.encode())
            return hardware.document(path, "x86_64", words, raw=False)

    def test_what_a_log_tells(self):
        found = self._document(self.LOG, [])
        self.assertEqual(found["machine"], {"emulator": "none", "accelerator": "none", "counting": "the CPU's own counter",
                                            "cpu": "pan tags", "memory_mib": 7800, "boot": "Limine"})
        self.assertEqual(found["options"], {"filter": [], "smp": 4, "tags": None, "model": None})
        self.assertEqual([(each["name"], each["unit"], each["median"]) for each in found["results"]],
                         [("null_call", "cycles", 80), ("table_bytes_shared/1", "bytes", 8)])
        self.assertEqual([each["name"] for each in self._document(self.LOG, ["null_call"])["results"]], ["null_call"])

    def test_what_a_log_does_not_tell(self):
        for log, words in (("", []), (self.LOG, ["map_1"]), (self.LOG.replace("end n=3", "end n=4"), [])):
            with self.assertRaises(base.Failure) as caught:
                self._document(log, words)
            self.assertNotIn("\n", str(caught.exception))
        with self.assertRaises(base.Failure):
            hardware.document(Path("/nowhere/log"), "x86_64", [], raw=False)


class Documents(unittest.TestCase):
    """Writing and reading again."""

    def _document(self, **changed) -> dict:
        return {**results.document("x86_64", MACHINE, OPTIONS, "instructions", [result("a", [1, 2, 3])]), **changed}

    def test_round_trip(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a.json"
            results.write(path, self._document())
            text = path.read_text()
            again = results.read(path)
            results.write(path, again)
            self.assertEqual(path.read_text(), text)
        self.assertEqual(again, self._document())
        self.assertEqual(list(again)[:len(results.KEYS)], list(results.KEYS))
        self.assertTrue(text.endswith("}\n") and '\n  "schema": 2,\n' not in text[2:])

    def test_what_cannot_be_read(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a.json"
            whole = json.dumps(self._document())
            for text in (None, "", "[]", "{", "\x00", json.dumps(self._document(schema=1)), whole.replace('"unit"', '"u"'),
                         json.dumps(self._document(results=[{"name": "a"}])), json.dumps(self._document(options={})),
                         json.dumps(self._document(results=3))):
                if text is not None:
                    path.write_text(text)
                with self.assertRaises(base.Failure) as caught:
                    results.read(path)
                self.assertIn(str(path), str(caught.exception))
                self.assertNotIn("\n", str(caught.exception))

    def test_a_file_that_cannot_be_written(self):
        with self.assertRaises(base.Failure):
            results.write(Path("/nowhere/at/all.json"), self._document())

    def test_a_missing_baseline(self):
        with self.assertRaises(base.Failure) as caught:
            baseline.load("x86_64", 7)
        self.assertIn("--bless", str(caught.exception))
        self.assertNotIn("\n", str(caught.exception))


class Comparing(unittest.TestCase):
    """What is a change, and what is too much."""

    def test_signs_and_per_cent(self):
        before, now = result("a", [100, 100, 100]), result("a", [100, 103, 110])
        self.assertEqual(compare.line(before, now), "  a: median 100 -> 103 (+3, +3.0 %); q3 +10, p99 +10, max +10")
        self.assertEqual(compare.line(now, result("a", [90, 100, 110])), "  a: median 103 -> 100 (-3, -2.9 %); min -10, q1 -10")
        self.assertEqual(compare.line(before, result("a", [100, 100, 101])), "  a: q3 +1, p99 +1, max +1")
        self.assertEqual(compare.lines(compare.changes([before], [before], ["a"], ["a"]), 2), ["  no change"])

    def test_the_threshold(self):
        for old, new, per_cent, is_too_much in ((100, 102, 2, False), (100, 103, 2, True), (10, 12, 2, False), (10, 13, 2, True),
                                                (1000, 1020, 2, False), (1000, 1021, 2, True), (1000, 900, 2, False),
                                                (100, 103, 3, False), (0, 3, 2, True), (0, 2, 2, False)):
            self.assertEqual(compare.is_too_much(result("a", [old]), result("a", [new]), per_cent), is_too_much, (old, new))
        self.assertTrue(compare.is_too_much(result("a", [9]), result("a", [9], "bytes"), 2))
        self.assertFalse(compare.is_too_much(result("lateness_of_nothing", [9]), result("lateness_of_nothing", [99]), 2))

    def test_new_and_gone(self):
        old, new = [result(name, [1]) for name in "abc"], [result(name, [1]) for name in "bd"]
        found = compare.changes(old, new, ["a", "b", "d"], ["a", "b", "d", "e"])
        # Nobody asked for c, but there is no such benchmark any more.
        self.assertEqual((found["changed"], found["new"], found["gone"]), ([], ["d"], ["a", "c"]))
        self.assertEqual(compare.lines(found, 2), ["  new: d", "  gone: a, c"])
        self.assertEqual(compare.complaints(found, 2), ["a is gone", "c is gone"])
        self.assertEqual(compare.changes(old, new, ["b", "d"], ["a", "b", "c", "d"])["gone"], [])

    def test_documents_of_another_kind(self):
        old = results.document("x86_64", MACHINE, OPTIONS, "instructions", [])
        compare.check_comparable(old, "x86_64", {**OPTIONS, "filter": ["map"]}, "instructions", "old.json")
        for arch, options, unit in (("aarch64", OPTIONS, "instructions"), ("x86_64", {**OPTIONS, "smp": 4}, "instructions"),
                                    ("x86_64", {**OPTIONS, "tags": "off"}, "instructions"), ("x86_64", OPTIONS, "cycles"),
                                    ("x86_64", {**OPTIONS, "model": "skylake"}, "instructions")):
            with self.assertRaises(base.Failure) as caught:
                compare.check_comparable(old, arch, options, unit, "old.json")
            self.assertNotIn("\n", str(caught.exception))


class Verb(unittest.TestCase):
    """The command line of `bench`."""

    def test_options_that_do_not_go_together(self):
        for words in (["--json", "x"], ["--raw"], ["--threshold", "3"], ["--bless", "map_1"], ["--bless", "--tags", "off"],
                      ["--peer", "linux", "--smp", "2"], ["--model", "x"], ["--model", "skylake", "--accel", "kvm"],
                      ["--profile", "--bless"], ["--stretches", "--bless"], ["--stretches", "--profile", "null"],
                      ["--stretches", "--accel", "kvm"], ["frob"], ["--compare", "/nowhere.json"], ["--compare", "baseline", "--smp", "7"]):
            with self.assertRaises(base.Failure) as caught:
                verb.bench_verb(cli.parse("bench", words))
            self.assertNotIn("\n", str(caught.exception), words)
        for words in (["--threshold", "-1"], ["--threshold", "x"], ["--peer", "minix"], ["--accel", "xen"]):
            with self.assertRaises(base.Failure):
                cli.parse("bench", words)

    def test_boots(self):
        everything = catalogue.resolve([])
        (kernel, arguments), = running.boots(everything)
        self.assertEqual(arguments, [])
        self.assertIn(kernel, ([], ["all"]))
        found = running.boots([name for name in everything if name != "null" and not name.startswith("kernel_")])
        self.assertTrue(all(len(" ".join(part)) <= 3072 for _, part in found))
        self.assertNotIn("null", [word for _, part in found for word in part])

    def test_ratios(self):
        self.assertEqual([verb._ratio(8, 311), verb._ratio(None, 3), verb._ratio(3, 0)], [0.026, None, None])

    def test_a_row_says_when_it_is_over(self):
        self.assertTrue(table.row("a", result("a", [11]), "instructions", 10).endswith("10  OVER"))
        self.assertNotIn("OVER", table.row("a", result("a", [10]), "instructions", 10))
        self.assertTrue(table.row("a", result("a", [10], "bytes"), "instructions", None).endswith("-  bytes"))


class Stretches(unittest.TestCase):
    """How long the kernel works in one go, as the plugin tells."""

    LINES = ("stretch cause=call:3 instructions=120 waiting=7 count=2", "stretch cause=fault instructions=120 waiting=0 count=1",
             "stretch cause=call:999 instructions=9 waiting=0 count=1")

    def test_lines(self):
        found = [stretches.parsed(line) for line in self.LINES]
        self.assertEqual([each.cause for each in found], ["yield_now", "fault", "no call"])
        self.assertEqual(stretches.told(found[0]), "besides, 7 waiting for another CPU; the longest of 2")
        self.assertEqual(stretches.told(found[1]), "the longest of 1")

    def test_boots_are_one_workload(self):
        boots = [self.LINES, ("stretch cause=call:3 instructions=119 waiting=0 count=5",)]
        with mock.patch.multiple(stretches.plugin, library=mock.DEFAULT), \
                mock.patch.multiple(running.build, build=mock.DEFAULT, image_tool=mock.DEFAULT), \
                mock.patch.object(stretches.running, "watched", lambda _setting, _wanted: boots):
            found = stretches.measured(running.Setting("x86_64"), ["null"])
        self.assertEqual([(each.cause, each.instructions, each.count) for each in found],
                         [("fault", 120, 1), ("yield_now", 119, 7), ("no call", 9, 1)])

    def test_a_boot_that_was_not_watched_to_its_end(self):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "a.tlb"
            for lines in ("", self.LINES[0] + "\n", "stretches causes=0\n"):
                out.write_text(lines)
                with self.assertRaises(base.Failure):
                    plugin.stretches(out)
            out.write_text("\n".join([*self.LINES, "stretches causes=3", ""]))
            self.assertEqual(plugin.stretches(out), list(self.LINES))

    def test_the_kernel_is_not_told(self):
        with mock.patch.object(plugin, "library", lambda: Path("a.so")):
            self.assertFalse(plugin.wants_to_be_served(plugin.for_stretches(Path("out"))))
            self.assertTrue(plugin.wants_to_be_served(plugin.arguments("x86_64", None, True, Path("out"))))
        self.assertFalse(plugin.wants_to_be_served([]))


class Whole(unittest.TestCase):
    """The verb from its words to its files, with a machine that prints what it is told to."""

    def _bench(self, *words: str, samples: str = "5x3", extra: tuple = (), code: int = 0) -> int:
        def boot(job, on_line, on_wait) -> Outcome:
            asked = next((word[len("bench="):].split(",") for word in job.options.split() if word.startswith("bench=")), [])
            kernels = [] if asked == ["all"] else asked
            everything = catalogue.resolve([])
            names = [name for word in [*kernels, *job.arguments] for name in catalogue.resolve([word])]
            names += [name for name in everything if name.startswith("kernel_")] if asked == ["all"] else []
            names += [] if job.arguments else [name for name in everything if not name.startswith("kernel_")]
            for name in names:
                prefix = "[kernel] " if name.startswith("kernel_") else ""
                on_line(f"{prefix}bench {name} {samples}")
                on_line(f"{prefix}bench {name} end n=3")
            for line in extra:
                on_line(line)
            return Outcome("exit", code)

        with mock.patch.multiple(running.build, build=mock.DEFAULT, image_tool=mock.DEFAULT), \
                mock.patch.object(verb.setup, "need"), mock.patch.object(running, "boot", boot), \
                contextlib.redirect_stdout(io.StringIO()) as self.output, contextlib.redirect_stderr(io.StringIO()) as self.complaints:
            return verb.bench_verb(cli.parse("bench", list(words)))

    def test_two_runs_give_the_same_bytes_and_compare_as_equal(self):
        with tempfile.TemporaryDirectory() as folder:
            one, two = Path(folder) / "1.json", Path(folder) / "2.json"
            for path in (one, two):
                self.assertEqual(self._bench("null", "map_1", "--arch", "aarch64", "--json", str(path)), 0)
            self.assertEqual(one.read_bytes(), two.read_bytes())
            document = results.read(one)
            self.assertEqual(document["options"]["filter"], ["null", "map_1"])
            self.assertNotIn("samples", document["results"][0])
            # The architecture is that of the document.
            self.assertEqual(self._bench("null", "--compare", str(one)), 0)
            self.assertIn("no change", self.output.getvalue())
            self.assertEqual(self._bench("null", "--compare", str(one), samples="9x3"), 1)
            self.assertIn("median 5 -> 9 (+4, +80.0 %)", self.output.getvalue())
            self.assertIn("aarch64: null takes 9 instructions; it was 5", self.complaints.getvalue())
            self.assertEqual(self._bench("null", "--compare", str(one), "--threshold", "80", samples="9x3"), 0)
            self.assertEqual(self._bench("null", "--arch", "aarch64", "--raw", "--json", str(two)), 0)
            self.assertEqual(results.read(two)["results"][0]["samples"], "5x3")

    def test_baselines_are_written_and_compared_with(self):
        base.TARGET.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=base.TARGET) as folder, mock.patch.object(baseline, "FOLDER", Path(folder)):
            self.assertEqual(self._bench("--bless"), 0)
            self.assertEqual(self._bench("--compare", "baseline"), 0)
            for arch, smp in ((arch, smp) for arch in base.ARCHES for smp in baseline.CPUS):
                self.assertEqual(sorted(result["name"] for result in baseline.load(arch, smp)["results"]), sorted(baseline.selection()))
            self.assertEqual(baseline.breaches(), [])
            (Path(folder) / "aarch64-4-cpus.json").unlink()
            self.assertEqual(len(baseline.breaches()), 1)
            self.assertEqual(self._bench("--bless", "--smp", "4", "--arch", "aarch64"), 0)
            self.assertEqual(self._bench("--compare", "baseline", samples="9x3"), 1)
            self.assertIn("x86_64 with 4 CPUs: null takes 9", self.complaints.getvalue())

    def test_kvm_that_is_missing_or_broken(self):
        setting = running.Setting("x86_64", accel="kvm")
        with mock.patch.object(running, "boot", lambda *_args, **_more: Outcome("timeout", reason="it said nothing for 60 s")), \
                mock.patch.object(running.Setting, "machine", lambda *_args: None), contextlib.redirect_stdout(io.StringIO()):
            with self.assertRaises(base.Failure) as caught:
                running.measure(setting, ["null"])
        self.assertIn("KVM does not work here", str(caught.exception))
        self.assertNotIn("\n", str(caught.exception))
        self.assertEqual(setting.unit(), "cycles")

    def test_budgets_hold_or_not(self):
        self.assertEqual(self._bench("null_call", "--arch", "x86_64", samples="99999x3"), 1)
        self.assertIn("x86_64: null_call takes 99999 instructions, its budget is", self.complaints.getvalue())

    def test_a_machine_that_does_not_say_everything(self):
        self.assertEqual(self._bench("null", extra=("bench map_1 skipped: no reason",)), 0)
        self.assertIn("skipped on x86_64, no reason: map_1", self.output.getvalue())
        for extra, code in ((("bench frob 1", "bench frob end n=1"), 0), (("bench map_1 1",), 0), ((), 3)):
            with self.assertRaises(base.Failure):
                self._bench("null", extra=extra, code=code)
