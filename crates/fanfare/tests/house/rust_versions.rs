//! The Rust that each crate asks for. Compiles nothing: an old compiler's verdict is not replaced by this.
//!
//! `clippy::incompatible_msrv` looks after the standard library; this looks after the dependencies, with all features, so that
//! whoever has the Rust that a crate declares can build every part of it from the committed lock file. The door is held to it
//! with its default features, and an adapter's crate without those of [`OWN_RUST`]: the others open crates that declare a Rust of
//! their own, by which cargo refuses in plain words.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use crate::headers::rust_files;
use crate::workspace::{self, Member};

/// Features whose framework asks for a newer Rust than the crate does without them.
const OWN_RUST: &[(&str, &str)] = &[("fanfare-stream", "actix-4")];

#[test]
fn every_crate_says_which_rust_it_needs() {
    for member in workspace::members() {
        assert!(member.rust_version.is_some(), "{} declares no rust-version", member.name);
    }
}

#[test]
fn a_crate_asks_for_no_older_rust_than_its_dependencies_need() {
    let needs: BTreeMap<(String, String), String> = workspace::packages(&["--all-features"])
        .iter()
        .filter_map(|package| {
            let rust_version = package["rust_version"].as_str()?;
            let key = (workspace::text(&package["name"]), workspace::text(&package["version"]));
            Some((key, rust_version.to_owned()))
        })
        .collect();
    let mut breaches = Vec::new();
    for member in workspace::members() {
        let own = member.rust_version.clone().unwrap_or_default();
        let held_to = if member.name == "fanfare" { Vec::new() } else { held_to(&member) };
        let features = ["--features", &held_to.join(",")];
        for reached in workspace::reached_by(&member.name, &features) {
            let Some(need) = needs.get(&(reached.name.clone(), reached.version.clone())) else { continue };
            if numbers(need) > numbers(&own) {
                breaches.push(format!(
                    "{} declares rust-version {own}, but reaches {} {}, which needs {need}",
                    member.name, reached.name, reached.version
                ));
            }
        }
    }
    assert!(breaches.is_empty(), "raise rust-version, or take an older dependency:\n{}", breaches.join("\n"));
}

/// Goal: neither clippy nor a newer compiler says that a crate is written in a Rust which it does not ask for.
/// Method: `let` behind `&&` is what edition 2024 has gained since (Rust 1.88), and rustfmt begins a line or goes on with it.
#[test]
fn chains_of_let_stay_out_of_crates_for_a_rust_without_them() {
    let root = workspace::root();
    let mut found = Vec::new();
    for member in workspace::members() {
        if numbers(&member.rust_version.unwrap()) >= [1, 88, 0] {
            continue;
        }
        let folder = member.name.strip_prefix("fanfare-").unwrap_or("fanfare");
        let mut files = Vec::new();
        rust_files(&root.join("crates").join(folder).join("src"), &mut files);
        assert!(!files.is_empty(), "crates/{folder} has no source");
        let chained = |path: &PathBuf| fs::read_to_string(path).unwrap().contains("&& let ");
        found.extend(files.into_iter().filter(chained));
    }
    assert!(found.is_empty(), "these need Rust 1.88: {found:#?}");
}

/// All features of a crate but those that ask for a Rust of their own.
fn held_to(member: &Member) -> Vec<&str> {
    let features = member.features.iter().map(String::as_str);
    features.filter(|feature| !OWN_RUST.contains(&(member.name.as_str(), feature))).collect()
}

/// `1.85` and `1.85.0` are the same version.
fn numbers(rust_version: &str) -> [u32; 3] {
    let mut numbers = [0; 3];
    for (number, part) in numbers.iter_mut().zip(rust_version.split('.')) {
        *number = part.parse().unwrap();
    }
    numbers
}
