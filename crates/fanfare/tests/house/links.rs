//! Holds the links between our pages to the files that they name. Asks no other host.

use std::fs;
use std::path::{Path, PathBuf};

use crate::workspace;

#[test]
fn every_link_to_a_file_of_ours_leads_to_one() {
    let root = workspace::root();
    let mut pages = Vec::new();
    pages_in(&root, &mut pages);
    for folder in ["docs", "docs/guide", "docs/decisions"] {
        pages_in(&root.join(folder), &mut pages);
    }
    assert!(pages.len() > 15, "found only {} pages", pages.len());
    let mut lost = Vec::new();
    for page in &pages {
        let text = fs::read_to_string(page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#', ' ']).next()) {
            let is_ours = !link.is_empty() && !link.contains("://") && !link.starts_with("mailto:");
            // A link in code, such as an index and a call behind it, is none.
            if is_ours && link.contains(['.', '/']) && !page.parent().unwrap().join(link).exists() {
                lost.push(format!("{}: {link}", page.strip_prefix(&root).unwrap().display()));
            }
        }
    }
    assert!(lost.is_empty(), "links to what is not there:\n{}", lost.join("\n"));
}

fn pages_in(folder: &Path, found: &mut Vec<PathBuf>) {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    found.extend(paths.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
}
