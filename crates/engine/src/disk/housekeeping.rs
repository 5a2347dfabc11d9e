//! What is done to whole segments, beside the commits: indexes are written, and what retention dropped is removed.
//!
//! One thread, one thing after the other, so that segments go in their order and no hole is ever left in the folder.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::file;
use super::state::Sealed;

/// Something to do.
pub(super) enum Chore {
    /// Write the index of a segment that is complete.
    Index(Arc<Sealed>),
    /// Remove a segment.
    Remove(Arc<Sealed>),
}

/// Keeps house in one folder.
pub(super) struct Housekeeper {
    folder: PathBuf,
    /// What is to be removed, oldest first.
    dropped: Mutex<VecDeque<Arc<Sealed>>>,
}

impl Housekeeper {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, dropped: Mutex::default() }
    }

    pub(super) fn work(&self, chore: Chore) {
        match chore {
            // On a full disk the index stays in memory, and is made again at the next start.
            Chore::Index(sealed) => drop(sealed.write_index()),
            Chore::Remove(sealed) => self.remove(sealed),
        }
    }

    fn remove(&self, sealed: Arc<Sealed>) {
        let mut dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        dropped.push_back(sealed);
        while let Some(oldest) = dropped.front() {
            // One that stays keeps those behind it, and is tried again with the next: a hole would be damage.
            if remove(&self.folder, oldest).is_err() {
                return;
            }
            dropped.pop_front();
        }
    }
}

fn remove(folder: &Path, sealed: &Sealed) -> io::Result<()> {
    let _ = fs::remove_file(sealed.index_path());
    match fs::remove_file(&sealed.path) {
        // Removed, but not for certain.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        removed => removed?,
    }
    file::sync_folder(folder)
}
