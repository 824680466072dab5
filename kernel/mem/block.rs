//! Blocks of the kernel heap: their sizes, and what lists and trees take of it at worst. Accounts are charged by these.

use core::alloc::Layout;

use tessera_abi::PAGE_BYTES;

const PAGE: usize = PAGE_BYTES as usize;

/// Sizes of the blocks that a page is cut into: for most numbers of blocks up to eight the largest that go into a page,
/// else powers of two and the middle between them. What is larger than a page takes whole pages.
pub const SIZES: [usize; 15] = [16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 672, 816, 1024, 2048, PAGE];

/// Blocks are made for multiples of this.
const STEP: usize = 16;

/// The class of each multiple of `STEP`.
const CLASSES: [u8; PAGE / STEP + 1] = {
    let mut classes = [0; PAGE / STEP + 1];
    let (mut step, mut class) = (0, 0);
    while step < classes.len() {
        if step * STEP > SIZES[class] {
            class += 1;
        }
        classes[step] = class as u8;
        step += 1;
    }
    classes
};

/// What a block of each size takes with its share of what is left over in its page.
const SHARES: [u64; SIZES.len()] = {
    let mut shares = [0; SIZES.len()];
    let mut class = 0;
    while class < SIZES.len() {
        shares[class] = PAGE.div_ceil(blocks_in_page(class)) as u64;
        class += 1;
    }
    shares
};

/// Which of [`SIZES`] a block has; `None` for one of whole pages.
#[inline(always)]
pub const fn class_of(layout: Layout) -> Option<usize> {
    // Only sizes that are powers of two say more of a block's alignment than that it is a multiple of 16.
    let is_aligned = layout.align() <= STEP;
    let bytes = if is_aligned { layout.size() } else { larger(layout.size(), layout.align()).next_power_of_two() };
    if bytes <= PAGE { Some(CLASSES[bytes.div_ceil(STEP)] as usize) } else { None }
}

/// Blocks of a class in a page.
pub const fn blocks_in_page(class: usize) -> usize {
    PAGE / SIZES[class]
}

/// Pages of a block that takes whole ones.
pub const fn pages_of(bytes: usize) -> usize {
    bytes.div_ceil(PAGE)
}

/// What a block takes of the heap, with its share of what is left over in its page, bytes. Nothing takes nothing.
#[inline]
pub const fn block_bytes(layout: Layout) -> u64 {
    if layout.size() == 0 {
        return 0;
    }
    match class_of(layout) {
        Some(class) => SHARES[class],
        None => pages_of(layout.size()) as u64 * PAGE_BYTES,
    }
}

/// What a boxed `T` takes.
pub const fn box_bytes<T>() -> u64 {
    block_bytes(Layout::new::<T>())
}

/// What a list takes that has room for so many `T`.
pub const fn list_bytes<T>(count: u64) -> u64 {
    match Layout::array::<T>(count as usize) {
        Ok(layout) => block_bytes(layout),
        Err(_) => u64::MAX,
    }
}

/// What a `BTreeMap<K, V>` (a `BTreeSet<K>` with `V = ()`) takes at worst besides [`tree_entry_bytes`] for each entry:
/// its first node stays when the last entry goes.
pub const fn tree_base_bytes<K, V>() -> u64 {
    let (leaf, inner) = (leaf_bytes::<K, V>(), inner_bytes::<K, V>());
    let grown = (5 * leaf + 19 * inner).div_ceil(30);
    if grown > leaf { grown } else { leaf }
}

/// What an entry of such a tree takes at worst.
///
/// Nodes have 11 entries at most, and all but the root 5 at least; an inner one has a child more than entries. So a tree
/// of n entries has at most (n + 1) / 6 leaves, when all nodes are as empty as they can be, and a fifth as many inner
/// nodes, and 3 / 5 for the root.
pub const fn tree_entry_bytes<K, V>() -> u64 {
    (5 * leaf_bytes::<K, V>() + inner_bytes::<K, V>()).div_ceil(30)
}

/// Entries in a node of the library's trees, at most. The host tests measure what trees take.
const NODE_ENTRIES: usize = 11;

const fn leaf_bytes<K, V>() -> u64 {
    node_bytes::<K, V>(0)
}

const fn inner_bytes<K, V>() -> u64 {
    node_bytes::<K, V>((NODE_ENTRIES + 1) * size_of::<usize>())
}

/// A node: entries, a pointer to the parent, two numbers of 16 bits, and for an inner one its children.
const fn node_bytes<K, V>(children_bytes: usize) -> u64 {
    let align = larger(larger(align_of::<K>(), align_of::<V>()), align_of::<usize>());
    let size = NODE_ENTRIES * (size_of::<K>() + size_of::<V>()) + size_of::<usize>() + 4;
    match Layout::from_size_align(size.next_multiple_of(align) + children_bytes, align) {
        Ok(layout) => block_bytes(layout),
        Err(_) => u64::MAX,
    }
}

const fn larger(one: usize, other: usize) -> usize {
    if one > other { one } else { other }
}

#[cfg(test)]
mod tests {
    use super::{PAGE, SIZES, block_bytes, class_of};
    use core::alloc::Layout;

    #[test]
    fn every_block_is_as_large_and_as_aligned_as_asked() {
        for (size, align) in (1..=PAGE).flat_map(|size| [1, 8, 16, 64, 512, 4096].map(|align| (size, align))) {
            let layout = Layout::from_size_align(size, align).expect("a layout that exists");
            let block = SIZES[class_of(layout).expect("not larger than a page")];
            assert!(block >= size, "{layout:?} gets {block}");
            assert!((0..PAGE / block).all(|number| (number * block).is_multiple_of(align)), "{layout:?} gets {block}");
            assert!(block_bytes(layout) as usize >= block && block_bytes(layout) as usize * (PAGE / block) >= PAGE);
        }
        assert_eq!(block_bytes(Layout::from_size_align(PAGE + 1, 8).expect("exists")), 2 * PAGE as u64);
    }
}
