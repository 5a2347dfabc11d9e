//! A log on disk as what is copied, and as what a copy becomes.
//!
//! A copy grows in a folder of another name, which becomes the hub's when it is whole.

use std::fs;
use std::future::ready;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use fanfare_hub::Position;
use fanfare_hub::engine::{Answer, Content, EngineFault};

use super::error::{DiskFault, OpenError};
use super::file;
use super::group::{Request, Stamp};
use super::manifest::Manifest;
use super::options::DiskOptions;
use super::{DiskEngine, open, stored_as};
use crate::copy::{Carried, CopySource, CopyTarget, LogOutline, Misplaced, Occupied, Page, not_taken};
use crate::fault::fault;
use crate::promise::promise;

/// How many bytes are read at a time.
const PAGE_BYTES: usize = 512 * 1024;

impl DiskOptions {
    /// Opens a log that is there, to be copied. Nothing is dropped from it.
    ///
    /// # Errors
    /// [`OpenError`]: as for [`open`](Self::open), and there is no log.
    pub fn open_source(mut self) -> Result<DiskEngine, OpenError> {
        let folder = self.folder.join(&self.hub);
        if !folder.is_dir() || Manifest::read(&folder)?.is_none() {
            return Err(OpenError::Missing { folder, what: "a log".to_owned() });
        }
        (self.events, self.bytes, self.age) = (None, u64::MAX, None);
        self.open()
    }

    /// Where a copy is to go: a log like one that these options would begin.
    #[must_use]
    pub fn target(self) -> DiskTarget {
        DiskTarget { options: self, growing: None, next: 0, newest: UNIX_EPOCH }
    }
}

impl CopySource for DiskEngine {
    fn outline(&self) -> Answer<'_, Result<LogOutline, EngineFault>> {
        let state = self.shared.lock();
        let (oldest, next) = (state.oldest, state.next());
        drop(state);
        let (epoch, key) = (self.shared.epoch, self.shared.key);
        Box::pin(ready(Ok(LogOutline { epoch, key, oldest, next, check_before: self.check_before(oldest) })))
    }

    fn page(&self, from: Position, before: Position) -> Answer<'_, Result<Page, EngineFault>> {
        let page = self.shared.carried(from, before, PAGE_BYTES);
        Box::pin(ready(page.map_err(|fault| Arc::new(fault) as EngineFault)))
    }
}

/// A log on disk that is being made from another.
pub struct DiskTarget {
    options: DiskOptions,
    growing: Option<DiskEngine>,
    /// The position that comes next.
    next: Position,
    newest: SystemTime,
}

impl DiskTarget {
    fn folder(&self) -> PathBuf {
        self.options.folder.join(&self.options.hub)
    }

    fn growing(&self) -> DiskOptions {
        let mut options = self.options.clone();
        options.hub.push_str(".copy");
        options
    }

    fn start(&mut self, log: LogOutline) -> Result<(), EngineFault> {
        let there = self.folder();
        if there.is_dir() && Manifest::read(&there).map_err(fault)?.is_some() {
            return Err(Occupied::fault(there.display().to_string()));
        }
        self.growing = None;
        let options = self.growing();
        let folder = options.folder.join(&options.hub);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unwritable(&folder, error)),
            _ => {}
        }
        self.growing = Some(open::open_as(&options, Some(log)).map_err(fault)?);
        self.next = log.oldest;
        Ok(())
    }

    async fn store(&mut self, entries: Vec<Carried>) -> Result<(), EngineFault> {
        let growing = self.growing.as_ref().ok_or_else(|| fault(DiskFault::Gone))?;
        let mut stored = Vec::with_capacity(entries.len());
        for Carried { logged, key } in entries {
            // Times never fall in a log.
            self.newest = self.newest.max(logged.at);
            let at = self.newest.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
            let stamp = Stamp { check: logged.check, at: u64::try_from(at).unwrap_or(u64::MAX) };
            let (promise, promised) = promise();
            let request = match logged.content {
                Content::Publication(submission) => {
                    let (payload, hashes) = stored_as(&growing.shared.hasher, &submission, key.as_ref())
                        .ok_or_else(|| fault(DiskFault::TooLarge))?;
                    let key = key.map(|key| (key, submission.fingerprint()));
                    let content = Content::Publication(submission);
                    Request { content, key, payload: Some(payload), hashes, stamp: Some(stamp), promise }
                }
                content => Request {
                    content,
                    key: None,
                    payload: None,
                    hashes: Vec::new(),
                    stamp: Some(stamp),
                    promise,
                },
            };
            stored.push((self.next, growing.hand_in(request, promised)));
            self.next += 1;
        }
        for (meant, stored) in stored {
            let got = stored.await.map_err(not_taken)?.position;
            if got != meant {
                return Err(fault(Misplaced { meant, got }));
            }
        }
        Ok(())
    }

    fn move_in(&mut self) -> Result<(), EngineFault> {
        // Its threads have ended then, and everything is written.
        self.growing = None;
        let options = self.growing();
        let (from, to) = (options.folder.join(&options.hub), self.folder());
        // An empty folder may be there, of a hub that never began.
        fs::rename(&from, &to)
            .and_then(|()| file::sync_folder(&options.folder))
            .map_err(|error| unwritable(&to, error))
    }
}

impl CopyTarget for DiskTarget {
    fn begin(&mut self, log: LogOutline) -> Answer<'_, Result<(), EngineFault>> {
        Box::pin(ready(self.start(log)))
    }

    fn put(&mut self, entries: Vec<Carried>) -> Answer<'_, Result<(), EngineFault>> {
        Box::pin(self.store(entries))
    }

    fn finish(&mut self) -> Answer<'_, Result<(), EngineFault>> {
        Box::pin(ready(self.move_in()))
    }
}

fn unwritable(path: &Path, error: io::Error) -> EngineFault {
    fault(OpenError::io("write", path, error))
}
