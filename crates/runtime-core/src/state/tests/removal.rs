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
    assert!(
        error.starts_with(&format!("remove {}", inside.display())),
        "{error}"
    );
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
        root.container(&id("x"))
            .unwrap()
            .lock(SOON)
            .unwrap()
            .remove()
            .unwrap();
        assert!(matches!(root.container(&id("x")), Err(Error::NotFound(_))));
    }
}

#[test]
fn what_a_container_left_in_its_notify_directory_goes_too() {
    let scratch = Scratch::new();
    let root = root(&scratch);
    let dir = make(&root, "x");
    crate::notify::make_directory(dir.as_fd()).unwrap();
    let notify = dir.path().join("notify");
    fs::create_dir_all(notify.join("notify.sock/deeper")).unwrap();
    fs::write(notify.join("notify.sock/deeper/file"), "").unwrap();
    symlink(scratch.path(), notify.join("link")).unwrap();
    dir.remove().unwrap();
    assert!(root.list().unwrap().is_empty());
    assert!(!notify.exists() && scratch.path().exists());
}
