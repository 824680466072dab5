"""Benchmarks: every call of the ABI has one, and what is told of them names those that there are."""

from __future__ import annotations

import re
import unittest
from collections import Counter
from unittest import mock

from .. import base, profiling
from ..bench import arithmetic, budgets, catalogue, following, running, table
from ..pages import peers, performance

SOURCE = '''
/// A Benchmark { of: doc } is none.
pub(crate) struct Benchmark { pub(crate) name: &'static str }
fn of(name: &'static str) -> Benchmark { Benchmark { name, points: &[] } }
const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "one", // a comment, with a comma
        points: &[],
        axis: "",
        what: "A call, \\
            and \\"another\\" {one}.",
        leaves_out: "Nothing.",
        measure: |meter, _| meter.call(|| { f(1, 2) }),
    },
    Benchmark { name: "two", points: POINTS, axis: "pages", what: "x", leaves_out: "y", measure: two },
];
const POINTS: &[u64] = &[1, 2_048,];
'''


class Names(unittest.TestCase):
    """The sources of the benchmarks against the table of calls, the budgets and the peers."""

    def test_every_call_has_one(self):
        names, calls = catalogue.catalogue(), catalogue.calls()
        self.assertEqual(len(calls), int(re.findall(r"^ +(\d+) [a-z_]+ [A-Z]", self._table(), re.M)[-1]) + 1)
        self.assertEqual([call for call in calls if call not in names], [])

    def _table(self) -> str:
        return (base.ROOT / "kernel" / "abi" / "calls.rs").read_text()

    def test_budgets(self):
        names, told = catalogue.resolve([]), budgets.budgets()
        self.assertEqual([name for name in told if name not in names], [])
        self.assertEqual([call for call in catalogue.calls() if call not in told], [])
        self.assertTrue(all(isinstance(limit, int) for limit in told.values()))
        self.assertEqual([name for name in budgets.limits()["not_yet"] if name not in told], [])
        self.assertEqual([name for name in budgets.limits()["for_each_other_cpu"] if name not in told], [])
        pairs = budgets.limits()["growth"]["pairs"]
        self.assertEqual([name for pair in pairs.items() for name in pair if name not in names], [])

    def test_peers(self):
        names = catalogue.resolve([])
        self.assertEqual([name for name in [*peers.known(), *performance.FOLLOWED] if name not in names], [])

    def test_the_page_has_exactly_these(self):
        told = re.findall(r"^(?:\| |### )`([a-z][a-z0-9_]*)`", performance.PAGE.path().read_text(), re.M)
        self.assertEqual(sorted(told), sorted(catalogue.catalogue()), "write it anew: ./x.py figures performance")


class Catalogue(unittest.TestCase):
    """Reading `Benchmark { .. }` from a source, and the words of a user."""

    def test_reading(self):
        one, two = catalogue.read(SOURCE, "a.rs")
        self.assertEqual((one.name, one.results(), one.what), ("one", ["one"], 'A call, and "another" {one}.'))
        self.assertEqual((two.axis, two.results()), ("pages", ["two/1", "two/2048"]))

    def test_what_cannot_be_read(self):
        for old, new in (('name: "one"', 'name: "One"'), ('axis: "",', ""), ("points: &[]", "points: LOST"),
                         ("&[1, 2_048,]", "&[1, N]"), ('leaves_out: "Nothing."', "leaves_out: NOTHING")):
            self.assertIn(old, SOURCE)
            with self.assertRaises(base.Failure) as caught:
                catalogue.read(SOURCE.replace(old, new), "a.rs")
            self.assertNotIn("\n", str(caught.exception))
            self.assertTrue(str(caught.exception).startswith("a.rs: "))

    def test_words(self):
        everything = catalogue.resolve([])
        self.assertEqual(catalogue.resolve(["null"]), ["null"])
        self.assertEqual(catalogue.resolve(["map_1", "null"]), [name for name in everything if name in ("map_1", "null")])
        self.assertGreater(len(catalogue.resolve(["shared"])), 3)
        curve = next(each for each in catalogue.catalogue().values() if each.points)
        self.assertEqual(catalogue.resolve([curve.name]), curve.results())
        self.assertEqual(catalogue.resolve([curve.results()[0]]), curve.results()[:1])
        self.assertEqual(catalogue.whole(curve.results()), [curve.name])
        self.assertEqual(catalogue.whole(curve.results()[1:]), curve.results()[1:])
        with self.assertRaises(base.Failure) as caught:
            catalogue.resolve(["null", "frob"])
        self.assertEqual((caught.exception.code, "\n" in str(caught.exception)), (base.EXIT_USAGE, False))


class Goals(unittest.TestCase):
    """Budgets that do not hold yet."""

    def test_they_are_shown_and_not_asked_for(self):
        late = {"name": "lateness_of_nothing", "median": 30_000, "unit": "instructions"}
        for not_yet, count in (["worst_lateness"], 0), ([], 1):
            told = {**budgets.limits(), "budgets": {"lateness_of_nothing": "worst_lateness", "worst_lateness": 25_000},
                    "not_yet": not_yet}
            with mock.patch.object(budgets, "limits", lambda told=told: told):
                self.assertEqual(len(budgets.over([late], 1)), count)
                shown = table.row("a", {**late, **dict.fromkeys(arithmetic.FIGURES, 30_000)}, "instructions", 25_000)
                self.assertTrue(shown.endswith("OVER" if count else "not yet"))


class SeveralCpus(unittest.TestCase):
    """Budgets of what writes something at each CPU."""

    def test_each_other_cpu_is_counted(self):
        told = {**budgets.limits(), "budgets": {"a": 100, "b": "a", "c": 100}, "for_each_other_cpu": {"a": 10}, "not_yet": []}
        with mock.patch.object(budgets, "limits", lambda: told):
            self.assertEqual(budgets.budgets(1), {"a": 100, "b": 100, "c": 100})
            self.assertEqual(budgets.budgets(4), {"a": 130, "b": 130, "c": 100})
            found = [{"name": name, "median": 120, "unit": "instructions"} for name in "abc"]
            self.assertEqual([len(budgets.over(found, cpus)) for cpus in (1, 4)], [3, 1])


class Following(unittest.TestCase):
    """What is made of medians and of followed instructions."""

    def test_growth(self):
        rule = budgets.limits()["growth"]
        name, other = next(pair for pair in rule["pairs"].items() if pair[0] not in rule["ceilings"])
        self.assertEqual([name for name in rule["ceilings"] if name not in rule["pairs"]], [])
        for median, count in ((130, 0), (131, 1)):
            results = [{"name": name, "median": median}, {"name": other, "median": 100}]
            self.assertEqual(len(budgets.grown(results)), count)
        self.assertEqual(budgets.grown(results[:1]), [])

    def test_a_peer_that_takes_less_is_named(self):
        own, told = {"x86_64": 90, "aarch64": 90}, {"seL4": {"x86_64": 89, "aarch64": 91}, "Linux": {"x86_64": 300}}
        self.assertEqual(performance.above(own, told), "seL4 (x86_64)")
        self.assertEqual(performance.above({"x86_64": 99, "aarch64": 99}, told), "seL4")
        self.assertEqual(performance.above({"x86_64": 9, "aarch64": 999}, {"seL4": {"x86_64": 9}}), "")

    def test_nobody_waits_for_a_machine_before_all_is_built(self):
        with mock.patch.multiple(running.build, build=mock.DEFAULT, image_tool=mock.DEFAULT) as built, \
                mock.patch.object(following.profiling, "Follower", side_effect=base.Failure("it begins to follow")):
            for arch, count in (("aarch64", 0), ("x86_64", 1)):
                with self.assertRaises(base.Failure):
                    following.measured_profiles(arch, ["null"])
                built["build"].assert_called_once()
                self.assertEqual(built["image_tool"].call_count, count)
                built["build"].reset_mock()

    def test_where_an_instruction_comes_from(self):
        library = {"FileName": "/usr/lib/rustlib/src/rust/library/core/src/result.rs", "FunctionName": "map<(), u64>", "Line": 9}
        own = {"FileName": "kernel/lib.rs", "FunctionName": "tessera_kernel::one::{impl#2}::two<a::B, C>", "Line": 9}
        nothing = {"FileName": "", "FunctionName": "trap_entry", "Line": 0}
        self.assertEqual(profiling.origin([library, own]), ("kernel/lib.rs", "two"))
        self.assertEqual(profiling.origin([library]), (profiling.LIBRARY, "map"))
        self.assertEqual(profiling.origin([nothing]), (profiling.ASSEMBLY, "trap_entry"))
        self.assertEqual(profiling.origin([{**nothing, "FileName": "tessera.1-cgu.0"}])[0], profiling.ASSEMBLY)
        self.assertEqual(profiling.origin([{**library, "FunctionName": "mem::memset"}]), (profiling.COPYING, "memset"))

    def test_parts(self):
        for path, part in (("kernel/vm/map.rs", "vm"), ("kernel/lib.rs", "kernel"), ("arch/x86_64/tlb.rs", "arch")):
            self.assertEqual(profiling.part_of(path), part)
        found = profiling.Profile(3, Counter({("kernel/vm/map.rs", "a"): 2, ("kernel/vm/map.rs", "b"): 1}))
        self.assertEqual((found.by_part()["vm"], found.by_file()["kernel/vm/map.rs"], found.total()), (3, 3, 6))
