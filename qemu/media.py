"""The verb `image`: a disk image from which a real machine, or any other emulator, starts one program."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from . import build, extras, image, run, setup
from .base import EXIT_USAGE, TARGET, Failure, say, step
from .boot import Job
from .machine import BOOTS, Machine
from .rounds import tags_option, words_of
from .words import checked_arguments, checked_user_options


def image_verb(options) -> int:
    """Writes the image, whole or not at all."""
    machine = Machine(options.arch, boot=options.boot, limine_dir=options.limine_dir)
    ways = [way for way in BOOTS[options.arch] if way != "stub"]
    if options.boot not in ways:
        raise Failure(f"--boot {options.boot} makes no image for {options.arch}, which has: {', '.join(ways)}", EXIT_USAGE)
    machine.check()
    out = Path(options.out)
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise Failure(f"--out {options.out} names no file in a folder that is there", EXIT_USAGE)
    checked_user_options(options.options)
    checked_arguments(options.arguments)
    setup.need(("build",))
    run.known(options.program)
    build.build(options.arch, "release", [options.program])
    needs = build.needs_of([options.program])
    job = Job("image", machine, "release", [options.program], build.arguments_for(options.program, options.arguments),
              options=words_of(needs.options, options.options, tags_option(options.tags)))
    step(f"writing an image for {options.arch} ({options.boot}) that runs {options.program}")
    scratch = TARGET / "boot"
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{os.getpid()}-", dir=scratch) as folder:
        archive = Path(folder) / "archive.tar"
        image.write_archive(archive, options.arch, "release", job.cmdline(), job.run, with_kernel=False,
                            files=extras.files_for(options.arch, job.run))
        disk = image.write_disk(Path(folder), options.arch, "release", options.boot, archive, options.limine_dir)
        data = disk.read_bytes()
    try:
        out.write_bytes(data)
    except OSError as error:
        raise Failure(f"cannot write {out}: {error.strerror}") from None
    say(f"wrote {out}, {len(data):,} bytes; the program says what it says on the first serial line, 115,200 baud")
    return 0
