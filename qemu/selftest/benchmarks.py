"""Benchmarks: every call of the ABI has one, and what is told of them names those that there are."""

from __future__ import annotations

import json
import re
import unittest
from collections import Counter

from .. import base, bench, performance, profiling

ROW = re.compile(r"^\| `([a-z][a-z0-9_]*)` \|", re.M)


class Names(unittest.TestCase):
    """The sources of tests/bench against the table of calls, the budgets, the peers and the page."""

    def test_every_call_has_one(self):
        names, calls = bench.names(), bench.calls()
        self.assertEqual(len(calls), int(re.findall(r"^ +(\d+) [a-z_]+ [A-Z]", self._table(), re.M)[-1]) + 1)
        self.assertEqual([call for call in calls if call not in names], [])
        self.assertEqual(sorted(set(names)), sorted(names))

    def _table(self) -> str:
        return (base.ROOT / "kernel" / "abi" / "syscall.rs").read_text()

    def test_budgets(self):
        names, told = bench.names(), bench.budgets()
        self.assertEqual([name for name in told if name not in names], [])
        self.assertEqual([call for call in bench.calls() if call not in told], [])
        self.assertTrue(all(isinstance(limit, int) for limit in told.values()))
        pairs = bench.limits()["growth"]["pairs"]
        self.assertEqual([name for pair in pairs.items() for name in pair if name not in names], [])

    def test_peers(self):
        figures = json.loads(performance.PEERS.read_text())["figures"]
        self.assertEqual([name for name in [*figures, *performance.FOLLOWED] if name not in bench.names()], [])

    def test_the_page_has_exactly_these(self):
        self.assertEqual(sorted(ROW.findall(performance.PAGE.read_text())), sorted(bench.names()),
                         "write it anew: ./x.py figures performance")


class Results(unittest.TestCase):
    """What is made of medians and of followed instructions."""

    def test_growth(self):
        rule = bench.limits()["growth"]
        name, other = next(pair for pair in rule["pairs"].items() if pair[0] not in rule["ceilings"])
        self.assertEqual([name for name in rule["ceilings"] if name not in rule["pairs"]], [])
        for median, count in ((130, 0), (131, 1)):
            results = [{"name": name, "median": median}, {"name": other, "median": 100}]
            self.assertEqual(len(bench.grown(results)), count)
        self.assertEqual(bench.grown(results[:1]), [])

    def test_a_peer_that_takes_less_is_named(self):
        own, told = {"x86_64": 90, "aarch64": 90}, {"seL4": {"x86_64": 89, "aarch64": 91}, "Linux": {"x86_64": 300}}
        self.assertEqual(performance.above(own, told), "seL4 (x86_64)")
        self.assertEqual(performance.above({"x86_64": 99, "aarch64": 99}, told), "seL4")
        self.assertEqual(performance.above({"x86_64": 9, "aarch64": 999}, {"seL4": {"x86_64": 9}}), "")

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
