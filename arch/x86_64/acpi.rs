//! ACPI's tables as functions of the bytes in memory (ACPI 6.5, 5.2.5 to 5.2.8): firmware wrote them, so any byte may be
//! wrong. A table whose bytes do not add up to zero is taken for none.

/// Bytes of the header that every table begins with; the length is its second word.
const HEADER_BYTES: u64 = 36;
/// Tables longer than this are taken for broken.
const TABLE_BYTES_MAX: u64 = 1 << 16;
/// Bytes of the root pointer, of revision 0 and of the later ones.
const POINTER_BYTES: [u64; 2] = [20, 36];

/// Physical memory, as far as it can be read.
pub(super) trait Memory {
    /// So many bytes at a physical address; `None` if not all of them can be read. Asked for at least one.
    fn bytes(&self, address: u64, length_bytes: u64) -> Option<&[u8]>;
}

/// The table with this signature, header included; empty if there is none that can be read.
pub(super) fn find<'a>(memory: &'a impl Memory, root_pointer: u64, signature: &[u8; 4]) -> &'a [u8] {
    let Some((list, width)) = list(memory, root_pointer) else { return &[] };
    let addresses = list[HEADER_BYTES as usize..].chunks_exact(width).map(number);
    addresses.filter_map(|address| table(memory, address)).find(|table| table.starts_with(signature)).unwrap_or(&[])
}

/// The table of the other tables' addresses, and how many bytes each address has. Revision 2 and later of the root pointer
/// have one of 64-bit addresses, which goes before the one of 32-bit addresses.
fn list(memory: &impl Memory, root_pointer: u64) -> Option<(&[u8], usize)> {
    let pointer = memory.bytes(root_pointer, POINTER_BYTES[0]).filter(|bytes| is_sound(bytes))?;
    if !pointer.starts_with(b"RSD PTR ") {
        return None;
    }
    if pointer[15] >= 2 {
        let pointer = memory.bytes(root_pointer, POINTER_BYTES[1]).filter(|bytes| is_sound(bytes));
        let list = pointer.and_then(|pointer| table(memory, number(&pointer[24..32])));
        if let Some(list) = list.filter(|list| list.starts_with(b"XSDT")) {
            return Some((list, 8));
        }
    }
    let list = table(memory, number(&pointer[16..20]))?;
    list.starts_with(b"RSDT").then_some((list, 4))
}

/// A table, header included, if its length is credible and its sum right.
fn table(memory: &impl Memory, address: u64) -> Option<&[u8]> {
    let length_bytes = number(&memory.bytes(address, HEADER_BYTES)?[4..8]);
    if !(HEADER_BYTES..TABLE_BYTES_MAX).contains(&length_bytes) {
        return None;
    }
    memory.bytes(address, length_bytes).filter(|bytes| is_sound(bytes))
}

fn is_sound(bytes: &[u8]) -> bool {
    bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)) == 0
}

/// A little-endian number of up to 8 bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::{HEADER_BYTES, Memory, find};

    /// Memory from this address on.
    const BASE: u64 = 0x7fe_0000;

    struct Bytes(Vec<u8>);

    impl Memory for Bytes {
        fn bytes(&self, address: u64, length_bytes: u64) -> Option<&[u8]> {
            let start = usize::try_from(address.checked_sub(BASE)?).ok()?;
            self.0.get(start..start.checked_add(usize::try_from(length_bytes).ok()?)?)
        }
    }

    impl Bytes {
        fn put(&mut self, at: u64, bytes: &[u8]) {
            self.0[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);
        }

        /// Makes the sum of a span zero by the byte at `at`.
        fn seal(&mut self, at: u64, first: u64, length: u64) {
            let sum = |bytes: &[u8]| bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
            self.0[at as usize] = 0;
            let rest = sum(&self.0[first as usize..(first + length) as usize]);
            self.0[at as usize] = 0_u8.wrapping_sub(rest);
        }

        fn table(&mut self, at: u64, signature: &[u8; 4], body: &[u8]) {
            let length = HEADER_BYTES + body.len() as u64;
            self.put(at, signature);
            self.put(at + 4, &(length as u32).to_le_bytes());
            self.put(at + HEADER_BYTES, body);
            self.seal(at + 9, at, length);
        }
    }

    const XSDT: u64 = 0x100;
    const RSDT: u64 = 0x200;
    const MADT: u64 = 0x300;

    fn firmware(revision: u8, list_64: u64, list_32: u64) -> Bytes {
        let mut memory = Bytes(vec![0; 0x1000]);
        memory.put(0, b"RSD PTR ");
        memory.put(15, &[revision]);
        memory.put(16, &((BASE + list_32) as u32).to_le_bytes());
        memory.put(24, &(BASE + list_64).to_le_bytes());
        memory.seal(8, 0, 20);
        memory.seal(32, 0, 36);
        let addresses = [BASE + XSDT, 0, u64::MAX, BASE + 0xfff, BASE + MADT].map(u64::to_le_bytes);
        memory.table(XSDT, b"XSDT", addresses.as_flattened());
        memory.table(RSDT, b"RSDT", &((BASE + MADT) as u32).to_le_bytes());
        memory.table(MADT, b"APIC", &[1, 2, 3]);
        memory
    }

    fn body(memory: &Bytes, signature: &[u8; 4]) -> Vec<u8> {
        find(memory, BASE, signature).iter().skip(HEADER_BYTES as usize).copied().collect()
    }

    #[test]
    fn tables_are_found_by_both_lists() {
        for memory in [firmware(2, XSDT, 0), firmware(0, 0, RSDT), firmware(2, RSDT, RSDT), firmware(2, 0x900, RSDT)] {
            assert_eq!(body(&memory, b"APIC"), [1, 2, 3]);
            assert!(find(&memory, BASE, b"FACP").is_empty());
        }
    }

    #[test]
    fn a_list_that_lists_itself_ends() {
        let memory = firmware(2, XSDT, RSDT);
        assert!(find(&memory, BASE, b"XSDT").starts_with(b"XSDT"), "the list is its own first entry");
        assert!(find(&memory, BASE, b"SRAT").is_empty());
    }

    #[test]
    fn what_does_not_add_up_is_not_used() {
        for at in [0, 16, XSDT, MADT + HEADER_BYTES] {
            let mut memory = firmware(2, XSDT, 0);
            memory.0[at as usize] ^= 1;
            assert!(find(&memory, BASE, b"APIC").is_empty(), "a wrong byte at {at:#x}");
        }
        // A wrong second half of the pointer leaves the list that the first half names.
        let mut memory = firmware(2, XSDT, RSDT);
        memory.0[24] ^= 1;
        assert_eq!(body(&memory, b"APIC"), [1, 2, 3]);
    }

    #[test]
    fn lengths_that_cannot_be_are_no_tables() {
        for length in [0, 1, HEADER_BYTES - 1, 0xd01, 1 << 16, u64::from(u32::MAX)] {
            let mut memory = firmware(2, XSDT, 0);
            memory.put(MADT + 4, &(length as u32).to_le_bytes());
            memory.seal(MADT + 9, MADT, HEADER_BYTES + 3);
            assert!(find(&memory, BASE, b"APIC").is_empty(), "a length of {length}");
        }
    }

    #[test]
    fn memory_that_ends_anywhere_is_read_no_further() {
        let whole = firmware(2, XSDT, 0);
        for length in 0..(MADT + HEADER_BYTES + 3) as usize {
            assert!(find(&Bytes(whole.0[..length].to_vec()), BASE, b"APIC").is_empty(), "{length} bytes");
        }
        for root_pointer in [0, u64::MAX, u64::MAX - 8, BASE - 1] {
            assert!(find(&whole, root_pointer, b"APIC").is_empty());
        }
    }
}
