//! What is asked of Redis: the log and its ends, entries, and to take a publication.
//!
//! Nothing is remembered here; `link.rs` has the connection, `stored.rs` knows how answers are written.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fanfare_hub::engine::{AppendError, KeyLimits};
use fanfare_hub::{Check, IdempotencyKey, Position};
use redis::aio::MultiplexedConnection as Connection;
use redis::{Client, FromRedisValue, Script, ScriptInvocation, Value, cmd};
use tokio::sync::Semaphore;

use super::error::RedisFault;
use super::link::{Link, in_time};
use super::names::{KeyNames, Names};
use super::setup::Server;
use super::stored::{Stored, epoch_text, hex, id, micros, place, stored, text, unhex};
use crate::cluster::Finding;
use crate::cluster::envelope::{CHECKED_BYTES, check_of};
use crate::cluster::identity::{self, Identity, NoIdentity};
use crate::cluster::tail::Ends;

/// How long a request may take that is no publication.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a tail waits for something new before it asks again.
const BLOCKED: Duration = Duration::from_secs(2);
/// How many keys of presence are remembered, and how long: other nodes say the same within seconds.
const PRESENCE_KEYS: KeyLimits = KeyLimits { count: 100_000, age: Duration::from_secs(120) };
/// How many publications are on their way at once.
const IN_FLIGHT_MAX: usize = 16_384;
/// How many bytes of them, in KiB.
const IN_FLIGHT_KIB_MAX: usize = 64 * 1024;

/// How much of the log is kept; 0 for no limit.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    pub(super) events: u64,
    pub(super) bytes: u64,
    pub(super) age: Duration,
}

/// The keys of a hub, and how to ask for them.
pub(super) struct Store {
    pub(super) names: Names,
    pub(super) link: Link,
    limits: Limits,
    keys: KeyLimits,
    ack_timeout: Duration,
    scripts: Scripts,
    in_flight: Semaphore,
    kib: Semaphore,
}

struct Scripts {
    append: Script,
    begin_copy: Script,
    copy: Script,
    create: Script,
    drop: Script,
    finish_copy: Script,
    look: Script,
    renew: Script,
}

impl Scripts {
    fn new() -> Self {
        const TRIM: &str = include_str!("lua/trim.lua");
        const STORE: &str = include_str!("lua/store.lua");
        Self {
            append: Script::new(&[TRIM, STORE, include_str!("lua/append.lua")].concat()),
            begin_copy: Script::new(include_str!("lua/begin_copy.lua")),
            copy: Script::new(&[TRIM, STORE, include_str!("lua/copy.lua")].concat()),
            create: Script::new(include_str!("lua/create.lua")),
            drop: Script::new(&[TRIM, include_str!("lua/drop.lua")].concat()),
            finish_copy: Script::new(include_str!("lua/finish_copy.lua")),
            look: Script::new(include_str!("lua/look.lua")),
            renew: Script::new(include_str!("lua/renew.lua")),
        }
    }
}

/// The log as it was a moment ago.
pub(super) struct Opened {
    pub(super) identity: Identity,
    pub(super) ends: Ends,
    /// The check of the newest entry, whether it is still there or not.
    pub(super) newest: Check,
    /// The check of the entry that was asked for, if it is there.
    pub(super) asked: Option<Check>,
}

/// What became of an entry that was handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Stored(Position),
    /// Its key is known, with the same content.
    Same(Position, Check),
    /// Its key is known, with another one.
    Other,
}

impl Taken {
    fn read(answer: &Value) -> Option<Self> {
        let Value::Array(parts) = answer else { return None };
        let texts: Vec<_> = parts.iter().map(text).collect();
        match &texts[..] {
            [Some("stored"), Some(position)] => position.parse().ok().map(Self::Stored),
            [Some("same"), Some(position), Some(check)] => {
                Some(Self::Same(position.parse().ok()?, unhex(check.as_bytes())?))
            }
            [Some("other")] => Some(Self::Other),
            _ => None,
        }
    }
}

/// An entry to be stored.
pub(super) struct Entry<'a> {
    pub(super) check: Check,
    pub(super) bytes: &'a [u8],
    pub(super) id: Option<&'a str>,
    pub(super) key: Option<(&'a IdempotencyKey, u128)>,
}

impl Entry<'_> {
    /// Tells a script of it.
    fn tell(&self, script: &mut ScriptInvocation<'_>) {
        let given = |text: Option<&str>| text.map_or(String::new(), |text| format!("+{text}"));
        script.arg(hex(self.check)).arg(self.bytes).arg(given(self.id));
        script.arg(given(self.key.map(|(key, _)| key.as_str())));
        script.arg(self.key.map_or(String::new(), |(_, fingerprint)| format!("{fingerprint:032x}")));
    }
}

impl Store {
    pub(super) fn new(
        client: Client,
        names: Names,
        limits: Limits,
        keys: KeyLimits,
        ack_timeout: Duration,
    ) -> Self {
        Self {
            names,
            link: Link::new(client),
            limits,
            keys,
            ack_timeout,
            scripts: Scripts::new(),
            in_flight: Semaphore::new(IN_FLIGHT_MAX),
            kib: Semaphore::new(IN_FLIGHT_KIB_MAX),
        }
    }

    async fn run<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, RedisFault> {
        self.link.ask(REQUEST_TIMEOUT, async |connection| script.invoke_async(connection).await).await
    }

    /// Asks the server about itself, and says what its owner should know.
    pub(super) async fn check(&self) -> Result<Vec<Finding>, RedisFault> {
        let info: String = self
            .link
            .ask(REQUEST_TIMEOUT, async |connection| cmd("INFO").query_async(connection).await)
            .await?;
        let mut server = Server::read(&info);
        if server.is_replica() {
            return Err(RedisFault::Replica);
        }
        let config = self
            .link
            .ask(REQUEST_TIMEOUT, async |connection| {
                cmd("CONFIG").arg("GET").arg("appendfsync").query_async::<Vec<String>>(connection).await
            })
            .await;
        server.appendfsync = match config {
            Ok(pair) => pair.into_iter().nth(1),
            // Not everybody may ask.
            Err(RedisFault::Answered(_)) => None,
            Err(fault) => return Err(fault),
        };
        let findings = server.findings(&self.limits);
        match Finding::refused(&findings) {
            Some(why) => Err(RedisFault::Unfit { why: why.to_owned() }),
            None => Ok(findings),
        }
    }

    /// Asks for the log, and begins it if there is none. Says what the server's owner should know besides.
    pub(super) async fn open(&self) -> Result<(Opened, Vec<Finding>), RedisFault> {
        let findings = self.check().await?;
        if let Some(opened) = self.look(None).await? {
            return Ok((opened, findings));
        }
        let identity = Identity::draw().map_err(|_| RedisFault::NoRandomness)?;
        let mut create = self.scripts.create.key(&self.names.meta);
        create.key(&self.names.log);
        for (name, value) in begun(identity, 1, Check::START) {
            create.arg(name).arg(value);
        }
        self.run::<()>(&create).await?;
        // Another node may have been faster.
        let opened = self.look(None).await?.ok_or(RedisFault::NoLog)?;
        if opened.identity == identity {
            tracing::info!(key = self.names.log, "began the log");
        }
        Ok((opened, findings))
    }

    /// Asks for the log, and for the check of one entry. `None` if there is no log.
    pub(super) async fn look(&self, at: Option<Position>) -> Result<Option<Opened>, RedisFault> {
        let mut look = self.scripts.look.key(&self.names.meta);
        look.key(&self.names.log);
        look.arg(at.map_or(String::new(), |at| at.to_string())).arg(CHECKED_BYTES);
        let (meta, first, last, beginning): (HashMap<String, String>, String, String, Vec<u8>) =
            self.run(&look).await?;
        // Asked afterwards: what a primary said was the log if it still was one then.
        let role: Vec<Value> = self
            .link
            .ask(REQUEST_TIMEOUT, async |connection| cmd("ROLE").query_async(connection).await)
            .await?;
        if !matches!(role.first(), Some(Value::BulkString(role)) if role == b"master") {
            return Err(RedisFault::Replica);
        }
        if meta.is_empty() && last.is_empty() {
            return Ok(None);
        }
        let identity = Identity::read(&meta).map_err(|none| match none {
            NoIdentity::Foreign => self.foreign(),
            NoIdentity::Newer => RedisFault::Newer { key: self.names.meta.clone() },
            NoIdentity::Begun => RedisFault::Begun { key: self.names.meta.clone() },
        })?;
        let newest: Option<Position> = meta.get("seq").and_then(|text| text.parse().ok());
        let newest = newest.ok_or_else(|| self.foreign())?;
        let check =
            meta.get("check").and_then(|text| unhex(text.as_bytes())).ok_or_else(|| self.foreign())?;
        // An empty stream says that its last id is 0-0; one that was removed begins behind what it had.
        let last = if last.is_empty() { 0 } else { place(&last).ok_or_else(|| self.foreign())? };
        if last > newest {
            return Err(self.foreign());
        }
        let next = newest + 1;
        let first = if first.is_empty() { next } else { place(&first).ok_or_else(|| self.foreign())? };
        let ends = Ends { epoch: identity.epoch, first, next };
        Ok(Some(Opened { identity, ends, newest: check, asked: check_of(&beginning) }))
    }

    /// As [`look`](Self::look), where there is no reason that the log should be gone.
    pub(super) async fn look_again(&self, at: Option<Position>) -> Result<Opened, RedisFault> {
        self.look(at).await?.ok_or(RedisFault::NoLog)
    }

    fn foreign(&self) -> RedisFault {
        RedisFault::Foreign { key: self.names.log.clone() }
    }

    /// Gives the log another epoch, unless somebody else has.
    pub(super) async fn renew(&self, epoch: u32) -> Result<(), RedisFault> {
        let Some(opened) = self.look(None).await? else { return Ok(()) };
        let renewed = opened.identity.renewed().map_err(|_| RedisFault::NoRandomness)?;
        let mut renew = self.scripts.renew.key(&self.names.meta);
        renew.arg(epoch_text(epoch)).arg(epoch_text(renewed.epoch));
        self.run(&renew).await
    }

    /// Drops what may not be kept any more.
    pub(super) async fn drop_old(&self, epoch: u32) -> Result<(), RedisFault> {
        let mut drop = self.scripts.drop.key(&self.names.meta);
        drop.key(&self.names.log).key(&self.names.ids).arg(epoch_text(epoch));
        self.limits(&mut drop);
        self.run(&drop).await
    }

    fn limits(&self, script: &mut ScriptInvocation<'_>) {
        script.arg(self.limits.events).arg(self.limits.bytes).arg(micros(self.limits.age));
    }

    /// A script that is told all that entries are stored in, with idempotency keys of a kind.
    fn with_all<'a>(&self, script: &'a Script, keys: &KeyNames) -> ScriptInvocation<'a> {
        let mut script = script.key(&self.names.meta);
        script.key(&self.names.log).key(&self.names.ids).key(&keys.uses).key(&keys.order);
        script
    }

    /// Tells a script how much is kept, idempotency keys included.
    fn all_limits(&self, script: &mut ScriptInvocation<'_>, keys: &KeyLimits) {
        self.limits(script);
        script.arg(keys.count).arg(micros(keys.age));
    }

    /// Begins a copy whose first entry is to stand at a position, and says whether there was room for it.
    pub(super) async fn begin_copy(
        &self,
        identity: Identity,
        first: Position,
        before: Check,
    ) -> Result<bool, RedisFault> {
        let mut begin = self.with_all(&self.scripts.begin_copy, &self.names.keys);
        begin.key(&self.names.presence_keys.uses).key(&self.names.presence_keys.order);
        let mut meta = begun(identity, first, before);
        identity::begin_copy(&mut meta);
        for (name, value) in meta {
            begin.arg(name).arg(value);
        }
        self.run(&begin).await
    }

    /// Stores entries of a copy with their times, the first at a position. Gives the position of the newest entry, which is another than
    /// the last of these if this is not the copy that was begun, or has not come as far.
    pub(super) async fn copy<'a>(
        &self,
        first: Position,
        entries: impl Iterator<Item = (Entry<'a>, SystemTime)>,
    ) -> Result<Position, RedisFault> {
        let mut copy = self.with_all(&self.scripts.copy, &self.names.keys);
        copy.arg(first);
        self.all_limits(&mut copy, &self.keys);
        for (entry, at) in entries {
            entry.tell(&mut copy);
            copy.arg(micros(at.duration_since(UNIX_EPOCH).unwrap_or_default()));
        }
        let last: String = self.run(&copy).await?;
        last.parse().map_err(|_| RedisFault::NotUnderstood { request: "EVALSHA" })
    }

    /// Makes a copy a log, if its newest entry stands at this position.
    pub(super) async fn finish_copy(&self, newest: Position) -> Result<bool, RedisFault> {
        let mut finish = self.scripts.finish_copy.key(&self.names.meta);
        finish.arg(newest);
        self.run(&finish).await
    }

    /// Reads the entries from one position on, up to and with another, `most` at most.
    pub(super) async fn entries(
        &self,
        from: Position,
        through: Position,
        most: usize,
    ) -> Result<Vec<Stored>, RedisFault> {
        let through = if through == Position::MAX { "+".to_owned() } else { id(through) };
        self.range(&self.names.log, from, &through, most).await
    }

    /// The entry at a position. `None` if it is not there.
    pub(super) async fn entry(&self, position: Position) -> Result<Option<Stored>, RedisFault> {
        Ok(self.entries(position, position, 1).await?.pop())
    }

    /// Where entries stand that have an id of their publisher's, from one position on, and those ids.
    pub(super) async fn ids(
        &self,
        from: Position,
        most: usize,
    ) -> Result<Vec<(Position, String)>, RedisFault> {
        let entries = self.range(&self.names.ids, from, "+", most).await?;
        let text = |stored: Stored| Some((stored.position, String::from_utf8(stored.entry).ok()?));
        entries.into_iter().map(|stored| text(stored).ok_or_else(|| self.foreign())).collect()
    }

    async fn range(
        &self,
        key: &str,
        from: Position,
        through: &str,
        most: usize,
    ) -> Result<Vec<Stored>, RedisFault> {
        let value: Value = self
            .link
            .ask(REQUEST_TIMEOUT, async |connection| {
                let mut range = cmd("XRANGE");
                range.arg(key).arg(id(from)).arg(through).arg("COUNT").arg(most);
                range.query_async(connection).await
            })
            .await?;
        stored(value).ok_or(RedisFault::NotUnderstood { request: "XRANGE" })
    }

    /// Waits on a tail's own connection for what stands behind a position, and not at all if it is not to wait.
    pub(super) async fn behind(
        &self,
        mut connection: Connection,
        after: Position,
        most: usize,
        is_to_wait: bool,
    ) -> Result<Vec<Stored>, RedisFault> {
        let mut read = cmd("XREAD");
        read.arg("COUNT").arg(most);
        if is_to_wait {
            read.arg("BLOCK").arg(BLOCKED.as_millis().to_string());
        }
        read.arg("STREAMS").arg(&self.names.log).arg(id(after));
        let value: Value = in_time(BLOCKED + REQUEST_TIMEOUT, read.query_async(&mut connection)).await?;
        let entries = match value {
            Value::Nil => return Ok(Vec::new()),
            Value::Array(streams) => match streams.into_iter().next() {
                Some(Value::Array(stream)) => stream.into_iter().nth(1).and_then(stored),
                _ => None,
            },
            // As newer forms of the protocol have it.
            Value::Map(streams) => streams.into_iter().next().and_then(|(_, entries)| stored(entries)),
            _ => None,
        };
        entries.ok_or(RedisFault::NotUnderstood { request: "XREAD" })
    }

    /// Says a word to the nodes that listen.
    pub(super) async fn say(&self, word: Vec<u8>) -> Result<(), RedisFault> {
        let publish = async |connection: &mut Connection| {
            cmd("PUBLISH").arg(&self.names.peers).arg(word).query_async(connection).await
        };
        self.link.ask(REQUEST_TIMEOUT, publish).await
    }

    /// Appends a publication, and waits for the answer.
    pub(super) async fn append(&self, epoch: u32, entry: Entry<'_>) -> Result<Taken, AppendError> {
        let busy = |_| AppendError::Refused(Arc::new(RedisFault::Busy));
        let kib = u32::try_from(entry.bytes.len() / 1024 + 1).unwrap_or(u32::MAX);
        let _room = self.kib.try_acquire_many(kib).map_err(busy)?;
        let _one = self.in_flight.try_acquire().map_err(busy)?;
        let mut taken = self.append_all(epoch, &self.names.keys, &self.keys, &[entry]).await?;
        taken.pop().ok_or_else(not_understood)
    }

    /// Appends what tells of presence, all of it or nothing, in this order.
    pub(super) async fn announce(
        &self,
        epoch: u32,
        entries: &[Entry<'_>],
    ) -> Result<Vec<Taken>, AppendError> {
        self.append_all(epoch, &self.names.presence_keys, &PRESENCE_KEYS, entries).await
    }

    async fn append_all(
        &self,
        epoch: u32,
        names: &KeyNames,
        limits: &KeyLimits,
        entries: &[Entry<'_>],
    ) -> Result<Vec<Taken>, AppendError> {
        let refused = |fault: RedisFault| AppendError::Refused(Arc::new(fault));
        let mut append = self.with_all(&self.scripts.append, names);
        append.arg(epoch_text(epoch));
        self.all_limits(&mut append, limits);
        for entry in entries {
            entry.tell(&mut append);
        }
        let answered = self
            .link
            .ask(self.ack_timeout, async |connection| append.invoke_async::<Vec<Value>>(connection).await);
        let answer = match answered.await {
            Ok(answer) => answer,
            // It may have been on its way.
            Err(fault @ RedisFault::NoAnswer(_)) => return Err(AppendError::Unknown(Arc::new(fault))),
            Err(fault) => return Err(refused(fault)),
        };
        if answer.is_empty() {
            return Err(refused(RedisFault::BegunAnew));
        }
        let taken: Option<Vec<_>> = answer.iter().map(Taken::read).collect();
        taken.filter(|taken| taken.len() == entries.len()).ok_or_else(not_understood)
    }
}

fn not_understood() -> AppendError {
    AppendError::Unknown(Arc::new(RedisFault::NotUnderstood { request: "EVALSHA" }))
}

/// What meta holds of a log whose first entry is to stand at a position.
fn begun(identity: Identity, first: Position, before: Check) -> HashMap<String, String> {
    let mut meta = HashMap::new();
    identity.write(&mut meta);
    let newest = (first - 1).to_string();
    for (name, value) in [("seq", newest), ("check", hex(before)), ("at", "0".into()), ("bytes", "0".into())]
    {
        meta.insert(name.to_owned(), value);
    }
    meta
}
