//! What the tests of damage and the model share: numbers from the environment, seeded randomness, trees of files.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::path::{Path, PathBuf};

mod random;

pub(crate) use random::Random;

/// A number from the environment.
pub(crate) fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// In memory where the machine offers it: these tests open thousands of directories.
pub(crate) fn temp_dir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a place for temporary files")
}

/// All files below `dir`, paths relative to it, sorted.
pub(crate) fn read_tree(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in std::fs::read_dir(next).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                let name = path.strip_prefix(dir).expect("it is below").to_owned();
                found.push((name, std::fs::read(&path).expect("a file")));
            }
        }
    }
    found.sort();
    found
}

/// Writes them below `dir`.
pub(crate) fn write_tree(dir: &Path, files: &[(PathBuf, Vec<u8>)]) {
    let mut made = PathBuf::new();
    for (name, bytes) in files {
        let path = dir.join(name);
        let parent = path.parent().expect("a file has one");
        if made != parent {
            std::fs::create_dir_all(parent).expect("a directory");
            parent.clone_into(&mut made);
        }
        std::fs::write(&path, bytes).expect("a file");
    }
}
