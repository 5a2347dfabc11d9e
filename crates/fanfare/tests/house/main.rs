//! Holds the workspace to its plan: which crate may import which, the Rust that each asks for, how files open,
//! that the tables of the protocol and of lessons name tests that exist, and that links between pages lead somewhere.
//!
//! These tests read manifests and file names by way of `cargo metadata` and `cargo tree`; they run none of the shipped code.
//! What the arrows are for stands in `ARCHITECTURE.md`, how files open in `CONTRIBUTING.md`.
#![allow(clippy::unwrap_used)]

mod arrows;
mod headers;
mod lessons;
mod links;
mod protocol;
mod rust_versions;
mod workspace;
