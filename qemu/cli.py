"""The command line: verbs, their options, and one clear line for every mistake."""

from __future__ import annotations

import argparse

from . import base, bench, bochs, build, check, figures, new, run, setup, soak, suites
from .base import ARCHES, EXIT_USAGE, Failure

HELP = """usage: ./x.py VERB [options]

Use it:
  run [PROGRAM]   build, boot, run a user program, and end with its exit code
  new NAME        make a user program in user/NAME from a template
  bench [NAME]    count instructions and compare with the budgets
  figures         measure shootdowns and shared tables; writes docs/figures.md, docs/sharing.md

Work on it:
  test [FILTER]   all tests: host, boot, user conformance
  soak            boot again and again under stress
  check           formatting, lints and the rules of the house
  build           compile the kernel and every program
  gdb [PROGRAM]   attach a debugger to a waiting `./x.py run --gdb`

The machine:
  setup           install what is missing (the other verbs do it by themselves)
  doctor          say what is there and what is missing; changes nothing
  clean           remove everything that was built

`./x.py VERB --help` shows a verb's options. Start with `./x.py run`."""


class _Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line."""

    def error(self, message: str):
        raise Failure(f"{message} (see ./x.py {self.prog.split()[-1]} --help)", EXIT_USAGE)


# The most CPUs that the kernel uses (`CPUS_MAX` in arch/lib.rs).
CPUS_MAX = 8


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above zero")
    return int(text)


def _cpus(text: str) -> int:
    if text not in {str(number) for number in range(1, CPUS_MAX + 1)}:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of CPUs from 1 to {CPUS_MAX}")
    return int(text)


def _parser(verb: str, text: str) -> _Parser:
    parser = _Parser(prog=f"./x.py {verb}", description=text, allow_abbrev=False)
    parser.add_argument("-v", "--verbose", action="store_true", help="print every command that is run")
    return parser


def _add_arch(parser: _Parser, default: str | None) -> None:
    told = f"default {default}" if default else "default both"
    parser.add_argument("--arch", choices=ARCHES, default=default, help=f"the architecture ({told})")


def _add_machine(parser: _Parser) -> None:
    parser.add_argument("--machine", choices=("qemu", "bochs"), default="qemu",
                        help="the emulator (default qemu); bochs, for x86_64, has PCID and INVPCID")
    parser.add_argument("--cpu", choices=tuple(bochs.MODELS), help="the CPU of --machine bochs: " + "; ".join(
        f"{name} has {what}" for name, what in bochs.MODELS.items()))


def _tags(text: str) -> str:
    if text != "off" and not (text.isdigit() and 2 <= int(text) <= 16):
        raise argparse.ArgumentTypeError(f"{text!r} is neither off nor 2 to 16")
    return text


def _add_tags(parser: _Parser) -> None:
    parser.add_argument("--tags", type=_tags, metavar="off|N",
                        help="TLB tags: none, or at most N bits (2 to 16), if the CPU has any")


def _add_profile(parser: _Parser) -> None:
    parser.add_argument("--profile", choices=("release", "checked"), default="release",
                        help="checked: debug assertions on (default release)")


def _run_parser() -> _Parser:
    parser = _parser("run", "Boots Tessera and runs PROGRAM. Ends with its exit code; 101 is a kernel panic, 102 a "
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
    parser.add_argument("--timeout", type=_count, default=120, metavar="S",
                        help="seconds until it is ended (default 120)")
    _add_profile(parser)
    _add_tags(parser)
    parser.add_argument("--options", default="", metavar="WORDS",
                        help="kernel options, such as leakcheck=1, added to those that the program asks for")
    return parser


def _test_parser() -> _Parser:
    parser = _parser("test", "Runs the tests, two boots at a time. The last line says how many passed and failed.")
    parser.add_argument("filter", nargs="?", default="", help="only tests whose name holds this text")
    _add_arch(parser, None)
    _add_machine(parser)
    parser.add_argument("--host", action="store_true", help="only the tests on the host, which need no emulator")
    parser.add_argument("--list", action="store_true", help="print the tests instead of running them")
    parser.add_argument("--smp", type=_cpus, metavar="N", help="CPUs for every boot (default: what a boot test asks "
                        "for; the conformance programs with 1, 2 and 4)")
    _add_tags(parser)
    return parser


def _soak_parser() -> _Parser:
    parser = _parser("soak", "Boots again and again: one second of stress and hello. Ends with 1 at the first failure.")
    parser.add_argument("--boots", type=_count, default=10, metavar="N", help="boots of each architecture (default 10)")
    _add_arch(parser, None)
    parser.add_argument("--smp", type=_cpus, default=4, metavar="N", help="CPUs (default 4)")
    _add_tags(parser)
    _add_profile(parser)
    return parser


def _bench_parser() -> _Parser:
    parser = _parser("bench", "Counts instructions in the emulator, the same in every run, and compares them with "
                     "the budgets in tests/bench/budgets.json. Ends with 1 when one is exceeded.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these benchmarks")
    _add_arch(parser, None)
    parser.add_argument("--smp", type=_cpus, default=1, metavar="N", help="CPUs (default 1)")
    _add_tags(parser)
    parser.add_argument("--json", metavar="FILE", help="write the results there; needs --arch")
    return parser


def _build_parser() -> _Parser:
    parser = _parser("build", "Compiles the kernel and every user program.")
    _add_arch(parser, None)
    _add_profile(parser)
    return parser


def _gdb_parser() -> _Parser:
    parser = _parser("gdb", "Attaches gdb, with symbols, to a machine started by ./x.py run --gdb in another terminal.")
    parser.add_argument("program", nargs="?", help="also load this user program's symbols")
    _add_arch(parser, "x86_64")
    _add_profile(parser)
    return parser


def _figures_parser() -> _Parser:
    parser = _parser("figures", "Counts shootdown interrupts on QEMU and Bochs, and measures the tables of shared "
                     "memory on QEMU; writes docs/figures.md and docs/sharing.md.")
    parser.add_argument("pages", nargs="*", metavar="PAGE", help="only these pages: figures, sharing")
    return parser


def _new_parser() -> _Parser:
    parser = _parser("new", "Makes user/NAME from a template; ./x.py run NAME builds and boots it.")
    parser.add_argument("name", help="lower-case letters, digits and dashes")
    return parser


VERBS = {
    "setup": (lambda: _parser("setup", "Installs what is missing."), lambda _: setup.setup()),
    "doctor": (lambda: _parser("doctor", "Says what is there and what is missing."), lambda _: setup.doctor()),
    "build": (_build_parser, run.build_verb),
    "run": (_run_parser, run.run_verb),
    "test": (_test_parser, suites.test_verb),
    "soak": (_soak_parser, soak.soak_verb),
    "figures": (_figures_parser, figures.figures_verb),
    "check": (lambda: _parser("check", "Formatting, lints and the rules of the house, as in CI."), check.check_verb),
    "bench": (_bench_parser, bench.bench_verb),
    "new": (_new_parser, new.new_verb),
    "gdb": (_gdb_parser, run.gdb_verb),
    "clean": (lambda: _parser("clean", "Removes everything that was built."), lambda _: build.clean()),
}


def parse(verb: str, words: list) -> argparse.Namespace:
    """Reads the words after a verb."""
    parser = VERBS[verb][0]()
    after = []
    if "--" in words:
        words, after = words[:words.index("--")], words[words.index("--") + 1:]
    options = parser.parse_intermixed_args(words)
    if after:
        if not hasattr(options, "arguments"):
            raise Failure(f"{verb} takes no arguments after --", EXIT_USAGE)
        options.arguments += after
    return options


def main(words: list) -> int:
    """Does what the command line says; returns the exit code."""
    base.end_everything_on_exit()
    if not words or words[0] in ("-h", "--help", "help"):
        print(HELP)
        return 0 if words else EXIT_USAGE
    try:
        if words[0] not in VERBS:
            raise Failure(f"there is no verb {words[0]!r} (see ./x.py --help)", EXIT_USAGE)
        options = parse(words[0], words[1:])
        base.verbose = options.verbose
        return VERBS[words[0]][1](options)
    except Failure as failure:
        base.warn(str(failure))
        return failure.code
    except BrokenPipeError:
        return 1
    except OSError as error:
        base.warn(f"{error.filename or 'the system'}: {error.strerror}")
        return 1
