//! What each test starts with, and is checked by at its end.

use crate::bundle::Bundle;
use crate::canary::Canary;
use crate::census::Census;
use crate::locate;
use crate::runtime::{Container, Runtime};
use crate::temp::TempDir;
use crate::view::View;
use std::cell::{Cell, RefCell};
use std::env;
use std::path::{Path, PathBuf};

/// A private folder with a state root, a bundle and ids, a canary beside them, and a census.
///
/// ```no_run
/// # use orlop_tests::{Fixture, test_name};
/// let fixture = Fixture::new(test_name!());
/// let bundle = fixture.bundle().args(&["true"]).written();
/// let container = fixture.container(&bundle);
/// container.create().ok();
/// container.delete_force().ok();
/// fixture.assert_clean();
/// ```
#[derive(Debug)]
pub struct Fixture {
    // Dropped last: the others name files in it.
    runtime: Runtime,
    census: RefCell<Census>,
    canary: Canary,
    bundles: Cell<u32>,
    containers: Cell<u32>,
    folder: TempDir,
}

impl Fixture {
    /// For the runtime under test: see [`locate::runtime_under_test`]. To see a test red on another
    /// one, `ORLOP_TEST_VIEW` (`host`, `v1`, `v2`) and `ORLOP_TEST_LINKER` (a folder of
    /// `tests/peers`) set the [`View`] it runs in.
    ///
    /// # Panics
    /// When there is no runtime to test, or the caller is not root.
    #[must_use]
    #[track_caller]
    pub fn new(test: &str) -> Self {
        let program = match locate::runtime_under_test() {
            Ok(program) => program,
            Err(error) => panic!("{error}"),
        };
        match view_asked_for() {
            None => Self::of(test, &program),
            Some(view) => Self::of(test, &program).viewed(&view),
        }
    }

    /// For any runtime's program. The test's name goes into all names.
    ///
    /// # Panics
    /// When the folder can't be made, or the caller is not root.
    #[must_use]
    #[track_caller]
    pub fn of(test: &str, program: &Path) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "whole-system tests need root"
        );
        let short = test.rsplit("::").next().unwrap_or(test);
        let folder = TempDir::new(short).expect("make the test's folder");
        let tag = folder
            .path()
            .file_name()
            .and_then(|name| name.to_str())
            .expect("an ASCII name")
            .to_owned();
        let root = folder.path().join("state");
        let canary = Canary::plant(&folder.path().join("canary")).expect("plant a canary");
        let census = Census::take(&tag, folder.path(), std::slice::from_ref(&root));
        Self {
            runtime: Runtime::new(program, &root, &tag),
            census: RefCell::new(census.expect("take a census")),
            canary,
            bundles: Cell::new(0),
            containers: Cell::new(0),
            folder,
        }
    }

    /// Runs every command in a private mount namespace with that view; with the linker of
    /// `ORLOP_TEST_LINKER` if the view has none.
    ///
    /// # Panics
    /// When the program `view` is not built.
    #[must_use]
    #[track_caller]
    pub fn viewed(mut self, view: &View) -> Self {
        let linker = env::var_os("ORLOP_TEST_LINKER").map(PathBuf::from);
        let view = &View {
            cgroups: view.cgroups,
            linker: view.linker.clone().or(linker),
        };
        self.runtime = self
            .runtime
            .clone()
            .with_view(view)
            .expect("find the program view");
        self
    }

    /// Gives every command this global option too.
    #[must_use]
    pub fn with_global(mut self, option: &str) -> Self {
        self.runtime = self.runtime.clone().with_global(option);
        self
    }

    /// The runtime, with the fixture's state root.
    #[must_use]
    pub const fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// The fixture's folder, for files of the test.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the fixture's folder.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A tree of the host's, outside of every root file system.
    #[must_use]
    pub const fn canary(&self) -> &Canary {
        &self.canary
    }

    /// What is part of every name of this test.
    #[must_use]
    pub fn tag(&self) -> &str {
        self.folder
            .path()
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
    }

    /// A new bundle.
    ///
    /// # Panics
    /// When it can't be made.
    #[must_use]
    #[track_caller]
    pub fn bundle(&self) -> Bundle {
        let path = self.file(&format!("bundle{}", next(&self.bundles)));
        Bundle::create(&path).expect("make a bundle")
    }

    /// A new id for that bundle.
    #[must_use]
    pub fn container(&self, bundle: &Bundle) -> Container {
        let id = format!("{}-c{}", self.tag(), next(&self.containers));
        Container::new(&self.runtime, &id, bundle)
    }

    /// Remembers the namespaces of a container that runs or is created, to find them kept alive.
    #[track_caller]
    pub fn track(&self, container: &Container) {
        self.track_process(container.pid());
    }

    /// The same of a process that is in them, whatever its container's state says.
    pub fn track_process(&self, pid: u32) {
        self.census.borrow_mut().track(pid);
    }

    /// Takes the namespaces of this process for somebody else's, whoever joins them.
    pub fn pass_over(&self, pid: u32) {
        self.census.borrow_mut().pass_over(pid);
    }

    /// Fails the test if anything is left behind or was touched. Call it at the end, and wherever
    /// a failed command should have left nothing.
    #[track_caller]
    pub fn assert_clean(&self) {
        self.census.borrow().assert_clean();
        self.census.borrow_mut().forget_namespaces();
        self.canary.assert_untouched();
    }

    /// Fails the test if a keyring of one of its containers is there for good. Call it where nothing of
    /// theirs is held open, such as a terminal.
    #[track_caller]
    pub fn assert_no_keyring(&self) {
        self.census.borrow().assert_no_keyring();
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        // A test that failed half-way; one that ended has asserted that there is nothing.
        if std::thread::panicking() {
            self.census.borrow().clear();
        }
    }
}

#[track_caller]
fn view_asked_for() -> Option<View> {
    let cgroups = env::var("ORLOP_TEST_VIEW").ok();
    let linker = env::var_os("ORLOP_TEST_LINKER").map(PathBuf::from);
    if cgroups.is_none() && linker.is_none() {
        return None;
    }
    let cgroups = match cgroups.as_deref().unwrap_or("host").parse() {
        Ok(cgroups) => cgroups,
        Err(error) => panic!("ORLOP_TEST_VIEW: {error}"),
    };
    Some(View { cgroups, linker })
}

fn next(counter: &Cell<u32>) -> u32 {
    counter.replace(counter.get() + 1)
}
