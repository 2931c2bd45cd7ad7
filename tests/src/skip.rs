//! Tests that can't run here say so aloud, and are counted.

use std::fs::OpenOptions;
use std::io::Write;

/// Prints why a test can't run on this machine, and appends it to the file named by
/// `ORLOP_SKIPPED`, which `make test` prints at its end. Use it as [`skip!`](crate::skip!).
pub fn record(test: &str, reason: &str) {
    let line = format!("SKIPPED {test}: {reason}\n");
    // Not `eprint!`: the test harness captures that of a test that passes.
    let _ = std::io::stderr().write_all(line.as_bytes());
    let Some(path) = std::env::var_os("ORLOP_SKIPPED") else {
        return;
    };
    // One write of one line to a file opened for appending is not torn by other tests.
    let written = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .and_then(|mut file| file.write_all(line.as_bytes()));
    if let Err(error) = written {
        panic!(
            "record a skipped test in {}: {error}",
            std::path::Path::new(&path).display()
        );
    }
}

/// Returns from a test that can't run here, with a reason in `format!`'s form.
#[macro_export]
macro_rules! skip {
    ($($reason:tt)*) => {{
        $crate::skip::record($crate::test_name!(), &format!($($reason)*));
        return;
    }};
}

/// The path of the function it is used in, such as `lifecycle::kill_twice`.
#[macro_export]
macro_rules! test_name {
    () => {{
        fn here() {}
        let path = std::any::type_name_of_val(&here);
        path.strip_suffix("::here").unwrap_or(path)
    }};
}
