"""What of Linux is measured, and beside which of Tessera's benchmarks it stands."""

from __future__ import annotations

from dataclasses import dataclass


# What the program puts before the names of its benchmarks.
PREFIX = "linux_"
MANY = 512


@dataclass(frozen=True)
class Operation:
    """One operation of qemu/peer/linux, and Tessera's benchmarks that do what is nearest to it."""

    name: str
    what: str
    beside: tuple = ()
    # Into how many parts what is measured is divided, as the benchmark is per part.
    parts: int = 1

    def names(self) -> tuple:
        """The benchmarks that it stands beside; where there is none, its own name."""
        return self.beside or (PREFIX + self.name,)


OPERATIONS = (
    Operation("getppid", "null system call, getppid", ("null_call", "common_call")),
    Operation("process_vm_readv/8", "process_vm_readv, 8 bytes", ("memory_read_8",)),
    Operation("process_vm_readv/4096", "process_vm_readv, 4096 bytes", ("memory_read_4096",)),
    Operation("sched_yield_alone", "sched_yield, SCHED_FIFO, nobody else", ("yield_alone",)),
    Operation("sched_yield_threads", "switch by sched_yield, SCHED_FIFO, in one space", ("yield_thread",)),
    Operation("sched_yield_processes", "switch by sched_yield, SCHED_FIFO, to another space", ("space_switch", "yield_space")),
    Operation("pipe_threads", "switch by a byte through a pipe, in one space"),
    Operation("pipe_processes", "switch by a byte through a pipe, to another space"),
    Operation("futex_threads", "switch by a futex, in one space"),
    Operation("futex_processes", "switch by a futex, to another space"),
    Operation("mmap/1", "mmap of one anonymous page, not touched"),
    Operation("munmap/1", "munmap of one anonymous page, touched"),
    Operation("mmap/512", "mmap of 512 anonymous pages, not touched"),
    Operation("munmap/512", "munmap of 512 anonymous pages, touched"),
    Operation("mmap_present/1", "mmap with MAP_POPULATE of one shared page that is present", ("map_1", "map_pages_here/1")),
    Operation("munmap_present/1", "munmap of one shared page that is present", ("unmap_1", "unmap_pages_here/1")),
    Operation("mmap_present/512", "mmap with MAP_POPULATE of 512 shared pages that are present", ("map_pages_here/512",)),
    Operation("mmap_present/512", "the same, per page", ("map_512_per_page",), MANY),
    Operation("munmap_present/512", "munmap of 512 shared pages that are present", ("unmap_pages_here/512",)),
    Operation("mprotect_read/1", "mprotect of one page, from writable to read-only", ("protect_1", "protect_pages_here/1")),
    Operation("mprotect_write/1", "mprotect of one page, from read-only to writable", ("unprotect_pages_here/1",)),
    Operation("mprotect_read/512", "mprotect of 512 pages, from writable to read-only", ("protect_pages_here/512",)),
    Operation("mprotect_read/512", "the same, per page", ("protect_512_per_page",), MANY),
    Operation("mprotect_write/512", "mprotect of 512 pages, from read-only to writable", ("unprotect_pages_here/512",)),
    Operation("first_touch", "first touch of an anonymous page, by writing", ("first_touch",)),
    Operation("sigsegv_return", "fault, SIGSEGV's handler in the same process, return"),
    Operation("sigsegv_entry", "fault, up to SIGSEGV's handler"),
    Operation("userfaultfd", "fault, another process fills the page by userfaultfd, return"),
    Operation("fork_mib/0", "fork, exit and wait", ("space_create_destroy", "fork_by_copying/0")),
    Operation("fork_mib/1", "fork, exit and wait, 1 MiB touched", ("fork_by_copying/1",)),
    Operation("fork_mib/64", "fork, exit and wait, 64 MiB touched", ("fork_by_mapping/64",)),
    Operation("vfork", "vfork, exit and wait: a process with its parent's space"),
    Operation("pthread_create_join", "pthread create and join", ("thread_spawn_join",)),
    Operation("ptrace_sysemu", "PTRACE_SYSEMU and wait, up to the traced process's next system call"),
    *(Operation(f"table_bytes/{sharers}", f"page tables of processes that share 64 MiB and read from each page: {sharers}",
                (f"table_bytes_private/{sharers}", f"table_bytes_shared/{sharers}")) for sharers in (1, 4, 16, 64)),
    Operation("share_64_mib", "mmap of 64 MiB of a file that is present, each page touched by writing"),
)
# What the program prints, in this order.
NAMES = tuple(dict.fromkeys(PREFIX + operation.name for operation in OPERATIONS))


def is_alone(entry: dict) -> bool:
    """Whether what was measured has no benchmark of Tessera's beside it."""
    return entry["name"].startswith(PREFIX)
