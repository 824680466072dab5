#!/usr/bin/env python3
"""The one entry point to building, running, testing and checking Tessera.

Run `./x.py --help`. It needs Python 3.9 and nothing else; what it does not find it installs (see `./x.py setup`).
The work is done in `qemu/*.py`, one file per idea; `qemu/README.md` says which.
"""

import sys

if sys.version_info < (3, 9):
    sys.exit("x.py: this needs Python 3.9 or later")

sys.dont_write_bytecode = True

from qemu import cli  # noqa: E402  (the version check comes first)

if __name__ == "__main__":
    sys.exit(cli.main(sys.argv[1:]))
