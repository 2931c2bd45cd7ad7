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
    open().state().unwrap();
    drop(held);
    open().lock(SOON).unwrap();
}

#[test]
fn the_lock_is_waited_for() {
    let scratch = Scratch::new();
    let root = root(&scratch);
    let held = make(&root, "x");
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            root.container(&id("x"))
                .unwrap()
                .lock(Duration::from_secs(10))
        });
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
