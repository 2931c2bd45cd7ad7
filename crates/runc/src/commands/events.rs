//! `events`: what a container uses, and when its memory ran out.

use std::io::{self, Write as _};
use std::thread::sleep;
use std::time::{Duration, Instant};

use orlop::Container;
use orlop::cgroups::{Event as Happening, Watch};
use serde::Serialize;

use super::event_stats::Figures;
use super::{container, quantity};
use crate::cli::{Argument, Arity, Command, Flag, Matches};
use crate::context::Context;
use crate::failure::Failure;

pub(super) const COMMAND: Command = Command {
    name: "events",
    summary: "show what a container uses, and when its memory ran out",
    arguments: "ID",
    first_argument: Argument::Container,
    description: "Prints one JSON object a line: of type `stats` with the container's figures, at each \
                  interval, and of type `oom` whenever memory ran out. It is over when the container is.\n\n\
                  With --stats it prints the figures once.",
    flags: &[
        Flag::text(
            "interval",
            "TIME",
            "the time between figures, such as 500ms or 1m (default: 5s)",
        ),
        Flag::switch("stats", "print the figures once"),
    ],
    arity: Arity::Exactly(1),
    passes_on: false,
    run,
};

const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);

/// One line of the output.
#[derive(Debug, Serialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Figures>,
}

/// Whether somebody still reads.
#[derive(Debug, PartialEq, Eq)]
enum Reader {
    Listens,
    Gone,
}

fn run(context: &Context, matches: &Matches) -> Result<u8, Failure> {
    let interval = interval(matches)?;
    let container = container::load(context, matches)?;
    let id = container::id(matches)?;
    if container.status()? == orlop::Status::Stopped {
        return Err(Failure::new(format!(
            "container with id {id} is not running"
        )));
    }
    if matches.is_set("stats") {
        show_figures(&container, id.as_str())?;
        return Ok(0);
    }
    let watch = container.watch()?;
    stream(context, &container, id.as_str(), watch, interval)
}

fn interval(matches: &Matches) -> Result<Duration, Failure> {
    let Some(text) = matches.text("interval") else {
        return Ok(DEFAULT_INTERVAL);
    };
    // A negative one is read as such, only to say the same of it as of zero.
    let magnitude = text.strip_prefix('-').unwrap_or(&text);
    match quantity::duration(magnitude) {
        Some(interval) if magnitude == text && !interval.is_zero() => Ok(interval),
        Some(_) => Err(Failure::new("duration interval must be greater than 0")),
        None => Err(Failure::new(format!(
            "invalid value {text:?} for flag -interval: parse error"
        ))),
    }
}

fn stream(
    context: &Context,
    container: &Container,
    id: &str,
    mut watch: Watch,
    interval: Duration,
) -> Result<u8, Failure> {
    let mut next = Instant::now() + interval;
    loop {
        let left = next.saturating_duration_since(Instant::now());
        let event = watch.next(Some(left)).map_err(orlop::Error::from)?;
        let reader = match event {
            // Without processes it is over, whatever becomes of its cgroup.
            Some(Happening::Removed | Happening::Empty) => return Ok(0),
            Some(Happening::Oom) => show(&Event {
                kind: "oom",
                id,
                data: None,
            })?,
            Some(_) => Reader::Listens,
            None => {
                // Where there is nothing to watch it returns at once.
                sleep(next.saturating_duration_since(Instant::now()));
                next += interval;
                match show_figures(container, id) {
                    Ok(reader) => reader,
                    Err(failure) => {
                        if is_over(container)? {
                            return Ok(0);
                        }
                        context.log.warn(&failure.message);
                        Reader::Listens
                    }
                }
            }
        };
        if reader == Reader::Gone {
            return Ok(0);
        }
    }
}

fn is_over(container: &Container) -> Result<bool, Failure> {
    Ok(container.status()? == orlop::Status::Stopped)
}

fn show_figures(container: &Container, id: &str) -> Result<Reader, Failure> {
    let figures = Figures::new(&container.stats()?, container.resctrl_stats()?);
    show(&Event {
        kind: "stats",
        id,
        data: Some(figures),
    })
}

fn show(event: &Event<'_>) -> Result<Reader, Failure> {
    let mut line = serde_json::to_vec(event)
        .map_err(|error| Failure::new(format!("render an event: {error}")))?;
    line.push(b'\n');
    let mut output = io::stdout().lock();
    match output.write_all(&line).and_then(|()| output.flush()) {
        Ok(()) => Ok(Reader::Listens),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(Failure::io("write to standard output", error)),
    }
}
