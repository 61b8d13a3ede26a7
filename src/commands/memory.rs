//! Keeps memory that one upload has given back for the next: the C library's allocator would return it to the system, and
//! the system would clear every page of it again.

/// Under glibc's `DEFAULT_MMAP_THRESHOLD_MAX` on 64-bit systems, with its own few bytes.
const BLOCK: usize = 32 * 1024 * 1024 - 64 * 1024;

/// Tells the allocator that large blocks come and go. glibc learns that from a large block that is freed: its threshold for
/// mapped blocks becomes the size of that block, and what it keeps free at the end of the heap twice as much (mallopt(3),
/// `M_MMAP_THRESHOLD`). The block is never written to, so it takes no memory; other allocators take no notice.
pub(super) fn keep_freed() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(BLOCK)));
}
