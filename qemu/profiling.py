"""Where the instructions of a call go: `./x.py bench --profile`, and a part of docs/performance.md.

The last measurement of a benchmark, when everything has been done often, is followed instruction by instruction in
QEMU. Each instruction of the kernel counts for the innermost function in this tree that it comes from, inlined ones
included; one of Rust's own library counts for who uses it, where it is inlined.
"""

from __future__ import annotations

import json
import struct
import subprocess
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from . import build
from .base import ROOT, Failure
from .stepping import Stub

# The function that programs call before what is to be followed (tests/bench/measure.rs).
MARK = b"16last_measurement"
# The instructions by which programs read the counter (libvas/raw.rs): mask and value.
TICKS = {"x86_64": (0xffff, 0x310f), "aarch64": (0xffffffe0, 0xd53b9d00)}
KERNEL_HALF = 1 << 63
# What one call takes at most; more means that the end was missed.
STEPS_MAX = 100_000
# Without a file: the assembly that saves and restores registers, which has no lines.
ASSEMBLY, LIBRARY = "assembly", "Rust"
# Compiled from Rust's compiler_builtins: they have no caller that could be told from the instruction.
COPIERS = ("memcpy", "memset", "memmove", "memcmp", "bcmp")
COPYING = "copying"


@dataclass
class Profile:
    """One measurement: instructions of the program, and of the kernel by `(file, function)`."""

    user: int
    kernel: Counter

    def by_part(self) -> Counter:
        """Instructions by room of the kernel, and what lies around it."""
        found: Counter = Counter()
        for (path, _), count in self.kernel.items():
            found[part_of(path)] += count
        return found

    def by_file(self) -> Counter:
        """Instructions by file."""
        found: Counter = Counter()
        for (path, _), count in self.kernel.items():
            found[path] += count
        return found

    def total(self) -> int:
        """All of them."""
        return self.user + sum(self.kernel.values())


def part_of(path: str) -> str:
    """The part of the kernel that a file belongs to: its room, `arch`, or none of them."""
    words = path.split("/")
    return words[1] if words[0] == "kernel" and len(words) > 2 else words[0]


class Elf:
    """As much of an ELF file as is needed: symbols, and the bytes at an address."""

    def __init__(self, path: Path):
        self.data = path.read_bytes()
        # System V ABI, chapter 4: where the file's header says how its two tables of headers lie.
        self.segments = [struct.unpack_from("<IIQQQQQQ", self.data, at) for at in self._headers(32, 54)]
        self.sections = [struct.unpack_from("<IIQQQQIIQQ", self.data, at) for at in self._headers(40, 58)]

    def _headers(self, start_at: int, size_at: int) -> range:
        start, = struct.unpack_from("<Q", self.data, start_at)
        size, count = struct.unpack_from("<HH", self.data, size_at)
        return range(start, start + size * count, size)

    def at(self, address: int, length: int) -> bytes:
        """The bytes that the file has at an address; nothing if it has none."""
        for _, _, offset, start, _, size, _, _ in self.segments:
            if start <= address and address + length <= start + size:
                return self.data[offset + address - start:][:length]
        return b""

    def address_of(self, part: bytes) -> int:
        """The address of the one function whose name holds this."""
        found = set()
        for _, kind, _, _, offset, size, link, _, _, each in self.sections:
            if kind != 2:
                continue
            names = self.sections[link][4]
            for at in range(offset, offset + size, each):
                name, info, _, _, value, _ = struct.unpack_from("<IBBHQQ", self.data, at)
                end = self.data.index(b"\0", names + name)
                if info & 0xf == 2 and part in self.data[names + name:end]:
                    found.add(value)
        if len(found) != 1:
            raise Failure(f"{len(found)} functions of the program are called {part.decode()}; one is wanted")
        return found.pop()


class Follower:
    """Follows the last measurement of each benchmark of one boot."""

    def __init__(self, arch: str, program: str, benchmarks: int):
        self.arch, self.benchmarks = arch, benchmarks
        self.folder = tempfile.TemporaryDirectory(prefix="tessera-")
        self.place = Path(self.folder.name) / "stub"
        self.program = Elf(build.output(arch, "release", program))
        self.mark = self.program.address_of(MARK)
        # The instructions of each, as addresses with their number.
        self.traces: list = []
        self.failure: Failure | None = None
        self.thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Follower:
        self.thread.start()
        return self

    def __exit__(self, *_exception) -> None:
        self.thread.join(5)
        self.folder.cleanup()

    def _follow(self) -> None:
        try:
            stub = Stub(self.place, self.arch)
            expected = self.program.at(self.mark, 8)
            for _ in range(self.benchmarks):
                stub.run_to(self.mark, lambda: stub.memory(self.mark, 8) == expected)
                self.traces.append(self._measurement(stub))
            stub.leave()
        except (OSError, ValueError, Failure) as error:
            self.failure = error if isinstance(error, Failure) else Failure(f"following the machine failed: {error}")

    def _measurement(self, stub: Stub) -> Counter:
        """The instructions between two readings of the counter by the program."""
        trace, readings = Counter(), 0
        pointer = stub.pointer()
        for _ in range(STEPS_MAX):
            if pointer < KERNEL_HALF and self._reads_ticks(pointer):
                readings += 1
            elif readings == 1:
                trace[pointer] += 1
            if readings == 2:
                return trace
            pointer = stub.step()
        raise Failure(f"the end of a measurement does not come within {STEPS_MAX} instructions")

    def _reads_ticks(self, pointer: int) -> bool:
        mask, value = TICKS[self.arch]
        return int.from_bytes(self.program.at(pointer, 4), "little") & mask == value

    def profiles(self) -> list:
        """What was found, one for each benchmark that was run."""
        if self.failure or len(self.traces) != self.benchmarks:
            raise self.failure or Failure(f"{len(self.traces)} of {self.benchmarks} benchmarks were followed")
        kernel = build.output(self.arch, "release", build.KERNEL)
        places = origins(kernel, sorted({at for trace in self.traces for at in trace if at >= KERNEL_HALF}))
        found = []
        for trace in self.traces:
            profile = Profile(0, Counter())
            for address, count in trace.items():
                if address < KERNEL_HALF:
                    profile.user += count
                else:
                    profile.kernel[places[address]] += count
            found.append(profile)
        return found


def origins(binary: Path, addresses: list) -> dict:
    """For each address, the file and the function that its instruction comes from."""
    words = ["llvm-symbolizer", "--relativenames", "--output-style=JSON", f"--obj={binary}"]
    asked = "".join(f"{address:#x}\n" for address in addresses)
    done = subprocess.run(words, input=asked, stdout=subprocess.PIPE, text=True, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.strip()]
    if len(lines) != len(addresses):
        raise Failure(f"llvm-symbolizer told {len(lines)} of {len(addresses)} addresses")
    return {address: origin(line.get("Symbol") or []) for address, line in zip(addresses, lines)}


def origin(frames: list) -> tuple:
    """The innermost frame that is of this tree, as `(file, function)`."""
    for frame in frames:
        path = frame["FileName"].replace(f"{ROOT}/", "")
        if path and not path.startswith(("/", "?")) and (ROOT / path).exists():
            return path, short(frame["FunctionName"])
    name = short(frames[-1]["FunctionName"]) if frames else ""
    if name in COPIERS:
        return COPYING, name
    # Assembly has no lines.
    return (LIBRARY if any(frame["Line"] for frame in frames) else ASSEMBLY), name


def short(name: str) -> str:
    """A function's name without the path to it and what it is generic over."""
    depth, plain = 0, ""
    for letter in name:
        depth += letter == "<"
        plain += letter if depth == 0 else ""
        depth -= letter == ">"
    return next((word for word in reversed(plain.split("::")) if word and not word.startswith("{")), name)
