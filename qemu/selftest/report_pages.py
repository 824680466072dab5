"""The page that `bench --report` writes: the same bytes each time, and one line for what cannot be."""

from __future__ import annotations

import os
import struct
import tempfile
import unittest
import zlib
from pathlib import Path

from .. import base, browser, browser_test, html_report, report_sample


class Pages(unittest.TestCase):
    """From documents to a file."""

    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.folder = Path(place.name)

    def _refused(self, folder: Path, documents: list) -> str:
        before = sorted(self.folder.rglob("*"))
        with self.assertRaises(base.Failure) as caught:
            html_report.write(folder, documents, report_sample.catalogue())
        self.assertEqual(str(caught.exception).count("\n"), 0, caught.exception)
        self.assertEqual(sorted(self.folder.rglob("*")), before)
        return str(caught.exception)

    def test_the_same_documents_give_the_same_bytes(self):
        pages = [html_report.write(self.folder / name, report_sample.documents(), report_sample.catalogue())
                 for name in ("first", "second", "first")]
        self.assertEqual(pages[0], self.folder / "first" / "index.html")
        self.assertEqual(pages[0].read_bytes(), pages[1].read_bytes())
        self.assertEqual([path.name for path in (self.folder / "first").iterdir()], ["index.html"])

    def test_malformed_documents(self):
        good = report_sample.document("x86_64")
        for what, bad in (("schema is 1", {**good, "schema": 1}), ("missing field `arch`", {"schema": 2, "commit": ""}),
                          ("no JSON", {**good, "results": {1, 2}}), ("no JSON", {**good, "results": float("nan")}),
                          ("two results for null_call", {**good, "results": good["results"][:1] * 2})):
            self.assertIn(what, self._refused(self.folder / "new", [bad]))
        self.assertIn("no document", self._refused(self.folder / "new", []))
        self.assertIn("same run", self._refused(self.folder / "new", [good, good]))

    def test_what_is_no_folder(self):
        file = self.folder / "file"
        file.write_text("")
        (self.folder / "taken" / "index.html").mkdir(parents=True)
        for place in (file, file / "below", self.folder / "taken"):
            self._refused(place, report_sample.documents())

    @unittest.skipIf(os.geteuid() == 0, "root can write everywhere")
    def test_a_folder_that_cannot_be_written(self):
        self.folder.chmod(0o500)
        self._refused(self.folder / "new", report_sample.documents())


class Seeing(unittest.TestCase):
    """What the tests in a browser make of what they see."""

    def _view(self, **changes) -> dict:
        line = {"points": 3, "width": 400, "colour": "", "shown": 1}
        panels = [{"arch": arch, "drawings": 1, "lines": [line]} for arch in base.ARCHES]
        return {"width": "360", "overflow": 0, "letters": 9.5, "overlaps": [], "lost": [], "twice": [], "nameless": 0,
                "curves": [{"curve": "switch", "measure": "measured", "panels": panels}], **changes}

    def test_what_is_wrong_is_found(self):
        def complaints(**changes) -> str:
            return browser_test.complaints_of([self._view(**changes)], ["switch"], list(base.ARCHES))
        self.assertEqual(complaints(), "")
        self.assertIn("no plot of switch", complaints(curves=[]))
        panel = {"arch": "x86_64", "drawings": 1, "lines": []}
        curve = {"curve": "switch", "measure": "measured", "panels": [panel]}
        self.assertIn("plots for ['x86_64']", complaints(curves=[curve]))
        self.assertIn("has no line", complaints(curves=[curve]))
        self.assertIn("too wide", complaints(overflow=4))
        self.assertIn("letters of 3.0", complaints(letters=3.0))
        self.assertIn("a / b", complaints(overlaps=["a / b"]))

    def test_pixels_of_every_filter(self):
        lines = [bytes((n * 7 + m) & 255 for m in range(12)) for n in range(5)]
        raw, above = b"", bytes(12)
        for kind, line in enumerate(lines):
            raw += bytes([kind]) + _filtered(kind, line, above)
            above = line
        head = struct.pack(">IIBBBBB", 3, 5, 8, 6, 0, 0, 0)
        picture = b"\x89PNG\r\n\x1a\n"
        for name, body in ((b"IHDR", head), (b"IDAT", zlib.compress(raw)), (b"IEND", b"")):
            picture += struct.pack(">I", len(body)) + name + body + bytes(4)
        wanted = [tuple(line[at:at + 3]) for line in lines for at in (0, 4, 8)]
        self.assertEqual(sorted(browser.pixels(picture).elements()), sorted(wanted))


def _filtered(kind: int, line: bytes, above: bytes) -> bytes:
    left, corner = bytes(4) + line, bytes(4) + above

    def guess(at: int) -> int:
        a, b, c = left[at], above[at], corner[at]
        nearest = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2]
        return (0, a, b, (a + b) // 2, nearest)[kind]
    return bytes((byte - guess(at)) & 255 for at, byte in enumerate(line))
