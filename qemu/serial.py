"""The serial line: from bytes, any bytes, to lines that may be shown; and which of them are the kernel's."""

from __future__ import annotations

from dataclasses import dataclass

# What the kernel's lines begin with. It begins each on a line of its own, and lets no program's line begin so.
KERNEL = "[kernel] "
# A line that does not end is handed on in pieces of this size.
PIECE_BYTES = 64 * 1024


@dataclass(frozen=True)
class Line:
    """One line, or a piece of one that is too long."""

    text: str
    # Whether it begins where a line of the machine begins.
    is_start: bool = True

    def is_kernel(self) -> bool:
        """Whether the kernel says it."""
        return self.is_start and self.text.startswith(KERNEL)


def printable(raw: bytes) -> str:
    """Text for people, whatever a program wrote: what would move the cursor, colour or hide is spelled out."""
    text = raw.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each == "\t" else _spelled(each) for each in text)


def _spelled(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


class Splitter:
    """Takes in bytes as they come and gives lines."""

    def __init__(self):
        self.pending = b""
        self.at_start = True

    def feed(self, chunk: bytes) -> list:
        """The lines that these bytes complete."""
        *whole, self.pending = (self.pending + chunk).split(b"\n")
        lines = [self._line(raw, ends=True) for raw in whole]
        while len(self.pending) >= PIECE_BYTES:
            piece, self.pending = self.pending[:PIECE_BYTES], self.pending[PIECE_BYTES:]
            lines.append(self._line(piece, ends=False))
        return lines

    def unfinished(self) -> str:
        """The line that has begun and not ended."""
        return printable(self.pending)

    def rest(self) -> list:
        """What has come of a line that has not ended, when nothing more will come."""
        raw, self.pending = self.pending, b""
        return [self._line(raw, ends=True)] if raw else []

    def _line(self, raw: bytes, ends: bool) -> Line:
        line = Line(printable(raw.rstrip(b"\r") if ends else raw), self.at_start)
        self.at_start = ends
        return line
