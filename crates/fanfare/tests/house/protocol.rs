//! Holds the table of the protocol's requirements to the tests that it names. Does not run them.

use std::collections::BTreeMap;
use std::fs;

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

    let mut files = Vec::new();
    headers::rust_files(&root.join("crates"), &mut files);
    let code: String = files.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let named = rows.values().filter_map(|row| row.rsplit('|').nth(1)).flat_map(names);
    let lost: Vec<&str> = named.filter(|name| !code.contains(&format!("fn {name}("))).collect();
    assert!(lost.is_empty(), "docs/mercure.md names tests that are not there: {lost:#?}");
}

/// The names of tests in the last cell of a row: what stands in backticks and could be one.
fn names(cell: &str) -> impl Iterator<Item = &str> {
    let quoted = cell.split('`').skip(1).step_by(2);
    quoted.filter(|text| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'))
}
