//! What the tests of known vulnerability classes share.
//!
//! Such a test counts once it has been seen to fail ("red") on a runtime that has the fault. To
//! repeat that, `tests/security-red` runs them all against other runtimes and lists the rows that
//! were red; by hand, `ORLOP_SECURITY_RUNTIME` names the program:
//!
//! ```text
//! ORLOP_SECURITY_RUNTIME=/usr/sbin/runc cargo test -p orlop-tests --test security_masks
//! ORLOP_TEST_VIEW=v1 ORLOP_SECURITY_RUNTIME=/usr/bin/crun cargo test …
//! ```
//!
//! A test that fails because a runtime gave way says `EXPOSED` ([`exposed!`](crate::exposed));
//! other failures, say of an unusual error text, don't.

pub mod config;
pub mod program;
pub mod race;

use crate::bundle::Bundle;
use crate::fixture::Fixture;
use crate::runtime::{Container, Runtime};
use crate::view::View;
use std::env;
use std::path::{Path, PathBuf};

/// A fixture for the runtime that `ORLOP_SECURITY_RUNTIME` names, else for the usual one.
///
/// # Panics
/// As [`Fixture::new`].
#[must_use]
#[track_caller]
pub fn fixture(test: &str) -> Fixture {
    let Some(program) = env::var_os("ORLOP_SECURITY_RUNTIME") else {
        return Fixture::new(test);
    };
    fixture_of(test, Path::new(&program))
}

/// A fixture for that program, in the view that `ORLOP_TEST_VIEW` and `ORLOP_TEST_LINKER` ask for.
///
/// # Panics
/// As [`Fixture::of`].
#[must_use]
#[track_caller]
pub fn fixture_of(test: &str, program: &Path) -> Fixture {
    let fixture = Fixture::of(test, program);
    match view_asked_for() {
        None => fixture,
        Some(view) => fixture.viewed(&view),
    }
}

/// What `ORLOP_TEST_VIEW` and `ORLOP_TEST_LINKER` ask for.
#[track_caller]
fn view_asked_for() -> Option<View> {
    let cgroups = env::var("ORLOP_TEST_VIEW").ok();
    let linker = env::var_os("ORLOP_TEST_LINKER").map(PathBuf::from);
    if cgroups.is_none() && linker.is_none() {
        return None;
    }
    let cgroups = cgroups.as_deref().unwrap_or("host").parse();
    let cgroups = cgroups.expect("ORLOP_TEST_VIEW is host, v1 or v2");
    Some(View { cgroups, linker })
}

/// The fixture's runtime, with every command started by a shell script in which `"$@"` is the
/// command: to give it descriptors, a umask, a mount namespace of its own.
#[must_use]
pub fn started_by(fixture: &Fixture, script: &str) -> Runtime {
    fixture
        .runtime()
        .clone()
        .with_prefix(&["sh", "-c", script, "sh"])
}

/// A container of the bundle, driven by another form of the fixture's runtime. `name` keeps apart
/// what one test makes so.
#[must_use]
pub fn container_by(
    fixture: &Fixture,
    runtime: &Runtime,
    bundle: &Bundle,
    name: &str,
) -> Container {
    Container::new(runtime, &format!("{}-{name}", fixture.tag()), bundle)
}

/// Fails a test because the runtime gave way to the attack.
#[macro_export]
macro_rules! exposed {
    ($($what:tt)*) => { panic!("EXPOSED: {}", format!($($what)*)) };
}

/// Fails a test with [`exposed!`] unless the condition holds.
#[macro_export]
macro_rules! assert_safe {
    ($condition:expr, $($what:tt)*) => {
        if !$condition {
            $crate::exposed!($($what)*);
        }
    };
}
