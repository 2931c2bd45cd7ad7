//! What the kernel does with a filter: a reference to check compiled programs against.

use crate::seccomp::Filter;

/// A `struct seccomp_data`.
pub(super) struct Call {
    words: [u32; 16],
}

impl Call {
    pub(super) fn new(arch: u32, number: u32, args: &[u64]) -> Self {
        let mut words = [0; 16];
        words[0] = number;
        words[1] = arch;
        for (index, arg) in args.iter().enumerate() {
            words[4 + 2 * index] = *arg as u32;
            words[5 + 2 * index] = (arg >> 32) as u32;
        }
        Self { words }
    }

    pub(super) fn native(number: u32, args: &[u64]) -> Self {
        let arch = if cfg!(target_arch = "x86_64") {
            0xc000_003e
        } else {
            0xc000_00b7
        };
        Self::new(arch, number, args)
    }
}

/// Runs a classic BPF program, as `bpf(4)` describes it, and gives back what it returns.
pub(super) fn run(program: &[u8], call: &Call) -> u32 {
    let instructions: Vec<&[u8]> = program.chunks(8).collect();
    let (mut at, mut accumulator) = (0, 0_u32);
    loop {
        let bytes = instructions[at];
        let code = u16::from_ne_bytes(bytes[..2].try_into().unwrap());
        let (jt, jf) = (usize::from(bytes[2]), usize::from(bytes[3]));
        let k = u32::from_ne_bytes(bytes[4..].try_into().unwrap());
        at += 1;
        let branch = |taken: bool| if taken { jt } else { jf };
        match code {
            0x06 => return k,
            0x20 => accumulator = call.words[(k / 4) as usize],
            0x54 => accumulator &= k,
            0x05 => at += k as usize,
            0x15 => at += branch(accumulator == k),
            0x25 => at += branch(accumulator > k),
            0x35 => at += branch(accumulator >= k),
            0x45 => at += branch(accumulator & k != 0),
            other => panic!("instruction {other:#x} at {at}"),
        }
    }
}

/// Installs the filter on this thread, and makes a call that it refuses.
pub(super) fn install(filter: &Filter) -> Result<(), String> {
    let mut instructions: Vec<libc::sock_filter> = filter
        .instructions
        .chunks(8)
        .map(|bytes| libc::sock_filter {
            code: u16::from_ne_bytes(bytes[..2].try_into().unwrap()),
            jt: bytes[2],
            jf: bytes[3],
            k: u32::from_ne_bytes(bytes[4..].try_into().unwrap()),
        })
        .collect();
    let program = libc::sock_fprog {
        len: instructions.len() as u16,
        filter: instructions.as_mut_ptr(),
    };
    // SAFETY: plain numbers.
    unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    // SAFETY: the program points to instructions that outlive the call.
    let installed = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            filter.flags,
            &program,
        )
    };
    if installed != 0 {
        return Err(std::io::Error::last_os_error().to_string());
    }
    // SAFETY: refused, and without a name to set in any case.
    let refused = unsafe { libc::syscall(libc::SYS_sethostname, 0, usize::MAX) };
    match (refused, std::io::Error::last_os_error().raw_os_error()) {
        (-1, Some(libc::EPERM)) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}
