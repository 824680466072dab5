"""The command line: verbs, and one clear line for every mistake."""

from __future__ import annotations

import argparse

from . import base, build, check, media, new, options, run, setup, soak, suites
from .base import EXIT_USAGE, Failure
from .bench.verb import bench_verb
from .pages.verb import figures_verb
from .words import checked_folder, checked_words

HELP = """usage: ./x.py VERB [options]

Use it:
  run [PROGRAM]   build, boot, run a user program, and end with its exit code
  new NAME        make a user program in user/NAME from a template
  bench [FILTER]  count instructions; compare with budgets, a baseline, another kernel
  figures [PAGE]  measure, and write the pages of docs/ that have figures

Work on it:
  test [FILTER]   all tests: host, boot, user conformance
  soak            boot again and again under stress
  check           formatting, lints and the rules of the house
  build           compile the kernel and every program
  image PROGRAM   write a disk image that a real machine starts
  gdb [PROGRAM]   attach a debugger to a waiting `./x.py run --gdb`

The machine:
  setup           install what is missing (the other verbs do it by themselves)
  doctor          say what is there and what is missing; changes nothing
  clean           remove everything that was built

`./x.py VERB --help` shows a verb's options. Start with `./x.py run`."""


VERBS = {
    "setup": (lambda: options.plain("setup", "Installs what is missing."), lambda _: setup.setup()),
    "doctor": (lambda: options.plain("doctor", "Says what is there and what is missing."), lambda _: setup.doctor()),
    "build": (options.build, run.build_verb),
    "run": (options.run, run.run_verb),
    "test": (options.test, suites.test_verb),
    "soak": (options.soak, soak.soak_verb),
    "figures": (options.figures, figures_verb),
    "check": (lambda: options.plain("check", "Formatting, lints and the rules of the house, as in CI."), check.check_verb),
    "bench": (options.bench, bench_verb),
    "new": (options.new, new.new_verb),
    "image": (options.image, media.image_verb),
    "gdb": (options.gdb, run.gdb_verb),
    "clean": (lambda: options.plain("clean", "Removes everything that was built."), lambda _: build.clean()),
}


def parse(verb: str, words: list) -> argparse.Namespace:
    """Reads the words after a verb."""
    parser = VERBS[verb][0]()
    after = []
    if "--" in words:
        words, after = words[:words.index("--")], words[words.index("--") + 1:]
    found = parser.parse_intermixed_args(words)
    if after:
        if not hasattr(found, "arguments"):
            raise Failure(f"{verb} takes no arguments after --", EXIT_USAGE)
        found.arguments += after
    return found


def main(words: list) -> int:
    """Does what the command line says; returns the exit code."""
    base.open_missing_streams()
    base.end_everything_on_exit()
    try:
        checked_words(words)
        checked_folder(str(base.ROOT))
        if not words or words[0] in ("-h", "--help", "help"):
            base.say(HELP)
            return 0 if words else EXIT_USAGE
        if words[0] not in VERBS:
            raise Failure(f"there is no verb {words[0]!r} (see ./x.py --help)", EXIT_USAGE)
        found = parse(words[0], words[1:])
        base.verbose = found.verbose
        return VERBS[words[0]][1](found)
    except Failure as failure:
        base.warn(str(failure))
        return failure.code
    except UnicodeError as error:
        base.warn(f"a file is not UTF-8: {error}")
        return 1
    except OSError as error:
        base.warn(f"{error.filename or 'the system'}: {error.strerror or error}")
        return 1
