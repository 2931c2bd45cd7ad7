//! `docs/security.md` names the tests that there are, and how many.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// How many tests of a class there are in a file: of `RT-05` those whose names begin with `rt_05_`.
type Counts = BTreeMap<(String, String), usize>;

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn class_of(function: &str) -> Option<String> {
    let (number, _) = function.split_once("_")?;
    let is_number = number.len() == 2 && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| format!("RT-{number}"))
}

fn there_are() -> Counts {
    let mut counts = Counts::new();
    for entry in fs::read_dir(here()).expect("list the tests") {
        let path = entry.expect("an entry").path();
        let Some(file) = path.file_stem().and_then(|name| name.to_str()) else {
            continue;
        };
        let text = fs::read_to_string(&path).unwrap_or_default();
        let functions = text.lines().filter_map(|line| line.strip_prefix("fn rt_"));
        for class in functions.filter_map(class_of) {
            *counts.entry((class, file.to_owned())).or_default() += 1;
        }
    }
    counts
}

/// The rows' classes and third columns.
fn rows() -> Vec<(String, String)> {
    let page = here().join("../../docs/security.md");
    let page = fs::read_to_string(page).expect("docs/security.md");
    let rows = page.lines().filter(|line| line.starts_with("| RT-"));
    rows.map(|row| {
        let columns: Vec<&str> = row.split('|').map(str::trim).collect();
        (columns[1].to_owned(), columns[3].to_owned())
    })
    .collect()
}

/// The files that a row names, each with its number: `file` (3), or one without.
fn named(tests: &str) -> Vec<(String, usize)> {
    let quoted: Vec<&str> = tests.split('`').collect();
    let pairs = quoted[1..].chunks_exact(2).map(|pair| {
        let number = pair[1]
            .strip_prefix(" (")
            .and_then(|rest| rest.split_once(')'));
        let number = number.and_then(|(number, _)| number.parse().ok());
        (pair[0].to_owned(), number.unwrap_or(1))
    });
    let is_name = |name: &str| {
        let belongs = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        name.bytes().all(belongs)
    };
    pairs.filter(|(name, _)| is_name(name)).collect()
}

#[test]
fn every_test_named_is_there_and_every_one_there_is_named() {
    let mut there = there_are();
    let rows = rows();
    assert!(rows.len() > 40, "the page's form has changed");
    for (class, tests) in rows {
        for (file, number) in named(&tests) {
            let path = here().join(format!("{file}.rs"));
            assert!(path.exists(), "{class}: there is no {file}.rs");
            // Whole files of tests belong to a class without its number.
            let found = there.remove(&(class.clone(), file.clone()));
            assert_eq!(found.unwrap_or(1), number, "{class}: tests in {file}.rs");
        }
    }
    assert!(there.is_empty(), "the page does not name {there:#?}");
}
