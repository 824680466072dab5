"""A debugger's side of QEMU's own debugging stub, as far as it takes to follow one thread of instructions.

The protocol is that of gdb ("GDB Remote Serial Protocol" in its manual): `$text#checksum`, answered with `+` and a packet
of the same form.
"""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Callable

from .base import Failure

# Where the instruction pointer stands among the registers of the stub's `p`.
POINTER_REGISTER = {"x86_64": 16, "aarch64": 32}
CONNECT_S = 30.0
# What one answer may take: a benchmark's way to the next stop is one.
ANSWER_S = 600.0


class Stub:
    """A connection to a machine that waits before its first instruction."""

    def __init__(self, place: Path, arch: str):
        self.register = f"p{POINTER_REGISTER[arch]:x}"
        self.pending = b""
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(ANSWER_S)
        limit = time.monotonic() + CONNECT_S
        while True:
            try:
                self.socket.connect(str(place))
                return
            except OSError as error:
                if time.monotonic() > limit:
                    raise Failure(f"QEMU's debugging stub does not answer: {error.strerror}") from None
                time.sleep(0.05)

    def ask(self, text: str) -> str:
        """Sends a command; returns its answer, or a command's that sets the machine going: why it has stopped."""
        data = text.encode()
        self.socket.sendall(b"$" + data + b"#%02x" % (sum(data) % 256))
        answer = self._packet()
        self.socket.sendall(b"+")
        return answer

    def _packet(self) -> str:
        while True:
            begin = self.pending.find(b"$")
            end = self.pending.find(b"#", begin + 1)
            if 0 <= begin < end and len(self.pending) >= end + 3:
                text, self.pending = self.pending[begin + 1:end], self.pending[end + 3:]
                return text.decode()
            chunk = self.socket.recv(4096)
            if not chunk:
                raise Failure("the machine ended while it was followed")
            self.pending += chunk

    def pointer(self) -> int:
        """The address of the next instruction."""
        return int.from_bytes(bytes.fromhex(self.ask(self.register)), "little")

    def memory(self, address: int, length: int) -> bytes:
        """What lies at an address of the space that the machine is in; nothing if it cannot be read."""
        answer = self.ask(f"m{address:x},{length:x}")
        return b"" if answer.startswith("E") else bytes.fromhex(answer)

    def step(self) -> int:
        """Lets one instruction pass; returns the address of the next. No interrupt comes in between."""
        self.ask("s")
        return self.pointer()

    def run_to(self, address: int, is_it: Callable[[], bool]) -> None:
        """Runs until the machine is at the address and the place is the right one: many spaces have that address."""
        while True:
            self.ask(f"Z1,{address:x},1")
            self.ask("c")
            self.ask(f"z1,{address:x},1")
            if self.pointer() == address and is_it():
                return
            self.ask("s")

    def leave(self) -> None:
        """Lets the machine run on by itself."""
        try:
            self.ask("D")
        except (OSError, Failure):
            # It may end before it answers.
            pass
        self.socket.close()
