"""What every other part uses: where things are, how to say something, how to run a command and end it."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Callable

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "target"
LOGS = TARGET / "logs"
ARCHES = ("x86_64", "aarch64")

EXIT_USAGE = 2
EXIT_PANIC = 101
EXIT_RESET = 102
EXIT_TIMEOUT = 124
# After so long without a line, one says what is being waited for.
QUIET_S = 15

verbose = False


class Failure(Exception):
    """Something the user must know, in one clear line (or a few), and the exit code to end with."""

    def __init__(self, message: str, code: int = 1):
        super().__init__(message)
        self.code = code


_say_lock = threading.RLock()
_last_said = time.monotonic()


def say(text: str = "") -> None:
    """Prints one whole line, also when several jobs print at once."""
    global _last_said
    with _say_lock:
        _last_said = time.monotonic()
        try:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()
        except OSError as error:
            output_is_lost(error)


def output_is_lost(error: OSError) -> None:
    """Ends x.py, since nobody can hear it: quietly when the reader went, as with `| head`, else with a line."""
    if isinstance(error, BrokenPipeError):
        end_at_once("", 128 + signal.SIGPIPE)
    end_at_once(f"x.py: cannot write: {error.strerror}\n", 1)


def open_missing_streams() -> None:
    """Opens what the caller has closed of the three standard streams, lest the next file take its place."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is the one that is missing.
            os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, mode, closefd=False))


def step(text: str) -> None:
    """Says what is about to happen."""
    say("==> " + text)


def warn(text: str) -> None:
    """Prints one line to standard error."""
    with _say_lock:
        try:
            sys.stdout.flush()
            sys.stderr.write(f"x.py: {text}\n")
            sys.stderr.flush()
        except OSError as error:
            output_is_lost(error)


def show_command(words: list, env: dict | None = None) -> None:
    """With -v, prints a command so that it can be pasted into a shell: only what differs from our environment."""
    if not verbose:
        return
    changed = {k: v for k, v in (env or {}).items() if os.environ.get(k) != v}
    path = os.environ.get("PATH", "")
    if changed.get("PATH", "").endswith(path):
        changed["PATH"] = changed["PATH"][:-len(path)] + "$PATH"
    prefix = [f"{key}=" + (value if key == "PATH" else shlex.quote(value)) for key, value in sorted(changed.items())]
    say("+ " + " ".join(prefix + [shlex.quote(str(word)) for word in words]))


# Every process started here and not yet ended. Whatever ends x.py ends them too.
_live: set = set()
_live_lock = threading.Lock()
_stopping = False


def start(words: list, env: dict | None = None, group: bool = False, **options) -> subprocess.Popen:
    """Starts a command. With `group` it leads a process group of its own and dies with the thread that started it."""
    words = [str(word) for word in words]
    show_command(words, env)
    if group and shutil.which("setpriv"):
        words = ["setpriv", "--pdeathsig", "KILL"] + words
    with _live_lock:
        if _stopping:
            raise Failure("interrupted", 130)
        try:
            process = subprocess.Popen(words, env=env, start_new_session=group, **options)
        except FileNotFoundError:
            raise Failure(f"{words[0]} is not installed; try ./x.py setup") from None
        process.leads_group = group
        _live.add(process)
    return process


def end(process: subprocess.Popen) -> None:
    """Makes sure a process started by `start`, and all of its group, is gone."""
    _kill(process)
    process.wait()
    with _live_lock:
        _live.discard(process)


def _kill(process: subprocess.Popen) -> None:
    try:
        if process.leads_group:
            os.killpg(process.pid, signal.SIGKILL)
        elif process.poll() is None:
            process.terminate()
    except (ProcessLookupError, PermissionError):
        pass


def end_at_once(last_word: str, code: int) -> None:
    """Ends every process started here, and x.py, whatever its threads are doing."""
    global _stopping
    _stopping = True
    for process in list(_live):
        _kill(process)
    try:
        os.write(2, last_word.encode())
    finally:
        os._exit(code)


def end_everything_on_exit() -> None:
    """Installs the handlers that leave no process behind when x.py itself is told to stop."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # A hang-up that the caller ignores, as `nohup` does, stays ignored.
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, _frame: end_at_once("\nx.py: interrupted\n", 128 + number))


def run(words: list, env: dict | None = None, quiet: bool = False, log: Path | None = None, cwd: Path = ROOT,
        ticker: str = "") -> tuple:
    """Runs a command to its end and returns (exit code, its output).

    Without `quiet` the output goes straight to the terminal and is not returned. Long quiet work is seen to go on:
    `ticker` is what it is called.
    """
    options = {"cwd": cwd, "stdin": subprocess.DEVNULL}
    if quiet or log:
        options.update(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    process = start(words, env, **options)
    try:
        with ticking(lambda: ticker or Path(str(words[0])).name):
            output = process.communicate()[0] or ""
    finally:
        end(process)
    if log:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(output)
    return process.returncode, output


@contextlib.contextmanager
def ticking(what: Callable[[], str]):
    """Says what is going on, whenever nothing was said for a while."""
    stop, began = threading.Event(), time.monotonic()

    def beat() -> None:
        while not stop.wait(1):
            now = time.monotonic()
            if now - max(began, _last_said) >= QUIET_S:
                say(f"    {what()}: {now - began:.0f} s so far")

    threading.Thread(target=beat, daemon=True).start()
    try:
        yield
    finally:
        stop.set()


def must_run(words: list, why: str, env: dict | None = None, quiet: bool = False, **options) -> str:
    """Runs a command that has to succeed. `why` is what the user is told when it does not."""
    code, output = run(words, env, quiet, **options)
    if code != 0:
        tail = "\n".join(output.splitlines()[-30:])
        raise Failure(f"{tail}\nx.py: {why} (exit code {code})" if tail else f"{why} (exit code {code})")
    return output


def is_arch_list(arch: str | None) -> tuple:
    """The architectures a verb works on: the one asked for, or both."""
    return (arch,) if arch else ARCHES
