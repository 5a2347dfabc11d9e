//! A JSON Web Key Set that is held in memory, and how it is kept like its source.
//!
//! It says which keys there are now. What a key may be used for, it does not decide; how a source is read, it does not
//! know. A set that cannot be read stays as it is. Source: requirement M-106.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::algorithm::Algorithm;
use super::jwk::{self, JwksError};
use super::key::Key;
use super::key_source::{KeySetError, Source};
use crate::causes::Causes;

/// The public keys of an issuer. Cheap to clone; clones share the keys.
///
/// A set from a file or from the network is empty until it was read, which [`Verifier::load`](super::Verifier::load) and
/// [`Verifier::keep_fresh`](super::Verifier::keep_fresh) do, and every token that names a key which is not there, once in
/// 30 seconds at most.
#[derive(Clone)]
pub struct KeySet {
    shared: Arc<Shared>,
    allowed: Option<Arc<[Algorithm]>>,
}

struct Shared {
    source: Source,
    keys: RwLock<Arc<[Key]>>,
    /// Held while the source is read, so that it is read once for all who wait.
    reading: Mutex<Reading>,
}

#[derive(Default)]
struct Reading {
    /// What was read last.
    json: Vec<u8>,
    /// When a token asked for a key that was not there.
    asked: Option<Instant>,
    /// When what was read last is to be read again.
    due: Option<Instant>,
}

/// A token that names a key which is not there makes us read the set again, but not more often than this.
const COOL_DOWN: Duration = Duration::from_secs(30);

/// How long to wait after a failure; doubled with each one that follows.
const RETRY: Duration = Duration::from_secs(10);
const RETRY_MAX: Duration = Duration::from_secs(600);

impl KeySet {
    /// A set that does not change, from its JSON.
    ///
    /// Keys for encryption, secrets and kinds that are not known are left out.
    ///
    /// ```
    /// use fanfare_http::token::KeySet;
    ///
    /// let json = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    /// assert!(KeySet::from_json(json).is_ok());
    /// assert!(KeySet::from_json("{}").is_err());
    /// ```
    pub fn from_json(json: impl AsRef<[u8]>) -> Result<Self, JwksError> {
        let keys = jwk::keys(json.as_ref())?;
        Ok(Self::new(Source::Inline, keys))
    }

    /// A set from a file of at most 256 KiB, which is looked at every ten seconds.
    #[must_use]
    pub fn from_file(path: impl Into<PathBuf>) -> Self {
        Self::new(Source::File(path.into()), Vec::new())
    }

    pub(super) fn new(source: Source, keys: Vec<Key>) -> Self {
        let shared = Shared { source, keys: RwLock::new(keys.into()), reading: Mutex::default() };
        Self { shared: Arc::new(shared), allowed: None }
    }

    /// Takes only tokens that are signed with one of `algorithms`, whatever the keys could be used for. Clones that were
    /// made before are not affected.
    #[must_use]
    pub fn only(mut self, algorithms: &[Algorithm]) -> Self {
        self.allowed = Some(algorithms.into());
        self
    }

    /// Where the keys come from, for logs: a path, or a URL without its query.
    #[must_use]
    pub fn source(&self) -> String {
        self.shared.source.to_string()
    }

    /// Reads the source now.
    ///
    /// # Errors
    ///
    /// Why it could not be read; the keys are those of before.
    pub async fn load(&self) -> Result<(), KeySetError> {
        let mut reading = self.shared.reading.lock().await;
        self.read(&mut reading).await.map(|_| ())
    }

    /// Reads the source again and again, for ever: as often as it says, within bounds, and soon after a failure.
    pub(super) async fn keep_fresh(self) {
        if matches!(self.shared.source, Source::Inline) {
            return;
        }
        // What was read a moment ago, before the hub began to serve, need not be fetched twice.
        let due = self.shared.reading.lock().await.due;
        if let Some(due) = due {
            tokio::time::sleep_until(due).await;
        }
        let mut retry = RETRY;
        loop {
            let read = {
                let mut reading = self.shared.reading.lock().await;
                self.read(&mut reading).await
            };
            let pause = match read {
                Ok(pause) => {
                    retry = RETRY;
                    pause
                }
                Err(error) => {
                    self.warn(&error);
                    let pause = retry;
                    retry = (retry * 2).min(RETRY_MAX);
                    // A file costs nothing to look at, and somebody is just writing it.
                    if matches!(self.shared.source, Source::File(_)) { RETRY } else { pause }
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// The keys as they are now; empty if they could not be read yet.
    pub(super) fn current(&self) -> Arc<[Key]> {
        self.shared.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn allowed(&self) -> Option<&[Algorithm]> {
        self.allowed.as_deref()
    }

    /// Whether there may be newer keys, of which one has this id.
    pub(super) fn lacks(&self, id: Option<&str>) -> bool {
        if matches!(self.shared.source, Source::Inline) {
            return false;
        }
        let keys = self.current();
        keys.is_empty() || id.is_some_and(|id| !keys.iter().any(|key| key.id() == Some(id)))
    }

    /// Reads the source because a token names a key that is not there, unless that happened a moment ago; true if there
    /// are other keys now.
    pub(super) async fn refetch(&self) -> bool {
        let before = self.current();
        // Most of a flood of made-up ids ends here.
        if self.shared.reading.try_lock().is_ok_and(|reading| reading.cools_down()) {
            return false;
        }
        let set = self.clone();
        // In a task of its own: whoever hangs up must not be able to end the one attempt that there is for all.
        let reading = tokio::spawn(async move { set.reread(&before).await });
        reading.await.unwrap_or(false)
    }

    async fn reread(&self, before: &Arc<[Key]>) -> bool {
        let mut reading = self.shared.reading.lock().await;
        // Somebody else was first.
        if !Arc::ptr_eq(before, &self.current()) {
            return true;
        }
        if reading.cools_down() {
            return false;
        }
        reading.asked = Some(Instant::now());
        if let Err(error) = self.read(&mut reading).await {
            self.warn(&error);
        }
        !Arc::ptr_eq(before, &self.current())
    }

    /// Returns after what time to read again.
    async fn read(&self, reading: &mut Reading) -> Result<Duration, KeySetError> {
        let Some((json, pause)) = self.shared.source.read().await? else { return Ok(Duration::MAX) };
        if json != reading.json {
            let keys = jwk::keys(&json).map_err(KeySetError::Jwks)?;
            *self.shared.keys.write().unwrap_or_else(PoisonError::into_inner) = keys.into();
            reading.json = json;
        }
        reading.due = Instant::now().checked_add(pause);
        Ok(pause)
    }

    fn warn(&self, error: &KeySetError) {
        let (source, kept) = (self.source(), self.current().len());
        tracing::warn!(source, kept, "a key set was not read: {}", Causes(error));
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl Reading {
    fn cools_down(&self) -> bool {
        self.asked.is_some_and(|asked| asked.elapsed() < COOL_DOWN)
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet")
            .field("source", &self.source())
            .field("keys", &self.current())
            .finish_non_exhaustive()
    }
}
