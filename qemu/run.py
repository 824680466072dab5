"""The verbs `build`, `run` and `gdb`."""

from __future__ import annotations

import difflib
import os
import shutil

from . import base, build, setup, toolchain
from .base import EXIT_USAGE, Failure, is_arch_list, say, step, warn
from .boot import Job, boot
from .machine import GDB_PORT, Machine
from .rounds import tags_option, words_of
from .words import checked_arguments, checked_user_options, for_gdb

TIMEOUT_S = 120


def groups_for(machine: Machine) -> tuple:
    """What a machine needs installed."""
    if machine.emulator == "bochs":
        return ("build", "bochs")
    return ("build", "qemu", "uefi") if machine.needs_firmware() else ("build", "qemu")


def build_verb(options) -> int:
    """Compiles everything for the asked architectures."""
    setup.need(("build",))
    say(f"using {toolchain.describe()}")
    for arch in is_arch_list(options.arch):
        build.build(arch, options.profile, list(build.programs()))
    if "x86_64" in is_arch_list(options.arch):
        build.image_tool()
    return 0


def known(name: str) -> None:
    """Refuses a program that does not exist, with the nearest name that does."""
    if name in build.programs():
        return
    near = difflib.get_close_matches(name, build.programs(), 1)
    hint = f"did you mean {near[0]}?" if near else "there are: " + ", ".join(build.of_purpose("user"))
    raise Failure(f"there is no program {name!r}; {hint}", EXIT_USAGE)


def run_verb(options) -> int:
    """Boots one machine and runs one program."""
    machine = Machine(options.arch, options.smp, build.MEMORY_MIB, options.boot, options.limine_dir, options.accel,
                      options.icount, options.gdb, options.machine, options.cpu)
    machine.memory_mib = options.memory or build.MEMORY_MIB
    machine.check()
    checked_user_options(options.options)
    checked_arguments(options.arguments)
    setup.need(groups_for(machine))
    known(options.program)
    needs = build.needs_of([options.program])
    machine.memory_mib = options.memory or needs.memory_mib
    others = [name for name in build.of_purpose("user") if name != build.INIT]
    build.build(options.arch, options.profile, [options.program, *others])
    timeout_s = 24 * 3600.0 if options.gdb else float(options.timeout or TIMEOUT_S)
    arguments = build.arguments_for(options.program, options.arguments)
    job = Job(f"run-{options.arch}-{options.program}", machine, options.profile, [options.program], arguments, others,
              words_of(needs.options, options.options, tags_option(options.tags)), timeout_s,
              exact=bool(options.timeout))
    if options.gdb:
        step(f"waiting for: ./x.py gdb {options.program} --arch {options.arch}")
    else:
        on = f"Bochs, {machine.cpu}" if machine.emulator == "bochs" else machine.boot
        step(f"booting {options.arch} ({on}) to run {options.program}")
    outcome = boot(job, say, on_wait=say)
    if outcome.kind != "exit":
        warn(outcome.sentence())
    elif outcome.code != 0:
        warn(f"{options.program} ended with exit code {outcome.code}")
    return outcome.exit_status()


def gdb_verb(options) -> int:
    """Attaches a debugger to a machine that waits."""
    debugger = next((name for name in ("gdb-multiarch", "gdb") if shutil.which(name)), None)
    if debugger != "gdb-multiarch" and (debugger is None or options.arch != "x86_64"):
        setup.need(("gdb",))
        debugger = "gdb-multiarch"
    kernel = build.output(options.arch, options.profile, build.KERNEL)
    if not kernel.exists():
        raise Failure(f"no kernel for {options.arch} yet; start ./x.py run --gdb --arch {options.arch} first")
    # Sources are named by their places in the tree.
    words = [debugger, "-q", "-d", base.ROOT, kernel, "-ex", f"target remote 127.0.0.1:{GDB_PORT}"]
    if options.program:
        known(options.program)
        words += ["-ex", f"add-symbol-file {for_gdb(build.output(options.arch, options.profile, options.program))}"]
    # The debugger has the terminal: Ctrl-C is for it and must not end us before it.
    base.show_command(words)
    os.execvp(debugger, [str(word) for word in words])
