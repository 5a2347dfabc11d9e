//! Holds the table of the protocol's requirements to the tests that it names. Does not run them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::{headers, workspace};

/// Those that concern a hub; the rest is about clients.
const REQUIREMENTS: std::ops::RangeInclusive<u16> = 1..=209;

#[test]
fn every_requirement_has_a_row_and_every_test_that_a_row_names_is_there() {
    let root = workspace::root();
    let table = fs::read_to_string(root.join("docs/mercure.md")).unwrap();
    let rows: BTreeMap<u16, &str> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| M-"))
        .map(|row| (row[..3].parse().unwrap(), row))
        .collect();
    let missing: Vec<u16> = REQUIREMENTS.filter(|number| !rows.contains_key(number)).collect();
    assert!(missing.is_empty(), "docs/mercure.md has no row for {missing:?}");

    let code = code(&root);
    let cells = || rows.values().filter_map(|row| row.rsplit('|').nth(1));
    let named = cells().flat_map(names);
    let lost: Vec<&str> = named.filter(|name| !code.contains(&format!("fn {name}("))).collect();
    assert!(lost.is_empty(), "docs/mercure.md names tests that are not there: {lost:#?}");

    let foreign = cells().flat_map(quoted).filter_map(|text| text.strip_prefix("tests/clients/run "));
    let parts = client_parts(&root);
    let lost: Vec<&str> = foreign.filter(|part| !parts.iter().any(|known| known == part)).collect();
    assert!(lost.is_empty(), "docs/mercure.md names parts that tests/clients/run does not have: {lost:?}");
}

/// All our Rust.
pub(crate) fn code(root: &Path) -> String {
    let mut files = Vec::new();
    headers::rust_files(&root.join("crates"), &mut files);
    files.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// The parts that the tests with foreign clients have.
pub(crate) fn client_parts(root: &Path) -> Vec<String> {
    let script = fs::read_to_string(root.join("tests/clients/run")).unwrap();
    script.lines().flat_map(parts_of).map(str::to_owned).collect()
}

/// The names of tests in the last cell of a row: what stands in backticks and could be one.
pub(crate) fn names(cell: &str) -> impl Iterator<Item = &str> {
    quoted(cell)
        .filter(|text| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'))
}

/// The parts that a line of `tests/clients/run` lists, if it does: `python=(httpx-sse mercure-python)`.
fn parts_of(line: &str) -> impl Iterator<Item = &str> {
    let list = line.strip_suffix(')').and_then(|line| line.split_once("=("));
    list.into_iter().flat_map(|(_, parts)| parts.split(' '))
}

pub(crate) fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}
