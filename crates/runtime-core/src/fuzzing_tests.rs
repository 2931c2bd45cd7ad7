//! The corpus, on a stable toolchain.

use std::path::Path;

use super::TARGETS;

#[path = "../../../fuzz/replay.rs"]
mod replay;

use replay::files;

#[test]
fn the_corpus_keeps_every_promise() {
    replay::all(&TARGETS);
}

/// The corpus is worth something only where the parsers get past their first check.
#[test]
fn the_corpus_reaches_the_far_side() {
    let read = |name: &str| {
        files(name)
            .into_iter()
            .map(|file| std::fs::read(file).unwrap())
    };
    let compiled = read("plan").filter(|json| {
        let spec = crate::spec::Spec::from_slice(json);
        let host = crate::host::Host::root_with(orlop_cgroups::Layout::parse("", ""));
        let options = crate::options::Options::new("/bundle").id("x".parse().unwrap());
        spec.is_ok_and(|spec| crate::plan::Plan::compile(&spec, &options, &host).is_ok())
    });
    assert!(compiled.count() >= 3);
    let id = "x".parse().unwrap();
    let states = read("state")
        .filter(|json| crate::state::State::from_json(json, &id, Path::new("x")).is_ok());
    assert!(states.count() >= 2);
}
