use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use super::record::MAX_SIZE;
use super::testing::Scratch;
use super::{CgroupPlace, FileId, LockedDir, OciState, Phase, State, StateRoot, Status};
use crate::error::Error;
use crate::id::ContainerId;
use crate::process_id::ProcessId;

const SOON: Duration = Duration::from_millis(50);

fn id(text: &str) -> ContainerId {
    text.parse().unwrap()
}

fn state(name: &str) -> State {
    State::new(id(name), "1.2.0", Path::new("/bundle"), Path::new("/bundle/rootfs")).unwrap()
}

fn root(scratch: &Scratch) -> StateRoot {
    StateRoot::open(scratch.path()).unwrap()
}

fn make(root: &StateRoot, name: &str) -> LockedDir {
    root.claim(&id(name)).unwrap().record(&state(name)).unwrap()
}

fn state_file(root: &StateRoot, name: &str) -> PathBuf {
    root.path().join(name).join("state.json")
}

/// A process whose `/proc/<pid>/exe` is known.
fn sleeper() -> (Child, ProcessId, FileId) {
    let child = Command::new("sleep").arg("1000").spawn().unwrap();
    let process = ProcessId::of(child.id().try_into().unwrap()).unwrap();
    let exe = rustix::fs::stat(format!("/proc/{}/exe", child.id())).unwrap();
    (child, process, FileId { device: exe.st_dev, inode: exe.st_ino })
}

mod roots {
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
        assert_eq!(root.list().unwrap().len(), 3, "a second listing starts at the beginning");
    }
}

mod claims {
    use super::*;

    #[test]
    fn an_id_is_claimed_once() {
        let scratch = Scratch::new();
        let root = root(&scratch);
        let claim = root.claim(&id("x")).unwrap();
        assert!(matches!(root.claim(&id("x")), Err(Error::Exists(_))), "it is locked");
        let dir = claim.record(&state("x")).unwrap();
        assert!(matches!(root.claim(&id("x")), Err(Error::Exists(_))), "it is locked");
        drop(dir);
        assert!(matches!(root.claim(&id("x")), Err(Error::Exists(_))), "it is a container's");
        let mode = fs::metadata(scratch.path().join("x")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o700);
        let mode = fs::metadata(state_file(&root, "x")).unwrap().permissions().mode();
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
        assert!(matches!(claim.record(&state("x")), Err(Error::Exists(_))), "removed");
        let claim = root.claim(&id("x")).unwrap();
        fs::write(path.join("state.json"), "theirs").unwrap();
        assert!(matches!(claim.record(&state("x")), Err(Error::Exists(_))), "recorded");
        assert_eq!(fs::read_to_string(path.join("state.json")).unwrap(), "theirs");
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
            for error in [root.claim(&id(name)).unwrap_err(), root.container(&id(name)).unwrap_err()] {
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
                let claim = || match root.claim(&id("x")).and_then(|claim| claim.record(&state("x"))) {
                    Ok(dir) => Some(dir),
                    Err(Error::Exists(_)) => None,
                    Err(error) => panic!("{error}"),
                };
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(claim)).collect();
                let dirs: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
                dirs.into_iter().flatten().count()
            });
            assert_eq!(winners, 1, "round {round}");
            root.container(&id("x")).unwrap().lock(SOON).unwrap().remove().unwrap();
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
                        match root.claim(&id("x")).and_then(|claim| claim.record(&state("x"))) {
                            Ok(_) | Err(Error::Exists(_)) => {}
                            Err(error) => panic!("claim: {error}"),
                        }
                    }
                });
                scope.spawn(|| {
                    while Instant::now() < end {
                        match root.container(&id("x")).and_then(|dir| dir.lock(limit)?.remove()) {
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
}

mod locks {
    use super::*;

    #[test]
    fn one_changes_while_many_look() {
        let scratch = Scratch::new();
        let root = root(&scratch);
        let open = || root.container(&id("x")).unwrap();
        let held = make(&root, "x");
        let start = Instant::now();
        let error = open().lock(SOON).unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error}");
        assert!(start.elapsed() >= SOON && start.elapsed() < Duration::from_secs(5));
        assert!(matches!(open().lock_shared(SOON), Err(Error::TimedOut { .. })));
        open().state().unwrap();
        drop(held);
        let shared = open().lock_shared(SOON).unwrap();
        let second = open().lock_shared(SOON).unwrap();
        assert!(matches!(open().lock(SOON), Err(Error::TimedOut { .. })));
        drop((shared, second));
        open().lock(SOON).unwrap();
    }

    #[test]
    fn the_lock_is_waited_for() {
        let scratch = Scratch::new();
        let root = root(&scratch);
        let held = make(&root, "x");
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| root.container(&id("x")).unwrap().lock(Duration::from_secs(10)));
            std::thread::sleep(SOON);
            drop(held);
            waiter.join().unwrap().unwrap();
        });
    }

    #[test]
    fn a_container_that_went_meanwhile_is_not_found() {
        let scratch = Scratch::new();
        let root = root(&scratch);
        let held = make(&root, "x");
        let before = root.container(&id("x")).unwrap();
        held.remove().unwrap();
        drop(make(&root, "x"));
        assert!(matches!(before.lock(SOON), Err(Error::NotFound(_))));
        root.container(&id("x")).unwrap().state().unwrap();
    }
}

mod records {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let scratch = Scratch::new();
        let root = root(&scratch);
        let dir = make(&root, "x");
        let (mut child, process, exe) = sleeper();
        let mut written = state("x");
        written.annotations.insert("a\n\"".to_owned(), "ü".to_owned());
        written.phase = Phase::Created;
        written.process = Some(process);
        written.init_file = Some(exe);
        written.cgroup = vec![CgroupPlace {
            hierarchy: "pids".to_owned(),
            path: "/sys/fs/cgroup/pids/x".into(),
        }];
        written.new_namespaces = 0x2000_0000;
        written.session_keyring = true;
        dir.write_state(&written).unwrap();
        assert_eq!(dir.state().unwrap(), written);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        child.kill().unwrap();
        child.wait().unwrap();
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
            assert!(error.to_string().starts_with(path.to_str().unwrap()), "{error}");
        }
        for index in 0..whole.len() {
            let mut changed = whole.clone();
            changed[index] ^= 0x10;
            fs::write(&path, &changed).unwrap();
            assert!(matches!(dir.state(), Ok(_) | Err(Error::State { .. })), "{index}");
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
        let place =
            |path: &str| format!(r#""cgroup":[{{"hierarchy":"","path":"{path}"}}],"phase""#);
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let cases = [
            (String::new(), "it is empty"),
            ("{}".to_owned(), "not a container's state, or damaged"),
            ("null".to_owned(), "not a container's state, or damaged"),
            (deep, "not a container's state, or damaged"),
            (r#"{"id":"x","init_process_pid":1}"#.to_owned(), "not a container's state, or damaged"),
            (r#"{"version":2,"all":"new"}"#.to_owned(), "it has version 2, written by another release"),
            (other("\"version\":1", "\"version\":0"), "it has version 0"),
            (other("\"id\":\"x\"", "\"id\":\"y\""), "it is the state of container y"),
            (other("\"id\":\"x\"", "\"id\":\"../y\""), "not a container's state, or damaged"),
            (other("\"creating\"", "\"created\""), "it says created, and names no process"),
            (other("\"phase\"", &place("/a/../b")), "cgroup: a path is not absolute"),
            (other("\"phase\"", &place("a")), "cgroup: a path is not absolute"),
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
        large.annotations.insert("a".to_owned(), "v".repeat(room - frame));
        dir.write_state(&large).unwrap();
        assert_eq!(dir.state().unwrap(), large);
        large.annotations.insert("a".to_owned(), "v".repeat(room - frame + 1));
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
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
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
        assert!(error.contains("belongs to user 4711, this is user 0"), "{error}");
        assert!(root.claim(&id("x")).is_err());
    }
}

mod removal {
    use super::*;

    #[test]
    fn nothing_stays() {
        let scratch = Scratch::new();
        let root = root(&scratch);
        let dir = make(&root, "x");
        dir.save_config(b"{}").unwrap();
        let gate = crate::gate::listen(dir.as_fd()).unwrap();
        dir.remove().unwrap();
        assert!(root.list().unwrap().is_empty());
        assert!(!scratch.path().join("x").exists());
        drop(gate);
    }

    #[test]
    fn leftovers_go_and_links_are_not_followed() {
        let scratch = Scratch::new();
        let canary = scratch.path().join("canary");
        fs::write(&canary, "alive").unwrap();
        let root = StateRoot::open(&scratch.path().join("root")).unwrap();
        let dir = make(&root, "x");
        fs::write(dir.path().join("state.json.new"), "{").unwrap();
        for name in ["link", "..."] {
            symlink(&canary, dir.path().join(name)).unwrap();
        }
        symlink(scratch.path(), dir.path().join("up")).unwrap();
        dir.remove().unwrap();
        assert_eq!(fs::read_to_string(&canary).unwrap(), "alive");
        assert!(root.list().unwrap().is_empty());
    }

    #[test]
    fn a_directory_inside_is_not_entered() {
        let scratch = Scratch::new();
        let root = root(&scratch);
        let dir = make(&root, "x");
        let inside = dir.path().join("inside");
        fs::create_dir(&inside).unwrap();
        fs::write(inside.join("file"), "").unwrap();
        let error = dir.remove().unwrap_err().to_string();
        assert!(error.starts_with(&format!("remove {}", inside.display())), "{error}");
        assert!(inside.join("file").exists());
    }

    #[test]
    fn what_has_no_readable_state_can_be_removed() {
        let scratch = Scratch::new();
        let root = root(&scratch);
        for content in [None, Some("{\"ver")] {
            drop(make(&root, "x"));
            match content {
                Some(content) => fs::write(state_file(&root, "x"), content).unwrap(),
                None => fs::remove_file(state_file(&root, "x")).unwrap(),
            }
            root.container(&id("x")).unwrap().lock(SOON).unwrap().remove().unwrap();
            assert!(matches!(root.container(&id("x")), Err(Error::NotFound(_))));
        }
    }
}

mod statuses {
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
        assert_eq!(dir.status(&state, thawed).unwrap(), Status::Stopped);
        let locked = root.container(&id("x")).unwrap().lock(SOON).unwrap();
        assert_eq!(locked.status(&state, thawed).unwrap(), Status::Stopped);
        assert_eq!(dir.status(&state, thawed).unwrap(), Status::Creating, "the lock survived");
    }

    #[test]
    fn what_the_process_executes_tells_created_from_running() {
        let scratch = Scratch::new();
        let dir = make(&root(&scratch), "x");
        let (mut child, process, exe) = sleeper();
        let mut state = state("x");
        state.phase = Phase::Created;
        state.process = Some(process);
        state.init_file = Some(exe);
        assert_eq!(dir.status(&state, thawed).unwrap(), Status::Created);
        state.init_file = Some(FileId { inode: exe.inode + 1, ..exe });
        assert_eq!(dir.status(&state, thawed).unwrap(), Status::Running);
        assert_eq!(dir.status(&state, || Ok(true)).unwrap(), Status::Paused);
        child.kill().unwrap();
        while process.alive().unwrap() {}
        let unasked = || -> crate::Result<bool> { panic!("asked about a dead container") };
        assert_eq!(dir.status(&state, unasked).unwrap(), Status::Stopped, "zombie");
        child.wait().unwrap();
        assert_eq!(dir.status(&state, unasked).unwrap(), Status::Stopped, "gone");
    }

    #[test]
    fn a_pid_of_another_start_or_boot_is_another_process() {
        let scratch = Scratch::new();
        let dir = make(&root(&scratch), "x");
        let (mut child, process, _) = sleeper();
        let mut state = state("x");
        state.phase = Phase::Created;
        state.process = Some(process);
        assert_eq!(dir.status(&state, thawed).unwrap(), Status::Running);
        let json = String::from_utf8(state.to_json(Path::new("x")).unwrap()).unwrap();
        let read = |json: &str| State::from_json(json.as_bytes(), &id("x"), Path::new("x")).unwrap();
        let boot = json.split("\"bootId\":\"").nth(1).unwrap();
        let other_boot = json.replace(&boot[..36], "00000000-0000-0000-0000-000000000000");
        assert_ne!(other_boot, json);
        assert_eq!(dir.status(&read(&other_boot), thawed).unwrap(), Status::Stopped);
        let other_start = json.replace("\"startTime\":", "\"startTime\":1");
        assert_eq!(dir.status(&read(&other_start), thawed).unwrap(), Status::Stopped);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

mod oci {
    use super::*;

    #[test]
    fn the_keys_are_in_runc_s_order() {
        let mut state = state("x");
        state.created = "2026-11-21T09:00:00.123456789Z".to_owned();
        state.annotations.insert("k".to_owned(), "v".to_owned());
        let printed = String::from_utf8(OciState::new(&state, Status::Stopped).to_json()).unwrap();
        let expected = concat!(
            r#"{"ociVersion":"1.2.0","id":"x","pid":0,"status":"stopped","bundle":"/bundle","#,
            r#""rootfs":"/bundle/rootfs","created":"2026-11-21T09:00:00.123456789Z","#,
            r#""annotations":{"k":"v"},"owner":""}"#,
        );
        assert_eq!(printed, expected);
    }

    #[test]
    fn hooks_get_what_the_specification_has() {
        let (mut child, process, _) = sleeper();
        let mut state = state("x");
        state.process = Some(process);
        let read = |status| String::from_utf8(OciState::for_hooks(&state, status).to_json()).unwrap();
        let expected = format!(
            r#"{{"ociVersion":"1.2.0","id":"x","pid":{},"status":"creating","bundle":"/bundle"}}"#,
            process.pid()
        );
        assert_eq!(read(Status::Creating), expected);
        assert!(read(Status::Stopped).contains(r#""pid":0,"#));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
