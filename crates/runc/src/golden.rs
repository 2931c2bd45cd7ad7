//! Comparison of output with files that are kept beside the tests.

use std::path::Path;

/// Compares with a file below `src`, or writes it where `ORLOP_BLESS` is set.
pub(crate) fn compare(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(name);
    if std::env::var_os("ORLOP_BLESS").is_some() {
        std::fs::write(&path, text).expect("the file is written");
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == wanted,
        "{name} is not as before; ORLOP_BLESS=1 accepts this:\n{text}"
    );
}
