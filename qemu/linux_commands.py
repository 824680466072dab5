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
# What the shell of busybox runs: processes that come of processes, and what goes from one to the other. Programs are applets, which
# it starts by its own file's name in /proc, as a path of the root would be one of the host's there. QEMU's user mode does some of this
# otherwise (it copies memory where `vfork` lends it), so only a program that runs by itself says what is expected.
SCRIPTS = (
    # Pipes.
    "echo one two | tr a-z A-Z | rev", "sort share/poem.txt | uniq -c | sort -rn | head -n 3",
    "cat share/poem.txt | grep -v '^$' | while read -r first rest; do echo \"$first\"; done | sort | uniq | wc -l",
    "sort share/poem.txt | tee /dev/null /dev/null | md5sum", "{ echo a; echo b >&2; } 2>&1 | sort -r",
    "echo text | { read -r word; echo \"got $word\"; }", "false | true; echo $?; true | false; echo $?",
    # More than a pipe holds.
    "seq 1 30000 | sha256sum", "seq 1 40000 | cat | sort -rn | tail -n 1", "yes | head -c 300000 | wc -c",
    "seq 1 20000 | { sleep 1; wc -l; }",
    # Subshells, loops, command substitution.
    "x=1; (x=2; echo \"inner $x\"; exit 4); echo \"$? $x\"", "echo $(echo $(echo nested))",
    "for word in $(cut -d, -f1 share/table.csv); do echo \"<$word>\"; done",
    "for n in 1 2 3; do echo $(expr $n '*' $(expr $n + 1)); done", "echo $(( $(seq 1 10 | paste -s -d+) ))",
    "cat share/numbers.txt | while read -r n; do echo $((n * 2)); done | sort -n | head -n 3",
    "ls share | while read -r file; do wc -c < share/$file; done",
    "i=0; while [ $i -lt 300 ]; do (exit $((i % 2))) && echo $i; i=$((i + 1)); done | wc -l",
    "f() { if [ $1 -gt 0 ]; then (f $(($1 - 1))); fi; echo $1; }; f 12",
    # Jobs behind, and what came of them.
    "false & wait $!; echo $?", "(exit 3) & a=$!; (exit 4) & b=$!; wait $b; echo $?; wait $a; echo $?; wait; echo $?",
    "for n in 5 6 7 8; do (exit $n) & wait $!; echo $?; done", "for n in 1 2 3 4 5; do (sleep 0) & done; wait; echo all",
    "(sleep 1; echo late) & echo early; wait", "(echo behind | cat) & wait; echo before", "wait 99; echo $?",
    # Signals.
    "trap 'echo got' TERM; kill -TERM $$; echo after", "trap 'echo asked; exit 7' TERM; kill -TERM $$; echo never",
    "trap 'echo user' USR1; (kill -USR1 $$); echo after; trap - USR1; kill -USR1 $$; echo never",
    "trap '' TERM; kill -TERM $$; echo alive; sh -c 'kill -TERM $$; echo still'", "sh -c 'kill -KILL $$'; echo $?",
    "trap 'echo bye' EXIT; (trap 'echo inner' EXIT; exit 2); echo $?", "sleep 100 & kill $!; wait $!; echo $?",
    "sleep 100 & kill -9 $!; wait $!; echo $?", "kill -0 $$ && echo there",
    "trap 'echo child' CHLD; true | true; (exit 1); wait; echo end",
    "trap 'echo in time' ALRM; (sleep 1; kill -ALRM $$) & wait $!; echo \"$(($? > 128))\"; wait",
    "sleep 100 & child=$!; kill -STOP $child; kill -TERM $child; kill -CONT $child; wait $child; echo $?",
    # Nobody reads.
    "yes | head -n 1; echo $?", "sh -c 'kill -PIPE $$'; echo $?", "{ seq 1 90000; echo $? >&3; } 3>&1 | head -n 1",
    "{ (trap '' PIPE; seq 1 90000; echo $? >&3) | head -n 1; } 3>&1 2>/dev/null",
    # Descriptors.
    "exec 3>&1; echo three >&3; exec 3>&-; echo closed >&3; echo $?", "echo lost >&9; echo $?",
    "exec 4<share/poem.txt; read -r line <&4; echo \"$line\"; (read -r line <&4; echo \"$line\"); read -r line <&4; echo \"$line\"",
    "echo 1 2 | cat - share/table.csv", "sh <share/poem.txt 2>/dev/null; echo $?",
    # Other programs in the place of this one, and what is none.
    "exec echo instead; echo never", "share/nothing; echo $?", "share; echo $?", "nothing-of-the-kind; echo $?",
    "sh -c 'exec sh -c \"echo \\$0 \\$1\" a b'", "A=b sh -c 'echo $A'; echo \"<$A>\"", "env -i A=b env",
    "find share -type f | sort | xargs wc -c", "echo 1 2 3 | xargs -n 1 echo number", "echo 1 | xargs nothing-of-the-kind; echo $?",
    "find share -name '*.txt' -exec head -n 1 {} ';' | sort", "timeout 1 sleep 100; echo $?", "setsid sh -c 'echo apart' | cat",
    "sh -c 'exit 300'; echo $?",
)
# These depend on the architecture.
ON_ONE = (("uname", "-m"), ("sha256sum", "bin/busybox"), ("wc", "-c", "bin/busybox"))


def commands(is_same_program: bool) -> list:
    """The words of each command; those that depend on the architecture only where the same program is run."""
    return [["busybox", *words] for words in (*EVERYWHERE, *(ON_ONE if is_same_program else ()))]


def scripts() -> list:
    """The words of the commands that run scripts."""
    return [["busybox", "sh", "-c", script] for script in SCRIPTS]
