//! What a user does, and what has to come of it.

/// One line of shell, and what it has to give.
#[derive(Clone, Copy, Debug)]
pub struct Act {
    /// What is done, in a few words.
    pub what: &'static str,
    /// The line, as a user types it.
    pub line: &'static str,
    /// Its exit status.
    pub code: i32,
    /// What has to be in its output (standard output and error), all of it.
    pub gives: &'static [&'static str],
}

/// Acts that belong together; a heading of the page.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// Who calls the runtime, such as `Docker`.
    pub caller: &'static str,
    /// What of it, such as `limits`.
    pub name: &'static str,
    /// The acts, in order.
    pub acts: &'static [Act],
}

/// Acts from rows of `what, line => status [, output]*;`.
#[macro_export]
macro_rules! acts {
    ($($what:literal, $line:expr => $code:literal $(, $gives:literal)*;)*) => {
        &[$($crate::callers::Act {
            what: $what,
            line: $line,
            code: $code,
            gives: &[$($gives),*],
        }),*]
    };
}

/// Tests from rows of `name: setting, section, section…;`. Each calls the test file's own
/// `play(test, setting, sections)`, and says aloud why it can't be played here.
#[macro_export]
macro_rules! plays {
    ($($test:ident: $setting:expr, $($section:expr),+;)*) => {
        $(#[test]
        fn $test() {
            if let Err(why) = play($crate::test_name!(), $setting, &[$($section),+]) {
                $crate::skip!("{why}");
            }
        })*
    };
}

pub use {acts, plays};
