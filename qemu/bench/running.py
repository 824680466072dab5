"""Boots the benchmarks of one machine and returns what they gave."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .. import build
from ..base import LOGS, ROOT, Failure, say, step
from ..boot import Job, boot
from ..machine import ICOUNT, Machine, cpu_model
from ..rounds import tags_option, words_of
from ..toolchain import output_of
from ..words import ARGUMENTS_BYTES_MAX
from . import results
from .arithmetic import figures
from .catalogue import catalogue, of_result, resolve, whole
from .protocol import Reader

PROGRAM = "bench"
CHEAPEST = "null"
PROFILES = ROOT / "qemu" / "tlb" / "profiles.toml"
# A model that looks on makes everything ten times slower.
TIMEOUT_S = 10800.0
# A curve's last point prepares for long, without a word.
SILENCE_S = 600.0
# Under KVM nothing takes long, and where it is broken nothing ever comes.
KVM_SILENCE_S = 60.0


def profiles() -> list:
    """The TLBs that there are models of."""
    return re.findall(r"^\[([a-z0-9_]+)\]", PROFILES.read_text(), re.M)


@dataclass(frozen=True)
class Setting:
    """What is measured on: everything that figures depend on, besides the commit."""

    arch: str
    smp: int = 1
    tags: str | None = None
    accel: str = "tcg"
    # The profile of the TLB model that looks on, if any.
    model: str | None = None
    # Whether the plugin watches how long the kernel works in one go, instead.
    watches_stretches: bool = False

    def unit(self) -> str:
        """What the counter's ticks are: nothing but instructions is counted where time is emulated."""
        return "instructions" if self.accel == "tcg" else "cycles"

    def machine(self, stub: Path | None = None) -> Machine:
        """The machine of this setting."""
        needs = build.needs_of([PROGRAM])
        machine = Machine(self.arch, self.smp, needs.memory_mib, accel=self.accel, icount=self.accel == "tcg", stub=stub)
        if self.model:
            from .. import plugin
            machine.plugin = plugin.arguments(self.arch, self.model, False, self.counted())
        if self.watches_stretches:
            from .. import plugin
            machine.plugin = plugin.for_stretches(self.counted())
        machine.check()
        return machine

    def label(self) -> str:
        """What its logs are called."""
        return f"bench-{self.arch}" + (f"-{self.smp}" if self.smp > 1 else "")

    def counted(self) -> Path:
        """Where the model writes what it counted."""
        return LOGS / f"{self.label()}.tlb"

    def options(self, words: list) -> dict:
        """The options, as a document has them."""
        return {"filter": words, "smp": self.smp, "tags": self.tags, "model": self.model}


def described(machine: Machine) -> dict:
    """A machine's particulars, as a document has them."""
    version = re.search(r"version (\d+(?:\.\d+)+)", output_of([f"qemu-system-{machine.arch}", "--version"]))
    return {
        "emulator": f"QEMU {version.group(1)}" if version else "QEMU",
        "accelerator": machine.accel,
        "counting": " ".join(ICOUNT) if machine.icount else "the CPU's own counter",
        "cpu": cpu_model(machine),
        "memory_mib": machine.memory_mib,
        "boot": machine.boot,
    }


def document(setting: Setting, words: list, wanted: list, raw: bool = False) -> dict:
    """Measures these results, which a user has asked for by these words, and makes the document."""
    found = measure(setting, wanted, raw)
    return results.document(setting.arch, described(setting.machine()), setting.options(words), setting.unit(), found)


def prepare(arch: str) -> None:
    """Builds all that a boot takes, so that the machine starts at once."""
    build.build(arch, "release", [PROGRAM])
    if arch == "x86_64":
        build.image_tool()


def measure(setting: Setting, wanted: list, raw: bool = False, stub: Path | None = None) -> list:
    """Measures these results and returns them in the order they came. The programs are built already."""
    step(f"counting on {setting.arch}" + (f" with {setting.smp} CPUs" if setting.smp > 1 else ""))
    found: list = []
    skipped: dict = {}
    for kernel, arguments in boots(wanted):
        reader, results_of_boot = _boot(setting, kernel, arguments, stub)
        found += results_of_boot
        skipped.update(reader.skipped)
    unknown = {result["name"] for result in found} - set(resolve([]))
    if unknown:
        raise Failure(f"the machine gave results for {', '.join(sorted(unknown))}, but the sources have no Benchmark {{ .. }} of that name")
    for reason in dict.fromkeys(skipped.values()):
        names = whole([name for name in skipped if skipped[name] == reason])
        say(f"    skipped on {setting.arch}, {reason}: {', '.join(names)}")
    silent = set(wanted) - set(skipped) - {result["name"] for result in found}
    if silent:
        raise Failure(f"the benchmarks on {setting.arch} gave no result for {', '.join(whole(list(silent)))}")
    return [_without_samples(result, raw) for result in found if result["name"] in wanted]


def _without_samples(result: dict, raw: bool) -> dict:
    return {key: value for key, value in result.items() if raw or key != "samples"}


def watched(setting: Setting, wanted: list) -> list:
    """What the plugin wrote of the stretches of each boot that these results take."""
    from .. import plugin
    step(f"watching the kernel on {setting.arch}" + (f" with {setting.smp} CPUs" if setting.smp > 1 else ""))
    found = []
    for kernel, arguments in boots(wanted):
        setting.counted().unlink(missing_ok=True)
        _boot(setting, kernel, arguments, None)
        found.append(plugin.stretches(setting.counted()))
    return found


def boots(wanted: list) -> list:
    """What each boot is told: the kernel's benchmarks, and arguments of the program. One is enough, unless they are long."""
    words = whole(wanted)
    kernel = [word for word in words if of_result(word).is_kernel()]
    own = [word for word in words if word not in kernel]
    if kernel == [name for name, each in catalogue().items() if each.is_kernel()]:
        kernel = ["all"]
    if not own:
        # The program has to measure something; nobody asked for it, so it is not told.
        return [(kernel, [CHEAPEST])]
    if own == [name for name, each in catalogue().items() if not each.is_kernel()]:
        return [(kernel, [])]
    parts: list = [[]]
    for word in own:
        if len(" ".join([*parts[-1], word])) > ARGUMENTS_BYTES_MAX:
            parts.append([])
        parts[-1].append(word)
    return [(kernel if index == 0 else [], part) for index, part in enumerate(parts)]


def _boot(setting: Setting, kernel: list, arguments: list, stub: Path | None) -> tuple:
    """Boots once; what was read of it, and the results."""
    wish = words_of(build.needs_of([PROGRAM]).options, tags_option(setting.tags), f"bench={','.join(kernel)}" if kernel else "")
    job = Job(setting.label(), setting.machine(stub), "release", [PROGRAM], arguments, options=wish, timeout_s=TIMEOUT_S,
              silence_s=SILENCE_S if setting.accel == "tcg" else KVM_SILENCE_S)
    reader = Reader()
    outcome = boot(job, reader.line, on_wait=say)
    if setting.accel == "kvm" and not outcome.lines:
        raise Failure(f"--accel kvm: the machine does not even begin, so KVM does not work here: {outcome.sentence()}")
    if outcome.kind != "exit" or outcome.code != 0:
        last = "\n".join(outcome.lines[-8:])
        raise Failure(f"{last}\nx.py: the benchmarks did not end well on {setting.arch}: {outcome.sentence()}",
                      outcome.exit_status() or 1)
    reader.check()
    found = [{"name": each.name, "unit": each.unit or setting.unit(), **figures(each.samples), "samples": each.text()}
             for each in reader.ended]
    return reader, _with_model(setting, found) if setting.model else found


def _with_model(setting: Setting, found: list) -> list:
    """The same with what the model counted, for each time that something was measured."""
    from .. import plugin
    counted = plugin.figures(setting.counted())
    if len(counted) != len(found):
        raise Failure(f"the model has figures of {len(counted)} benchmarks, of {len(found)} that ended on {setting.arch}")
    return [{**result, "model": {"profile": setting.model, **{key: round(value / result["n"], 2) for key, value in each.items()}}}
            for result, each in zip(found, counted)]
