//! `bench-lib [--resident-mib N] [--threads N] [--plan] ROOTFS COUNT`: the library in a loop, the
//! benchmark's counterpart of `bench/floor.c`. Each round spawns `/bin/true` in five new namespaces
//! with the default mounts, hidden paths and capabilities, and waits for its end. Prints one line a
//! round: nanoseconds.

use orlop::{Capability, Command, Isolation, Namespace, Prepared, Root};
use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Touched once a page, so that all of it is resident.
const PAGE: usize = 4096;

struct Options {
    resident_mib: usize,
    threads: usize,
    plan: bool,
    rootfs: String,
    count: usize,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-lib: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let options = options()?;
    let prepared = sandbox(&options.rootfs).build()?;
    if options.plan {
        print!("{}", prepared.plan().text());
        return Ok(());
    }
    let memory = resident(options.resident_mib);
    for _ in 0..options.threads {
        thread::spawn(|| {
            loop {
                thread::park();
            }
        });
    }
    let times = measure(&prepared, options.count)?;
    std::hint::black_box(&memory);
    let mut out = std::io::stdout().lock();
    for time in times {
        writeln!(out, "{time}")?;
    }
    Ok(())
}

/// The default configuration without what the C program does not do either: no cgroup.
fn sandbox(rootfs: &str) -> Command {
    Command::new("/bin/true")
        .env("PATH", PATH)
        .env("TERM", "xterm")
        .root(Root::pivot(rootfs).read_only())
        .namespace(Namespace::Cgroup, Isolation::Host)
        .default_mounts()
        .hostname("contained")
        .capabilities([
            Capability::AuditWrite,
            Capability::Kill,
            Capability::NetBindService,
        ])
        .rlimit(orlop::Resource::NoFile, 1024, 1024)
}

fn measure(prepared: &Prepared, count: usize) -> Result<Vec<u128>, Box<dyn Error>> {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let begin = Instant::now();
        let status = prepared.spawn()?.wait()?;
        times.push(begin.elapsed().as_nanos());
        if !status.success() {
            return Err(format!("/bin/true: {status}").into());
        }
    }
    Ok(times)
}

fn resident(mib: usize) -> Vec<u8> {
    let mut memory = vec![0; mib << 20];
    for byte in memory.iter_mut().step_by(PAGE) {
        *byte = 1;
    }
    memory
}

fn options() -> Result<Options, Box<dyn Error>> {
    let mut options = Options {
        resident_mib: 0,
        threads: 0,
        plan: false,
        rootfs: String::new(),
        count: 0,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--resident-mib" => options.resident_mib = value()?.parse()?,
            "--threads" => options.threads = value()?.parse()?,
            "--plan" => options.plan = true,
            rootfs => {
                options.rootfs = rootfs.to_owned();
                options.count = value()?.parse()?;
            }
        }
    }
    if options.count == 0 {
        return Err(
            "usage: bench-lib [--resident-mib N] [--threads N] [--plan] ROOTFS COUNT".into(),
        );
    }
    Ok(options)
}
