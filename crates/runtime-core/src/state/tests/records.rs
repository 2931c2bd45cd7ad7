use super::*;

#[test]
fn what_is_written_is_read() {
    let scratch = Scratch::new();
    let root = root(&scratch);
    let dir = make(&root, "x");
    let sleeper = Sleeper::new();
    let mut written = state("x");
    written
        .annotations
        .insert("a\n\"".to_owned(), "ü".to_owned());
    written.phase = Phase::Created;
    written.process = Some(sleeper.id);
    written.init_file = Some(sleeper.program());
    written.cgroup = vec![CgroupPlace {
        hierarchy: "pids".to_owned(),
        path: "/sys/fs/cgroup/pids/x".into(),
    }];
    written.new_namespaces = 0x2000_0000;
    written.session_keyring = true;
    dir.write_state(&written).unwrap();
    assert_eq!(dir.state().unwrap(), written);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn config_is_kept_as_it_is() {
    let scratch = Scratch::new();
    let dir = make(&root(&scratch), "x");
    let error = dir.load_config().unwrap_err().to_string();
    assert!(error.contains("config.json: No such file"), "{error}");
    let config = b"{ \"ociVersion\": \"1.2.0\" }\n".repeat(1000);
    dir.save_config(&config).unwrap();
    assert_eq!(dir.load_config().unwrap(), config);
    dir.save_config(b"{}").unwrap();
    assert_eq!(dir.load_config().unwrap(), b"{}");
}

/// Every state that is cut off, and each with one byte changed, is read or refused by name.
#[test]
fn a_damaged_record_is_an_error_that_names_the_file() {
    let scratch = Scratch::new();
    let root = root(&scratch);
    drop(make(&root, "x"));
    let dir = root.container(&id("x")).unwrap();
    let path = state_file(&root, "x");
    let whole = fs::read(&path).unwrap();
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let error = dir.state().unwrap_err();
        assert!(matches!(error, Error::State { .. }), "{length}: {error}");
        assert!(
            error.to_string().starts_with(path.to_str().unwrap()),
            "{error}"
        );
    }
    for index in 0..whole.len() {
        let mut changed = whole.clone();
        changed[index] ^= 0x10;
        fs::write(&path, &changed).unwrap();
        assert!(
            matches!(dir.state(), Ok(_) | Err(Error::State { .. })),
            "{index}"
        );
    }
}

#[test]
fn foreign_records_are_refused() {
    let scratch = Scratch::new();
    let root = root(&scratch);
    drop(make(&root, "x"));
    let dir = root.container(&id("x")).unwrap();
    let path = state_file(&root, "x");
    let whole = fs::read_to_string(&path).unwrap();
    let other = |from: &str, to: &str| {
        let changed = whole.replace(from, to);
        assert_ne!(changed, whole, "{from}");
        changed
    };
    let place = |path: &str| format!(r#""cgroup":[{{"hierarchy":"","path":"{path}"}}],"phase""#);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let cases = [
        (String::new(), "it is empty"),
        ("{}".to_owned(), "not a container's state, or damaged"),
        ("null".to_owned(), "not a container's state, or damaged"),
        (deep, "not a container's state, or damaged"),
        (
            r#"{"id":"x","init_process_pid":1}"#.to_owned(),
            "not a container's state, or damaged",
        ),
        (
            r#"{"version":2,"all":"new"}"#.to_owned(),
            "it has version 2, written by another release",
        ),
        (other("\"version\":1", "\"version\":0"), "it has version 0"),
        (
            other("\"id\":\"x\"", "\"id\":\"y\""),
            "it is the state of container y",
        ),
        (
            other("\"id\":\"x\"", "\"id\":\"../y\""),
            "not a container's state, or damaged",
        ),
        (
            other("\"creating\"", "\"created\""),
            "it says created, and names no process",
        ),
        (
            other("\"phase\"", &place("/a/../b")),
            "cgroup: a path is not absolute",
        ),
        (
            other("\"phase\"", &place("a")),
            "cgroup: a path is not absolute",
        ),
    ];
    for (content, reason) in cases {
        fs::write(&path, &content).unwrap();
        let error = dir.state().unwrap_err().to_string();
        assert!(error.starts_with(path.to_str().unwrap()), "{error}");
        assert!(error.contains(reason), "{reason}: {error}");
    }
}

#[test]
fn the_size_is_bounded_both_ways() {
    let scratch = Scratch::new();
    let dir = make(&root(&scratch), "x");
    let mut large = state("x");
    let room = MAX_SIZE - large.to_json(Path::new("x")).unwrap().len();
    let frame = r#""annotations":{"a":""},"#.len();
    large
        .annotations
        .insert("a".to_owned(), "v".repeat(room - frame));
    dir.write_state(&large).unwrap();
    assert_eq!(dir.state().unwrap(), large);
    large
        .annotations
        .insert("a".to_owned(), "v".repeat(room - frame + 1));
    let error = dir.write_state(&large).unwrap_err().to_string();
    assert!(error.contains("shorten the annotations"), "{error}");
    let path = dir.path().join("state.json");
    fs::write(&path, "x".repeat(MAX_SIZE + 1)).unwrap();
    let error = dir.state().unwrap_err().to_string();
    assert!(error.contains("more than 1048576 bytes"), "{error}");
}

#[test]
fn something_else_in_the_file_s_place_does_not_hang_or_lead_away() {
    let scratch = Scratch::new();
    let root = root(&scratch);
    drop(make(&root, "x"));
    let dir = root.container(&id("x")).unwrap();
    let path = state_file(&root, "x");
    let elsewhere = scratch.path().join("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    symlink(&elsewhere, &path).unwrap();
    assert!(matches!(dir.state(), Err(Error::State { .. })), "link");
    fs::remove_file(&path).unwrap();
    assert!(
        Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    assert!(matches!(dir.state(), Err(Error::State { .. })), "fifo");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(matches!(dir.state(), Err(Error::State { .. })), "directory");
    fs::remove_dir(&path).unwrap();
    assert!(matches!(dir.state(), Err(Error::NotFound(_))), "nothing");
}

#[test]
fn another_user_s_directory_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let scratch = Scratch::new();
    let root = root(&scratch);
    drop(make(&root, "x"));
    std::os::unix::fs::chown(scratch.path().join("x"), Some(4711), None).unwrap();
    let error = root.container(&id("x")).unwrap_err().to_string();
    assert!(
        error.contains("belongs to user 4711, this is user 0"),
        "{error}"
    );
    assert!(root.claim(&id("x")).is_err());
}
