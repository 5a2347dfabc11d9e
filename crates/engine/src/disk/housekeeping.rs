//! What is done to whole segments, beside the commits: indexes are written, and what retention dropped is removed.
//!
//! One thread, one thing after the other, so that segments go in their order and no hole is ever left in the folder.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::file;
use super::state::Sealed;

/// Something to do.
pub(super) enum Chore {
    /// Write the index of a segment that is complete.
    Index(Arc<Sealed>),
    /// Remove a segment.
    Remove(Arc<Sealed>),
}

pub(super) fn work(folder: &Path, chore: &Chore) {
    match chore {
        // On a full disk the index stays in memory, and is made again at the next start.
        Chore::Index(sealed) => drop(sealed.write_index()),
        Chore::Remove(sealed) => drop(remove(folder, sealed)),
    }
}

fn remove(folder: &Path, sealed: &Sealed) -> io::Result<()> {
    let _ = fs::remove_file(sealed.index_path());
    fs::remove_file(&sealed.path)?;
    file::sync_folder(folder)
}
