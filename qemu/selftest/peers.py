"""The peer Linux: its table, what its program prints, how its kernel is found, and its first file system."""

from __future__ import annotations

import contextlib
import io
import re
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from .. import apt, base, machine, setup
from ..bench import catalogue
from ..pages import peers
from ..peer import cpio, is_alone, kernel, linux
from ..peer.operations import NAMES, OPERATIONS, PREFIX
from ..peer.output import COMPLETE, ERROR, KERNEL, Output

PACKAGES = """Package: linux-image-cloud-arm64
Source: linux-signed-arm64
Version: 6.12.95-1~bpo12+1
Depends: linux-image-6.12.95+deb12-cloud-arm64 (= 6.12.95-1~bpo12+1)

Package: linux-image-cloud-arm64
Version: 6.1.170-1
Depends: linux-image-6.1.0-47-cloud-arm64 (= 6.1.170-1)
"""


class Table(unittest.TestCase):
    """What is measured, against Tessera's benchmarks and the program's sources."""

    def test_benchmarks_beside(self):
        beside = [name for operation in OPERATIONS for name in operation.beside]
        self.assertEqual([name for name in beside if name not in catalogue.resolve([])], [])
        self.assertEqual(len(set(beside)), len(beside), "a benchmark has one operation of Linux beside it")

    def test_the_program_measures_what_is_named(self):
        sources = "".join(path.read_text() for path in linux.SOURCES.glob("*.c"))
        literals = set(re.findall(r'"([a-z0-9_]+)(?:/(?:\d+|%u))?"', sources))
        self.assertEqual([each.name for each in OPERATIONS if each.name.partition("/")[0] not in literals], [])


class Lines(unittest.TestCase):
    """What the program prints, read."""

    @staticmethod
    def _read(*lines: str) -> Output:
        output = Output()
        for line in lines:
            output.take(line)
        return output

    @staticmethod
    def _all() -> list:
        each = [(f"bench {name} 3x2,9", f"bench {name} end n=3" + (" unit=bytes" if "table_bytes" in name else "")) for name in NAMES]
        return [KERNEL + "Linux 6", "[    0.1] a word of the kernel", *(line for pair in each for line in pair), COMPLETE]

    def test_entries(self):
        entries = self._read(*self._all()).entries()
        self.assertEqual(len(entries), sum(len(operation.names()) for operation in OPERATIONS))
        first = {"peer": "Linux 6", "name": "null_call", "operation": OPERATIONS[0].what, "unit": "instructions", "n": 3, "min": 3,
                 "q1": 3, "median": 3, "q3": 9, "mean": 5.0, "p99": 9, "max": 9}
        self.assertEqual((entries[0], list(entries[0])), (first, list(first)))
        self.assertTrue(all((entry["unit"] == "bytes") == ("table_bytes" in entry["name"]) for entry in entries))
        self.assertEqual([entry["name"] for entry in entries if is_alone(entry)][:2], [PREFIX + "pipe_threads", PREFIX + "pipe_processes"])

    def test_what_is_told_per_part(self):
        lines = [line.replace("3x2,9", "5120x2,6000") if "mprotect_read/512" in line else line for line in self._all()]
        found = {entry["name"]: (entry["median"], entry["max"]) for entry in self._read(*lines).entries()}
        self.assertEqual((found["protect_pages_here/512"], found["protect_512_per_page"]), ((5120, 6000), (10, 11)))

    def test_anything_less_is_refused(self):
        whole = self._all()
        exchanged = whole[:2] + whole[4:6] + whole[2:4] + whole[6:]
        for lines, reason in (([], "ended early, after nothing"), (whole[:-1], "ended early, after linux_share_64_mib"),
                              (whole[1:], "ended early"), (whole[:-3] + whole[-1:], "linux_share_64_mib"), (exchanged, "their order"),
                              ([*whole[:-1], "bench linux_more 1", whole[-1]], "did not end"),
                              (whole + [ERROR + "mmap: no"], "failed: mmap: no")):
            with self.assertRaises(base.Failure) as caught:
                self._read(*lines).entries()
            self.assertIn(reason, str(caught.exception))
            self.assertNotIn("\n", str(caught.exception))

    def test_an_emulator_that_ends(self):
        taken: list = []
        self.assertEqual(linux._read(["printf", r"one\r\ntwo"], taken.append, str), "")
        self.assertEqual(taken, ["one", "two"])

    def test_an_emulator_that_does_not(self):
        with mock.patch.object(linux, "TIMEOUT_S", 0.0):
            self.assertEqual(linux._read(["sleep", "60"], print, str), "no end within 0 s")

    def test_the_machine_counts_as_tessera_s_does(self):
        for arch in base.ARCHES:
            words = [str(word) for word in linux.command(arch, kernel.Kernel(Path("kernel"), ""), Path("initrd"))]
            for part in (machine.COMMON, machine.ICOUNT):
                self.assertIn(" ".join(part), " ".join(words))


class KernelOfDebian(unittest.TestCase):
    """Finding and fetching it."""

    def test_the_newest(self):
        self.assertEqual(kernel.newest(PACKAGES), ("linux-image-6.12.95+deb12-cloud-arm64", "6.12.95-1~bpo12+1"))
        self.assertEqual(kernel.newest("N: Unable to locate package"), ("", ""))

    def test_where_the_release_comes_from(self):
        newer = "Types: deb\nURIs: http://a/debian\nSuites: x x-updates\nComponents: main\nSigned-By: /k\n"
        for name, text, found, backports in (
                ("a.sources", newer, ("http://a/debian", "Signed-By: /k\n"), True),
                ("a.list", "deb http://b x main\n", ("http://b", ""), True),
                ("a.sources", newer + "\n" + newer.replace("x x-updates", "x-backports"), ("http://a/debian", "Signed-By: /k\n"), False),
                ("a.list", "deb http://b y main\n", None, False)):
            with tempfile.TemporaryDirectory() as folder, mock.patch.object(apt, "SOURCES", Path(folder)), \
                    mock.patch.object(apt, "release_codename", return_value="x"):
                (Path(folder) / name).write_text(text)
                self.assertEqual((apt.release_source(), apt.backports_entry() is not None), (found, backports))

    def test_apt_knows_no_such_kernel(self):
        complaint = self._complaint(mock.patch.object(base, "run", return_value=(0, "")),
                                    mock.patch.object(apt, "release_source", return_value=("http://a", "")))
        self.assertIn("apt finds no package linux-image-cloud-arm64", complaint)

    def test_no_apt(self):
        self.assertIn("no Debian with apt", self._complaint(mock.patch.object(apt, "available", return_value=False)))

    def _complaint(self, *patches) -> str:
        """The one line that is said where no kernel can be had; and nothing is left behind."""
        with tempfile.TemporaryDirectory(dir=base.ROOT) as folder, contextlib.ExitStack() as stack, \
                contextlib.redirect_stdout(io.StringIO()):
            for patch in (*patches, mock.patch.object(kernel, "FOLDER", Path(folder))):
                stack.enter_context(patch)
            with self.assertRaises(base.Failure) as caught:
                kernel.kernel("aarch64")
            self.assertEqual([path for path in Path(folder).rglob("*") if path.is_file()], [])
        self.assertNotIn("\n", str(caught.exception))
        return str(caught.exception)

    def test_no_compiler_and_no_apt(self):
        absent = [need for need in setup.NEEDS if need.group == "peer"]
        with mock.patch.object(setup, "missing", return_value=absent), mock.patch.object(apt, "available", return_value=False), \
                contextlib.redirect_stdout(io.StringIO()), self.assertRaises(base.Failure) as caught:
            setup.need(("peer",))
        packages = [package for need in absent for package in need.packages]
        self.assertEqual(str(caught.exception), "this machine has no apt-get; install by hand: " + " ".join(packages))
        self.assertEqual(len(packages), 4)


class FirstFileSystem(unittest.TestCase):
    """The archive that Linux unpacks."""

    def test_members(self):
        found = cpio.archive({"init": b"12345", "b": b""})
        self.assertEqual((len(found) % 4, found), (0, cpio.archive({"init": b"12345", "b": b""})))
        members, at = [], 0
        while at < len(found):
            fields = [int(found[at + 6 + 8 * index:at + 14 + 8 * index], 16) for index in range(13)]
            mode, links, size, name_size = fields[1], fields[4], fields[6], fields[11]
            name = found[at + 110:at + 110 + name_size - 1].decode()
            at += -(-(110 + name_size) // 4) * 4
            members.append((name, mode, links, found[at:at + size]))
            at += -(-size // 4) * 4
        self.assertEqual(members, [("init", 0o100755, 1, b"12345"), ("b", 0o100755, 1, b""), ("TRAILER!!!", 0, 1, b"")])


class PageOfPeers(unittest.TestCase):
    """docs/peers.md, and what is kept for other pages."""

    def test_page(self):
        entries = [{"peer": "Linux 6", "name": "null_call", "operation": "getppid", "unit": "instructions", "median": 300},
                   {"peer": "Linux 6", "name": PREFIX + "table_bytes/4", "operation": "tables", "unit": "bytes", "median": 524288}]
        both = {arch: entries for arch in base.ARCHES}
        own = {"x86_64": {"null_call": 9, "map_1": 367}, "aarch64": {"null_call": 12}}
        text = peers.text({"linux": both, "own": own})
        self.assertIn("\n| `null_call` | getppid | 9 / 12 | 300 | 0.030 / 0.040 |\n", text)
        self.assertIn("\n| tables, bytes | 524,288 |\n", text)
        self.assertIn("\n| `map_1` | mapping x1, per page | 367 / - | 734 / 561 | 0.500 |\n", text)
        self.assertEqual(peers.kept(both), {"kernels": {arch: "Linux 6" for arch in base.ARCHES},
                                            "figures": {"null_call": {"line": "getppid", "x86_64": 300, "aarch64": 300}}})
        self.assertIn("1326364bc", text)
