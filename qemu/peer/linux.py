"""Boots Linux with one program of ours in the emulator in which Tessera is counted, and returns what that prints.

Linux is at its best here: hardware flaws are not worked around, nothing is hardened or audited, and nothing is random, so
that two runs are alike.
"""

from __future__ import annotations

import os
import selectors
import subprocess
from pathlib import Path

from .. import base, setup
from ..base import LOGS, Failure, say, step
from ..debian import scratch
from ..machine import COMMON, ICOUNT
from ..patience import Patience, used_s
from ..serial import Splitter
from .cpio import archive
from .kernel import Kernel, kernel
from .output import Output

SOURCES = Path(__file__).resolve().parent / "linux"
TIMEOUT_S = 600.0
# How often it is looked whether time is up.
TICK_S = 1.0
MEMORY_MIB = 1024
# Bytes are cleared and copied eight at a time: each repetition of an instruction counts, and Tessera's are as long.
MACHINES = {
    "x86_64": ["-M", "q35", "-cpu", "max,la57=off,erms=off,fsrm=off"],
    "aarch64": ["-M", "virt,gic-version=3", "-cpu", "cortex-a72,cntfrq=1000000000"],
}
# What would differ from run to run: random numbers and the time of day.
REPEATABLE = ["-seed", "1", "-rtc", "base=2026-01-01T00:00:00,clock=vm"]
OPTIONS = {"x86_64": "console=ttyS0 nopti", "aarch64": "console=ttyAMA0 kpti=off"}
LEAN = ("quiet loglevel=4 panic=-1 mitigations=off nokaslr norandmaps randomize_kstack_offset=off init_on_alloc=0 "
        "init_on_free=0 hardened_usercopy=off audit=0 lsm=capability preempt=none")


def measure(arch: str) -> list:
    """Boots once; returns what `bench --json` has in `peers`, but for the ratio."""
    setup.need(("qemu", "peer"))
    found = kernel(arch)
    with scratch() as folder:
        program, first = Path(folder) / "init", Path(folder) / "initrd"
        compile_for(arch, program)
        first.write_bytes(archive({"init": program.read_bytes()}))
        step(f"counting what Linux takes on {arch} ({found.package})")
        return run(arch, command(arch, found, first))


def compile_for(arch: str, program: Path) -> None:
    """Compiles the program, which then needs nothing but a kernel."""
    words = [f"{arch}-linux-gnu-gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-static", "-pthread", "-o", program,
             *sorted(SOURCES.glob("*.c"))]
    base.must_run(words, f"Linux' program could not be compiled for {arch}", quiet=True)


def command(arch: str, found: Kernel, first: Path) -> list:
    """The emulator's command line."""
    return [f"qemu-system-{arch}", *COMMON, "-m", MEMORY_MIB, "-smp", 1, "-accel", "tcg", *ICOUNT, *REPEATABLE,
            *MACHINES[arch], "-kernel", found.image, "-initrd", first, "-append", f"{OPTIONS[arch]} {LEAN}"]


def run(arch: str, words: list) -> list:
    """Runs the emulator to its end; returns what its program measured."""
    LOGS.mkdir(parents=True, exist_ok=True)
    log, output = LOGS / f"peer-linux-{arch}.log", Output()
    with open(log, "w", encoding="utf-8") as log_file:
        log_file.write("$ " + " ".join(map(str, words)) + "\n")

        def take(line: str) -> None:
            log_file.write(line + "\n")
            log_file.flush()
            output.take(line)

        complaint = _read(words, take, lambda: f"Linux on {arch}, after {len(output.reader.ended)} operations")
    try:
        if complaint:
            raise Failure(complaint, base.EXIT_TIMEOUT)
        entries = output.entries()
    except Failure as failure:
        raise Failure(f"Linux on {arch}: {failure} (log: {log.relative_to(base.ROOT)})", failure.code) from None
    say(f"    {output.kernel}: {len(output.reader.ended)} operations")
    return entries


def _read(words: list, take, what) -> str:
    """Hands on each line until the emulator ends, or returns why time is up."""
    process = base.start(words, group=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    splitter, patience = Splitter(), Patience(lambda: used_s(process.pid), TIMEOUT_S)
    try:
        with selectors.DefaultSelector() as selector, base.ticking(what):
            selector.register(process.stdout, selectors.EVENT_READ)
            while not patience.complaint():
                patience.count()
                if not selector.select(TICK_S):
                    continue
                chunk = os.read(process.stdout.fileno(), 65536)
                for line in splitter.feed(chunk) if chunk else splitter.rest():
                    take(line.text)
                if not chunk:
                    return ""
        return patience.complaint()
    finally:
        base.end(process)
        process.stdout.close()
