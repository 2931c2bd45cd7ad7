//! Memory for a program that lives for a millisecond: taken from one fixed piece, hardly ever given
//! back. What does not fit (a `run` that stays for days) comes from the system's allocator.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicUsize, Ordering};

const SIZE: usize = 512 * 1024;

/// What the memory itself is aligned to, in bytes.
const ALIGNMENT: usize = 4096;

#[repr(C, align(4096))]
struct Memory(UnsafeCell<[u8; SIZE]>);

// SAFETY: every byte is handed out at most once at a time, by an atomic counter.
unsafe impl Sync for Memory {}

static MEMORY: Memory = Memory(UnsafeCell::new([0; SIZE]));

/// How much of the memory is taken, in bytes.
static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// Has the kernel give what every command needs, in one call in place of a fault for each page.
#[cfg(not(test))]
pub(crate) fn touch() {
    const NEEDED: usize = 64 * 1024;
    // SAFETY: what is populated is as it was. A kernel that knows no such call (before Linux 5.14) does
    // nothing.
    unsafe { libc::madvise(Arena::base().cast(), NEEDED, libc::MADV_POPULATE_WRITE) };
}

/// The program's allocator.
#[derive(Debug)]
pub(crate) struct Arena;

impl Arena {
    fn base() -> *mut u8 {
        MEMORY.0.get().cast()
    }

    /// The place of what was handed out, counted from the start; `None` for the system's.
    fn offset(pointer: *mut u8) -> Option<usize> {
        let offset = (pointer as usize).wrapping_sub(Self::base() as usize);
        (offset < SIZE).then_some(offset)
    }

    /// Moves the end of what is taken from `from` to `to`, if it is there still.
    fn move_end(from: usize, to: usize) -> bool {
        TAKEN
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }
}

// SAFETY: memory is in bounds, aligned, and not handed out again before it was given back; what is
// not from here goes to the system's allocator and back.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let mut taken = TAKEN.load(Ordering::Relaxed);
        loop {
            let start = taken.next_multiple_of(layout.align());
            let end = start.saturating_add(layout.size());
            if end > SIZE || layout.align() > ALIGNMENT {
                // SAFETY: the caller's layout is valid.
                return unsafe { System.alloc(layout) };
            }
            match TAKEN.compare_exchange_weak(taken, end, Ordering::AcqRel, Ordering::Relaxed) {
                // SAFETY: start is in bounds, as its end is.
                Ok(_) => return unsafe { Self::base().add(start) },
                Err(now) => taken = now,
            }
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        match Self::offset(pointer) {
            Some(start) => {
                // What was taken last can be given back.
                Self::move_end(start + layout.size(), start);
            }
            // SAFETY: what is not from here is the system's, with this layout.
            None => unsafe { System.dealloc(pointer, layout) },
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some(start) = Self::offset(pointer) else {
            // SAFETY: what is not from here is the system's, with this layout.
            return unsafe { System.realloc(pointer, layout, size) };
        };
        let end = start.saturating_add(size);
        if end <= SIZE && Self::move_end(start + layout.size(), end) {
            return pointer;
        }
        let Ok(larger) = Layout::from_size_align(size, layout.align()) else {
            return std::ptr::null_mut();
        };
        // SAFETY: the layout is valid.
        let moved = unsafe { self.alloc(larger) };
        if !moved.is_null() {
            // SAFETY: both are valid for the smaller size, and disjoint: one of them is new.
            unsafe { moved.copy_from_nonoverlapping(pointer, layout.size().min(size)) };
            // SAFETY: the old one was from here, with this layout.
            unsafe { self.dealloc(pointer, layout) };
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::{Arena, SIZE};
    use std::alloc::{GlobalAlloc, Layout};

    #[test]
    #[expect(
        clippy::multiple_unsafe_ops_per_block,
        reason = "one reason holds for all of them"
    )]
    fn grows_in_place_moves_and_overflows_to_the_system() {
        let small = Layout::from_size_align(24, 8).unwrap();
        let huge = Layout::from_size_align(SIZE + 1, 16).unwrap();
        // SAFETY: layouts are valid, and every pointer is given back with its own.
        unsafe {
            let first = Arena.alloc(small);
            first.write_bytes(7, 24);
            let second = Arena.alloc(small);
            let moved = Arena.realloc(first, small, 4000);
            assert_eq!(std::slice::from_raw_parts(moved, 24), [7; 24]);
            let large = Arena.alloc(huge);
            assert!(Arena::offset(large).is_none());
            Arena.dealloc(large, huge);
            Arena.dealloc(moved, Layout::from_size_align(4000, 8).unwrap());
            Arena.dealloc(second, small);
        }
    }
}
