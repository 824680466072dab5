"""Pages of docs/ that are made from what programs print."""

from __future__ import annotations

import unittest

from .. import base, sharing


class Sharing(unittest.TestCase):
    """The page that is made of the lines of `sga rows`."""

    LINE = "sga row mib=64 clients=10 tables=139264 roots=40960 taken=200000 private=143360"

    def _row(self) -> sharing.Row:
        return sharing.Row(*map(int, sharing.ROW_LINE.match(self.LINE).groups()))

    def test_page(self):
        text = sharing.page({"x86_64": [self._row()], "aarch64": [self._row()]})
        self.assertIn("## 64 MiB: 16,384 pages", text)
        self.assertIn("The area's tables: 34, 136 KiB. One more space takes 4 KiB.", text)
        self.assertIn("| 10 | 176 KiB | 195.31 KiB | 195.31 KiB | 1.37 MiB | 8.0 |", text)

    def test_architectures_must_agree(self):
        other = sharing.Row(64, 10, 4096, 40960, 200000, 143360)
        for measured in ({"x86_64": [self._row()], "aarch64": [other]}, {"x86_64": [], "aarch64": []}):
            with self.assertRaises(base.Failure):
                sharing.page(measured)
