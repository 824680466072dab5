"""What the program `linux` runs, and x.py runs as well to know what comes of it."""

from __future__ import annotations

POEM, NUMBERS, TABLE = "share/poem.txt", "share/numbers.txt", "share/table.csv"

# Applets of busybox and their arguments; paths count from the root.
EVERYWHERE = (
    ("true",), ("false",), ("echo", "hello,", "guest"), ("printf", r"%s is %d, or %x\n", "it", "42", "42"),
    ("cat", POEM), ("cat", POEM, "share/nothing.txt"), ("cat", "share"), ("ls",), ("ls", "share"), ("ls", "-a", "share"),
    ("ls", "nothing"), ("wc", POEM), ("wc", "-l", POEM, NUMBERS), ("head", "-n", "3", POEM), ("tail", "-n", "2", POEM),
    ("tac", POEM), ("rev", POEM), ("nl", POEM), ("sort", POEM), ("sort", "-n", "-r", NUMBERS), ("sort", "-u", NUMBERS),
    ("uniq", "-c", POEM), ("cut", "-d,", "-f1,3", TABLE), ("grep", "-n", "guest", POEM), ("grep", "-c", "^$", POEM),
    ("sed", "-n", "s/guest/visitor/p", POEM), ("fold", "-w", "20", POEM), ("od", "-c", TABLE), ("hexdump", "-C", TABLE),
    ("base64", POEM), ("strings", TABLE), ("cmp", POEM, TABLE), ("diff", POEM, TABLE), ("find", "share", "-name", "*.csv"),
    ("stat", "-c", "%s %F", POEM), ("test", "-f", POEM), ("test", "-d", POEM), ("sha256sum", POEM, NUMBERS, TABLE),
    ("sha1sum", POEM), ("md5sum", POEM), ("expr", "6", "*", "7"), ("expr", "hello", ":", "h.*l"),
    ("expr", "1", "/", "0"), ("seq", "1", "3", "20"), ("factor", "1234567890"), ("basename", "/a/b.txt", ".txt"),
    ("dirname", "/a/b.txt"), ("sh", "-c", "echo $PATH $HOME"), ("uname", "-s"), ("sleep", "0"), ("nothing-of-the-kind",),
    ("awk", "BEGIN { print 6*7 }"), ("awk", "{ words += NF } END { print NR, words }", POEM),
    ("awk", "-F,", "NR > 1 { sum += $3 } END { printf \"%d %.3f\\n\", sum, sum / 7 }", TABLE),
    ("awk", "{ seen[$1 % 10]++ } END { for (digit = 0; digit < 10; digit++) print digit, seen[digit] }", NUMBERS),
    ("awk", "BEGIN { text = \"x\"; for (step = 0; step < 18; step++) text = text text; print length(text) }"),
    ("sh", "-c", "for n in 1 2 3; do echo $((n * n)); done; test -f share/poem.txt && echo there; exit 5"),
    ("sh", "-c", "cd share && while read -r line; do echo \"[$line]\"; done < table.csv"),
)
# These depend on the architecture.
ON_ONE = (("uname", "-m"), ("sha256sum", "bin/busybox"), ("wc", "-c", "bin/busybox"))


def commands(is_same_program: bool) -> list:
    """The words of each command; those that depend on the architecture only where the same program is run."""
    return [["busybox", *words] for words in (*EVERYWHERE, *(ON_ONE if is_same_program else ()))]
