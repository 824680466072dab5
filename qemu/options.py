"""The options of each verb."""

from __future__ import annotations

import argparse
import os
import re

from . import base, bochs
from .base import ARCHES, EXIT_USAGE, Failure
from .serial import printable


class Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line, and whose help is lost as any other output is."""

    def error(self, message: str):
        raise Failure(f"{printable(message.encode())} (see ./x.py {self.prog.split()[-1]} --help)", EXIT_USAGE)


    def print_help(self, file=None):
        base.say(self.format_help().rstrip())


# The most CPUs that the kernel uses (`CPUS_MAX` in arch/lib.rs).
CPUS_MAX = 64


def _count(text: str) -> int:
    if not re.fullmatch("0*[1-9][0-9]{0,8}", text):
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is not a whole number above zero, of nine digits at most")
    return int(text)


def _loops(text: str) -> int:
    if text not in {str(number) for number in range(65)}:
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is not a number of loops from 0 to 64")
    return int(text)


def _jobs(text: str) -> int:
    if text not in {str(number) for number in range(1, 65)}:
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is not a number of boots from 1 to 64")
    return int(text)


def _cpus(text: str) -> int:
    if text not in {str(number) for number in range(1, CPUS_MAX + 1)}:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of CPUs from 1 to {CPUS_MAX}")
    return int(text)


def _per_cent(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?", text):
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is not a number of per cent, such as 2 or 0.5")
    return float(text)


def plain(verb: str, text: str) -> Parser:
    """A verb with no options of its own."""
    parser = Parser(prog=f"./x.py {verb}", description=text, allow_abbrev=False)
    parser.add_argument("-v", "--verbose", action="store_true", help="print every command that is run")
    return parser


def _add_arch(parser: Parser, default: str | None) -> None:
    told = f"default {default}" if default else "default both"
    parser.add_argument("--arch", choices=ARCHES, default=default, help=f"the architecture ({told})")


def _add_jobs(parser: Parser) -> None:
    usual = max(2, min(os.cpu_count() or 2, 8) // 2)
    parser.add_argument("--jobs", type=_jobs, default=usual, metavar="N", help=f"boots at a time (here {usual})")


def _add_machine(parser: Parser) -> None:
    parser.add_argument("--machine", choices=("qemu", "bochs"), default="qemu",
                        help="the emulator (default qemu); bochs, for x86_64, has PCID and INVPCID")
    parser.add_argument("--cpu", choices=tuple(bochs.MODELS), help="the CPU of --machine bochs: " + "; ".join(
        f"{name} has {what}" for name, what in bochs.MODELS.items()))


def _tags(text: str) -> str:
    if text not in {"off", *map(str, range(2, 17))}:
        raise argparse.ArgumentTypeError(f"{text!r} is neither off nor 2 to 16")
    return text


def _add_tags(parser: Parser) -> None:
    parser.add_argument("--tags", type=_tags, metavar="off|N",
                        help="TLB tags: none, or at most N bits (2 to 16), if the CPU has any")


def _add_profile(parser: Parser) -> None:
    parser.add_argument("--profile", choices=("release", "checked"), default="release",
                        help="checked: debug assertions on (default release)")


def run() -> Parser:
    """`run`."""
    parser = plain("run", "Boots Tessera and runs PROGRAM. Ends with its exit code; 101 is a kernel panic, 102 a "
                     "machine that stopped by itself, 124 a timeout.")
    parser.add_argument("program", nargs="?", default="tour", help="a folder under user/ or a test (default tour)")
    parser.add_argument("arguments", nargs="*", help="arguments for the program; after -- they may begin with a dash")
    _add_arch(parser, "x86_64")
    parser.add_argument("--smp", type=_cpus, default=1, metavar="N", help="CPUs (default 1)")
    parser.add_argument("--memory", type=_count, metavar="MIB",
                        help="MiB of memory (default 512, or what the program asks for)")
    _add_machine(parser)
    parser.add_argument("--boot", choices=("bios", "uefi", "limine", "stub"),
                        help="how to boot: x86_64 has bios (default), uefi, limine, stub; "
                        "aarch64 has stub (default), limine")
    parser.add_argument("--limine-dir", metavar="DIR", help="the folder with Limine's BOOTX64.EFI and BOOTAA64.EFI")
    parser.add_argument("--accel", choices=("tcg", "kvm"), default="tcg", help="emulate (default), or use the host CPU")
    parser.add_argument("--icount", action="store_true", help="one instruction is one nanosecond; repeatable")
    parser.add_argument("--gdb", action="store_true", help="wait for ./x.py gdb before the first instruction")
    parser.add_argument("--timeout", type=_count, metavar="S",
                        help="seconds until it is ended (default 120, and more when the host is busy)")
    _add_profile(parser)
    _add_tags(parser)
    parser.add_argument("--options", default="", metavar="WORDS",
                        help="kernel options, such as leakcheck=1, added to those that the program asks for")
    return parser


def test() -> Parser:
    """`test`."""
    parser = plain("test", "Runs the tests, several boots at a time. The last line says how many passed and failed.")
    parser.add_argument("filter", nargs="?", default="", help="only tests whose name holds this text")
    _add_arch(parser, None)
    _add_machine(parser)
    _add_jobs(parser)
    parser.add_argument("--host", action="store_true", help="only the tests on the host, which need no emulator")
    parser.add_argument("--list", action="store_true", help="print the tests instead of running them")
    parser.add_argument("--tlbcheck", action="store_true", help="run the conformance programs, stress and linux under the TLB "
                        "checker, which reports dead translations that a CPU may use (docs/tlbcheck.md)")
    parser.add_argument("--smp", type=_cpus, metavar="N", help="CPUs for every boot (default: what a boot test asks "
                        "for; the conformance programs with 1, 2 and 4)")
    _add_tags(parser)
    return parser


def soak() -> Parser:
    """`soak`."""
    parser = plain("soak", "Boots again and again: one second of stress and hello; or runs all tests again and again. "
                     "Ends with 1 at the first failure, whose logs it keeps.")
    parser.add_argument("--boots", type=_count, default=10, metavar="N", help="boots of each architecture (default 10)")
    parser.add_argument("--tests", type=_count, metavar="N", help="runs of ./x.py test, instead of boots")
    parser.add_argument("--filter", default="", metavar="TEXT", help="with --tests: only tests whose name holds this")
    parser.add_argument("--busy", type=_loops, default=0, metavar="N", help="endless loops beside it (default 0)")
    _add_jobs(parser)
    _add_arch(parser, None)
    parser.add_argument("--smp", type=_cpus, metavar="N",
                        help="CPUs (default 4; with --tests what each test has)")
    _add_tags(parser)
    _add_profile(parser)
    return parser


def bench() -> Parser:
    """`bench`."""
    parser = plain("bench", "Counts instructions in the emulator, the same in every run, and compares them with "
                     "the budgets in tests/bench/budgets.json. Ends with 1 when one is exceeded.")
    parser.add_argument("filter", nargs="*", metavar="FILTER",
                        help="a benchmark, a curve or a point of one; or a part of names (docs/benchmarks.md has them)")
    _add_arch(parser, None)
    parser.add_argument("--smp", type=_cpus, metavar="N", help="CPUs (default 1; for baselines 1 and 4)")
    _add_tags(parser)
    parser.add_argument("--accel", choices=("tcg", "kvm"), default="tcg",
                        help="emulate and count instructions (default), or use the host's CPU and count its cycles")
    parser.add_argument("--from", dest="log", metavar="LOG", help="boot nothing: take the results from this log of a machine's "
                        "serial line (docs/hardware.md); needs --arch")
    parser.add_argument("--json", metavar="FILE", help="write the results there; needs --arch")
    parser.add_argument("--raw", action="store_true", help="with --json: the samples as well")
    parser.add_argument("--compare", metavar="OLD", help="a file that --json wrote, or baseline: print what changed, "
                        "and end with 1 if a median grew by more than the threshold")
    parser.add_argument("--threshold", type=_per_cent, metavar="PERCENT",
                        help="what --compare lets pass (default 2); fewer than 3 instructions always do")
    parser.add_argument("--bless", action="store_true", help="write the baselines anew")
    parser.add_argument("--model", metavar="PROFILE", help="look on with the model of a TLB (docs/tlb-model.md)")
    parser.add_argument("--peer", choices=("linux",), help="boot this kernel as well, and print both with ratios")
    parser.add_argument("--report", metavar="DIR", help="write a page with plots there, for a browser")
    parser.add_argument("--profile", action="store_true",
                        help="show where the instructions of the named benchmarks go, by part, file and function")
    parser.add_argument("--stretches", action="store_true",
                        help="show for which calls the kernel works longest in one go, while the named benchmarks run (default: "
                        "those of a baseline)")
    return parser


def build() -> Parser:
    """`build`."""
    parser = plain("build", "Compiles the kernel and every user program.")
    _add_arch(parser, None)
    _add_profile(parser)
    return parser


def image() -> Parser:
    """`image`."""
    parser = plain("image", "Writes a disk image from which a real machine starts PROGRAM (docs/hardware.md).")
    parser.add_argument("program", help="a folder under user/ or a test, for instance bench")
    parser.add_argument("arguments", nargs="*", help="arguments for the program; after -- they may begin with a dash")
    _add_arch(parser, "x86_64")
    parser.add_argument("--boot", choices=("bios", "uefi", "limine"), default="limine",
                        help="the loader: limine (default), for both architectures; bios or uefi, for x86_64")
    parser.add_argument("--limine-dir", metavar="DIR", help="the folder with Limine's BOOTX64.EFI and BOOTAA64.EFI")
    parser.add_argument("--out", metavar="FILE", required=True, help="the file to write")
    _add_tags(parser)
    parser.add_argument("--options", default="", metavar="WORDS",
                        help="kernel options, added to those that the program asks for")
    return parser


def gdb() -> Parser:
    """`gdb`."""
    parser = plain("gdb", "Attaches gdb, with symbols, to a machine started by ./x.py run --gdb in another terminal.")
    parser.add_argument("program", nargs="?", help="also load this user program's symbols")
    _add_arch(parser, "x86_64")
    _add_profile(parser)
    return parser


def figures() -> Parser:
    """`figures`."""
    parser = plain("figures", "Measures, and writes the pages of docs/ that have figures, each with a mark of what wrote it.")
    parser.add_argument("pages", nargs="*", metavar="PAGE", help="only these pages; a wrong name prints those that there are")
    return parser


def new() -> Parser:
    """`new`."""
    parser = plain("new", "Makes user/NAME from a template; ./x.py run NAME builds and boots it.")
    parser.add_argument("name", help="lower-case letters, digits and dashes")
    return parser
