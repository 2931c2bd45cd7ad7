//! Paths inside the root: the only place where they are looked up or made.
//!
//! Everything that comes back is a descriptor of the object itself, and what follows works on
//! that. A path is looked up in a root that may be changing under an attacker's hands.

use core::ffi::CStr;

use crate::report::Part;
use crate::sys::{
    self, CWD, Errno, Fd, O_DIRECTORY, O_NOFOLLOW, O_PATH, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG,
};
use crate::{During, Failure};

const PATH_MAX: usize = 4096;
const MAX_LINKS: u32 = 40;
const MODE_DIRECTORY: u32 = 0o755;
const MODE_FILE: u32 = 0o644;
const PROC_SUPER_MAGIC: u64 = 0x9fa0;
const IN_ROOT: u64 = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;

/// What is made where a path's last component is missing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    Directory,
    File,
}

/// Opens what is there (`O_PATH`), links followed inside the root.
pub fn existing(root: Fd, path: &CStr) -> Result<Fd, Failure> {
    sys::openat2(root, path, O_PATH, IN_ROOT).during(Part::Lookup)
}

/// Opens a path that has no symbolic link in it (`O_PATH`).
fn without_links(root: Fd, path: &CStr, flags: u64) -> sys::Result<Fd> {
    sys::openat2(root, path, O_PATH | flags, IN_ROOT | RESOLVE_NO_SYMLINKS)
}

/// A mount point: made when missing.
///
/// A strict one may have no link in its path. Any other one that is reached through a link must
/// not lie in a procfs: what may cover procfs was decided on the path as written.
pub fn mount_point(root: Fd, path: &CStr, strict: bool, missing: Missing) -> Result<Fd, Failure> {
    match without_links(root, path, 0) {
        Err(Errno::LOOP) if !strict => {}
        Err(Errno::NOENT) => return made(root, path, strict, missing),
        result => return result.during(Part::Lookup),
    }
    let found = match existing(root, path) {
        Err(Failure { errno, .. }) if errno == Errno::NOENT.0 => walk(root, path, missing)?,
        result => result?,
    };
    not_procfs(found)?;
    Ok(found)
}

/// As [`mount_point`], where a link in the last place is what is covered.
pub fn mount_point_itself(root: Fd, path: &CStr, missing: Missing) -> Result<Fd, Failure> {
    match without_links(root, path, O_NOFOLLOW) {
        Err(Errno::LOOP | Errno::NOENT) => {}
        result => return result.during(Part::Lookup),
    }
    let (parent, name) = parent(root, path)?;
    let found = entry(parent, name, missing)?;
    not_procfs(found)?;
    Ok(found)
}

/// Opens what is in a directory by that name, a link too (`O_PATH`).
pub fn itself(parent: Fd, name: &CStr) -> sys::Result<Fd> {
    without_links(parent, name, O_NOFOLLOW)
}

/// What a link says.
pub fn read_link(link: Fd, buffer: &mut [u8; PATH_MAX]) -> sys::Result<&CStr> {
    // The last byte stays for the end.
    let len = sys::readlink(link, &mut buffer[..PATH_MAX - 1])?;
    CStr::from_bytes_until_nul(&buffer[..=len]).map_err(|_| Errno::INVAL)
}

fn not_procfs(found: Fd) -> Result<(), Failure> {
    if sys::filesystem_magic(found).during(Part::Lookup)? == PROC_SUPER_MAGIC {
        return Err(Failure { errno: Errno::PERM.0, part: Part::Kind });
    }
    Ok(())
}

/// The common case first: only the last component is missing, and no link is near.
fn made(root: Fd, path: &CStr, strict: bool, missing: Missing) -> Result<Fd, Failure> {
    let mut parent_path = PathBuffer::new();
    let name = parent_path.set_parent(path).during(Part::Lookup)?;
    if let Ok(parent) = without_links(root, parent_path.as_cstr(), O_DIRECTORY) {
        match make(parent, name, missing) {
            Ok(()) => return without_links(parent, name, 0).during(Part::Lookup),
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno).during(Part::Create),
        }
    }
    let found = walk(root, path, missing)?;
    if strict {
        return without_links(root, path, 0).during(Part::Lookup);
    }
    not_procfs(found)?;
    Ok(found)
}

fn make(parent: Fd, name: &CStr, missing: Missing) -> sys::Result<()> {
    match missing {
        Missing::Directory => sys::mkdirat(parent, name, MODE_DIRECTORY),
        // A node, not open(2): nothing unknown is ever opened.
        Missing::File => sys::mknodat(parent, name, S_IFREG | MODE_FILE, 0),
    }
}

/// The directory in which `path`'s last component lies, made when missing, and that component.
pub fn parent<'a>(root: Fd, path: &'a CStr) -> Result<(Fd, &'a CStr), Failure> {
    let mut parent_path = PathBuffer::new();
    let name = parent_path.set_parent(path).during(Part::Lookup)?;
    let parent = match existing(root, parent_path.as_cstr()) {
        Err(Failure { errno, .. }) if errno == Errno::NOENT.0 => {
            walk(root, parent_path.as_cstr(), Missing::Directory)?
        }
        result => result?,
    };
    Ok((parent, name))
}

/// The part of a path before its last component.
pub fn directory_of(path: &'static CStr) -> &'static [u8] {
    let bytes = path.to_bytes();
    &bytes[..bytes.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1)]
}

/// The last component of a path.
pub fn name_of(path: &'static CStr) -> sys::Result<&'static CStr> {
    let bytes = path.to_bytes_with_nul();
    let start = directory_of(path).len();
    CStr::from_bytes_with_nul(&bytes[start..]).map_err(|_| Errno::INVAL)
}

/// A directory inside this process's own root, made when missing.
pub fn directory_from_here(path: &CStr, create: bool) -> Result<Fd, Failure> {
    let flags = O_PATH | O_DIRECTORY;
    match sys::openat2(CWD, path, flags, RESOLVE_NO_MAGICLINKS) {
        Err(Errno::NOENT) if create => {
            let root = sys::openat2(CWD, c"/", flags, 0).during(Part::Lookup)?;
            walk(root, path, Missing::Directory)
        }
        result => result.during(Part::Lookup),
    }
}

/// Follows `path` component by component, making what is missing; links, dangling ones too, are
/// followed inside the root.
fn walk(root: Fd, path: &CStr, missing: Missing) -> Result<Fd, Failure> {
    let mut todo = PathBuffer::new();
    todo.set(path.to_bytes()).during(Part::Lookup)?;
    let mut done = PathBuffer::new();
    let mut links = 0;
    let mut here = root;
    while let Some(name) = todo.pop_front() {
        if name.as_bytes() == b".." {
            done.pop();
            here = without_links(root, done.as_cstr(), O_DIRECTORY).during(Part::Lookup)?;
            continue;
        }
        let last = todo.is_empty();
        let kind = if last { missing } else { Missing::Directory };
        let entry = entry(here, name.as_cstr(), kind)?;
        let mode = sys::stat(entry, c"").during(Part::Lookup)?.mode & S_IFMT;
        if mode == S_IFLNK {
            links += 1;
            if links > MAX_LINKS {
                return Err(Errno::LOOP).during(Part::Lookup);
            }
            if todo.prepend_link(entry).during(Part::Lookup)? {
                done.clear();
                here = root;
            }
            continue;
        }
        if !last && mode != S_IFDIR {
            return Err(Errno::NOTDIR).during(Part::Lookup);
        }
        done.push(name.as_bytes()).during(Part::Lookup)?;
        here = entry;
    }
    Ok(here)
}

/// Opens one entry of a directory without following it, making it when missing.
fn entry(parent: Fd, name: &CStr, missing: Missing) -> Result<Fd, Failure> {
    let open = || itself(parent, name);
    match open() {
        Err(Errno::NOENT) => {}
        result => return result.during(Part::Lookup),
    }
    match make(parent, name, missing) {
        Ok(()) | Err(Errno::EXIST) => open().during(Part::Lookup),
        Err(errno) => Err(errno).during(Part::Create),
    }
}

/// A path of bounded length, always NUL-terminated.
struct PathBuffer {
    bytes: [u8; PATH_MAX],
    len: usize,
}

impl PathBuffer {
    fn new() -> Self {
        let mut new = Self { bytes: [0; PATH_MAX], len: 0 };
        new.clear();
        new
    }

    /// Back to the root itself.
    fn clear(&mut self) {
        self.bytes[..2].copy_from_slice(b".\0");
        self.len = 1;
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn as_cstr(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c".")
    }

    fn is_empty(&self) -> bool {
        self.as_bytes().split(|byte| *byte == b'/').all(|part| part.is_empty() || part == b".")
    }

    fn set(&mut self, path: &[u8]) -> sys::Result<()> {
        if path.len() >= PATH_MAX {
            return Err(Errno::NAMETOOLONG);
        }
        self.bytes[..path.len()].copy_from_slice(path);
        self.bytes[path.len()] = 0;
        self.len = path.len();
        Ok(())
    }

    /// Takes the directory part of `path`; returns its last component.
    fn set_parent<'a>(&mut self, path: &'a CStr) -> sys::Result<&'a CStr> {
        let bytes = path.to_bytes_with_nul();
        let split = bytes.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
        let (directory, name) = bytes.split_at(split);
        let name = CStr::from_bytes_with_nul(name).map_err(|_| Errno::INVAL)?;
        if name.is_empty() {
            return Err(Errno::INVAL);
        }
        if directory.is_empty() {
            self.clear();
        } else {
            self.set(directory)?;
        }
        Ok(name)
    }

    fn push(&mut self, name: &[u8]) -> sys::Result<()> {
        let end = self.len + 1 + name.len();
        if end >= PATH_MAX {
            return Err(Errno::NAMETOOLONG);
        }
        self.bytes[self.len] = b'/';
        self.bytes[self.len + 1..end].copy_from_slice(name);
        self.bytes[end] = 0;
        self.len = end;
        Ok(())
    }

    fn pop(&mut self) {
        if let Some(at) = self.as_bytes().iter().rposition(|byte| *byte == b'/') {
            self.bytes[at] = 0;
            self.len = at;
        }
    }

    /// Takes the first component off, passing over empty ones and `.`.
    fn pop_front(&mut self) -> Option<Name> {
        loop {
            let start = self.as_bytes().iter().position(|byte| *byte != b'/')?;
            let rest = &self.as_bytes()[start..];
            let len = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
            let name = Name::new(&rest[..len]);
            let end = start + len;
            self.bytes.copy_within(end..self.len, 0);
            self.len -= end;
            self.bytes[self.len] = 0;
            match name {
                Some(name) if name.as_bytes() == b"." => {}
                name => return name,
            }
        }
    }

    /// Puts a link's target before what is left; says whether it starts at the root.
    fn prepend_link(&mut self, link: Fd) -> sys::Result<bool> {
        let mut target = [0u8; PATH_MAX];
        let len = sys::readlink(link, &mut target)?;
        let total = len + 1 + self.len;
        if len == 0 || total >= PATH_MAX {
            return Err(Errno::NAMETOOLONG);
        }
        self.bytes.copy_within(0..self.len, len + 1);
        self.bytes[..len].copy_from_slice(&target[..len]);
        self.bytes[len] = b'/';
        self.bytes[total] = 0;
        self.len = total;
        Ok(target[0] == b'/')
    }
}

/// One component of a path. What is too long for any file system is cut, and then not found.
struct Name {
    bytes: [u8; 257],
    len: usize,
}

impl Name {
    fn new(name: &[u8]) -> Option<Self> {
        let len = name.len().min(256);
        let mut bytes = [0; 257];
        bytes[..len].copy_from_slice(&name[..len]);
        (len > 0).then_some(Self { bytes, len })
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn as_cstr(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c".")
    }
}
