//! The kernel's benchmarks: each runs on a machine that is about to run its first program, prints what `./x.py bench` reads,
//! and leaves everything as it was.

use host_tests::smp::Cpus;
use host_tests::snapshot::Snapshot;
use host_tests::{Machine, Options};
use tessera_arch::fake::{self, Flavour};
use tessera_kernel::bench;
use tessera_kernel::bench::BENCHMARKS;
use tessera_kernel::bench::benchmark::Benchmark;
use tessera_kernel::bench::meter::SAMPLES;

const FRAMES: u64 = 2048;

/// A machine on which nothing has run yet; CPUs see to shootdowns at once.
fn machine(flavour: Flavour, cpus: usize, tag_bits: u32) -> (Machine, Cpus) {
    let options = Options { cpus, ..Options::new(flavour).frames(FRAMES).tag_bits(tag_bits) };
    let machine = Machine::before_first_thread(&options);
    fake::smp::set_broadcasts(flavour == Flavour::Arm);
    let cpus = Cpus::new(machine.kernel.shared);
    (machine, cpus)
}

/// Runs those that are named; gives the lines that were printed, without the kernel's prefix.
fn run(machine: &mut Machine, names: &str) -> Vec<String> {
    fake::console::take_sent();
    bench::run(&mut machine.kernel, bench::parse(names).expect("these exist"));
    let text = String::from_utf8(fake::console::take_sent()).expect("lines are text");
    let lines = text.lines().filter(|line| !line.is_empty());
    lines.map(|line| line.strip_prefix("[kernel] ").expect("a line is the kernel's").to_owned()).collect()
}

/// How many samples the lines of a point hold, if it was measured to its end.
fn samples_of(lines: &[String], point: &str) -> Option<usize> {
    let prefix = format!("bench {point} ");
    let words: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix(&prefix)).collect();
    let (end, runs) = words.split_last()?;
    let count = |run: &str| run.split_once('x').map_or(1, |(_, count)| count.parse().expect("a number"));
    let samples = runs.iter().flat_map(|line| line.split(',')).map(count).sum();
    assert_eq!(*end, format!("end n={samples}"), "{point}");
    Some(samples)
}

fn is_left_out(lines: &[String], point: &str) -> bool {
    lines.iter().any(|line| line.starts_with(&format!("{point} is left out: ")))
}

/// Runs all of them; gives the points that were left out.
fn play(flavour: Flavour, cpus: usize, tag_bits: u32) -> Vec<String> {
    let (mut machine, _cpus) = machine(flavour, cpus, tag_bits);
    fake::oracle::watch();
    let before = (Snapshot::of(&machine.kernel), format!("{:?}", machine.kernel.tags));
    fake::cpu::take_marks();
    let lines = run(&mut machine, "all");
    let marks = fake::cpu::take_marks();
    fake::oracle::check();
    assert_eq!(fake::oracle::take_breach(), None);
    assert_eq!((Snapshot::of(&machine.kernel), format!("{:?}", machine.kernel.tags)), before);
    let points: Vec<String> = BENCHMARKS.iter().flat_map(Benchmark::points).map(|point| point.to_string()).collect();
    let (measured, left_out): (Vec<_>, Vec<_>) =
        points.into_iter().partition(|point| samples_of(&lines, point) == Some(SAMPLES));
    assert!(left_out.iter().all(|point| is_left_out(&lines, point)), "{left_out:?}");
    let summary = format!("kernel benchmarks: {} measured, {} left out; ", measured.len(), left_out.len());
    assert!(lines.last().is_some_and(|line| line.starts_with(&summary)), "{lines:?}");
    let expected = [[1, 2].repeat(SAMPLES), vec![3]].concat().repeat(measured.len());
    assert!(marks == expected, "each sample is marked, and each end");
    machine.run_first_thread();
    left_out
}

/// What needs more memory, or CPUs, than these machines have.
fn is_too_large(point: &str, cpus: usize) -> bool {
    let x = |name: &str| point.strip_prefix(name).map(|x| x.parse::<usize>().expect("a number"));
    x("kernel_walk/").is_some_and(|pages| pages > 2) || x("kernel_shootdown/").is_some_and(|others| others >= cpus)
}

#[test]
fn all_run_and_leave_everything_as_it_was() {
    for (flavour, cpus, tag_bits) in [(Flavour::X86, 1, 8), (Flavour::X86, 4, 12), (Flavour::Arm, 8, 2)] {
        let left_out = play(flavour, cpus, tag_bits);
        assert!(left_out.iter().all(|point| is_too_large(point, cpus)), "{left_out:?}");
    }
}

#[test]
fn a_machine_without_tags_leaves_out_what_takes_tags() {
    let left_out = play(Flavour::X86, 4, 0);
    let needs_tags: Vec<&String> = left_out.iter().filter(|point| !is_too_large(point, 4)).collect();
    assert_eq!(needs_tags, ["kernel_root_write_tagged"]);
}

#[test]
fn what_needs_more_memory_than_there_is_is_left_out() {
    let (mut machine, _cpus) = machine(Flavour::Arm, 1, 8);
    while machine.kernel.frames.free_frames() > 70 {
        machine.kernel.frames.allocate(0).expect("some are free");
    }
    let lines = run(&mut machine, "kernel_frame_clear,kernel_map_entries/2");
    assert_eq!(samples_of(&lines, "kernel_frame_clear/1"), Some(SAMPLES));
    assert!(is_left_out(&lines, "kernel_frame_clear/512") && samples_of(&lines, "kernel_frame_clear/512").is_none());
    assert_eq!(samples_of(&lines, "kernel_map_entries/2"), Some(SAMPLES));
}

#[test]
fn only_those_that_are_named_run() {
    let (mut machine, _cpus) = machine(Flavour::X86, 1, 8);
    let lines = run(&mut machine, "kernel_lock,kernel_invalidate_range/8");
    let names: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("bench ")?.split(' ').next()).collect();
    assert_eq!(names, ["kernel_invalidate_range/8", "kernel_invalidate_range/8", "kernel_lock", "kernel_lock"]);
}

#[test]
fn every_one_says_what_it_is() {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    for (index, benchmark) in BENCHMARKS.iter().enumerate() {
        let Benchmark { name, points, axis, what, leaves_out, .. } = *benchmark;
        assert!(name.starts_with("kernel_") && name.bytes().all(is_word), "{name}");
        assert!(BENCHMARKS[..index].iter().all(|other| other.name != name), "{name} is there twice");
        assert_eq!(points.is_empty(), axis.is_empty(), "{name}: an axis and points go together");
        assert!(points.is_sorted_by(|one, next| 0 < *one && one < next), "{name}");
        assert!(!what.is_empty() && !leaves_out.is_empty(), "{name}");
    }
}
