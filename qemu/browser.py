"""A real browser without a window: what it makes of a page, and how that looks."""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
import zlib
from collections import Counter
from pathlib import Path

from . import base
from .base import Failure

NAMES = ("chromium", "chromium-browser", "google-chrome")
# It needs seconds; after so long it hangs.
TIMEOUT_S = 600.0


def find() -> str | None:
    """The browser's path, if there is one."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


def _opened(page: str, *options: str) -> tuple:
    """Opens an address; returns what the browser wrote to standard output, and what it and the page complained of."""
    with tempfile.TemporaryDirectory() as place:
        # Root has no sandbox; the pages are ours.
        words = [find() or NAMES[0], "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
                 "--disable-extensions", "--disable-background-networking", f"--user-data-dir={place}",
                 "--enable-logging=stderr", *options, page]
        process = base.start(words, group=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             text=True, errors="replace")
        try:
            output, complaints = process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise Failure(f"{words[0]} did not end within {TIMEOUT_S:.0f} s") from None
        finally:
            base.end(process)
    if process.returncode != 0:
        raise Failure(f"{words[0]} ended with {process.returncode}: {(complaints.strip().splitlines() or ['?'])[-1]}")
    return output, complaints


def dom(page: Path) -> tuple:
    """The page after it was loaded and its scripts ran, as HTML; and what it wrote to the console."""
    output, complaints = _opened(page.as_uri(), "--dump-dom")
    return output, [line for line in complaints.splitlines() if "CONSOLE" in line]


def colours(page: Path, size: tuple, is_dark: bool = False) -> Counter:
    """Shows the top of a page; returns how many pixels have which colour, as (red, green, blue)."""
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "picture.png"
        scheme = ["--blink-settings=preferredColorScheme=0"] if is_dark else []
        _opened(page.as_uri(), f"--screenshot={picture}", f"--window-size={size[0]},{size[1]}", *scheme)
        if not picture.is_file():
            raise Failure("the browser made no picture")
        return pixels(picture.read_bytes())


def pixels(picture: bytes) -> Counter:
    """How many pixels of a PNG have which colour; of the kind that browsers write, 8 bits for each part."""
    width, height, depth, kind, _, _, interlace = struct.unpack(">IIBBBBB", picture[16:29])
    if depth != 8 or kind not in (2, 6) or interlace:
        raise Failure(f"no such picture is understood: {depth} bits, kind {kind}")
    size = 3 if kind == 2 else 4
    body, at = b"", 8
    while at < len(picture):
        length, name = struct.unpack(">I4s", picture[at:at + 8])
        body += picture[at + 8:at + 8 + length] if name == b"IDAT" else b""
        at += length + 12
    raw, stride = zlib.decompress(body), width * size + 1
    found: Counter = Counter()
    above = bytes(width * size)
    for row in range(height):
        above = _unfiltered(raw[row * stride], raw[row * stride + 1:(row + 1) * stride], above, size)
        found.update(zip(*(above[part::size] for part in range(3))))
    return found


def _unfiltered(kind: int, line: bytes, above: bytes, size: int) -> bytes:
    """A line of a PNG without its filter (Portable Network Graphics Specification, chapter 9)."""
    if kind == 0:
        return line
    if kind == 2:
        return bytes((here + up) & 255 for here, up in zip(line, above))
    out = bytearray(size) + bytearray(line)
    up = bytes(size) + above
    for at in range(size, len(out)):
        left = out[at - size]
        if kind == 1:
            out[at] = (out[at] + left) & 255
        elif kind == 3:
            out[at] = (out[at] + (left + up[at]) // 2) & 255
        else:
            corner = up[at - size]
            guess = left + up[at] - corner
            distances = [(abs(guess - each), order, each) for order, each in enumerate((left, up[at], corner))]
            out[at] = (out[at] + min(distances)[2]) & 255
    return bytes(out[size:])
