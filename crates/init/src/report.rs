//! What crosses the control socket: 16-byte records, at most one descriptor with each.

/// Why `init` writes, or the caller answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// An operation failed; `init` ends.
    Failed = 1,
    /// Everything before the gate is done.
    Ready = 2,
    /// The process goes on under the pid in `value`; its pidfd comes along.
    Child = 3,
    /// A terminal's master comes along; the caller has to say that it is dealt with.
    Console = 4,
    /// The caller may run its hooks now.
    HookPoint = 5,
    /// The caller's answer: go on. The container's state for hooks may follow the record.
    Continue = 6,
    /// The caller has to write the id maps of the process's new user namespace.
    NeedMaps = 7,
    /// The program is next. Without this the end of the stream means that init died.
    Starting = 8,
    /// The caller has to move network devices into the process's network namespace.
    NeedDevices = 9,
    /// A filter is loaded whose listener has the descriptor number in `value`; the caller has to take it.
    Listener = 10,
    /// The caller has to give the process its scheduling policy.
    NeedScheduler = 11,
    /// A detached mount comes along, with its slot in `value`: the caller has to give it what `init` has
    /// no right to give it.
    Mount = 12,
    /// From the caller: the `tasks` files of the cgroup that it has made come along.
    Tasks = 13,
    /// From the caller: the listening socket of the start gate comes along.
    Gate = 14,
}

impl Kind {
    fn from_word(word: u32) -> Option<Self> {
        Some(match word {
            1 => Self::Failed,
            2 => Self::Ready,
            3 => Self::Child,
            4 => Self::Console,
            5 => Self::HookPoint,
            6 => Self::Continue,
            7 => Self::NeedMaps,
            8 => Self::Starting,
            9 => Self::NeedDevices,
            10 => Self::Listener,
            11 => Self::NeedScheduler,
            12 => Self::Mount,
            13 => Self::Tasks,
            14 => Self::Gate,
            _ => return None,
        })
    }
}

/// Which part of an operation failed, where one operation makes several system calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u32)]
pub enum Part {
    /// The operation's own call.
    #[default]
    Call = 0,
    /// Looking up the path inside the root.
    Lookup = 1,
    /// Making a missing file or directory.
    Create = 2,
    /// The object is not of the kind that it has to be.
    Kind = 3,
    /// Attaching the mount.
    Attach = 4,
    /// Setting the owner.
    Owner = 5,
    /// The program ended with the status in `value`.
    Status = 6,
    /// The time ran out.
    Timeout = 7,
    /// The program itself can't be read.
    Program = 8,
    /// A signal ended the program; its number is in `value`.
    Signal = 9,
}

impl Part {
    fn from_word(word: u32) -> Self {
        match word {
            1 => Self::Lookup,
            2 => Self::Create,
            3 => Self::Kind,
            4 => Self::Attach,
            5 => Self::Owner,
            6 => Self::Status,
            7 => Self::Timeout,
            8 => Self::Program,
            9 => Self::Signal,
            _ => Self::Call,
        }
    }
}

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// What it says.
    pub kind: Kind,
    /// Index of the operation that runs.
    pub op: u32,
    /// Error number ([`Kind::Failed`]), pid ([`Kind::Child`]), or an exit status or signal.
    pub value: i32,
    /// What failed ([`Kind::Failed`]).
    pub part: Part,
}

impl Record {
    /// Bytes that a record takes.
    pub const SIZE: usize = 16;

    /// The record as it crosses the socket.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        let fields = [
            self.kind as u32,
            self.op,
            self.value as u32,
            self.part as u32,
        ];
        for (chunk, field) in out.chunks_exact_mut(4).zip(fields) {
            chunk.copy_from_slice(&field.to_ne_bytes());
        }
        out
    }

    /// Reads a record; `None` when the bytes are not one.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut words = bytes.get(..Self::SIZE)?.chunks_exact(4).map(|chunk| {
            let mut word = [0; 4];
            word.copy_from_slice(chunk);
            u32::from_ne_bytes(word)
        });
        Some(Self {
            kind: Kind::from_word(words.next()?)?,
            op: words.next()?,
            value: words.next()? as i32,
            part: Part::from_word(words.next()?),
        })
    }
}
