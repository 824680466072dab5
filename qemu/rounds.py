"""How often `test` boots the conformance programs, with how many CPUs and which tags; and what else it runs."""

from __future__ import annotations

from dataclasses import dataclass

# What tests are built with.
PROFILE = "checked"
# Programs whose claims can depend on the number of CPUs; the rounds with narrow tags have only these.
SEVERAL = ("smp_", "scheduling", "switching", "threads", "fallback", "protection", "subtree", "view", "public",
           "robust", "revoke", "gates")
# User programs that check themselves: those of one boot, and their arguments.
RUNS = ((("hello", "tour", "windows", "zerocopy"), ""), (("library", "commons"), ""), (("vas", "mshare"), ""),
        (("lend", "compartment"), ""), (("library_gate",), ""), (("linux",), ""),
        (("calls",), ""), (("nested",), ""), (("store",), "40"), (("readers",), "1"), (("pager",), ""),
        (("trace", "hello"), ""), (("sga",), "gib=2 clients=100"), (("stress",), "3"))


def tags_option(tags: str | None) -> str:
    """The kernel option for what `--tags` says."""
    return f"tags={tags}" if tags else ""


def words_of(*options: str) -> str:
    """Options from several places, one after the other: of a word given twice the last counts."""
    return " ".join(option.strip() for option in options if option.strip())


@dataclass(frozen=True)
class Round:
    """One boot of the conformance programs."""

    smp: int = 1
    tags: str | None = None
    # Only programs whose names begin so; all of them if there is none.
    only: tuple = ()

    def chosen(self, programs: list) -> list:
        """The programs that take part."""
        return [name for name in programs if not self.only or name.startswith(self.only)]

    def suffix(self) -> str:
        """What reports add to a test's name."""
        words = [f"{self.smp} CPUs"] if self.smp != 1 else []
        words += [f"tags={self.tags}"] if self.tags else []
        return f" [{', '.join(words)}]" if words else ""

    def label(self) -> str:
        """What the log's name ends with."""
        return "".join([f"-{self.smp}cpus" if self.smp != 1 else "", f"-tags-{self.tags}" if self.tags else ""])


ALL = (Round(4), Round(1), Round(2))
# Two bits name three spaces. QEMU's x86_64 has no tags, so there is nothing to make narrow.
NARROW = {"aarch64": (Round(4, "2", SEVERAL),), "x86_64": ()}


def rounds_for(arch: str, smp: int | None, tags: str | None, emulator: str) -> tuple:
    """The rounds for an architecture: one, if the user says which."""
    if smp or tags or emulator != "qemu":
        return (Round(smp or 1, tags),)
    return ALL + NARROW[arch]


def runs_for(arch: str, rounds: tuple, wanted: str) -> list:
    """The boots of programs that check themselves: a name for reports, the programs, their arguments, the round."""
    found = []
    for each in (entry for entry in rounds if not entry.only):
        for names, arguments in RUNS:
            title = f"programs {arch} {'+'.join(names)}{each.suffix()}"
            if wanted in title:
                found.append((title, list(names), arguments.split(), each))
    return found
