#!/usr/bin/env python3
"""The one entry point to building, running, testing and checking Tessera.

Run `./x.py --help`. It needs Python 3.9 and nothing else; what it does not find it installs (see `./x.py setup`).
The work is done in `qemu/*.py`, one file per idea; `qemu/README.md` says which.
"""

import os
import sys

if sys.version_info < (3, 9):
    sys.exit("x.py: this needs Python 3.9 or later")

sys.dont_write_bytecode = True

# Text is UTF-8 here, whatever the locale says: the tree's files, the serial line, names of files.
if not sys.flags.utf8_mode and os.environ.get("PYTHONUTF8") != "1" and sys.executable:
    os.environ["PYTHONUTF8"] = "1"
    os.execv(sys.executable, [sys.executable, *sys.argv])

from qemu import cli  # noqa: E402  (what it is to run in comes first)

if __name__ == "__main__":
    sys.exit(cli.main(sys.argv[1:]))
