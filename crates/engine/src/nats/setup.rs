//! How a hub's stream is set up: how it is created, and what is wrong with one that is there.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::jetstream::stream::{
    Config, DiscardPolicy, Info, PersistenceMode, RetentionPolicy, StorageType,
};

use super::names::Names;
use crate::cluster::Finding;
use crate::cluster::identity::Identity;

/// How long JetStream itself knows a publication again: longer than any attempt of ours takes, and memory for each.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);
/// Less, and an attempt that is made again could be stored twice.
const DUPLICATE_WINDOW_MIN: Duration = Duration::from_secs(30);
/// What survives the loss of a server.
const REPLICAS: usize = 3;

/// How much the stream keeps, and on how many servers.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) replicas: usize,
    pub(super) events: Option<u64>,
    pub(super) bytes: u64,
    pub(super) age: Option<Duration>,
}

/// How much a stream keeps: messages, bytes, and their age. Without a limit, less than one or no time at all.
type Limits = (i64, i64, Duration);

impl Wanted {
    fn limits(&self) -> Limits {
        let limit = |limit: u64| i64::try_from(limit).unwrap_or(i64::MAX);
        (self.events.map_or(-1, limit), limit(self.bytes), self.age.unwrap_or_default())
    }
}

/// The configuration of a stream that is to be created.
pub(super) fn config(names: &Names, wanted: &Wanted, identity: Identity) -> Config {
    let mut metadata = HashMap::new();
    identity.write(&mut metadata);
    let (max_messages, max_bytes, max_age) = wanted.limits();
    Config {
        name: names.stream.clone(),
        description: Some("the log of a hub of Fanfare".to_owned()),
        subjects: vec![names.all.clone()],
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::Old,
        storage: StorageType::File,
        num_replicas: wanted.replicas,
        max_messages,
        max_bytes,
        max_age,
        duplicate_window: wanted.age.map_or(DUPLICATE_WINDOW, |age| age.min(DUPLICATE_WINDOW)),
        // What is taken out of the middle would be a hole that nobody announces.
        deny_delete: true,
        deny_purge: true,
        metadata,
        ..Config::default()
    }
}

/// What is wrong with a stream, for a hub that wants this much kept.
pub(super) fn findings(names: &Names, wanted: &Wanted, info: &Info) -> Vec<Finding> {
    let config = &info.config;
    let mut found = Vec::new();
    let mut refuse = |is_wrong: bool, text: &str| {
        if is_wrong {
            found.push(Finding::Refused(text.to_owned()));
        }
    };
    refuse(config.subjects != [names.all.clone()], &format!("its subjects have to be {} alone", names.all));
    refuse(
        config.retention != RetentionPolicy::Limits,
        "its retention has to be `limits`: any other drops what somebody has read",
    );
    refuse(
        config.max_messages_per_subject > 0,
        "it may have no limit for each subject, which takes entries out of the middle",
    );
    refuse(config.no_ack, "it has to acknowledge");
    refuse(config.sealed, "it is sealed, so nothing can be published");
    refuse(config.allow_rollup, "it may not allow rollups, which take entries out of the middle");
    refuse(
        config.allow_message_ttl,
        "it may not allow a time to live for each message, which takes entries out of the middle",
    );
    refuse(config.subject_transform.is_some(), "it may not transform subjects");
    let is_fed =
        config.mirror.is_some() || config.sources.as_ref().is_some_and(|sources| !sources.is_empty());
    refuse(is_fed, "it may not be fed from other streams");
    refuse(
        !config.duplicate_window.is_zero()
            && config.duplicate_window < DUPLICATE_WINDOW_MIN.min(window_max(config)),
        "its duplicate window has to be 30 seconds at least, or an attempt that is made again could be stored twice",
    );

    let mut warn = |is_wrong: bool, text: String| {
        if is_wrong {
            found.push(Finding::Warning(text));
        }
    };
    warn(
        config.num_replicas < REPLICAS,
        format!(
            "it has {} of {REPLICAS} replicas: what was acknowledged is lost with {}",
            config.num_replicas,
            if config.num_replicas == 1 {
                "its server"
            } else {
                "two servers, and one that is down stops publishing"
            }
        ),
    );
    warn(
        config.storage == StorageType::Memory,
        "it is in memory: it is gone when its servers stop".to_owned(),
    );
    warn(
        config.persist_mode == Some(PersistenceMode::Async),
        "it acknowledges before it has written (persist_mode async): what was acknowledged may be lost with a server".to_owned(),
    );
    warn(
        config.discard == DiscardPolicy::New,
        "it refuses publications when it is full (discard new) instead of dropping the oldest".to_owned(),
    );
    warn(
        !(config.deny_delete && config.deny_purge),
        "it allows to delete and purge entries; subscribers are told of a gap then, but no more".to_owned(),
    );
    let (kept, asked) = ((config.max_messages, config.max_bytes, config.max_age), wanted.limits());
    let is_other = |kept: i64, asked: i64| kept.max(0) != asked.max(0);
    warn(
        is_other(kept.0, asked.0) || is_other(kept.1, asked.1) || kept.2 != asked.2,
        format!(
            "it keeps {}, not {} as configured here; the stream's own limits count",
            in_words(kept),
            in_words(asked)
        ),
    );
    found
}

/// JetStream allows no longer window than entries are kept.
fn window_max(config: &Config) -> Duration {
    if config.max_age.is_zero() { Duration::MAX } else { config.max_age }
}

fn in_words((events, bytes, age): Limits) -> String {
    let mut parts = Vec::new();
    if events > 0 {
        parts.push(format!("{events} events"));
    }
    if bytes > 0 {
        parts.push(format!("{bytes} bytes"));
    }
    if !age.is_zero() {
        parts.push(format!("{} s", age.as_secs()));
    }
    if parts.is_empty() { "everything".to_owned() } else { parts.join(", ") }
}
