use super::*;

fn thawed() -> crate::Result<bool> {
    Ok(false)
}

#[test]
fn creating_lasts_as_long_as_the_creator_holds_the_lock() {
    let scratch = Scratch::new();
    let root = root(&scratch);
    let creator = make(&root, "x");
    let dir = root.container(&id("x")).unwrap();
    let state = dir.state().unwrap();
    assert_eq!(dir.status(&state, thawed).unwrap(), Status::Creating);
    drop(creator);
    // A process that another test is giving birth to has the lock's file, too, until it executes.
    let end = Instant::now() + Duration::from_secs(10);
    while dir.status(&state, thawed).unwrap() != Status::Stopped && Instant::now() < end {
        std::thread::yield_now();
    }
    assert_eq!(dir.status(&state, thawed).unwrap(), Status::Stopped);
    let locked = root.container(&id("x")).unwrap().lock(SOON).unwrap();
    assert_eq!(locked.status(&state, thawed).unwrap(), Status::Stopped);
    assert_eq!(
        dir.status(&state, thawed).unwrap(),
        Status::Creating,
        "the lock survived"
    );
}

#[test]
fn what_the_process_executes_tells_created_from_running() {
    let scratch = Scratch::new();
    let dir = make(&root(&scratch), "x");
    let mut sleeper = Sleeper::new();
    let program = sleeper.program();
    let mut state = state("x");
    state.phase = Phase::Created;
    state.process = Some(sleeper.id);
    state.init_file = Some(program);
    assert_eq!(dir.status(&state, thawed).unwrap(), Status::Created);
    state.init_file = Some(FileId {
        inode: program.inode + 1,
        ..program
    });
    assert_eq!(dir.status(&state, thawed).unwrap(), Status::Running);
    assert_eq!(dir.status(&state, || Ok(true)).unwrap(), Status::Paused);
    sleeper.child.kill().unwrap();
    while sleeper.id.alive().unwrap() {}
    let unasked = || -> crate::Result<bool> { panic!("asked about a dead container") };
    assert_eq!(
        dir.status(&state, unasked).unwrap(),
        Status::Stopped,
        "zombie"
    );
    sleeper.child.wait().unwrap();
    assert_eq!(
        dir.status(&state, unasked).unwrap(),
        Status::Stopped,
        "gone"
    );
}

#[test]
fn a_pid_of_another_start_or_boot_is_another_process() {
    let scratch = Scratch::new();
    let dir = make(&root(&scratch), "x");
    let sleeper = Sleeper::new();
    let mut state = state("x");
    state.phase = Phase::Created;
    state.process = Some(sleeper.id);
    assert_eq!(dir.status(&state, thawed).unwrap(), Status::Running);
    let json = String::from_utf8(state.to_json(Path::new("x")).unwrap()).unwrap();
    let read = |json: &str| State::from_json(json.as_bytes(), &id("x"), Path::new("x")).unwrap();
    let boot = json.split("\"bootId\":\"").nth(1).unwrap();
    let other_boot = json.replace(&boot[..36], "00000000-0000-0000-0000-000000000000");
    assert_ne!(other_boot, json);
    assert_eq!(
        dir.status(&read(&other_boot), thawed).unwrap(),
        Status::Stopped
    );
    let mut other: serde_json::Value = serde_json::from_str(&json).unwrap();
    let pid = sleeper.id.pid();
    for process in [
        serde_json::json!({"pid": pid, "startTime": 1}),
        serde_json::json!({"pid": pid, "inode": 1}),
    ] {
        other["process"] = process;
        assert_eq!(
            dir.status(&read(&other.to_string()), thawed).unwrap(),
            Status::Stopped
        );
    }
}
