use super::*;

#[test]
fn a_missing_one_is_made_for_its_owner_alone() {
    let scratch = Scratch::new();
    let path = scratch.path().join("a/b");
    assert!(StateRoot::existing(&path).unwrap().is_none());
    let root = StateRoot::open(&path).unwrap();
    assert_eq!(root.path(), path);
    for path in [&path, path.parent().unwrap()] {
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{}", path.display());
    }
    assert!(StateRoot::existing(&path).unwrap().is_some());
}

#[test]
fn the_root_of_all_files_is_refused() {
    for path in ["/", "//", "/.", "/..", "/tmp/..", "/a/b/../.."] {
        let error = StateRoot::open(Path::new(path)).unwrap_err().to_string();
        assert!(error.contains("can't hold containers"), "{path}: {error}");
        assert!(StateRoot::existing(Path::new(path)).is_err(), "{path}");
    }
}

#[test]
fn a_file_in_its_place_is_named() {
    let scratch = Scratch::new();
    let path = scratch.path().join("file");
    fs::write(&path, "").unwrap();
    let error = StateRoot::open(&path).unwrap_err().to_string();
    assert!(error.contains(path.to_str().unwrap()), "{error}");
}

#[test]
fn the_list_is_sorted_and_passes_over_the_foreign() {
    let scratch = Scratch::new();
    let root = root(&scratch);
    for name in ["b", "a", "c-1"] {
        drop(make(&root, name));
    }
    fs::write(scratch.path().join("file"), "").unwrap();
    symlink("/", scratch.path().join("link")).unwrap();
    fs::create_dir(scratch.path().join("no id")).unwrap();
    assert_eq!(root.list().unwrap(), [id("a"), id("b"), id("c-1")]);
    assert_eq!(
        root.list().unwrap().len(),
        3,
        "a second listing starts at the beginning"
    );
}
