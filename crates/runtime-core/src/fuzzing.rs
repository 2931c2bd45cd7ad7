//! What the fuzz targets feed: each function takes any bytes, and panics where a promise of the
//! parser behind it is broken. The same functions run over the corpus in `cargo test`.

use std::path::Path;

use orlop_init::wire::{Header, MAGIC, MAX_SLOTS, NOT_BEGUN, Sink, Value, Words};
use orlop_init::{Op, Record};

use crate::host::Host;
use crate::id::ContainerId;
use crate::options::Options;
use crate::plan::Plan;
use crate::process_id::Stat;
use crate::signal::Signal;
use crate::spec::{self, Spec};
use crate::state::{Place, State};

/// A parser's promises, checked on one input.
pub type Target = fn(&[u8]);

/// All targets, by the names of their programs and of their folders in the corpus.
pub const TARGETS: [(&str, Target); 6] = [
    ("spec", spec),
    ("state", state),
    ("plan", plan),
    ("mounts", mounts),
    ("wire", wire),
    ("names", names),
];

/// `config.json`: what was read is written and read again as the same, names that were put right too.
pub fn spec(data: &[u8]) {
    if let Ok(read) = Spec::read(data)
        && let Some(document) = read.put_right
    {
        assert_eq!(Spec::from_slice(document.as_bytes()), Ok(read.value));
    }
    let Ok(read) = Spec::from_slice(data) else {
        return;
    };
    let json = serde_json::to_vec(&read).expect("a Spec that was read can be written");
    let again = Spec::from_slice(&json).expect("a Spec that was written can be read");
    assert_eq!(read, again);
}

/// `state.json`: as above, and nothing that it names for removal leads elsewhere.
pub fn state(data: &[u8]) {
    let id: ContainerId = "x".parse().expect("an id");
    let path = Path::new("/root/x/state.json");
    // What is removed by it is removed by name: nothing may lead elsewhere.
    if let Some(place) = Place::from_json(data, &id) {
        let is_up = |part: std::path::Component<'_>| part.as_os_str() == "..";
        let mut paths = place.cgroup.iter().map(|place| &place.path);
        assert!(paths.all(|path| path.is_absolute() && !path.components().any(is_up)));
    }
    match State::from_json(data, &id, path) {
        Ok(read) => {
            for place in &read.cgroup {
                assert!(place.path.is_absolute(), "{}", place.path.display());
                assert!(!place.path.components().any(|part| part.as_os_str() == ".."));
            }
            let Ok(json) = read.to_json(path) else { return };
            let again = State::from_json(&json, &id, path);
            assert_eq!(read, again.expect("a state that was written can be read"));
        }
        Err(error) => assert!(
            error.to_string().starts_with("/root/x/state.json: "),
            "{error}"
        ),
    }
}

/// A Spec becomes a Plan that init can execute, or an error.
pub fn plan(data: &[u8]) {
    if let Ok(spec) = Spec::from_slice(data) {
        compile(&spec);
    }
}

/// A mount in lines (type, source, destination, then options) in an otherwise usual Spec.
pub fn mounts(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut lines = text.lines().map(str::to_owned);
    let mut spec = spec::default_spec();
    spec.mounts.push(spec::Mount {
        kind: lines.next().filter(|kind| !kind.is_empty()),
        source: lines.next().filter(|source| !source.is_empty()),
        destination: lines.next().unwrap_or_default(),
        options: lines.collect(),
        ..spec::Mount::default()
    });
    compile(&spec);
}

fn compile(spec: &Spec) {
    let layout = orlop_cgroups::Layout::parse(MOUNTINFO, CGROUP);
    let root = Host::root_with(layout);
    let user = root.clone().as_user(1000, 1000);
    for host in [root, user] {
        for options in [
            Options::new("/bundle"),
            Options::new("/bundle").no_pivot(true).gate(false),
        ] {
            let options = options.id("x".parse().expect("an id"));
            match Plan::compile(spec, &options, &host) {
                Ok(plan) => check_plan(&plan),
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
    }
}

/// A machine with both cgroup versions.
const MOUNTINFO: &str = "\
30 1 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
31 1 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
32 1 0:28 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
";
const CGROUP: &str = "2:pids:/\n1:memory:/\n0::/\n";

fn check_plan(plan: &Plan) {
    assert!(!plan.text().to_string().is_empty());
    assert!(plan.json().is_object());
    check_program(&plan.program(None), plan.len());
}

/// What init checks before and while it executes a program.
fn check_program(program: &[u8], ops: usize) {
    let (header, body) = program.split_at(Header::SIZE);
    let [magic, _, words, cells, arena, at] =
        to_words(header).try_into().expect("six words in a header");
    assert_eq!((magic, words % 2, at), (MAGIC, 0, NOT_BEGUN));
    let (words, body) = body.split_at(words as usize * 4);
    let (cells, bytes) = body.split_at(cells as usize * 8);
    assert_eq!((bytes.len(), bytes.last()), (arena as usize, Some(&0)));
    let cells: Vec<u64> = cells
        .chunks_exact(8)
        .map(|cell| u64::from_ne_bytes(cell.try_into().expect("eight bytes")))
        .collect();
    assert!(cells.iter().all(|cell| *cell < bytes.len() as u64));
    let words = to_words(words);
    let mut reader = Words::new(&words);
    for _ in 0..ops {
        let op = Op::decode(&mut reader).expect("an operation that was encoded");
        op.fields(|name, value| check_value(&op, name, value, &cells, bytes));
    }
}

fn check_value(op: &Op, name: &str, value: Value, cells: &[u64], arena: &[u8]) {
    let fits = match value {
        Value::Str(text) => text.0 != 0 && (text.0 as usize) < arena.len(),
        Value::Slot(slot) => (slot.0 as usize) < MAX_SLOTS,
        Value::Blob(blob) => blob.offset as usize + blob.len as usize <= arena.len(),
        Value::List(list) => {
            let (first, count) = (list.first as usize, list.count as usize);
            cells.get(first + count) == Some(&0)
                && cells[first..first + count].iter().all(|cell| *cell != 0)
        }
        Value::Number(_) | Value::Bool(_) | Value::OnError(_) => true,
    };
    assert!(fits, "{} {name}: {value:?}", op.name());
}

/// Operations and records as they cross the socket.
pub fn wire(data: &[u8]) {
    if let Some(record) = Record::from_bytes(data) {
        assert_eq!(Record::from_bytes(&record.to_bytes()), Some(record));
    }
    let words = to_words(data);
    let mut reader = Words::new(&words);
    while let Some(op) = Op::decode(&mut reader) {
        let mut sink = WordSink(Vec::new());
        op.encode(&mut sink);
        assert_eq!(Op::decode(&mut Words::new(&sink.0)), Some(op));
    }
}

struct WordSink(Vec<u32>);

impl Sink for WordSink {
    fn word(&mut self, word: u32) {
        self.0.push(word);
    }
}

fn to_words(data: &[u8]) -> Vec<u32> {
    let words = data.chunks_exact(4);
    words
        .map(|word| u32::from_ne_bytes(word.try_into().expect("four bytes")))
        .collect()
}

/// Signals, ids, `/proc/<pid>/stat`.
pub fn names(data: &[u8]) {
    let _ = Stat::parse(data);
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(signal) = text.parse::<Signal>() {
        assert!((1..=64).contains(&signal.number()));
        assert_eq!(
            signal.number().to_string().parse::<Signal>().ok(),
            Some(signal)
        );
    }
    if let Ok(id) = text.parse::<ContainerId>() {
        assert_eq!(id.as_str(), text);
        assert!(
            !text.contains(['/', '\0', '\n']) && text != "." && text != "..",
            "{text:?}"
        );
        assert!(text.len() <= 255);
    }
}

#[cfg(test)]
#[path = "fuzzing_tests.rs"]
mod tests;
