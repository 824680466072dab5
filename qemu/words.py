"""Strings that become part of another syntax: QEMU's options, gdb's commands, the boot archive's `cmdline`.

Each function makes a string that is safe there, or says in one line why there is none.
"""

from __future__ import annotations

import re
import unicodedata

from .base import EXIT_USAGE, Failure

# A page holds them, behind the program's own facts (`INFO_BYTES` in kernel/abi/layout.rs).
ARGUMENTS_BYTES_MAX = 3072
# The names of members of a tar file, and words of `cmdline`.
PROGRAM_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")
OPTION = re.compile(r"[a-z][a-z0-9_.-]*=[!-~]*")
# `run` and `args` say what to run; x.py writes them itself.
TAKEN = ("run", "args")
# What a checkout's folder cannot have in its name, and because of whom.
FOLDER_TAKEN = {":": "a list such as PATH", "%": "the linker's name for a file that is not finished"}


def for_qemu(value: object) -> str:
    """A value in a list of `key=value` as QEMU's options have it: a comma is doubled there."""
    return str(value).replace(",", ",,")


def for_gdb(value: object) -> str:
    """One word of a gdb command."""
    return re.sub(r"([^A-Za-z0-9_./+-])", r"\\\1", str(value))


def checked_options(text: str) -> str:
    """Options for the kernel's command line: `key=value` words, one blank between them."""
    words = text.split()
    for word in words:
        if not OPTION.fullmatch(word):
            raise Failure(f"{word!r} is no kernel option: it is KEY=VALUE, without blanks", EXIT_USAGE)
    return " ".join(words)


def checked_user_options(text: str) -> str:
    """The same for what a user may say; boot tests may say what to run as well."""
    for word in text.split():
        if word.split("=")[0] in TAKEN:
            raise Failure(f"{word!r} is no kernel option: x.py itself says what to run", EXIT_USAGE)
    return checked_options(text)


def checked_arguments(arguments: list) -> str:
    """A program's arguments: one text, as the program gets it."""
    text = " ".join(arguments)
    unfit = next((each for each in text if unicodedata.category(each) == "Cc"), None)
    if unfit is not None:
        raise Failure(f"an argument of the program holds the control character {unfit!a}", EXIT_USAGE)
    length = len(text.encode())
    if length > ARGUMENTS_BYTES_MAX:
        raise Failure(f"the program's arguments have {length} bytes; {ARGUMENTS_BYTES_MAX} at most", EXIT_USAGE)
    return text


def checked_name(name: str) -> str:
    """The name of a program, as a member of the boot archive and a word of `cmdline`."""
    if not PROGRAM_NAME.fullmatch(name):
        raise Failure(f"{name!r} is no name for a program: letters, digits, _ and -, at most 64", EXIT_USAGE)
    return name


def checked_folder(folder: str) -> str:
    """The folder of the checkout. Cargo's build scripts speak in lines; some characters have a meaning to others."""
    if any(not each.isprintable() for each in folder):
        raise Failure(f"x.py cannot work in the folder {folder!a}: its name must be printable", EXIT_USAGE)
    for character, who in FOLDER_TAKEN.items():
        if character in folder:
            raise Failure(f"x.py cannot work in the folder {folder}: {who} would take the {character} for its own",
                          EXIT_USAGE)
    return folder


def checked_words(words: list) -> list:
    """The command line. Python keeps bytes that are no UTF-8 as lone surrogates, which nothing else takes."""
    for word in words:
        try:
            word.encode("utf-8")
        except UnicodeEncodeError:
            raise Failure(f"the argument {word!a} is not UTF-8", EXIT_USAGE) from None
    return words
