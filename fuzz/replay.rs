//! Runs fuzz targets over their corpus in `cargo test`: every file, cut off anywhere, and with bytes
//! changed. Part of the test modules of the crates that have targets.

use std::path::{Path, PathBuf};

/// A parser's promises, checked on one input.
type Target = fn(&[u8]);

/// Every target over every file of its corpus.
pub(super) fn all(targets: &[(&str, Target)]) {
    for (name, target) in targets {
        let files = files(name);
        assert!(files.len() >= 5, "{name}: the corpus is missing");
        files.iter().for_each(|file| replay(*target, file));
    }
}

/// How many cut and how many changed forms of each file are tried.
const VARIANTS: usize = 48;

pub(super) fn files(target: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let entries =
        std::fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Numbers that look random and are the same every time (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

fn replay(target: Target, file: &Path) {
    // Printed where a target panics.
    println!("{}", file.display());
    let content = std::fs::read(file).unwrap();
    target(&content);
    if content.is_empty() {
        return;
    }
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for _ in 0..VARIANTS {
        target(&content[..numbers.below(content.len())]);
        let mut changed = content.clone();
        for _ in 0..=numbers.below(4) {
            let index = numbers.below(changed.len());
            match numbers.below(3) {
                0 => changed[index] ^= 1 << numbers.below(8),
                1 => changed[index] = b"\0\"{}[]:,/.0-9\n\xff"[numbers.below(15)],
                _ => {
                    let end = (index + numbers.below(16)).min(changed.len());
                    changed.drain(index..end);
                    if changed.is_empty() {
                        break;
                    }
                }
            }
        }
        target(&changed);
    }
}
