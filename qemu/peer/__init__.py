"""What another kernel takes for the same operations in the same emulator: `bench --peer linux` and `figures peers`.

`operations` is the table of what is measured and beside which benchmarks it stands; `linux` boots; `kernel` fetches
Debian's kernel, `cpio` makes the first file system, whose only program is compiled from `linux/`, and `output` reads
what that prints.
"""

from .linux import measure
from .operations import is_alone

__all__ = ["is_alone", "measure"]
