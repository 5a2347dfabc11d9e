//! Two ends: one file that a group is appended to with one sync, and the same with a sync for each event. They keep no index.

use crate::event::Event;
use crate::store::Store;
use anyhow::bail;
use std::fs::File;
use std::io::Write;
use std::path::Path;

struct Plain {
    file: File,
    bytes: Vec<u8>,
    /// Events for one sync.
    together: usize,
}

pub(crate) fn open_group(folder: &Path, _: Option<u64>) -> anyhow::Result<Box<dyn Store>> {
    open(folder, usize::MAX)
}

pub(crate) fn open_each(folder: &Path, _: Option<u64>) -> anyhow::Result<Box<dyn Store>> {
    open(folder, 1)
}

fn open(folder: &Path, together: usize) -> anyhow::Result<Box<dyn Store>> {
    let file = File::options().append(true).create(true).open(folder.join("log"))?;
    Ok(Box::new(Plain { file, bytes: Vec::new(), together }))
}

impl Store for Plain {
    fn append(&mut self, group: &[Event]) -> anyhow::Result<()> {
        for some in group.chunks(self.together) {
            self.bytes.clear();
            for event in some {
                self.bytes.extend_from_slice(&crc32fast::hash(event.data.as_bytes()).to_le_bytes());
                self.bytes.extend_from_slice(event.data.as_bytes());
            }
            self.file.write_all(&self.bytes)?;
            self.file.sync_data()?;
        }
        Ok(())
    }

    fn read(&mut self, _: u64, _: usize) -> anyhow::Result<(usize, usize)> {
        bail!("the floor only appends")
    }

    fn find(&mut self, _: &str) -> anyhow::Result<Option<u64>> {
        bail!("the floor only appends")
    }

    fn topic(&mut self, _: &str, _: u64) -> anyhow::Result<u64> {
        bail!("the floor only appends")
    }

    fn trim(&mut self, _: u64) -> anyhow::Result<()> {
        bail!("the floor only appends")
    }
}
