//! The corpus, on a stable toolchain.

#[path = "../../../fuzz/replay.rs"]
mod replay;

#[test]
fn the_corpus_keeps_every_promise() {
    replay::all(super::TARGETS);
}

/// It is worth something only where the parsers get past their first check.
#[test]
fn the_corpus_reaches_the_far_side() {
    let text = |name: &str| {
        let files = replay::files(name).into_iter();
        files.map(|file| String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned())
    };
    let layouts = text("cgroup_layout").filter(|text| {
        let (mountinfo, cgroup) = text.split_once("\n\n").unwrap_or((text, ""));
        crate::Layout::parse(mountinfo, cgroup).mode() != crate::Mode::None
    });
    assert!(layouts.count() >= 3);
    let paths = text("cgroup_path").filter(|text| crate::CgroupPath::new(text).is_ok());
    assert!(paths.count() >= 2);
}
