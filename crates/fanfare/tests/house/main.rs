//! Holds the workspace to its plan: which crate may import which, the Rust that each asks for, and how files open.
//!
//! These tests read manifests and file names by way of `cargo metadata` and `cargo tree`; they run none of the shipped code.
//! What the arrows are for stands in `ARCHITECTURE.md`, how files open in `CONTRIBUTING.md`.
#![allow(clippy::unwrap_used)]

mod arrows;
mod headers;
mod rust_versions;
mod workspace;
