"""Bochs, the other emulator: slower than QEMU, but it has the tagged TLB of x86_64 (PCID and INVPCID).

It starts from the same disk as QEMU does with `--boot stub`. Its serial line comes out of a file, here one that leads
to the pipe x.py reads. It ends when the kernel writes "Shutdown" to port 0x8900, always with status 1, so only the
kernel's own `[kernel] exit code N` tells how the run went.
"""

from __future__ import annotations

from pathlib import Path

# By what the kernel can do there; the first is the default.
MODELS = {
    "corei7_skylake_x": "PCID and INVPCID",
    "corei7_ivy_bridge_3770k": "PCID without INVPCID",
    "ryzen": "neither PCID nor INVPCID",
}
ROMS = ("/usr/share/seabios/bios.bin", "/usr/share/seabios/vgabios-isavga.bin")
CPUS_MAX = 8
# Emulated instructions per emulated second. The host manages less; then the guest's time goes slower than ours.
INSTRUCTIONS_PER_SECOND = 50_000_000
# Disks are whole cylinders of 16 heads and 63 sectors.
CYLINDER_BYTES = 16 * 63 * 512
# The BIOS's fields for memory end before 4 GiB, and devices lie below that.
MEMORY_MIB_MAX = 2048
# The serial line is descriptor 3; Bochs's own messages go to its log.
SCRIPT = "exec 3>&1; exec bochs -q -f bochsrc -rc commands >output 2>&1"


def command(folder: Path, disk: Path, cpu: str, cpus: int, memory_mib: int) -> list:
    """The whole command line, to be run in `folder`, where the files that Bochs wants are written.

    Bochs's options know quotes, commas and `$`; names without a folder need none of that.
    """
    (folder / "cmos.bin").write_bytes(_cmos(cpus, memory_mib))
    lines = [
        "display_library: term",
        f"romimage: file={ROMS[0]}",
        f"vgaromimage: file={ROMS[1]}",
        f"cpu: model={cpu}, count={cpus}, ips={INSTRUCTIONS_PER_SECOND}",
        f"memory: guest={memory_mib}, host={memory_mib}",
        "clock: sync=none",
        # Without a sound card the real driver ends the emulator.
        "sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy",
        "cmosimage: file=cmos.bin, rtc_init=time0",
        "com1: enabled=1, mode=file, dev=/dev/fd/3",
        f"ata0-master: type=disk, path={disk.name}, mode=flat",
        "boot: disk",
        "log: bochs.log",
        "panic: action=fatal",
    ]
    (folder / "bochsrc").write_text("\n".join(lines) + "\n")
    # Debian's Bochs has a debugger, which waits for `continue`.
    (folder / "commands").write_text("c\n")
    return ["env", "TERM=vt100", "sh", "-c", SCRIPT]


def _cmos(cpus: int, memory_mib: int) -> bytes:
    """The clock chip's memory, from which the BIOS knows how many CPUs and how much memory there are.

    Bochs would fill in the memory but not the CPUs: the BIOS is QEMU's, and takes Bochs for QEMU.
    """
    content = bytearray(128)
    content[0x0a:0x0e] = bytes([0x26, 0x02, 0x00, 0x80])  # the control registers as at power-on
    above_1_mib_kib = min((memory_mib - 1) * 1024, 0xffff)
    above_16_mib_chunks = max(memory_mib - 16, 0) * 16
    for place, value in ((0x15, 640), (0x17, above_1_mib_kib), (0x30, above_1_mib_kib), (0x34, above_16_mib_chunks)):
        content[place:place + 2] = value.to_bytes(2, "little")
    content[0x5f] = cpus - 1
    return bytes(content)
