//! What the command line says about a log on Redis, and two programs over one. It never uses a server that happens to run.

#![allow(missing_docs)]
