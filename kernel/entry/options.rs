//! What the boot archive's `cmdline` asks of the kernel.

use core::fmt;

use tar_no_std::TarArchiveRef;
use tessera_arch::{BootInfo, PhysAddr};

use crate::bench;
use crate::bench::benchmark::Wanted;

/// Options of the kernel; other words of the line are for the first program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options<'a> {
    /// Bits in a TLB tag, at most: `tags=N`, or `tags=off` for 0.
    pub tag_bits: u32,
    /// Whether programs may read the CPU's cycle counter: `cycle_counter=1`.
    pub cycle_counter: bool,
    /// Whether a TLB plugin in the emulator is served: `tlb_plugin=1`.
    pub tlb_plugin: bool,
    /// The bug that a kernel of `tests/seeded` is to have: `seed=NAME`.
    pub seed: Option<&'a str>,
    /// The first program, by its name in the archive: `first=NAME`.
    pub first: &'a str,
    /// The kernel's benchmarks to run before it: `bench=all`, or `bench=NAME,NAME`.
    pub bench: Option<Wanted<'a>>,
}

/// What is wrong with the archive or the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake<'a> {
    /// This.
    Plain(&'static str),
    /// A word that names no benchmark.
    NoBenchmark(&'a str),
}

impl fmt::Display for Mistake<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mistake::Plain(what) => out.write_str(what),
            Mistake::NoBenchmark(word) => {
                write!(out, "`bench=` takes all or names of kernel benchmarks, and `{word}` is none")
            }
        }
    }
}

impl From<&'static str> for Mistake<'_> {
    fn from(what: &'static str) -> Self {
        Mistake::Plain(what)
    }
}

impl<'a> Options<'a> {
    /// Reads the line out of the archive.
    ///
    /// # Errors
    /// What is wrong with the archive or the line.
    pub fn read(boot_info: &BootInfo) -> Result<Options<'static>, Mistake<'static>> {
        let entry = archive(boot_info)?.entries().find(|entry| entry.filename().as_str() == Ok("cmdline"));
        let entry = entry.ok_or("it has no `cmdline`")?;
        Options::parse(core::str::from_utf8(entry.data()).map_err(|_| "its `cmdline` is no text")?)
    }

    /// Reads the line.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(line: &'a str) -> Result<Options<'a>, Mistake<'a>> {
        // Everything behind `args=` belongs to the program.
        let words = line.split_whitespace().take_while(|word| !word.starts_with("args="));
        let mut options = Options {
            tag_bits: u32::MAX,
            cycle_counter: is_on(words.clone(), "cycle_counter=").ok_or("`cycle_counter=` takes 0 or 1")?,
            tlb_plugin: is_on(words.clone(), "tlb_plugin=").ok_or("`tlb_plugin=` takes 0 or 1")?,
            seed: words.clone().filter_map(|word| word.strip_prefix("seed=")).last(),
            first: "init",
            bench: None,
        };
        if let Some(first) = words.clone().filter_map(|word| word.strip_prefix("first=")).last() {
            options.first = first;
        }
        for names in words.clone().filter_map(|word| word.strip_prefix("bench=")) {
            options.bench = Some(bench::parse(names).map_err(Mistake::NoBenchmark)?);
        }
        for value in words.filter_map(|word| word.strip_prefix("tags=")) {
            options.tag_bits = match value {
                "off" => 0,
                number => {
                    number.parse().ok().filter(|bits| (2..=16).contains(bits)).ok_or("`tags=` takes off or 2 to 16")?
                }
            };
        }
        Ok(options)
    }
}

/// Whether an option that is on or off is on: the last word of it decides, and none is off. `None` if one is neither.
fn is_on<'a>(words: impl Iterator<Item = &'a str>, key: &str) -> Option<bool> {
    let mut values = words.filter_map(|word| word.strip_prefix(key));
    values.try_fold(false, |_, value| match value {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    })
}

/// The boot archive.
///
/// # Errors
/// If there is none, or it is no tar.
pub fn archive(boot_info: &BootInfo) -> Result<TarArchiveRef<'static>, &'static str> {
    let archive = boot_info.archive;
    if archive.length_bytes == 0 {
        return Err("the loader handed on none");
    }
    TarArchiveRef::new(archive_bytes(archive.start, archive.length_bytes)).map_err(|_| "it is no tar")
}

#[expect(unsafe_code, reason = "the archive is memory that only the loader has written")]
fn archive_bytes(start: PhysAddr, length_bytes: u64) -> &'static [u8] {
    // SAFETY: by the contract of `BootInfo` the archive's frames are mapped in the direct map for good, belong
    // to nobody else, and are never written: the segment over them is handed out without WRITE.
    unsafe { core::slice::from_raw_parts(tessera_arch::direct_map(start), length_bytes as usize) }
}

#[cfg(test)]
mod tests {
    use super::Options;

    #[test]
    fn tags_can_be_off_or_narrow_and_nothing_else() {
        let tag_bits = |line| Options::parse(line).map(|options| options.tag_bits);
        assert_eq!(tag_bits("run=tour tags=off"), Ok(0));
        assert_eq!(tag_bits("tags=2 run=tour args=tags=9"), Ok(2));
        assert_eq!(tag_bits("run=tour\n"), Ok(u32::MAX));
        for wrong in ["tags=", "tags=1", "tags=17", "tags=on"] {
            assert!(Options::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_cycle_counter_is_open_if_asked_for() {
        let open = |line| Options::parse(line).map(|options| options.cycle_counter);
        assert_eq!(open("run=bench"), Ok(false));
        assert_eq!(open("cycle_counter=1 run=bench args=cycle_counter=0"), Ok(true));
        assert_eq!(open("cycle_counter=1 cycle_counter=0"), Ok(false));
        for wrong in ["cycle_counter=", "cycle_counter=2", "cycle_counter=on"] {
            assert!(open(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_plugin_is_served_or_not() {
        let served = |line| Options::parse(line).map(|options| options.tlb_plugin);
        assert_eq!((served("tlb_plugin=1 run=tour"), served("run=tour args=tlb_plugin=1")), (Ok(true), Ok(false)));
        assert!(served("tlb_plugin=yes").is_err());
    }

    #[test]
    fn init_comes_first_unless_another_is_named() {
        let first = |line| Options::parse(line).map(|options| options.first);
        assert_eq!(first("run=tour args=first=x"), Ok("init"));
        assert_eq!(first("run=tour first=stress\n"), Ok("stress"));
    }

    #[test]
    fn benchmarks_are_run_if_they_are_named_and_exist() {
        let is_asked = |line| Options::parse(line).map(|options| options.bench.is_some());
        assert_eq!(is_asked("run=bench args=bench=all"), Ok(false));
        assert_eq!(is_asked("run=bench bench=all"), Ok(true));
        assert_eq!(is_asked("bench=kernel_lock,kernel_invalidate_range/8 run=bench\n"), Ok(true));
        let mistake = Options::parse("bench=kernel_lock,map_1").expect_err("a program has that one");
        let line = "`bench=` takes all or names of kernel benchmarks, and `map_1` is none";
        assert_eq!(mistake.to_string(), line);
        assert!(is_asked("bench=").is_err() && is_asked("bench=kernel_invalidate_range/3").is_err());
    }
}
