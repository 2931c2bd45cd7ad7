//! The mapped program: checked once, then read in place.

use core::ffi::CStr;
use core::slice;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::control::Received;
use crate::sys::{self, Errno};
use crate::wire::{Blob, Header, List, MAGIC, Str, VERSION, Words};

/// A program in memory. It lives until exec, so what it lends is `'static`.
pub struct Image {
    /// [`Header::at`], in place.
    at: &'static AtomicU32,
    words: &'static [u32],
    cells: &'static mut [u64],
    arena: &'static [u8],
}

impl Image {
    /// Maps the program, checks that its parts fit, and turns the cells' offsets into addresses.
    pub fn map(received: Received) -> sys::Result<Self> {
        let len = received.len;
        if len < Header::SIZE {
            return Err(Errno::PROTO);
        }
        let base = sys::map(received.program, len, received.own)? as *mut u8;
        // SAFETY: the mapping has at least a header's bytes and is page-aligned.
        let header = unsafe { base.cast::<Header>().read() };
        let words_len = header.words as usize * size_of::<u32>();
        let cells_len = header.cells as usize * size_of::<u64>();
        let arena_len = header.arena as usize;
        let total = Header::SIZE + words_len + cells_len + arena_len;
        let aligned = header.words.is_multiple_of(2);
        if header.magic != MAGIC || header.version != VERSION || total != len || !aligned {
            return Err(Errno::PROTO);
        }
        // SAFETY: the header lies within the mapping.
        let at = unsafe { base.add(Header::AT) };
        // SAFETY: the parts were just found to lie within the mapping.
        let words = unsafe { base.add(Header::SIZE) };
        // SAFETY: as above.
        let cells = unsafe { words.add(words_len) };
        // SAFETY: as above.
        let arena = unsafe { cells.add(cells_len) };
        let mut image = Self {
            // SAFETY: in bounds, 4-aligned, never unmapped; no other reference leads there.
            at: unsafe { AtomicU32::from_ptr(at.cast()) },
            // SAFETY: in bounds, 4-aligned after a 24-byte header, never unmapped or written.
            words: unsafe { slice::from_raw_parts(words.cast(), header.words as usize) },
            // SAFETY: in bounds, 8-aligned as the words are even in number; nothing else refers to them.
            cells: unsafe { slice::from_raw_parts_mut(cells.cast(), header.cells as usize) },
            // SAFETY: in bounds, never unmapped or written.
            arena: unsafe { slice::from_raw_parts(arena, arena_len) },
        };
        image.relocate()?;
        Ok(image)
    }

    /// An offset becomes an address; zero stays the null pointer that ends a list.
    fn relocate(&mut self) -> sys::Result<()> {
        if self.arena.last() != Some(&0) {
            return Err(Errno::PROTO);
        }
        let base = self.arena.as_ptr() as u64;
        for cell in self.cells.iter_mut().filter(|cell| **cell != 0) {
            if *cell >= self.arena.len() as u64 {
                return Err(Errno::PROTO);
            }
            *cell += base;
        }
        Ok(())
    }

    /// Writes down which operation comes now: where the caller can read it, if the program is this
    /// process's own.
    pub fn reach(&self, op: u32) {
        self.at.store(op, Ordering::Relaxed);
    }

    pub fn words(&self) -> Words<'static> {
        Words::new(self.words)
    }

    pub fn str(&self, text: Str) -> sys::Result<&'static CStr> {
        let bytes = self.arena.get(text.0 as usize..).ok_or(Errno::PROTO)?;
        CStr::from_bytes_until_nul(bytes).map_err(|_| Errno::PROTO)
    }

    pub fn blob(&self, blob: Blob) -> sys::Result<&'static [u8]> {
        let start = blob.offset as usize;
        self.arena.get(start..start + blob.len as usize).ok_or(Errno::PROTO)
    }

    /// The list as `execve(2)` wants it: addresses, the last one null.
    pub fn list(&self, list: List) -> sys::Result<&[u64]> {
        let start = list.first as usize;
        let cells = self.cells.get(start..=start + list.count as usize).ok_or(Errno::PROTO)?;
        if cells.last() == Some(&0) { Ok(cells) } else { Err(Errno::PROTO) }
    }

    /// The strings of a list.
    pub fn strings(&self, list: List) -> sys::Result<impl Iterator<Item = &'static CStr>> {
        let cells = self.list(list)?;
        Ok(cells[..list.count as usize].iter().map(|cell| {
            // SAFETY: relocation checked that the address lies in the arena, which ends with a NUL.
            unsafe { CStr::from_ptr(*cell as *const core::ffi::c_char) }
        }))
    }

    /// Lets a cell point to another string, which has to live until exec.
    pub fn set_cell(&mut self, cell: u32, text: &'static CStr) -> sys::Result<()> {
        *self.cells.get_mut(cell as usize).ok_or(Errno::PROTO)? = text.as_ptr() as u64;
        Ok(())
    }
}

/// Fresh memory that lives until exec.
pub fn allocate(len: usize) -> sys::Result<&'static mut [u8]> {
    let address = sys::map_anonymous(len)?;
    // SAFETY: the mapping is new, zeroed, `len` bytes long, and nothing else refers to it.
    Ok(unsafe { slice::from_raw_parts_mut(address as *mut u8, len) })
}
