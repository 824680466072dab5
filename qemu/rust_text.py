"""Just enough of Rust's grammar for the rules of the house: code without its comments and texts, and where functions
begin and end."""

from __future__ import annotations

import re

_TOKEN = re.compile(r"""
    //[^\n]*                                    # a comment to the end of the line
  | /\*                                         # the begin of a comment that may hold others
  | \b(?:br|cr|r)(?P<hashes>\#*)"               # the begin of a raw text
  | (?:\b[bc])?"(?:\\.|[^"\\])*"                # a text
  | (?:\bb)?'(?:\\(?:x..|u\{[^}]*\}|.)|[^'\\\n])'   # a character, but no lifetime
""", re.X | re.S)
_NESTED = re.compile(r"/\*|\*/")
_FUNCTION = re.compile(r"\bfn\s+([A-Za-z_][A-Za-z0-9_]*)")


def code_only(text: str) -> str:
    """The text with comments and the insides of literals blanked; every line keeps its number."""
    parts, at = [], 0
    while True:
        found = _TOKEN.search(text, at)
        if not found:
            return "".join(parts) + text[at:]
        end = _end_of(text, found)
        parts += [text[at:found.start()], re.sub(r"[^\n]", " ", text[found.start():end])]
        at = end


def _end_of(text: str, found: re.Match) -> int:
    if found.group() == "/*":
        depth, at = 1, found.end()
        while depth:
            inner = _NESTED.search(text, at)
            if not inner:
                return len(text)
            depth += 1 if inner.group() == "/*" else -1
            at = inner.end()
        return at
    if found.group("hashes") is not None:
        close = text.find('"' + found.group("hashes"), found.end())
        return len(text) if close < 0 else close + 1 + len(found.group("hashes"))
    return found.end()


def functions(code: str):
    """Yields (name, first line, number of lines) of each function with a body in code from `code_only`."""
    for found in _FUNCTION.finditer(code):
        begin = _body(code, found.end())
        if begin is None:
            continue
        depth, at = 0, begin
        for brace in re.finditer(r"[{}]", code[begin:]):
            depth += 1 if brace.group() == "{" else -1
            if depth == 0:
                at = begin + brace.start()
                break
        first = code.count("\n", 0, found.start()) + 1
        yield found.group(1), first, code.count("\n", 0, at) + 1 - first + 1


def _body(code: str, at: int) -> int | None:
    """Where the body's brace is; None for a declaration without one."""
    depth = 0
    for found in re.finditer(r"[()\[\];{]", code[at:]):
        sign = found.group()
        if sign in "([":
            depth += 1
        elif sign in ")]":
            depth -= 1
        elif depth == 0:
            return at + found.start() if sign == "{" else None
    return None
