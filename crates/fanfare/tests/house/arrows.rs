//! The arrows between the crates: who may import whom. They run downward only.
//!
//! [`PLAN`] is the one place where they are written down for a machine. A test that fails here asks for another design far
//! more often than for another row; a row is changed in a commit that argues for it, together with `ARCHITECTURE.md`.

use crate::workspace::{self, Member};

/// What a crate may import.
struct Row {
    name: &'static str,
    /// Of the workspace.
    below: &'static [&'static str],
    /// From outside. `None`: whatever `deny.toml` lets in.
    outside: Option<&'static [&'static str]>,
    /// Of what is named in `outside`: only behind a feature, and on no path without it.
    behind_a_feature: &'static [&'static str],
    /// Must not be reached at all, on whatever path, with all features.
    never: &'static [&'static str],
    why: &'static str,
}

const PLAN: &[Row] = &[
    Row {
        name: "fanfare-wire",
        below: &[],
        outside: Some(&["bytes", "crc32fast", "flate2", "memchr", "serde", "serde_json", "sha2", "zstd"]),
        behind_a_feature: &["crc32fast", "flate2", "serde", "serde_json", "sha2", "zstd"],
        never: &["futures-core", "http", "http-body", "hyper", "metrics", "mio", "tokio", "tracing"],
        why: "the format is bytes in and out, usable without std and without an operating system",
    },
    Row {
        name: "fanfare-stream",
        below: &["fanfare-wire"],
        outside: Some(&[
            "actix-web",
            "axum-core",
            "bytes",
            "form_urlencoded",
            "futures-core",
            "http",
            "http-body",
            "hyper",
            "loom",
            "pin-project-lite",
            "socket2",
            "tokio",
        ]),
        behind_a_feature: &["actix-web", "axum-core", "hyper", "socket2", "tokio"],
        never: &["fanfare-engine", "fanfare-fanout", "fanfare-hub"],
        why: "one response needs no hub, and no runtime unless an adapter brings one",
    },
    Row {
        name: "fanfare-hub",
        below: &["fanfare-wire"],
        outside: Some(&[
            "aes",
            "base64",
            "futures-core",
            "getrandom",
            "hashbrown",
            "loom",
            "regex-automata",
            "regex-syntax",
            "siphasher",
            "slab",
            "smallvec",
            "url",
            "urlpattern",
        ]),
        behind_a_feature: &["regex-automata", "regex-syntax", "url", "urlpattern"],
        never: &["axum", "http", "http-body", "hyper", "metrics", "mio", "tokio", "tracing"],
        why: "the hub is state machines that are told the time; runtime, HTTP and reporting belong to who embeds it",
    },
    Row {
        name: "fanfare-engine",
        below: &["fanfare-hub", "fanfare-wire"],
        outside: None,
        behind_a_feature: &[],
        never: &["fanfare-fanout", "fanfare-http", "fanfare-stream"],
        why: "an engine keeps a log and knows nobody who reads it",
    },
    Row {
        name: "fanfare-fanout",
        below: &["fanfare-hub", "fanfare-wire"],
        outside: None,
        behind_a_feature: &["io-uring"],
        never: &["fanfare-engine", "fanfare-http", "hyper", "tokio"],
        why: "its workers own their sockets and wait in a poll of their own",
    },
    Row {
        name: "fanfare-http",
        below: &["fanfare-fanout", "fanfare-hub", "fanfare-stream", "fanfare-wire"],
        outside: None,
        behind_a_feature: &[],
        never: &["fanfare-engine", "fanfare-server"],
        why: "the protocol is a library over any engine, also in somebody else's server",
    },
    Row {
        name: "fanfare-client",
        below: &["fanfare-wire"],
        outside: None,
        behind_a_feature: &[],
        never: &["fanfare-hub", "fanfare-server", "fanfare-stream"],
        why: "who reads a stream does not ship what makes one",
    },
    Row {
        name: "fanfare-server",
        below: &[
            "fanfare-client",
            "fanfare-engine",
            "fanfare-fanout",
            "fanfare-http",
            "fanfare-hub",
            "fanfare-stream",
            "fanfare-wire",
        ],
        outside: None,
        behind_a_feature: &[],
        never: &["fanfare"],
        why: "the program is put together from the crates, the door is for others",
    },
    Row {
        name: "fanfare",
        below: &[
            "fanfare-client",
            "fanfare-engine",
            "fanfare-fanout",
            "fanfare-http",
            "fanfare-hub",
            "fanfare-stream",
            "fanfare-wire",
        ],
        outside: Some(&[]),
        behind_a_feature: &[],
        never: &["fanfare-server"],
        why: "the door re-exports and has no code of its own, so it needs nothing from outside",
    },
];

fn row(member: &Member) -> &'static Row {
    PLAN.iter().find(|row| row.name == member.name).unwrap_or_else(|| {
        panic!("the crate {} has no row in {}: say what it may import, and why", member.name, file!())
    })
}

/// Fails with all breaches at once.
fn refuse(breaches: &[String]) {
    assert!(breaches.is_empty(), "the plan in {} is broken:\n\n{}\n", file!(), breaches.join("\n\n"));
}

#[test]
fn a_crate_imports_only_what_lies_below_it() {
    let mut breaches = Vec::new();
    for member in workspace::members() {
        let row = row(&member);
        for import in member.imports.iter().filter(|import| import.in_workspace) {
            if !row.below.contains(&import.name.as_str()) {
                breaches.push(format!(
                    "{} imports {}, but may import only {:?}: {}.",
                    row.name, import.name, row.below, row.why
                ));
            }
        }
    }
    refuse(&breaches);
}

#[test]
fn a_low_crate_imports_from_outside_only_what_the_plan_names() {
    let mut breaches = Vec::new();
    for member in workspace::members() {
        let row = row(&member);
        let Some(outside) = row.outside else { continue };
        for import in member.imports.iter().filter(|import| !import.in_workspace) {
            if !outside.contains(&import.name.as_str()) {
                breaches.push(format!(
                    "{} imports {}, which the plan does not name for it ({outside:?}): {}.",
                    row.name, import.name, row.why
                ));
            }
        }
    }
    refuse(&breaches);
}

#[test]
fn what_belongs_behind_a_feature_is_not_there_without_it() {
    let mut breaches = Vec::new();
    for member in workspace::members() {
        let row = row(&member);
        if row.behind_a_feature.is_empty() {
            continue;
        }
        for import in &member.imports {
            if !import.optional && row.behind_a_feature.contains(&import.name.as_str()) {
                breaches.push(format!("{} imports {} always, not behind a feature.", row.name, import.name));
            }
        }
        breaches.extend(paths_to(row.name, row.behind_a_feature, "--no-default-features", row.why));
    }
    refuse(&breaches);
}

#[test]
fn no_crate_reaches_what_it_must_never_see() {
    let mut breaches = Vec::new();
    for member in workspace::members() {
        let row = row(&member);
        breaches.extend(paths_to(row.name, row.never, "--all-features", row.why));
    }
    refuse(&breaches);
}

/// One text for each of `names` that `package` reaches, with the paths on which it does.
fn paths_to(package: &str, names: &[&str], features: &str, why: &str) -> Vec<String> {
    let reached = workspace::reached_by(package, &[features]);
    let breach = |found: &workspace::Reached| {
        let spec = format!("{}@{}", found.name, found.version);
        let flags = ["tree", "--package", package, "--edges", "normal,build", features, "--invert", &spec];
        format!(
            "{package} reaches {spec} with {features}, but must not: {why}.\n`cargo {}` says how:\n{}",
            flags.join(" "),
            workspace::cargo(&flags)
        )
    };
    reached.iter().filter(|found| names.contains(&found.name.as_str())).map(breach).collect()
}
