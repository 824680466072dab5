"""Tests and examples that nobody runs are found."""

from __future__ import annotations

import unittest

from .. import base, reach

ONE = {"test": True, "doctest": True}


class Reaching(unittest.TestCase):
    """From cargo's description to the files that are tested."""

    def _reached(self, members: list, **changes) -> tuple:
        target = {**ONE, "src_path": str(base.ROOT / "user" / "init" / "lib.rs"), **changes}
        return reach.reached({"packages": [{"id": "init", "targets": [target]}], "workspace_default_members": members})

    def test_modules_are_followed(self):
        tested, documented = self._reached(["init"])
        self.assertIn("user/init/plan.rs", tested)
        self.assertIn("user/init/plan.rs", documented)
        self.assertNotIn("user/init/leak.rs", tested)
        self.assertIn("tests/host/oracle/truth.rs", reach.modules_of(base.ROOT / "tests" / "host" / "lib.rs"))

    def test_what_is_not_run_is_not_reached(self):
        self.assertEqual(self._reached([]), (set(), set()))
        self.assertEqual(self._reached(["init"], test=False)[0], set())
        self.assertEqual(self._reached(["init"], doctest=False)[1], set())

    def test_what_is_a_test_or_an_example(self):
        for text in ("#[test]\nfn a() {}", "#[cfg(test)]\nmod tests;", "proptest! {"):
            self.assertTrue(reach.HAS_TESTS.search(text))
        self.assertFalse(reach.HAS_TESTS.search("#[cfg(target_os)]"))
        for text in ("/// ```\n/// a();\n/// ```", "//! ```no_run\n", "    /// ```rust,should_panic"):
            self.assertTrue(reach.has_example(text), text)
        for text in ("/// ```text\n/// a\n/// ```\n", "// ```\n", "/// `a`"):
            self.assertFalse(reach.has_example(text), text)
