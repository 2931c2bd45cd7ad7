//! HOME from the container's own `/etc/passwd`, which is hostile: bounded in every way.

use core::ffi::CStr;

use crate::Step;
use crate::execute::State;
use crate::image::allocate;
use crate::sys::{self, CWD, Fd, O_NONBLOCK, RESOLVE_NO_MAGICLINKS, S_IFMT, S_IFREG};

const MAX_FILE: usize = 1 << 20;
const MAX_LINE: usize = 1024;
const PREFIX: &[u8] = b"HOME=";

/// Where nothing usable is found, HOME stays what the caller put there.
pub fn fill(state: &mut State, cell: u32, uid: u32) -> Step {
    let Ok(file) = sys::openat2(CWD, c"/etc/passwd", O_NONBLOCK, RESOLVE_NO_MAGICLINKS) else {
        return Ok(());
    };
    if sys::stat(file, c"")?.mode & S_IFMT != S_IFREG {
        return Ok(());
    }
    let mut found = [0u8; PREFIX.len() + MAX_LINE];
    let Some(len) = search(file, uid, &mut found) else { return Ok(()) };
    let kept = allocate(len + 1)?;
    kept[..len].copy_from_slice(&found[..len]);
    if let Ok(home) = CStr::from_bytes_with_nul(kept) {
        state.image.set_cell(cell, home)?;
    }
    Ok(())
}

/// Reads line by line; a line that is too long is no user's.
fn search(file: Fd, uid: u32, found: &mut [u8]) -> Option<usize> {
    let mut chunk = [0u8; 4096];
    let mut line = [0u8; MAX_LINE];
    let mut filled = 0;
    let mut total = 0;
    loop {
        let read = sys::read(file, &mut chunk).ok()?;
        total += read;
        let ended = read == 0 || total > MAX_FILE;
        let bytes: &[u8] = if ended { b"\n" } else { &chunk[..read] };
        for byte in bytes {
            if *byte != b'\n' {
                if filled < MAX_LINE {
                    line[filled] = *byte;
                }
                filled += 1;
                continue;
            }
            if filled <= MAX_LINE
                && let Some(home) = home_of(&line[..filled], uid)
            {
                let len = PREFIX.len() + home.len();
                found[..PREFIX.len()].copy_from_slice(PREFIX);
                found[PREFIX.len()..len].copy_from_slice(home);
                return Some(len);
            }
            filled = 0;
        }
        if ended {
            return None;
        }
    }
}

/// The home directory in a `passwd(5)` line of this user.
fn home_of(line: &[u8], uid: u32) -> Option<&[u8]> {
    let mut fields = line.split(|byte| *byte == b':');
    let id = fields.nth(2)?;
    let home = fields.nth(2)?;
    let usable = home.first() == Some(&b'/') && home.iter().all(|byte| *byte >= 0x20 && *byte != 0x7f);
    (number(id)? == uid && usable).then_some(home)
}

fn number(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u32, |value, digit| {
        let digit = digit.is_ascii_digit().then(|| u32::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}
