//! The numbers that documents state are those that the code has.

use std::fs;
use std::path::PathBuf;

use tessera_abi::{NAME_BYTES, PAGE_BYTES, PRIORITY_MAX, TOP_SLOTS};
use tessera_arch::CPUS_MAX;
use tessera_kernel::cpu::handshake::Pass;
use tessera_kernel::cpu::per_cpu::Words;
use tessera_kernel::mem::frames::FrameRecord;
use tessera_kernel::object::cap_table::SLOTS_MAX;
use tessera_kernel::object::segment::LENGTH_MAX_BYTES;
use tessera_kernel::object::space::Space;
use tessera_kernel::state::charges::RESERVE_FRAMES;
use tessera_kernel::vm::user_memory::COPY_MAX_BYTES;

fn text(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// 65536 as people write it.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or("?")).collect();
    groups.join(",")
}

/// Bytes as people write them, where they come out even.
fn size(bytes: u64) -> String {
    let units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let unit = (bytes.trailing_zeros() / 10).min(4);
    format!("{} {}", grouped(bytes >> (10 * unit)), units[unit as usize])
}

/// A constant that a file defines and keeps to itself: what stands between its name and the semicolon.
fn constant(path: &str, name: &str) -> u64 {
    let text = text(path);
    let behind = text.split_once(&format!("const {name}: ")).unwrap_or_else(|| panic!("{path} has no {name}")).1;
    let value = behind.split_once('=').and_then(|(_, value)| value.split_once(';')).map(|(value, _)| value.trim());
    let value = value.unwrap_or_else(|| panic!("{path}: {name} has no value"));
    let number = |text: &str| text.trim().replace('_', "").parse::<u64>().unwrap_or_else(|_| panic!("{name}: {text}"));
    match value.split_once("<<") {
        Some((one, shift)) => number(one) << number(shift),
        None => number(value),
    }
}

/// Rows of the table behind a heading, as cells.
fn rows(page: &str, heading: &str) -> Vec<Vec<String>> {
    let behind = page.split_once(heading).unwrap_or_else(|| panic!("there is no {heading:?}")).1;
    let lines = behind.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_string()).collect();
    lines.skip(2).map(cells).collect()
}

#[test]
fn the_table_of_limits_is_true() {
    use tessera_abi::layout::program::{HEAP, STACKS};
    let windows = text("libvas/window.rs").contains("Slots<4>");
    assert!(windows, "four words of 64 bits are the 256 windows");
    let kernel_parts = |memory: u64, cpus: usize| {
        let space_bytes = size_of::<Words>() + cpus * size_of::<Pass>();
        let words = (Space::most(memory) * space_bytes) as f64 / memory as f64;
        (words + size_of::<FrameRecord>() as f64 / PAGE_BYTES as f64) * 100.0
    };
    for (cpus, expected) in [(1, 1.5..2.0), (CPUS_MAX, 10.0..11.0)] {
        let parts = kernel_parts(1 << 33, cpus);
        assert!(expected.contains(&parts), "the kernel of {cpus} CPUs takes {parts} parts in 100 of a large memory");
    }
    let expected = [
        ("objects of one kind", "as many as memory pays for".into(), "`kernel/object/store.rs`"),
        (
            "threads of a program made by libvas",
            format!("{} besides the first", grouped(constant("libvas/stack.rs", "THREADS_MAX"))),
            "`libvas/stack.rs`",
        ),
        (
            "windows of a program, and the length of one",
            format!("256, {}", size(constant("libvas/window.rs", "AREA_BYTES"))),
            "`libvas/window.rs`",
        ),
        ("heap of a program", size(STACKS - HEAP), "`user/rt/heap.rs`"),
        (
            "threads that wait for each other in a row, behind the one that is joined",
            grouped(constant("kernel/syscall/thread.rs", "JOIN_CHAIN_MAX")),
            "`kernel/syscall/thread.rs`",
        ),
        ("slots of a capability table", grouped(SLOTS_MAX), "`kernel/object/cap_table.rs`"),
        ("length of a segment", size(LENGTH_MAX_BYTES), "`kernel/object/segment.rs`"),
        ("bytes copied by one call", size(COPY_MAX_BYTES), "`kernel/vm/user_memory.rs`"),
        ("bytes of one `console_write`, of a name", format!("{}, {NAME_BYTES}", grouped(4096)), "`kernel/abi`"),
        (
            "entries of one `mappings_list`",
            grouped(constant("kernel/syscall/mapping.rs", "LIST_MAX")),
            "`kernel/syscall/mapping.rs`",
        ),
        ("top-level slots for programs; the last cannot be attached to", TOP_SLOTS.to_string(), "`kernel/abi/lib.rs`"),
        ("CPUs", CPUS_MAX.to_string(), "`arch/lib.rs`"),
        (
            "memory that only the kernel uses",
            format!("{RESERVE_FRAMES} frames, and for records 2 parts in 100 with one CPU, 11 with {CPUS_MAX}"),
            "`kernel/state/charges.rs`, `kernel/entry/boot.rs`",
        ),
    ];
    let found = rows(&text("docs/caveats.md"), "## Limits");
    let expected: Vec<Vec<String>> =
        expected.into_iter().map(|(what, limit, place)| vec![what.into(), limit, place.into()]).collect();
    assert_eq!(found, expected);
}

#[test]
fn the_page_of_calls_names_the_limits_of_the_kernel() {
    // Lines of the page end where they are full.
    let page = text("docs/abi.md").split_whitespace().collect::<Vec<_>>().join(" ");
    for claim in [
        format!("(1 to {})", grouped(SLOTS_MAX)),
        format!("more than {}", size(LENGTH_MAX_BYTES)),
        format!("more than {}", size(COPY_MAX_BYTES)),
        format!("at most {NAME_BYTES} bytes of UTF-8"),
        format!("Priority is 0 to {PRIORITY_MAX}"),
    ] {
        assert!(page.contains(&claim), "the page does not say {claim:?}");
    }
}
