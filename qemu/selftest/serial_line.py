"""Any bytes on the serial line become lines that may be shown."""

from __future__ import annotations

import unittest

from ..serial import PIECE_BYTES, Splitter, printable


class SerialLine(unittest.TestCase):
    """Bytes, and which of them the kernel said."""

    def _lines(self, *chunks: bytes) -> list:
        splitter = Splitter()
        return [line for chunk in chunks for line in splitter.feed(chunk)] + splitter.rest()

    def test_lines_may_come_in_pieces(self):
        lines = self._lines(b"[ker", b"nel] a\r\nb", b"\n\nc")
        self.assertEqual([line.text for line in lines], ["[kernel] a", "b", "", "c"])
        self.assertEqual([line.is_kernel() for line in lines], [True, False, False, False])

    def test_only_the_begin_of_a_line_makes_it_the_kernel_s(self):
        for raw in (b"x[kernel] PANIC: a", b" [kernel] a", b"x\r[kernel] a", b"\x1b[2K[kernel] a", b"[kernel?] a",
                    b"\x00[kernel] a", b"[kernel]a"):
            self.assertFalse(self._lines(raw + b"\n")[0].is_kernel(), raw)

    def test_a_piece_of_a_long_line_begins_no_line(self):
        lines = self._lines(b"x" * PIECE_BYTES, b"[kernel] PANIC: a\n[kernel] b\n")
        self.assertEqual([line.is_kernel() for line in lines], [False, False, True])
        self.assertEqual(len(self._lines(b"y" * (3 * PIECE_BYTES + 1))), 4)

    def test_nothing_reaches_the_terminal_that_it_would_obey(self):
        cases = {b"a\x1b[31mb": r"a\x1b[31mb", b"a\rb": r"a\rb", b"a\x07": r"a\x07", b"\xff\xfe": r"\xff\xfe",
                 "\u202e\x9b".encode(): r"\u202e\x9b", "a\tü 漢".encode(): "a\tü 漢", b"\xed\xa0\x80": r"\xed\xa0\x80"}
        for raw, text in cases.items():
            self.assertEqual(printable(raw), text)
