//! `update`: new limits for a container.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use orlop::spec::{BlockIo, Cpu, IntelRdt, Memory, Pids, Resources};

use super::{container, quantity};
use crate::cli::{Argument, Arity, Command, Flag, Matches};
use crate::context::Context;
use crate::failure::Failure;

pub(super) const COMMAND: Command = Command {
    name: "update",
    summary: "change the limits of a container",
    arguments: "ID",
    first_argument: Argument::Container,
    description: "Gives a container that runs, is paused or waits for its start other limits. What is not \
                  named stays as it is; if one limit is refused, none is changed. Devices are never changed.\n\n\
                  With --resources the limits are the `linux.resources` object of the OCI runtime \
                  specification, from FILE or, with -, from standard input; the other options about limits \
                  are then ignored.\n\n\
                  Sizes are bytes, or numbers with k, m, g, t or p; -1 is no limit. Times are in microseconds.",
    flags: FLAGS,
    arity: Arity::Exactly(1),
    passes_on: false,
    run,
};

const FLAGS: &[Flag] = &[
    Flag::path(
        "resources",
        "FILE",
        "take all limits from this JSON file, or from standard input with -",
    )
    .short('r'),
    Flag::number(
        "blkio-weight",
        "WEIGHT",
        "the relative weight of block I/O, from 10 to 1000",
    ),
    Flag::text("cpu-period", "TIME", "the period of the CPU quota"),
    Flag::text("cpu-quota", "TIME", "the CPU time in each period"),
    Flag::text(
        "cpu-burst",
        "TIME",
        "the unused quota that one period may spend beside its own",
    ),
    Flag::text(
        "cpu-share",
        "SHARES",
        "the relative weight of CPU time, from 2 to 262144",
    ),
    Flag::text("cpu-rt-period", "TIME", "the real-time period (cgroup v1)"),
    Flag::text(
        "cpu-rt-runtime",
        "TIME",
        "the real-time CPU time in each period (cgroup v1)",
    ),
    Flag::text("cpuset-cpus", "LIST", "the CPUs to run on, such as 0-3,7"),
    Flag::text("cpuset-mems", "LIST", "the memory nodes to allocate from"),
    Flag::text(
        "cpu-idle",
        "0|1",
        "1 to run only when nothing else wants the CPU",
    ),
    Flag::text(
        "kernel-memory",
        "SIZE",
        "ignored: kernels have no such limit any more",
    )
    .hide(),
    Flag::text("kernel-memory-tcp", "SIZE", "ignored").hide(),
    Flag::text("memory", "SIZE", "the limit of memory"),
    Flag::text("memory-reservation", "SIZE", "the soft limit of memory"),
    Flag::text(
        "memory-swap",
        "SIZE",
        "the limit of memory and swap together",
    ),
    Flag::text(
        "pids-limit",
        "N",
        "how many processes and threads there may be",
    ),
    Flag::text(
        "l3-cache-schema",
        "SCHEMA",
        "the schema of Intel RDT's L3 cache",
    ),
    Flag::text(
        "mem-bw-schema",
        "SCHEMA",
        "the schema of Intel RDT's memory bandwidth",
    ),
];

/// The most that is read of a file or of standard input, in bytes.
const MAX_RESOURCES: u64 = 16 << 20;

fn run(context: &Context, matches: &Matches) -> Result<u8, Failure> {
    let mut container = container::load(context, matches)?;
    let resources = match matches.path("resources") {
        Some(path) => from_file(context, &path)?,
        None => from_options(matches)?,
    };
    for option in ["kernel-memory", "kernel-memory-tcp"] {
        if matches.text(option).is_some() && matches.path("resources").is_none() {
            context.log.warn(&format!(
                "--{option} is ignored: kernels have no such limit any more"
            ));
        }
    }
    let passed_over = container.update_with_rdt(&resources, &rdt(matches))?;
    container::warn(context, &passed_over);
    Ok(0)
}

fn from_file(context: &Context, path: &Path) -> Result<Resources, Failure> {
    let mut json = Vec::new();
    let (name, read) = if path == Path::new("-") {
        let read = io::stdin().take(MAX_RESOURCES).read_to_end(&mut json);
        ("standard input".to_owned(), read)
    } else {
        let read =
            fs::File::open(path).and_then(|file| file.take(MAX_RESOURCES).read_to_end(&mut json));
        (path.display().to_string(), read)
    };
    read.map_err(|error| Failure::io(format_args!("read {name}"), error))?;
    let (resources, remarks) = Resources::from_slice_noting(&json)
        .map_err(|error| Failure::new(format!("{name}: {error}")))?;
    container::warn_of_document(context, &name, &remarks);
    Ok(resources)
}

fn from_options(matches: &Matches) -> Result<Resources, Failure> {
    let weight = matches.number("blkio-weight");
    let weight =
        u16::try_from(weight).map_err(|_| invalid("blkio-weight", "it is not from 10 to 1000"))?;
    Ok(Resources {
        memory: Some(Memory {
            limit: size(matches, "memory")?,
            reservation: size(matches, "memory-reservation")?,
            swap: size(matches, "memory-swap")?,
            ..Memory::default()
        }),
        cpu: Some(Cpu {
            shares: number(matches, "cpu-share")?,
            quota: number(matches, "cpu-quota")?,
            burst: number(matches, "cpu-burst")?,
            period: number(matches, "cpu-period")?,
            realtime_runtime: number(matches, "cpu-rt-runtime")?,
            realtime_period: number(matches, "cpu-rt-period")?,
            cpus: matches.text("cpuset-cpus"),
            mems: matches.text("cpuset-mems"),
            idle: number(matches, "cpu-idle")?,
        }),
        pids: Some(Pids {
            limit: number(matches, "pids-limit")?,
        }),
        block_io: Some(BlockIo {
            weight: Some(weight).filter(|weight| *weight != 0),
            ..BlockIo::default()
        }),
        ..Resources::default()
    })
}

fn invalid(option: &str, why: impl std::fmt::Display) -> Failure {
    Failure::new(format!("invalid value for {option}: {why}"))
}

fn number<T: std::str::FromStr>(matches: &Matches, option: &str) -> Result<Option<T>, Failure> {
    let Some(text) = matches.text(option) else {
        return Ok(None);
    };
    let number = text.parse();
    number.map(Some).map_err(|_| {
        invalid(
            option,
            format_args!("{text:?} is no number, or out of range"),
        )
    })
}

fn size(matches: &Matches, option: &str) -> Result<Option<i64>, Failure> {
    match matches.text(option).as_deref() {
        None => Ok(None),
        Some("-1") => Ok(Some(-1)),
        Some(text) => quantity::bytes(text)
            .map(Some)
            .map_err(|error| invalid(option, error)),
    }
}

/// Resource director technology.
fn rdt(matches: &Matches) -> IntelRdt {
    IntelRdt {
        l3_cache_schema: matches.text("l3-cache-schema"),
        mem_bw_schema: matches.text("mem-bw-schema"),
        ..IntelRdt::default()
    }
}
