"""How long a machine may take: a busy host makes it slower, not wrong."""

from __future__ import annotations

import os
import unittest

from ..patience import Patience, used_s


class Limits(unittest.TestCase):
    """Seconds that an emulator had, as a clock and its CPU time tell."""

    def _after(self, passed: float, worked: float | None, steps: int = 1, **options) -> Patience:
        now, used = [0.0], [0.0]
        patience = Patience(lambda: None if worked is None else used[0], 60.0, 20.0, clock=lambda: now[0], **options)
        for _ in range(steps):
            now[0] += passed
            used[0] += worked or 0.0
            patience.count()
        return patience

    def test_a_host_with_time_counts_in_full(self):
        self.assertEqual(self._after(10, 10).total_s, 10)
        # Several CPUs work at once.
        self.assertEqual(self._after(10, 40).total_s, 10)

    def test_a_busy_host_counts_the_part_that_was_had(self):
        self.assertEqual(self._after(10, 2.5).total_s, 2.5)
        self.assertEqual(self._after(1, 0.25, steps=70).complaint(), "")
        self.assertIn("not a word for 20 s", self._after(1, 0.25, steps=80).complaint())

    def test_a_machine_that_stands_still_is_found(self):
        self.assertEqual(self._after(10, 0.5).total_s, 10)
        self.assertIn("not a word for 20 s", self._after(1, 0, steps=20).complaint())

    def test_who_speaks_has_not_hung_and_still_must_end(self):
        now = [0.0]
        patience = Patience(lambda: now[0], 60.0, 20.0, clock=lambda: now[0])
        for second in range(1, 61):
            self.assertEqual(patience.complaint(), "", second)
            now[0] += 1
            patience.heard()
            patience.count()
        self.assertIn("no end within 60 s", patience.complaint())

    def test_seconds_of_the_user_are_the_clock_s(self):
        self.assertEqual(self._after(10, 2.5, exact=True).total_s, 10)
        self.assertEqual(self._after(10, None).total_s, 10)

    def test_short_steps_wait_for_a_longer_one(self):
        self.assertEqual(self._after(0.1, 0.1).total_s, 0)
        self.assertAlmostEqual(self._after(0.1, 0.1, steps=20).total_s, 2, delta=0.6)

    def test_the_system_tells_a_process_s_time(self):
        if used_s(os.getpid()) is not None:
            self.assertGreater(used_s(os.getpid()), 0)
        self.assertIsNone(used_s(2 ** 22 + 1))
