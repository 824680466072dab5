"""The archive that Linux unpacks as its first file system: cpio's "newc" format (Linux'
`Documentation/driver-api/early-userspace/buffer-format.rst`)."""

from __future__ import annotations

REGULAR_FILE = 0o100000
END = "TRAILER!!!"


def archive(files: dict) -> bytes:
    """An archive of these executables: contents by path. The same files give the same bytes."""
    entries = [_entry(number, name, REGULAR_FILE | 0o755, content) for number, (name, content) in enumerate(files.items(), 1)]
    return b"".join([*entries, _entry(0, END, 0, b"")])


def _entry(number: int, name: str, mode: int, content: bytes) -> bytes:
    path = name.encode() + b"\0"
    links, nobody, never, no_device = 1, 0, 0, 0
    fields = [number, mode, nobody, nobody, links, never, len(content), no_device, no_device, no_device, no_device,
              len(path), 0]
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _padded(header + path) + _padded(content)


def _padded(part: bytes) -> bytes:
    return part + b"\0" * (-len(part) % 4)
