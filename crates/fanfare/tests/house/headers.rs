//! How files open, and which may hold `unsafe`. Has no opinion on the rest.

use std::fs;
use std::path::{Path, PathBuf};

use crate::workspace;

/// Folders that are made, not written.
const MADE: &[&str] = &["target", "node_modules", "corpus", "artifacts"];
/// Those that lend the kernel memory, which no safe interface can: `io_uring`, once in the product and once as a floor.
const MAY_BE_UNSAFE: &[&str] = &["crates/fanout/src/ring.rs", "bench/src/floor/uring.rs"];

#[test]
fn every_rust_file_opens_by_saying_what_it_is_for() {
    let root = workspace::root();
    let mut files = Vec::new();
    rust_files(&root, &mut files);
    assert!(files.len() > 10, "found only {} files below {}", files.len(), root.display());
    let silent: Vec<String> = files
        .iter()
        .filter(|path| !fs::read_to_string(path).unwrap().starts_with("//! "))
        .map(|path| path.strip_prefix(&root).unwrap().display().to_string())
        .collect();
    assert!(
        silent.is_empty(),
        "these do not open with `//!`, one sentence for what the file does and one for what it never does:\n{}",
        silent.join("\n")
    );
}

#[test]
fn no_file_but_those_of_io_uring_has_leave_for_unsafe() {
    let root = workspace::root();
    let mut files = Vec::new();
    rust_files(&root, &mut files);
    // In two parts, or this file would be one of them.
    let leave = ["allow(unsafe", "_code"].concat();
    let with_leave = files.iter().filter(|path| fs::read_to_string(path).unwrap().contains(&leave));
    let mut with_leave: Vec<_> =
        with_leave.map(|path| path.strip_prefix(&root).unwrap().display().to_string()).collect();
    with_leave.sort();
    let mut expected = MAY_BE_UNSAFE.to_vec();
    expected.sort_unstable();
    assert_eq!(with_leave, expected, "the lint `unsafe_code` is denied everywhere else, and stays so");
}

pub(crate) fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && !MADE.contains(&name.as_str()) {
                rust_files(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}
