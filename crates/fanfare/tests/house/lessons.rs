//! Holds the table of lessons to the tests that it names. Does not run them.

use std::fs;

use crate::protocol::{client_parts, code, names, quoted};
use crate::workspace;

#[test]
fn every_lesson_has_a_test_that_is_there_or_a_decision_or_says_that_it_has_none() {
    let root = workspace::root();
    let table = fs::read_to_string(root.join("docs/lessons.md")).unwrap();
    let rows: Vec<&str> =
        table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| | ")).collect();
    assert!(rows.len() > 60, "docs/lessons.md has {} rows", rows.len());

    let (code, parts) = (code(&root), client_parts(&root));
    let cells = rows.iter().filter_map(|row| row.rsplit('|').nth(1));
    let lost: Vec<&str> =
        cells.flat_map(names).filter(|name| !code.contains(&format!("fn {name}("))).collect();
    assert!(lost.is_empty(), "docs/lessons.md names tests that are not there: {lost:#?}");
    for row in rows {
        let cell = row.rsplit('|').nth(1).unwrap();
        let foreign: Vec<&str> =
            quoted(cell).filter_map(|text| text.strip_prefix("tests/clients/run ")).collect();
        assert!(
            foreign.iter().all(|part| parts.iter().any(|known| known == part)),
            "not in tests/clients/run: {foreign:?}"
        );
        let is_covered = names(cell).next().is_some() || !foreign.is_empty() || cell.trim() == "*not yet*";
        assert!(is_covered || row.contains("](decisions/"), "nothing covers this lesson: {row}");
    }
    for link in table.split("](decisions/").skip(1) {
        let file = link.split([')', '#']).next().unwrap();
        assert!(root.join("docs/decisions").join(file).is_file(), "there is no docs/decisions/{file}");
    }
}
