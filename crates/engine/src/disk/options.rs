//! What a log on disk is told when it is opened.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fanfare_hub::Clock;
use fanfare_hub::engine::KeyLimits;

use super::{DiskEngine, OpenError};

/// When a publication counts as stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// When the disk has it: it survives the loss of power.
    #[default]
    Fsync,
    /// When the operating system has it: it survives the end of the process, not that of the machine. Each complete segment is
    /// synced nevertheless.
    Os,
}

/// Configures a [`DiskEngine`].
#[must_use = "options do nothing until `open`"]
#[derive(Clone)]
pub struct DiskOptions {
    pub(super) folder: PathBuf,
    pub(super) hub: String,
    pub(super) durability: Durability,
    pub(super) events: Option<u64>,
    pub(super) bytes: u64,
    pub(super) segment_bytes: Option<u64>,
    pub(super) age: Option<Duration>,
    pub(super) warm_events: u64,
    pub(super) keys: KeyLimits,
    pub(super) clock: Option<Arc<dyn Clock>>,
}

impl DiskOptions {
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            hub: "default".to_owned(),
            durability: Durability::default(),
            events: None,
            bytes: 1024 * 1024 * 1024,
            segment_bytes: None,
            age: None,
            warm_events: 10_000,
            keys: KeyLimits::default(),
            clock: None,
        }
    }

    /// When a publication counts as stored. Default [`Durability::Fsync`].
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// How many events are kept. Default: any number.
    ///
    /// Of presence, whose places are stored and nothing else, none is counted: however many come and go, as many events are kept.
    pub fn history_events(mut self, events: impl Into<Option<u64>>) -> Self {
        self.events = events.into();
        self
    }

    /// How many bytes of the disk segments and indexes may take. Default 1 GiB.
    ///
    /// Dropped are whole segments of at most a sixteenth of it, so at least fifteen sixteenths are kept. Places of presence may take a
    /// tenth besides; what is committed together takes as much as one of them, so a flood does not fill that. Never less than 2 MiB.
    pub fn history_bytes(mut self, bytes: u64) -> Self {
        self.bytes = bytes;
        self
    }

    /// From what size on a file of entries is followed by another, between 1 KiB and 1 GiB. What retention by bytes drops is one
    /// such file, and the newest is read whole at the start. Default: a sixteenth of [`history_bytes`](Self::history_bytes),
    /// between 1 MiB and 32 MiB.
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = Some(bytes.clamp(1024, 1024 * 1024 * 1024));
        self
    }

    /// How old a kept event may become, to the second. Default: any age.
    pub fn history_age(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.age = age.into();
        self
    }

    /// How many of the newest events are told to the hub when it starts, so that whoever resumes right after a restart is
    /// served from memory. Default 10,000, and 32 MiB of them at most.
    pub fn warm_events(mut self, events: u64) -> Self {
        self.warm_events = events;
        self
    }

    /// How many idempotency keys are remembered, and for how long. A key is forgotten at the latest when a restart finds that
    /// its event is not kept any more.
    pub fn idempotency(mut self, limits: KeyLimits) -> Self {
        self.keys = limits;
        self
    }

    /// The clock to go by. Default: the system's at the start, moved on by one that never jumps, and never behind the newest entry.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Opens the log, or begins one if the folder has none.
    ///
    /// It reads the newest segment whole, 32 MiB at most, and of the others some bytes each. Where another process uses the folder it
    /// waits for a second.
    ///
    /// # Errors
    /// [`OpenError`]; nothing in the folder was changed but for what a log that is torn at its end loses.
    pub fn open(self) -> Result<DiskEngine, OpenError> {
        super::open::open(&self)
    }

    /// From what size on a segment is followed by another.
    pub(super) fn segment_end(&self) -> u64 {
        self.segment_bytes.unwrap_or((self.bytes / 16).clamp(1024 * 1024, 32 * 1024 * 1024))
    }
}
