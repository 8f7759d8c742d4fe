//! The memory of a table's cells.
//!
//! Asked for with the alignment that the allocator gives anyway, and one cell longer: with a cell's own
//! alignment it would write zeros into memory that the system hands out as zeros, and so touch all of it
//! (128 MiB and 0.1 s at each start for the default number of keys).

use super::cell::Cell;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

pub(super) struct Slots<A> {
    first: NonNull<Cell<A>>,
    count: usize,
    /// What is given back; none: the cells are a box.
    memory: Option<(NonNull<u8>, Layout)>,
}

impl Slots<AtomicU64> {
    /// `count` cells that were never used.
    pub fn zeroed(count: usize) -> Self {
        const BYTES: usize = size_of::<Cell<AtomicU64>>();
        let bytes = (count + 1).checked_mul(BYTES).expect("fits memory");
        let layout = Layout::from_size_align(bytes, align_of::<u64>()).expect("fits memory");
        // SAFETY: the layout is not empty.
        let memory = unsafe { alloc_zeroed(layout) };
        let Some(memory) = NonNull::new(memory) else {
            handle_alloc_error(layout);
        };
        let before = memory.align_offset(align_of::<Cell<AtomicU64>>());
        // SAFETY: the memory is one cell longer than the cells, and a cell's alignment is its size.
        let first = unsafe { memory.add(before) }.cast::<Cell<AtomicU64>>();
        Self {
            first,
            count,
            memory: Some((memory, layout)),
        }
    }
}

impl<A> From<Box<[Cell<A>]>> for Slots<A> {
    fn from(cells: Box<[Cell<A>]>) -> Self {
        let count = cells.len();
        let first = NonNull::from(Box::leak(cells)).cast::<Cell<A>>();
        Self {
            first,
            count,
            memory: None,
        }
    }
}

impl<A> Deref for Slots<A> {
    type Target = [Cell<A>];

    #[inline]
    fn deref(&self) -> &[Cell<A>] {
        // SAFETY: `count` cells begin at `first`, of a box or of memory all zero, and a cell is four atomics, for
        // each of which zero is a value where the memory is zeroed. They live as long as `self`.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.count) }
    }
}

impl<A> Drop for Slots<A> {
    fn drop(&mut self) {
        if let Some((memory, layout)) = self.memory {
            // SAFETY: allocated with this layout; `AtomicU64` has nothing to drop.
            return unsafe { dealloc(memory.as_ptr(), layout) };
        }
        let cells = NonNull::slice_from_raw_parts(self.first, self.count);
        // SAFETY: leaked from a box of as many cells, and given back once.
        drop(unsafe { Box::from_raw(cells.as_ptr()) });
    }
}

// SAFETY: it owns its cells as a box would.
unsafe impl<A: Send> Send for Slots<A> {}
// SAFETY: as a box of them: shared, it only gives shared cells.
unsafe impl<A: Sync> Sync for Slots<A> {}
