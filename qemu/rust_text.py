"""Just enough of Rust's grammar to find claims and tests: code without its comments and texts."""

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
