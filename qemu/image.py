"""What a machine starts from: the boot archive, and the disk image that some ways of booting want around it."""

from __future__ import annotations

import io
import struct
import tarfile
from pathlib import Path

from . import bochs, build
from .base import Failure, must_run

LIMINE_CONF = """timeout: 0
serial: yes

/Tessera
    protocol: limine
    kernel_path: boot():/kernel
    path: boot():/kernel
    module_path: boot():/archive.tar
"""
LIMINE_LOADERS = {"x86_64": "BOOTX64.EFI", "aarch64": "BOOTAA64.EFI"}

SECTOR_BYTES = 512
# What the boot sector loads at a time.
CHUNK_BYTES = 64 * SECTOR_BYTES


def write_archive(path: Path, arch: str, profile: str, cmdline: str, names: list, with_kernel: bool,
                  kernel: str = build.KERNEL, files: dict | None = None) -> None:
    """Writes the boot archive: `cmdline`, then programs and files; with the kernel first where the stub looks for it."""
    members = [("cmdline", cmdline.encode() + b"\n")]
    if with_kernel:
        members.insert(0, ("kernel", build.stripped(arch, profile, kernel).read_bytes()))
    for name in dict.fromkeys([build.INIT, *build.services(cmdline), *names]):
        members.append((name, build.stripped(arch, profile, name).read_bytes()))
    members += (files or {}).items()
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in members:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755
            archive.addfile(entry, io.BytesIO(data))


def write_stub_disk(folder: Path, profile: str, archive: Path) -> Path:
    """Writes the disk that the x86_64 boot stub starts from: boot sector, stub, archive, in whole chunks of its own.

    Two numbers in the boot sector say how much to load; see `stub/x86_64/sector.rs`.
    """
    stub, data = build.stub_image("x86_64", profile).read_bytes(), archive.read_bytes()
    sector, body = bytearray(stub[:SECTOR_BYTES]), stub[SECTOR_BYTES:] + data
    chunks = -(-len(body) // CHUNK_BYTES)
    sector[4:12] = struct.pack("<II", chunks, len(data))
    used = SECTOR_BYTES + chunks * CHUNK_BYTES
    disk = folder / "disk.img"
    disk.write_bytes((bytes(sector) + body).ljust(-(-used // bochs.CYLINDER_BYTES) * bochs.CYLINDER_BYTES, b"\0"))
    return disk


def write_disk(folder: Path, arch: str, profile: str, boot: str, archive: Path, limine_dir: str | None,
               kernel: str = build.KERNEL) -> Path:
    """Writes the disk image for one boot into `folder`."""
    if boot == "stub":
        return write_stub_disk(folder, profile, archive)
    tool, disk, binary = build.image_tool(), folder / "disk.img", build.stripped(arch, profile, kernel)
    if boot in ("bios", "uefi"):
        words = [tool, boot, binary, archive, disk]
    else:
        configuration = folder / "limine.conf"
        configuration.write_text(LIMINE_CONF)
        loader = limine_loader(arch, limine_dir)
        words = [tool, "fat", disk, f"EFI/BOOT/{loader.name}={loader}", f"limine.conf={configuration}",
                 f"kernel={binary}", f"archive.tar={archive}"]
    must_run(words, "the disk image could not be made", quiet=True)
    return disk


def limine_loader(arch: str, limine_dir: str | None) -> Path:
    """The loader's file in the folder the user named."""
    if not limine_dir:
        raise Failure("--boot limine needs --limine-dir DIR, the folder with Limine's " + LIMINE_LOADERS[arch], 2)
    # The image tool runs in another folder than the user.
    loader = Path(limine_dir).resolve() / LIMINE_LOADERS[arch]
    if not loader.is_file():
        raise Failure(f"{limine_dir} holds no {LIMINE_LOADERS[arch]}", 2)
    with open(loader, "rb") as file:
        if file.read(2) != b"MZ":
            raise Failure(f"{loader} is no UEFI program", 2)
    return loader
