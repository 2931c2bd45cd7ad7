//! Starts a program and times it until it is reaped; the same way for everybody.

use orlop_tests::sys::{self, Usage};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

const ENVIRONMENT: &std::ffi::CStr =
    c"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Who takes longer than this hangs.
const LIMIT: Duration = Duration::from_secs(10);

/// Standard input from nowhere, output and error into files that are read after a failure.
pub(crate) struct Driver {
    null: File,
    stdout: File,
    stderr: File,
    environment: Vec<CString>,
}

/// A program with its arguments, ready to be started.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    program: CString,
    args: Vec<CString>,
}

/// How one run went.
pub(crate) struct Timed {
    pub(crate) elapsed: Duration,
    pub(crate) status: ExitStatus,
    pub(crate) usage: Usage,
}

impl Line {
    /// A command line of a program and its arguments.
    pub(crate) fn new(program: &Path, args: &[&str]) -> io::Result<Self> {
        let program = CString::new(program.as_os_str().as_bytes())?;
        let mut all = vec![program.clone()];
        for arg in args {
            all.push(CString::new(*arg)?);
        }
        Ok(Self { program, args: all })
    }

    /// The same with further arguments.
    pub(crate) fn then(mut self, args: &[&str]) -> io::Result<Self> {
        for arg in args {
            self.args.push(CString::new(*arg)?);
        }
        Ok(self)
    }

    /// The same, started by another program whose arguments end with this line.
    pub(crate) fn under(&self, program: &Path, args: &[&str]) -> io::Result<Self> {
        let mut line = Self::new(program, args)?;
        line.args.extend(self.args.iter().cloned());
        Ok(line)
    }
}

impl Driver {
    pub(crate) fn new(scratch: &Path) -> io::Result<Self> {
        let open = |name: &str| {
            File::options()
                .create_new(true)
                .read(true)
                .append(true)
                .open(scratch.join(name))
        };
        Ok(Self {
            null: File::open("/dev/null")?,
            stdout: open("stdout")?,
            stderr: open("stderr")?,
            environment: vec![ENVIRONMENT.to_owned()],
        })
    }

    /// Starts it without waiting.
    pub(crate) fn start(&self, line: &Line) -> io::Result<libc::pid_t> {
        let stdio = [self.null.as_fd(), self.stdout.as_fd(), self.stderr.as_fd()];
        sys::spawn(&line.program, &line.args, &self.environment, stdio)
    }

    /// Runs it to its end, whatever that is.
    pub(crate) fn run(&self, line: &Line) -> io::Result<Timed> {
        let begin = Instant::now();
        let pid = self.start(line)?;
        if !sys::ends_within(pid, LIMIT)? {
            kill(pid);
        }
        let (status, usage) = sys::wait4(pid)?;
        Ok(Timed {
            elapsed: begin.elapsed(),
            status,
            usage,
        })
    }

    /// Runs it to its end, which has to be a good one.
    pub(crate) fn must(&mut self, line: &Line) -> io::Result<Timed> {
        let timed = self.run(line)?;
        if timed.status.success() {
            return Ok(timed);
        }
        let said = self.said()?;
        Err(io::Error::other(format!(
            "{}: {}: {}",
            shown(line),
            timed.status,
            said.trim_end()
        )))
    }

    /// Runs it to its end, and returns what it wrote on standard output.
    pub(crate) fn output(&mut self, line: &Line) -> io::Result<String> {
        self.stdout.set_len(0)?;
        self.must(line)?;
        read(&mut self.stdout)
    }

    fn said(&mut self) -> io::Result<String> {
        let text = read(&mut self.stderr)?;
        self.stderr.set_len(0)?;
        Ok(text)
    }
}

fn kill(pid: libc::pid_t) {
    if let Some(pid) = Pid::from_raw(pid) {
        // Not reaped yet, so it is no other process's number.
        let _ = kill_process(pid, Signal::KILL);
    }
}

fn shown(line: &Line) -> String {
    let words: Vec<_> = line
        .args
        .iter()
        .map(|word| word.to_string_lossy())
        .collect();
    words.join(" ")
}

fn read(file: &mut File) -> io::Result<String> {
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    Ok(text)
}
