"""Files that the boot archive has for a program, beside programs: named in its Cargo.toml, as `files = "NAME"`."""

from __future__ import annotations

import threading

from . import build, linux_programs
from .base import Failure

# Each gives the files for an architecture: contents by their names in the archive.
SUPPLIERS = {"linux": linux_programs.files}
_lock = threading.Lock()
_found: dict = {}


def files_for(arch: str, names: list) -> dict:
    """The files for these programs. What takes long to get is got once."""
    files: dict = {}
    for name in names:
        wanted = build.programs()[name].needs.files
        if wanted and wanted not in SUPPLIERS:
            raise Failure(f"{name}: there are no files {wanted!r} for the boot archive")
        if wanted:
            with _lock:
                if (wanted, arch) not in _found:
                    _found[wanted, arch] = SUPPLIERS[wanted](arch)
            files.update(_found[wanted, arch])
    return files
