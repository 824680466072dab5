"""The virtual machines: the QEMU command line for each architecture and way of booting."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from . import bochs, build, image, plugin
from .base import Failure
from .words import for_qemu

BOOTS = {"x86_64": ("bios", "uefi", "limine", "stub"), "aarch64": ("stub", "limine")}
FIRMWARE = {
    "x86_64": ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    "aarch64": ("/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"),
}
COMMON = ["-nodefaults", "-no-user-config", "-display", "none", "-monitor", "none", "-serial", "stdio", "-no-reboot"]
# One instruction of the guest is one nanosecond of its time, and the host's clock plays no part.
ICOUNT = ["-icount", "shift=0,sleep=off"]
GDB_PORT = 1234
# Tried out, with room to spare: below half of it a loader gives up, most of them without a word.
LEAST_MIB = {"bios": 32, "stub": 32, "uefi": 64, "limine": 128}
# Where the host does not say what it has.
MEMORY_MIB_MAX = 1 << 20
LOADERS = {"bios": "the BIOS and the boot loader", "uefi": "the UEFI firmware and the boot loader",
           "limine": "the UEFI firmware and Limine", "stub": "the boot stub"}


@dataclass
class Machine:
    """What a machine is made of; the defaults are those of `./x.py run`."""

    arch: str = "x86_64"
    smp: int = 1
    memory_mib: int = 512
    boot: str | None = None
    limine_dir: str | None = None
    accel: str = "tcg"
    icount: bool = False
    gdb: bool = False
    emulator: str = "qemu"
    cpu: str | None = None
    # A socket at which QEMU's debugging stub waits before the first instruction.
    stub: Path | None = None
    # QEMU's words for a plugin that watches the boot (`plugin.arguments`).
    plugin: list = field(default_factory=list)
    # The kernel's binary.
    kernel: str = build.KERNEL

    def check(self) -> None:
        """Refuses what cannot work together, and fills in the way of booting."""
        if self.emulator == "bochs":
            self._check_bochs()
        elif self.cpu:
            raise Failure("--cpu chooses a model of Bochs; it goes with --machine bochs", 2)
        self.boot = self.boot or BOOTS[self.arch][0]
        if self.boot not in BOOTS[self.arch]:
            raise Failure(f"--boot {self.boot} is not for {self.arch}, which has: {', '.join(BOOTS[self.arch])}", 2)
        if self.boot == "limine":
            image.limine_loader(self.arch, self.limine_dir)
        self._check_memory()
        if self.icount and self.accel == "kvm":
            raise Failure("--icount counts emulated instructions; it does not go with --accel kvm", 2)
        if self.plugin and self.accel == "kvm":
            raise Failure("a plugin watches emulated instructions; it does not go with --accel kvm", 2)
        if self.accel == "kvm" and self.arch != "x86_64":
            raise Failure("--accel kvm needs a guest of the host's architecture", 2)
        if self.accel == "kvm" and not Path("/dev/kvm").exists():
            raise Failure("--accel kvm: this machine has no /dev/kvm", 2)

    def _check_bochs(self) -> None:
        self.boot = self.boot or "stub"
        self.cpu = self.cpu or next(iter(bochs.MODELS))
        if self.arch != "x86_64":
            raise Failure("--machine bochs is an x86_64", 2)
        if self.boot != "stub":
            raise Failure("--machine bochs boots by the stub only", 2)
        if self.smp > bochs.CPUS_MAX:
            raise Failure(f"--machine bochs has {bochs.CPUS_MAX} CPUs at most", 2)
        if self.plugin:
            raise Failure("the TLB plugin is for QEMU, not for --machine bochs", 2)
        if self.icount or self.gdb or self.accel != "tcg":
            raise Failure("--icount, --gdb and --accel are for QEMU, not for --machine bochs", 2)

    def _check_memory(self) -> None:
        least, most = LEAST_MIB[self.boot], bochs.MEMORY_MIB_MAX if self.emulator == "bochs" else host_memory_mib()
        if self.memory_mib < least:
            raise Failure(f"{self.memory_mib} MiB of memory are too little to boot {self.arch} by {self.boot}, which "
                          f"takes {least} at least", 2)
        if self.memory_mib > most:
            raise Failure(f"{self.memory_mib} MiB of memory are more than {self.arch} can be given here: {most} MiB", 2)

    def options(self) -> str:
        """Words that the kernel's command line must have."""
        return plugin.OPTION if plugin.wants_to_be_served(self.plugin) else ""

    def loader(self) -> str:
        """Who brings the kernel into memory."""
        return LOADERS[self.boot]

    def needs_firmware(self) -> bool:
        """Whether this way of booting goes through UEFI."""
        return self.boot in ("uefi", "limine")

    def needs_disk(self) -> bool:
        """Whether this way of booting reads a disk image."""
        return self.boot != "stub" or self.arch == "x86_64"


def host_memory_mib() -> int:
    """What this machine has of memory and swap, which is about what it lets an emulator ask for."""
    try:
        found = re.findall(r"^(?:MemTotal|SwapTotal): +(\d+) kB", Path("/proc/meminfo").read_text(), re.M)
        return sum(map(int, found)) >> 10 or MEMORY_MIB_MAX
    except OSError:
        return MEMORY_MIB_MAX


def command(machine: Machine, profile: str, archive: Path, disk: Path | None) -> list:
    """The whole QEMU command line. `-kernel` and `-initrd` take a path as it is, without QEMU's own syntax."""
    words = [f"qemu-system-{machine.arch}", *COMMON, "-m", machine.memory_mib, "-smp", machine.smp,
             "-accel", _accelerator(machine), *machine.plugin]
    words += _x86_64(machine) if machine.arch == "x86_64" else _aarch64(machine)
    if not disk:
        words += ["-kernel", build.stub_image(machine.arch, profile), "-initrd", archive]
    if machine.needs_firmware():
        words += _firmware(machine.arch)
    if disk:
        device = "virtio-blk-device" if machine.arch == "aarch64" else "virtio-blk-pci"
        words += ["-drive", f"if=none,id=disk,format=raw,readonly=on,file={for_qemu(disk)}", "-device", f"{device},drive=disk"]
    if machine.icount:
        words += ICOUNT
    if machine.stub:
        words += ["-gdb", f"unix:{for_qemu(machine.stub)},server=on,wait=off", "-S"]
    if machine.gdb:
        words += ["-gdb", f"tcp:127.0.0.1:{GDB_PORT}", "-S"]
    return [str(word) for word in words]


def _accelerator(machine: Machine) -> str:
    # What a plugin sees is in order only if one CPU after the other runs; under icount they do.
    return machine.accel + (",thread=single" if machine.plugin and not machine.icount else "")


def cpu_model(machine: Machine) -> str:
    """What QEMU is told of the CPU."""
    if machine.arch == "aarch64":
        # Under icount the counter's frequency is that of the instructions, and the CPU is a fixed model.
        return "cortex-a72,cntfrq=1000000000" if machine.icount else "max"
    # Five-level tables are off: the kernel's are four-level, as its loaders hand them over.
    # Under KVM, a host that is a guest itself cannot always grant the register that lists hardware flaws.
    return "max,la57=off" + (",arch-capabilities=off" if machine.accel == "kvm" else "")


def _x86_64(machine: Machine) -> list:
    # The boot loader wants a screen to set up, though nobody looks at it.
    return ["-M", "q35", "-cpu", cpu_model(machine), "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04",
            "-device", "VGA"]


def _aarch64(machine: Machine) -> list:
    board = "virt,gic-version=3" + (",acpi=off" if machine.needs_firmware() else "")
    screen = ["-device", "ramfb"] if machine.needs_firmware() else []
    return ["-M", board, "-cpu", cpu_model(machine), "-semihosting-config", "enable=on,target=native", *screen]


def _firmware(arch: str) -> list:
    code, variables = FIRMWARE[arch]
    return ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={for_qemu(code)}",
            "-drive", f"if=pflash,unit=1,format=raw,snapshot=on,file={for_qemu(variables)}"]
