//! Memory files: the init program, sealed once for the process, and the program of each Plan.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use rustix::fs::{MemfdFlags, Mode, SealFlags, fchmod, fcntl_add_seals, fstat, memfd_create};
use rustix::io::{Errno, pread};

use orlop_init::wire::Header;

use crate::error::{Context, Error, Result};
use crate::plan::Plan;
use crate::seccomp::Filter;

const ALL_SEALS: SealFlags = SealFlags::SEAL
    .union(SealFlags::SHRINK)
    .union(SealFlags::GROW)
    .union(SealFlags::WRITE);

/// A Plan in wire form, in a memory file. The one process that executes it writes there how far it is.
#[derive(Debug)]
pub(crate) struct Program {
    fd: OwnedFd,
    len: u32,
}

/// A program that nobody can change, for any number of processes.
#[derive(Debug)]
pub(crate) struct SealedProgram(Program);

/// What a process executes.
#[derive(Debug)]
pub(crate) enum Supply<'a> {
    Own(Program),
    Sealed(&'a SealedProgram),
}

impl Supply<'_> {
    /// The memory file, and the bytes in it.
    pub(super) fn file(&self) -> (BorrowedFd<'_>, u32) {
        let (Self::Own(program) | Self::Sealed(SealedProgram(program))) = self;
        (program.fd.as_fd(), program.len)
    }

    /// What can be asked how far its process is.
    pub(super) fn own(self) -> Option<Program> {
        match self {
            Self::Own(program) => Some(program),
            Self::Sealed(_) => None,
        }
    }
}

impl Program {
    pub(crate) fn new(plan: &Plan, filter: Option<&Filter>) -> Result<Self> {
        let bytes = plan.program(filter);
        let len = u32::try_from(bytes.len())
            .map_err(|_| Error::invalid("process", "the program is larger than 4 GiB"))?;
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let fd = memory_file("orlop-plan", flags, &bytes)?;
        Ok(Self { fd, len })
    }

    /// Forbids changes, for several processes to share it.
    pub(crate) fn seal(self) -> Result<SealedProgram> {
        fcntl_add_seals(&self.fd, ALL_SEALS).context(|| "seal the program".to_owned())?;
        Ok(SealedProgram(self))
    }

    /// The index of the operation at which its process is, or was when it ended. The process may have
    /// written anything.
    pub(super) fn at(&self) -> Option<usize> {
        let mut at = [0; size_of::<u32>()];
        match pread(&self.fd, &mut at, Header::AT as u64) {
            Ok(read) if read == at.len() => Some(u32::from_ne_bytes(at) as usize),
            _ => None,
        }
    }
}

/// What the kernel's one reason to refuse such a file means, see its documentation of the sysctl.
const FORBIDDEN: &str =
    "2 lets no program be executed from memory, as a container's init is; set it to 0 or 1";

fn memory_file(name: &str, flags: MemfdFlags, bytes: &[u8]) -> Result<OwnedFd> {
    let operation = || format!("make the memory file {name}");
    let fd = match memfd_create(name, flags) {
        // MFD_EXEC and MFD_NOEXEC_SEAL came with Linux 6.3.
        Err(Errno::INVAL) => memfd_create(name, flags - MemfdFlags::EXEC),
        result => result,
    };
    let fd = match fd {
        Err(Errno::ACCESS) => return Err(Error::invalid("vm.memfd_noexec", FORBIDDEN)),
        fd => fd.context(operation)?,
    };
    let mut rest = bytes;
    while !rest.is_empty() {
        let written =
            rustix::io::retry_on_intr(|| rustix::io::write(&fd, rest)).context(operation)?;
        rest = &rest[written..];
    }
    Ok(fd)
}

/// The init program in a memory file that nobody can change: what a container finds behind
/// `/proc/<pid>/exe` is this, never the caller's own binary.
///
/// That of a process which is born in a user namespace may be executed, not read. There, without maps,
/// even its owner then can't read it, and the kernel takes a process that executes what it can't read for
/// the namespace's that owns the file, as far as others may look into it (`ptrace(2)`): who is root in the
/// container may not. Everywhere else it would hide init from a caller without privilege.
pub(super) fn sealed_init(namespaces: u32) -> Result<BorrowedFd<'static>> {
    static READABLE: OnceLock<OwnedFd> = OnceLock::new();
    static UNREADABLE: OnceLock<OwnedFd> = OnceLock::new();
    let may_read = namespaces & libc::CLONE_NEWUSER as u32 == 0;
    let init = if may_read { &READABLE } else { &UNREADABLE };
    if let Some(init) = init.get() {
        return Ok(init.as_fd());
    }
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING | MemfdFlags::EXEC;
    let made = memory_file("orlop-init", flags, orlop_init::PROGRAM)?;
    if !may_read {
        fchmod(&made, Mode::from_raw_mode(0o111))
            .context(|| "forbid reading the init program".to_owned())?;
    }
    fcntl_add_seals(&made, ALL_SEALS).context(|| "seal the init program".to_owned())?;
    Ok(init.get_or_init(|| made).as_fd())
}

/// Device and inode of the init program: as long as `/proc/<pid>/exe` is this, the container's
/// own program has not started.
pub(crate) fn init_identity(plan: &Plan) -> Result<(u64, u64)> {
    let stat =
        fstat(sealed_init(plan.clone_flags)?).context(|| "look at the init program".to_owned())?;
    Ok((stat.st_dev, stat.st_ino))
}
