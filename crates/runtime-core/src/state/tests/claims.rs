use super::*;

#[test]
fn an_id_is_claimed_once() {
    let scratch = Scratch::new();
    let root = root(&scratch);
    let claim = root.claim(&id("x")).unwrap();
    assert!(
        matches!(root.claim(&id("x")), Err(Error::Exists(_))),
        "it is locked"
    );
    let dir = claim.record(&state("x")).unwrap();
    assert!(
        matches!(root.claim(&id("x")), Err(Error::Exists(_))),
        "it is locked"
    );
    drop(dir);
    assert!(
        matches!(root.claim(&id("x")), Err(Error::Exists(_))),
        "it is a container's"
    );
    let mode = fs::metadata(scratch.path().join("x"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o700);
    let mode = fs::metadata(state_file(&root, "x"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o600);
}

#[test]
fn one_that_is_dropped_gives_the_id_back() {
    let scratch = Scratch::new();
    let root = root(&scratch);
    drop(root.claim(&id("x")).unwrap());
    assert!(!scratch.path().join("x").exists());
    root.claim(&id("x")).unwrap();
}

#[test]
fn what_a_killed_one_left_is_taken_over() {
    let scratch = Scratch::new();
    let root = root(&scratch);
    let dir = scratch.path().join("x");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("state.json.new"), "{\"ver").unwrap();
    fs::write(dir.join("gate"), "").unwrap();
    let new = state("x");
    let dir = root.claim(&id("x")).unwrap().record(&new).unwrap();
    assert_eq!(dir.state().unwrap(), new);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn one_that_was_overtaken_says_so_and_touches_nothing() {
    let scratch = Scratch::new();
    let root = root(&scratch);
    let path = scratch.path().join("x");
    let claim = root.claim(&id("x")).unwrap();
    fs::remove_dir(&path).unwrap();
    assert!(
        matches!(claim.record(&state("x")), Err(Error::Exists(_))),
        "removed"
    );
    let claim = root.claim(&id("x")).unwrap();
    fs::write(path.join("state.json"), "theirs").unwrap();
    assert!(
        matches!(claim.record(&state("x")), Err(Error::Exists(_))),
        "recorded"
    );
    assert_eq!(
        fs::read_to_string(path.join("state.json")).unwrap(),
        "theirs"
    );
    assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
    fs::remove_dir_all(&path).unwrap();
    let claim = root.claim(&id("x")).unwrap();
    fs::remove_dir(&path).unwrap();
    fs::create_dir(&path).unwrap();
    drop(claim);
    assert!(path.exists(), "another one's directory stays");
}

#[test]
fn a_file_or_link_of_the_name_is_refused() {
    let scratch = Scratch::new();
    let root = root(&scratch);
    fs::write(scratch.path().join("file"), "").unwrap();
    fs::create_dir(scratch.path().join("dir")).unwrap();
    symlink("dir", scratch.path().join("link")).unwrap();
    for name in ["file", "link"] {
        for error in [
            root.claim(&id(name)).unwrap_err(),
            root.container(&id(name)).unwrap_err(),
        ] {
            assert!(matches!(&error, Error::State { .. }), "{error}");
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}

#[test]
fn of_many_at_once_exactly_one_gets_the_id() {
    let scratch = Scratch::new();
    let root = root(&scratch);
    for round in 0..50 {
        let winners: usize = std::thread::scope(|scope| {
            let claim = || match root
                .claim(&id("x"))
                .and_then(|claim| claim.record(&state("x")))
            {
                Ok(dir) => Some(dir),
                Err(Error::Exists(_)) => None,
                Err(error) => panic!("{error}"),
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(claim)).collect();
            let dirs: Vec<_> = threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect();
            dirs.into_iter().flatten().count()
        });
        assert_eq!(winners, 1, "round {round}");
        root.container(&id("x"))
            .unwrap()
            .lock(SOON)
            .unwrap()
            .remove()
            .unwrap();
    }
}

/// Makers and removers of one id: nobody may see anything but a whole state or none.
#[test]
fn makers_and_removers_do_not_disturb_one_another() {
    let scratch = Scratch::new();
    let root = root(&scratch);
    let end = Instant::now() + Duration::from_millis(400);
    let limit = Duration::from_secs(10);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while Instant::now() < end {
                    match root
                        .claim(&id("x"))
                        .and_then(|claim| claim.record(&state("x")))
                    {
                        Ok(_) | Err(Error::Exists(_)) => {}
                        Err(error) => panic!("claim: {error}"),
                    }
                }
            });
            scope.spawn(|| {
                while Instant::now() < end {
                    match root
                        .container(&id("x"))
                        .and_then(|dir| dir.lock(limit)?.remove())
                    {
                        Ok(()) | Err(Error::NotFound(_)) => {}
                        Err(error) => panic!("remove: {error}"),
                    }
                }
            });
            scope.spawn(|| {
                while Instant::now() < end {
                    match root.container(&id("x")).and_then(|dir| dir.state()) {
                        Ok(_) | Err(Error::NotFound(_)) => {}
                        Err(error) => panic!("state: {error}"),
                    }
                }
            });
        }
    });
}
