//! The kernel's Limine requests, found in its image by their magic numbers, and our answers.
//!
//! Source: the Limine Boot Protocol, base revision 2. Every request is four words of identification, one of
//! revision and one for the address of the answer; every answer begins with its own revision, here always 0.

use core::ffi::CStr;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::Failure;
use crate::memory::{Layout, Span};

/// The first two words of every request.
const COMMON_MAGIC: [u64; 2] = [0xc7b1_dd30_df4c_8b88, 0x0a82_e883_a194_f07b];
/// The first two words of the base revision tag; the third is the revision the kernel wants.
const BASE_REVISION_MAGIC: [u64; 2] = [0xf956_2b2d_5c95_a6c8, 0x6a7b_3849_4453_6bdc];
/// The highest base revision that the stub knows.
const BASE_REVISION_MAX: u64 = 2;

/// The last two words of each request's identification.
mod magic {
    pub(super) const LOADER_INFO: [u64; 2] = [0xf550_38d8_e2a1_202f, 0x2794_26fc_f5f5_9740];
    pub(super) const STACK_SIZE: [u64; 2] = [0x224e_f046_0a8e_8926, 0xe1cb_0fc2_5f46_ea3d];
    pub(super) const DIRECT_MAP: [u64; 2] = [0x48dc_f1cb_8ad2_b852, 0x6398_4e95_9a98_244b];
    pub(super) const PAGING_MODE: [u64; 2] = [0x95c1_a0ed_ab09_44cb, 0xa4e5_cb38_42f7_488a];
    pub(super) const MEMORY_MAP: [u64; 2] = [0x67cf_3d9d_378a_806f, 0xe304_acdf_c50c_3c62];
    pub(super) const MODULES: [u64; 2] = [0x3e7e_2797_02be_32af, 0xca1c_4f3b_d128_0cee];
    pub(super) const IMAGE_ADDRESS: [u64; 2] = [0x71ba_7686_3cc5_5f63, 0xb264_4a48_c516_a487];
    pub(super) const ENTRY_POINT: [u64; 2] = [0x13d8_6c03_5a1c_d3e1, 0x2b0c_aa89_d8f3_026a];
    pub(super) const ACPI: [u64; 2] = [0xc5e7_7b6b_397e_7b43, 0x2763_7845_accd_cf3c];
    pub(super) const DEVICE_TREE: [u64; 2] = [0xb40d_db48_fb54_bac7, 0x5450_8149_3f81_ffb7];
}

/// Words that the answers take at most.
const ANSWER_WORDS: usize = 512;
/// Where the answers lie: the stub's own memory, at its physical address, which the memory map calls reclaimable.
static ANSWERS: [AtomicU64; ANSWER_WORDS] = [const { AtomicU64::new(0) }; ANSWER_WORDS];

/// What there is to tell.
pub struct Facts<'a> {
    /// RAM and its use.
    pub layout: &'a Layout,
    /// The boot archive.
    pub archive: Span,
    /// Physical address of the device tree, if there is one.
    pub device_tree: Option<u64>,
    /// Physical address of ACPI's root pointer, if there is one.
    pub acpi: Option<u64>,
    /// Where the direct map of physical memory begins.
    pub direct_map: u64,
    /// First virtual address of the kernel's image.
    pub kernel_virtual: u64,
    /// Its physical address.
    pub kernel_physical: u64,
}

/// Answers every request in the kernel's image that the stub knows; the others stay unanswered, which the protocol
/// allows. Returns the entry point, if a request names one.
///
/// # Errors
/// The kernel wants a later protocol, or the answers need more room than there is.
pub fn answer(image: &mut [u64], facts: &Facts<'_>) -> Result<Option<u64>, Failure> {
    let mut answers = Answers { free: &ANSWERS, direct_map: facts.direct_map };
    let mut entry = None;
    let mut has_base_revision = false;
    for position in 0..image.len().saturating_sub(6) {
        if image[position..position + 2] == BASE_REVISION_MAGIC {
            if image[position + 2] > BASE_REVISION_MAX {
                return Err("the kernel wants a later base revision of the Limine protocol than 2");
            }
            image[position + 2] = 0;
            has_base_revision = true;
        } else if image[position..position + 2] == COMMON_MAGIC {
            let identification = [image[position + 2], image[position + 3]];
            if let Some(address) = answers.to(identification, facts)? {
                image[position + 5] = address;
            }
            if identification == magic::ENTRY_POINT {
                entry = Some(image[position + 6]);
            }
        }
    }
    if has_base_revision { Ok(entry) } else { Err("the kernel has no Limine base revision tag") }
}

/// The memory for answers that is still free.
struct Answers {
    free: &'static [AtomicU64],
    direct_map: u64,
}

impl Answers {
    /// Makes the answer to a request; returns where the kernel finds it.
    fn to(&mut self, request: [u64; 2], facts: &Facts<'_>) -> Result<Option<u64>, Failure> {
        let address = match request {
            magic::LOADER_INFO => self.place(&[0, self.text(c"Tessera boot stub"), self.text(VERSION)])?,
            magic::STACK_SIZE | magic::ENTRY_POINT => self.place(&[0])?,
            magic::DIRECT_MAP => self.place(&[0, facts.direct_map])?,
            // Mode 0: four levels, 48 bits.
            magic::PAGING_MODE => self.place(&[0, 0])?,
            magic::MEMORY_MAP => self.memory_map(facts.layout)?,
            magic::MODULES => self.modules(facts.archive)?,
            magic::IMAGE_ADDRESS => self.place(&[0, facts.kernel_physical, facts.kernel_virtual])?,
            magic::DEVICE_TREE => return self.pointer(facts.device_tree),
            magic::ACPI => return self.pointer(facts.acpi),
            _ => return Ok(None),
        };
        Ok(Some(address))
    }

    /// The address of something, if there is such a thing; no answer otherwise.
    fn pointer(&mut self, physical: Option<u64>) -> Result<Option<u64>, Failure> {
        physical.map(|address| self.place(&[0, self.direct_map + address])).transpose()
    }

    /// Count and table of pointers to entries of start, length and kind.
    fn memory_map(&mut self, layout: &Layout) -> Result<u64, Failure> {
        const ENTRIES_MAX: usize = 32;
        let mut pointers = [0; ENTRIES_MAX];
        let mut count = 0;
        let mut result = Ok(());
        layout.for_each(|span, kind| {
            let entry = self.place(&[span.start, span.length_bytes, kind as u64]);
            match (entry, pointers.get_mut(count)) {
                (Ok(address), Some(pointer)) => (*pointer, count) = (address, count + 1),
                _ => result = Err("the memory map is too long"),
            }
        });
        result?;
        let table = self.place(&pointers[..count])?;
        self.place(&[0, count as u64, table])
    }

    /// Count and table of pointers to files; ours has an address, a length, a path, no arguments and no medium.
    fn modules(&mut self, archive: Span) -> Result<u64, Failure> {
        let mut file = [0; 14];
        file[1..5].copy_from_slice(&[
            self.direct_map + archive.start,
            archive.length_bytes,
            self.text(c"/archive.tar"),
            self.text(c""),
        ]);
        let file = self.place(&file)?;
        let table = self.place(&[file])?;
        self.place(&[0, 1, table])
    }

    /// Writes words to free memory; returns their address in the direct map.
    fn place(&mut self, words: &[u64]) -> Result<u64, Failure> {
        if self.free.len() < words.len() {
            return Err("there is no room for the answers to the kernel's requests");
        }
        let (used, rest) = self.free.split_at(words.len());
        for (place, word) in used.iter().zip(words) {
            place.store(*word, Ordering::Relaxed);
        }
        self.free = rest;
        Ok(self.direct_map + used.as_ptr().addr() as u64)
    }

    /// Where the kernel finds a text of the stub's.
    fn text(&self, text: &'static CStr) -> u64 {
        self.direct_map + text.as_ptr().addr() as u64
    }
}

/// The stub's version.
const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => panic!("a version contains no zero byte"),
};
