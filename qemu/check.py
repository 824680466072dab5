"""The verb `check`: everything a change must satisfy besides the tests, here exactly as in CI."""

from __future__ import annotations

import sys
import time

from . import base, build, reach, setup, style, toolchain
from .base import ARCHES, LOGS, ROOT, TARGET, say, step
from .bench import baseline
from .pages import inspection

IMAGE_MANIFEST = ROOT / "qemu" / "image" / "Cargo.toml"
# A macro declares these modules (tests/bench/main.rs), and `cargo fmt` does not look into macros.
BENCHMARKS = sorted((ROOT / "tests" / "bench").glob("*/*.rs"))
DENY = ["--", "-D", "warnings"]
# What Python looks at itself: each rule returns its breaches, as `path:line: message`.
RULES = (
    ("rules for x.py's own files", style.breaches),
    ("every test is run", reach.breaches),
    ("every figure in docs is written by a command", inspection.breaches),
    ("baselines have the benchmarks that there are", baseline.breaches),
)


def check_verb(_options) -> int:
    """Runs every check, also after one has failed; returns 1 if any did."""
    setup.need(("build", "check"))
    say(f"using {toolchain.describe()}")
    failed = [name for name, passed in _checks() if not passed]
    for name in failed:
        base.warn(f"check failed: {name}")
    say("every check passed" if not failed else f"{len(failed)} checks failed")
    return 1 if failed else 0


def _checks():
    """Does one check after the other, yielding (name, whether it passed)."""
    for name, breaches in RULES:
        step(name)
        found = breaches()
        for breach in found:
            say(breach)
        yield f"{name} ({len(found)} breaches)", not found
    for name, words, env in _commands():
        step(name)
        began = time.monotonic()
        passed = _passes(words, env, name)
        say(f"    {'ok' if passed else 'FAILED'} ({time.monotonic() - began:.0f} s)")
        yield name, passed


def _commands():
    cargo, host = toolchain.cargo(), toolchain.host_env()
    selftest = [sys.executable, "-B", "-m", "unittest", "discover", "-q", "-s", "qemu/selftest", "-t", ".", "-p", "*.py"]
    yield "tests of x.py itself", selftest, None
    yield "rules of the house", [cargo, "run", "--quiet", "--package", "tidy", "--", ROOT], host
    yield "formatting", [cargo, "fmt", "--all", "--check", "--", *BENCHMARKS], host
    yield "formatting of the image tool", [cargo, "fmt", "--manifest-path", IMAGE_MANIFEST, "--check"], host
    for name, folder in build.HOST_TOOLS.items():
        yield f"formatting of the {name}", [cargo, "fmt", "--manifest-path", folder / "Cargo.toml", "--all", "--check"], host
    yield "lints on the host", [cargo, "clippy", "--all-targets", *DENY], host
    for arch in ARCHES:
        # The profile of the tests, so that the standard library they built serves here as well.
        words = [cargo, "clippy", "--profile", "checked", *build.bare_arguments(arch), "--workspace",
                 *_excluded(arch), *DENY]
        yield f"lints on {arch}", words, toolchain.bare_env()
    image = [cargo, "clippy", "--release", "--manifest-path", IMAGE_MANIFEST, "--target-dir", TARGET / "image", *DENY]
    yield "lints of the image tool", image, toolchain.image_env()
    for name, folder in build.HOST_TOOLS.items():
        words = [cargo, "clippy", "--locked", "--workspace", "--all-targets", *build.host_tool_arguments(folder), *DENY]
        yield f"lints of the {name}", words, host


def _excluded(arch: str) -> list:
    """The members that are not for this bare machine."""
    names = ["host-tests", "loom-tests", "tidy", *(stub for other, stub in build.STUBS.items() if other != arch)]
    present = {package["name"] for package in build.workspace()}
    return [word for name in names if name in present for word in ("--exclude", name)]


def _passes(words: list, env: dict, name: str) -> bool:
    log = LOGS / f"check-{name.replace(' ', '-')}.log"
    code, output = base.run(words, env, quiet=True, log=log, ticker=name)
    if code != 0:
        say("\n".join(output.splitlines()[-80:]))
        say(f"    the whole output: {log.relative_to(ROOT)}")
    return code == 0
