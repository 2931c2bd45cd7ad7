//! Signals by name.

/// The names without `SIG`, with their numbers.
const NAMES: [(&str, i32); 35] = [
    ("ABRT", libc::SIGABRT),
    ("ALRM", libc::SIGALRM),
    ("BUS", libc::SIGBUS),
    ("CHLD", libc::SIGCHLD),
    ("CLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("FPE", libc::SIGFPE),
    ("HUP", libc::SIGHUP),
    ("ILL", libc::SIGILL),
    ("INT", libc::SIGINT),
    ("IO", libc::SIGIO),
    ("IOT", libc::SIGIOT),
    ("KILL", libc::SIGKILL),
    ("PIPE", libc::SIGPIPE),
    ("POLL", libc::SIGPOLL),
    ("PROF", libc::SIGPROF),
    ("PWR", libc::SIGPWR),
    ("QUIT", libc::SIGQUIT),
    ("SEGV", libc::SIGSEGV),
    ("STKFLT", libc::SIGSTKFLT),
    ("STOP", libc::SIGSTOP),
    ("SYS", libc::SIGSYS),
    ("TERM", libc::SIGTERM),
    ("TRAP", libc::SIGTRAP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("URG", libc::SIGURG),
    ("USR1", libc::SIGUSR1),
    ("USR2", libc::SIGUSR2),
    ("VTALRM", libc::SIGVTALRM),
    ("WINCH", libc::SIGWINCH),
    ("XCPU", libc::SIGXCPU),
    ("XFSZ", libc::SIGXFSZ),
    ("RTMIN", RTMIN),
];

/// The first real-time signal that the C library leaves to programs.
const RTMIN: i32 = 34;

/// The last real-time signal.
const RTMAX: i32 = 64;

/// A signal's number: from a number, or a name with or without `SIG`, in any case; real-time
/// signals also as `RTMIN+3` or `RTMAX-1`. Zero asks only whether there is a process.
pub(crate) fn number(text: &str) -> Option<i32> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().filter(|number| (0..=RTMAX).contains(number));
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let from = |base: &str| name.strip_prefix(base)?.parse::<i32>().ok();
    let real_time = match (from("RTMIN+"), from("RTMAX-"), name) {
        (Some(above), ..) => RTMIN.checked_add(above),
        (_, Some(below), _) => RTMAX.checked_sub(below),
        (.., "RTMAX") => Some(RTMAX),
        _ => None,
    };
    let named = || NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    real_time.filter(|number| (RTMIN..=RTMAX).contains(number)).or_else(named)
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn every_spelling() {
        for kill in ["9", "KILL", "SIGKILL", "kill", "sigkill", "SigKill", "09"] {
            assert_eq!(number(kill), Some(9), "{kill}");
        }
        assert_eq!(number("SIGRTMIN+3"), Some(37));
        assert_eq!(number("RTMIN"), Some(34));
        assert_eq!(number("RTMAX-14"), Some(50));
        assert_eq!(number("RTMAX"), Some(64));
        assert_eq!(number("0"), Some(0));
    }

    #[test]
    fn what_is_no_signal() {
        for bad in ["", "SIG", "FOO", "65", "-9", "+9", "9 ", "99999999999", "RTMIN+31", "RTMIN+-1", "RTMAX-31", "KILLL"] {
            assert_eq!(number(bad), None, "{bad:?}");
        }
    }
}
