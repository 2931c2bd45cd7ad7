//! Compiled filters kept by content, in memory and in a directory.
//!
//! A filter depends on the profile, libseccomp's version, this program's architecture and this format.
//! A file holds all of that beside the filter, is named by a hash of it, and counts only if it is the same to
//! the byte: a hash that two profiles share costs time, and nothing else. A file appears whole or not at all;
//! whatever is wrong with one, the filter is compiled again. The directory belongs to the caller alone:
//! who could write there could choose the filters of other containers.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::profile::NATIVE;
use super::{Filter, INSTRUCTION_SIZE, MAX_INSTRUCTIONS, SeccompError};
use crate::spec::{ArgCondition, Seccomp, SyscallRule};

/// Changes when the same profile would give another program, or a file another layout.
const FORMAT: u32 = 3;

const MAGIC: [u8; 8] = *b"orlopbpf";

/// Magic, checksum, flags, length of what the filter depends on.
const HEADER_SIZE: usize = 8 + 8 + 4 + 4;

/// More files than hosts have profiles; then the directory is emptied before it grows on.
const MAX_FILES: usize = 256;

/// More filters than one program needs at a time.
const MAX_IN_MEMORY: usize = 64;

/// All that a filter depends on.
pub(super) type Key = Vec<u8>;

/// Compiled filters by content.
#[derive(Debug, Default)]
pub struct Cache {
    directory: Option<OwnedFd>,
    memory: Mutex<BTreeMap<Key, Arc<Filter>>>,
}

impl Cache {
    /// A cache for as long as this program runs.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::default()
    }

    /// A cache that later programs share, in a directory that is made if it is missing.
    ///
    /// # Errors
    /// If the directory cannot be made or opened, is a symbolic link, or somebody else can write to it.
    pub fn open(path: &Path) -> Result<Self, SeccompError> {
        let error = |operation| {
            move |source: io::Error| SeccompError::Cache {
                operation,
                path: path.display().to_string(),
                source,
            }
        };
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = || rustix::fs::open(path, flags, Mode::empty());
        let directory = match open() {
            Err(Errno::NOENT) => match rustix::fs::mkdir(path, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => open(),
                Err(errno) => return Err(error("make")(errno.into())),
            },
            opened => opened,
        };
        let directory = directory.map_err(|errno| error("open")(errno.into()))?;
        let stat = rustix::fs::fstat(&directory).map_err(|errno| error("inspect")(errno.into()))?;
        if !belongs_to_us_alone(&stat) {
            let reason = "others than this user can write to it: remove it";
            return Err(error("use")(io::Error::new(
                io::ErrorKind::PermissionDenied,
                reason,
            )));
        }
        Ok(Self {
            directory: Some(directory),
            memory: Mutex::default(),
        })
    }

    /// The filter for this profile: from memory, from the directory, or compiled and kept.
    ///
    /// # Errors
    /// As [`compile`](super::compile). Trouble with files is not an error: the cache saves time,
    /// and without it the filter is the same.
    pub fn filter(&self, seccomp: &Seccomp) -> Result<Arc<Filter>, SeccompError> {
        let key = key(seccomp);
        if let Some(filter) = self.remembered().get(&key) {
            return Ok(Arc::clone(filter));
        }
        let stored = self
            .directory
            .as_ref()
            .and_then(|directory| load(directory, &key));
        let filter = match stored {
            Some(filter) => filter,
            None => {
                let filter = super::compile(seccomp)?;
                if let Some(directory) = &self.directory {
                    // A full or read-only file system must not keep a container from running.
                    let _ = store(directory, &key, &filter);
                }
                filter
            }
        };
        let filter = Arc::new(filter);
        let mut memory = self.remembered();
        if memory.len() >= MAX_IN_MEMORY {
            memory.clear();
        }
        memory.insert(key, Arc::clone(&filter));
        Ok(filter)
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, BTreeMap<Key, Arc<Filter>>> {
        // An insert that panicked half-way leaves a map that is whole all the same.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn belongs_to_us_alone(stat: &Stat) -> bool {
    stat.st_uid == rustix::process::geteuid().as_raw() && stat.st_mode & 0o022 == 0
}

fn load(directory: &OwnedFd, key: &Key) -> Option<Filter> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, file_name(key), flags, Mode::empty()).ok()?;
    // One byte more than a file may have, so that one read shows a longer one.
    let mut content = Vec::with_capacity(max_file_size(key) + 1);
    rustix::io::read(&file, rustix::buffer::spare_capacity(&mut content)).ok()?;
    decode(key, &content)
}

fn store(directory: &OwnedFd, key: &Key, filter: &Filter) -> Result<(), Errno> {
    static UNIQUE: AtomicU32 = AtomicU32::new(0);
    prune(directory)?;
    let unique = UNIQUE.fetch_add(1, Ordering::Relaxed);
    let temporary = format!(".{}-{unique}", std::process::id());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // The same pid comes back one day, and may have died in between: what it left is in the way.
    let _ = rustix::fs::unlinkat(directory, &temporary, AtFlags::empty());
    let file = rustix::fs::openat(directory, &temporary, flags, Mode::RUSR | Mode::WUSR)?;
    let content = encode(key, filter);
    let stored = match rustix::io::write(&file, &content) {
        Ok(written) if written == content.len() => {
            rustix::fs::renameat(directory, &temporary, directory, file_name(key))
        }
        Ok(_) => Err(Errno::NOSPC),
        Err(errno) => Err(errno),
    };
    if stored.is_err() {
        let _ = rustix::fs::unlinkat(directory, &temporary, AtFlags::empty());
    }
    stored
}

/// Empties a directory that has grown too large.
fn prune(directory: &OwnedFd) -> Result<(), Errno> {
    let names = Dir::read_from(directory)?
        .filter_map(Result::ok)
        .map(|entry| entry.file_name().to_owned())
        .filter(|name| name.to_bytes() != b"." && name.to_bytes() != b"..")
        .collect::<Vec<_>>();
    if names.len() >= MAX_FILES {
        for name in names {
            let _ = rustix::fs::unlinkat(directory, name, AtFlags::empty());
        }
    }
    Ok(())
}

fn max_file_size(key: &Key) -> usize {
    HEADER_SIZE + key.len() + MAX_INSTRUCTIONS * INSTRUCTION_SIZE
}

/// Another toolchain may hash otherwise: its file is another, too.
pub(super) fn file_name(key: &Key) -> String {
    format!("{:016x}", hash(&[key]))
}

fn hash(parts: &[&[u8]]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for part in parts {
        hasher.write(part);
    }
    hasher.finish()
}

pub(super) fn encode(key: &Key, filter: &Filter) -> Vec<u8> {
    let mut content = Vec::with_capacity(HEADER_SIZE + key.len() + filter.instructions.len());
    content.extend(MAGIC);
    content.extend(checksum(filter).to_le_bytes());
    content.extend(filter.flags.to_le_bytes());
    // A profile is shorter than 4 GiB, as the file is that it came in.
    content.extend((key.len() as u32).to_le_bytes());
    content.extend(key);
    content.extend(&filter.instructions);
    content
}

fn decode(key: &Key, content: &[u8]) -> Option<Filter> {
    let rest = content.strip_prefix(&MAGIC)?;
    let (sum, rest) = rest.split_first_chunk::<8>()?;
    let (flags, rest) = rest.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (kept, instructions) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let whole = !instructions.is_empty()
        && instructions.len() % INSTRUCTION_SIZE == 0
        && content.len() <= max_file_size(key);
    if kept != key || !whole {
        return None;
    }
    let filter = Filter {
        instructions: instructions.to_vec(),
        flags: u32::from_le_bytes(*flags),
    };
    (checksum(&filter) == u64::from_le_bytes(*sum)).then_some(filter)
}

/// Against what a file system may do to a file, not against who can write it.
fn checksum(filter: &Filter) -> u64 {
    hash(&[&filter.flags.to_le_bytes(), &filter.instructions])
}

/// All that decides what is compiled. The patterns name every field, so that a new one cannot be
/// forgotten here.
pub(super) fn key(seccomp: &Seccomp) -> Key {
    let Seccomp {
        default_action,
        default_errno_ret,
        architectures,
        flags,
        listener_path,
        listener_metadata,
        syscalls,
    } = seccomp;
    let mut content = Content(Vec::with_capacity(16 * 1024));
    content.number(FORMAT.into());
    content.text(&super::library_version().unwrap_or_default());
    content.text(NATIVE);
    content.text(default_action);
    content.optional(default_errno_ret.map(u64::from));
    content.texts(architectures);
    content.optional(flags.as_ref().map(|flags| flags.len() as u64));
    content.texts(flags.as_deref().unwrap_or_default());
    content.texts(listener_path.as_slice());
    content.texts(listener_metadata.as_slice());
    content.number(syscalls.len() as u64);
    for rule in syscalls {
        let SyscallRule {
            names,
            action,
            errno_ret,
            args,
        } = rule;
        content.texts(names);
        content.text(action);
        content.optional(errno_ret.map(u64::from));
        content.number(args.len() as u64);
        for condition in args {
            let ArgCondition {
                index,
                value,
                value_two,
                op,
            } = condition;
            content.number((*index).into());
            content.number(*value);
            content.number(*value_two);
            content.text(op);
        }
    }
    content.0
}

/// Values one after another, each with its length where it has one: no two lists of values give
/// the same bytes.
struct Content(Vec<u8>);

impl Content {
    fn number(&mut self, number: u64) {
        self.0.extend(number.to_le_bytes());
    }

    fn optional(&mut self, number: Option<u64>) {
        self.number(number.is_some().into());
        self.number(number.unwrap_or_default());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend(text.as_bytes());
    }

    fn texts(&mut self, texts: &[String]) {
        self.number(texts.len() as u64);
        for text in texts {
            self.text(text);
        }
    }
}
