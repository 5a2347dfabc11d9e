//! The workspace as cargo sees it. Never changes a manifest or the lock file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The folder with the workspace's `Cargo.toml`.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A crate of the workspace.
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) rust_version: Option<String>,
    pub(crate) features: Vec<String>,
    /// What it needs to run or to be built, without what only its tests need.
    pub(crate) imports: Vec<Import>,
}

pub(crate) struct Import {
    pub(crate) name: String,
    /// Behind a feature.
    pub(crate) optional: bool,
    pub(crate) in_workspace: bool,
}

pub(crate) fn members() -> Vec<Member> {
    packages(&["--no-deps"]).iter().map(member).collect()
}

fn member(package: &Value) -> Member {
    let imports = list(&package["dependencies"])
        .iter()
        .filter(|dependency| dependency["kind"] != "dev")
        .map(|dependency| Import {
            name: text(&dependency["name"]),
            optional: dependency["optional"] == true,
            in_workspace: dependency["path"].is_string(),
        })
        .collect();
    Member {
        name: text(&package["name"]),
        rust_version: package["rust_version"].as_str().map(str::to_owned),
        features: package["features"].as_object().unwrap().keys().cloned().collect(),
        imports,
    }
}

/// The `packages` of `cargo metadata`.
pub(crate) fn packages(flags: &[&str]) -> Vec<Value> {
    let output = cargo(&[&["metadata", "--format-version", "1"], flags].concat());
    let metadata: Value = serde_json::from_str(&output).unwrap();
    list(&metadata["packages"]).to_vec()
}

/// A package in a tree of dependencies.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reached {
    pub(crate) name: String,
    pub(crate) version: String,
}

/// Everything that `package` reaches when it is built here with these features, itself included.
///
/// `cargo tree` and not `cargo metadata`, which unites the features of the whole workspace: with it one crate would be
/// blamed for what another one switches on.
pub(crate) fn reached_by(package: &str, features: &[&str]) -> BTreeSet<Reached> {
    let flags =
        ["tree", "--package", package, "--edges", "normal,build", "--prefix", "none", "--format", "{p}"];
    cargo(&[&flags, features].concat())
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, rest)| Reached {
            name: name.to_owned(),
            version: rest.split(' ').next().unwrap().trim_start_matches('v').to_owned(),
        })
        .collect()
}

/// Runs `cargo` in the workspace and returns what it prints.
pub(crate) fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .arg("--locked")
        .current_dir(root())
        .output()
        .expect("cargo starts");
    assert!(
        output.status.success(),
        "cargo {} failed:\n{}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}
