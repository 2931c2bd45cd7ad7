//! The flat form in which a Plan crosses from the caller to `init`.
//!
//! A program is one contiguous block: a [`Header`], the operations as 32-bit words, a table of
//! 64-bit cells (the pointer arrays that `execve(2)` wants, as offsets that `init` turns into
//! addresses), and an arena of bytes that holds every string. `init` maps the block and never
//! copies or allocates.

/// The first word of every program; it also pins the byte order.
pub const MAGIC: u32 = 0x4f52_4c50;

/// Changes whenever the meaning of a word changes. Caller and `init` are built together, so a
/// mismatch means a corrupted program.
pub const VERSION: u32 = 2;

/// [`Header::at`] of a program that nobody has begun to execute.
pub const NOT_BEGUN: u32 = u32::MAX;

/// In the message that brings a program: another message with descriptors follows.
pub const MORE: u32 = 1;

/// In the message that brings a program: no other process executes it, so that `init` may write in it.
pub const OWN: u32 = 2;

/// How many file descriptors a program can name.
pub const MAX_SLOTS: usize = 512;

/// The largest message (hook state included) that crosses the control socket, in bytes.
pub const MAX_MESSAGE: usize = 64 * 1024;

/// The most hierarchies of cgroup v1 that a process joins.
pub const MAX_TASKS: usize = 64;

/// The start of a program: where its parts lie.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: u32,
    /// [`VERSION`].
    pub version: u32,
    /// Number of 32-bit words of operations; even, so that the cells are aligned.
    pub words: u32,
    /// Number of 64-bit cells.
    pub cells: u32,
    /// Bytes in the arena.
    pub arena: u32,
    /// Index of the operation that runs, [`NOT_BEGUN`] before the first: `init` writes it, for a caller
    /// that finds it dead.
    pub at: u32,
}

impl Header {
    /// Bytes that the header takes.
    pub const SIZE: usize = 24;

    /// Where in it [`Header::at`] lies.
    pub const AT: usize = core::mem::offset_of!(Self, at);

    /// The header as it lies in memory.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        let fields = [
            self.magic,
            self.version,
            self.words,
            self.cells,
            self.arena,
            self.at,
        ];
        for (chunk, field) in out.chunks_exact_mut(4).zip(fields) {
            chunk.copy_from_slice(&field.to_ne_bytes());
        }
        out
    }
}

/// A file descriptor by its place in the program's table: first those that the caller sends, in
/// the order in which it sends them, then those that operations make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub u32);

/// A NUL-terminated string in the arena, by its offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Str(pub u32);

/// Bytes in the arena, aligned to 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blob {
    /// Offset in the arena.
    pub offset: u32,
    /// Length in bytes.
    pub len: u32,
}

/// A list of strings: `count` cells from `first`, then one cell of zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct List {
    /// Index of the first cell.
    pub first: u32,
    /// Number of strings, without the closing zero.
    pub count: u32,
}

/// What `init` does when an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// Report the operation and end.
    #[default]
    Fail,
    /// Go on if the object is not there (`ENOENT`, `ENOTDIR`); fail on everything else.
    SkipMissing,
}

/// Reads words one after the other; `None` past the end.
#[derive(Debug, Clone)]
pub struct Words<'a> {
    rest: &'a [u32],
}

impl<'a> Words<'a> {
    /// A reader at the first of `words`.
    #[must_use]
    pub fn new(words: &'a [u32]) -> Self {
        Self { rest: words }
    }

    fn next(&mut self) -> Option<u32> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }
}

/// Where encoded words go; the caller's vector in practice.
pub trait Sink {
    /// Appends one word.
    fn word(&mut self, word: u32);
}

/// A field's value, for printing and comparing programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Number(u64),
    /// A choice.
    Bool(bool),
    /// A descriptor.
    Slot(Slot),
    /// A string.
    Str(Str),
    /// Bytes.
    Blob(Blob),
    /// A list of strings.
    List(List),
    /// What happens on failure.
    OnError(OnError),
}

/// A field of an operation.
pub trait Field: Sized {
    /// What it holds.
    fn value(&self) -> Value;
    /// Appends the field's words.
    fn encode(&self, out: &mut impl Sink);
    /// Reads the field; `None` when the words end or are not a value of this type.
    fn decode(words: &mut Words<'_>) -> Option<Self>;
}

impl Field for u32 {
    fn value(&self) -> Value {
        Value::Number(u64::from(*self))
    }
    fn encode(&self, out: &mut impl Sink) {
        out.word(*self);
    }
    fn decode(words: &mut Words<'_>) -> Option<Self> {
        words.next()
    }
}

impl Field for u64 {
    fn value(&self) -> Value {
        Value::Number(*self)
    }
    fn encode(&self, out: &mut impl Sink) {
        out.word(*self as u32);
        out.word((*self >> 32) as u32);
    }
    fn decode(words: &mut Words<'_>) -> Option<Self> {
        let low = words.next()?;
        let high = words.next()?;
        Some(u64::from(low) | u64::from(high) << 32)
    }
}

impl Field for bool {
    fn value(&self) -> Value {
        Value::Bool(*self)
    }
    fn encode(&self, out: &mut impl Sink) {
        out.word(u32::from(*self));
    }
    fn decode(words: &mut Words<'_>) -> Option<Self> {
        match words.next()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

macro_rules! newtype_field {
    ($($name:ident),*) => {$(
        impl Field for $name {
            fn value(&self) -> Value {
                Value::$name(*self)
            }
            fn encode(&self, out: &mut impl Sink) {
                out.word(self.0);
            }
            fn decode(words: &mut Words<'_>) -> Option<Self> {
                words.next().map(Self)
            }
        }
    )*};
}
newtype_field!(Slot, Str);

impl Field for Blob {
    fn value(&self) -> Value {
        Value::Blob(*self)
    }
    fn encode(&self, out: &mut impl Sink) {
        out.word(self.offset);
        out.word(self.len);
    }
    fn decode(words: &mut Words<'_>) -> Option<Self> {
        Some(Self {
            offset: words.next()?,
            len: words.next()?,
        })
    }
}

impl Field for List {
    fn value(&self) -> Value {
        Value::List(*self)
    }
    fn encode(&self, out: &mut impl Sink) {
        out.word(self.first);
        out.word(self.count);
    }
    fn decode(words: &mut Words<'_>) -> Option<Self> {
        Some(Self {
            first: words.next()?,
            count: words.next()?,
        })
    }
}

impl Field for OnError {
    fn value(&self) -> Value {
        Value::OnError(*self)
    }
    fn encode(&self, out: &mut impl Sink) {
        out.word(match self {
            Self::Fail => 0,
            Self::SkipMissing => 1,
        });
    }
    fn decode(words: &mut Words<'_>) -> Option<Self> {
        match words.next()? {
            0 => Some(Self::Fail),
            1 => Some(Self::SkipMissing),
            _ => None,
        }
    }
}
