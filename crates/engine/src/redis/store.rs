//! What is asked of Redis: the log and its ends, entries, and to take a publication.
//!
//! Each request has a time within which it is answered or at fault. Nothing is remembered here but a connection.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fanfare_hub::engine::{AppendError, KeyLimits};
use fanfare_hub::{Check, IdempotencyKey, Position};
use redis::aio::MultiplexedConnection as Connection;
use redis::{AsyncConnectionConfig, Client, FromRedisValue, Script, ScriptInvocation, Value, cmd};
use tokio::sync::{Mutex, Semaphore};

use super::error::RedisFault;
use super::names::Names;
use super::setup::Server;
use crate::cluster::Finding;
use crate::cluster::envelope::{CHECKED_BYTES, check_of};
use crate::cluster::identity::{self, Identity, NoIdentity};
use crate::cluster::tail::Ends;

/// How long a request may take that is no publication.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long it is not tried again to connect when it was in vain.
const IN_VAIN: Duration = Duration::from_millis(100);
/// How long a tail waits for something new before it asks again.
const BLOCKED: Duration = Duration::from_secs(2);
/// How many publications are on their way at once.
const IN_FLIGHT_MAX: usize = 16_384;
/// How many bytes of them, in KiB.
const IN_FLIGHT_KIB_MAX: usize = 64 * 1024;
/// How many requests may wait for the connection before whoever comes waits for them.
const WAITING_MAX: usize = 1_024;

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
    client: Client,
    limits: Limits,
    keys: KeyLimits,
    ack_timeout: Duration,
    scripts: Scripts,
    link: Mutex<Link>,
    is_connected: AtomicBool,
    in_flight: Semaphore,
    kib: Semaphore,
}

/// The connection for everything but the tail.
#[derive(Default)]
struct Link {
    connection: Option<Connection>,
    /// How many there were before.
    number: u64,
    /// When it was tried in vain, and why it was.
    in_vain: Option<(Instant, RedisFault)>,
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

/// One entry as it stands in the log.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) position: Position,
    /// The check of the entry before it.
    pub(super) before: Option<Check>,
    /// When Redis took it.
    pub(super) at: SystemTime,
    /// Empty if there is none.
    pub(super) entry: Vec<u8>,
}

/// What became of a publication that was handed in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Stored(Position),
    /// Its key is known, with the same publication.
    Same(Position, Check),
}

/// A publication to be stored.
pub(super) struct Publication<'a> {
    pub(super) check: Check,
    pub(super) entry: &'a [u8],
    pub(super) id: Option<&'a str>,
    pub(super) key: Option<(&'a IdempotencyKey, u128)>,
}

impl Publication<'_> {
    /// Tells a script of it.
    fn tell(&self, script: &mut ScriptInvocation<'_>) {
        let given = |text: Option<&str>| text.map_or(String::new(), |text| format!("+{text}"));
        script.arg(hex(self.check)).arg(self.entry).arg(given(self.id));
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
            client,
            limits,
            keys,
            ack_timeout,
            scripts: Scripts::new(),
            link: Mutex::default(),
            is_connected: AtomicBool::new(false),
            in_flight: Semaphore::new(IN_FLIGHT_MAX),
            kib: Semaphore::new(IN_FLIGHT_KIB_MAX),
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.is_connected.load(Ordering::Relaxed)
    }

    /// Makes a connection of the caller's own.
    pub(super) async fn connect(&self) -> Result<Connection, RedisFault> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(None)
            .set_pipeline_buffer_size(WAITING_MAX);
        let connected = self.client.get_multiplexed_async_connection_with_config(&config).await;
        connected.map_err(RedisFault::connecting)
    }

    /// The connection that all requests share, and its number.
    async fn link(&self) -> Result<(Connection, u64), RedisFault> {
        let mut link = self.link.lock().await;
        if let Some(connection) = &link.connection {
            return Ok((connection.clone(), link.number));
        }
        if let Some((at, fault)) = &link.in_vain
            && at.elapsed() < IN_VAIN
        {
            return Err(fault.clone());
        }
        match self.connect().await {
            Ok(connection) => {
                *link = Link { connection: Some(connection.clone()), number: link.number + 1, in_vain: None };
                self.is_connected.store(true, Ordering::Relaxed);
                Ok((connection, link.number))
            }
            Err(fault) => {
                link.in_vain = Some((Instant::now(), fault.clone()));
                Err(fault)
            }
        }
    }

    /// The connection with this number is of no use any more.
    async fn lose(&self, number: u64) {
        let mut link = self.link.lock().await;
        if link.number == number {
            link.connection = None;
            self.is_connected.store(false, Ordering::Relaxed);
        }
    }

    /// The server may be gone: whoever asks next connects again.
    pub(super) async fn suspect(&self) {
        let number = self.link.lock().await.number;
        self.lose(number).await;
    }

    /// Asks over the shared connection.
    async fn ask<T>(
        &self,
        within: Duration,
        request: impl AsyncFnOnce(&mut Connection) -> redis::RedisResult<T>,
    ) -> Result<T, RedisFault> {
        let (mut connection, number) = self.link().await?;
        let answered = tokio::time::timeout(within, request(&mut connection)).await;
        let fault = match answered {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => RedisFault::of(error),
            Err(_) => RedisFault::too_late(),
        };
        if fault.is_of_connection() {
            self.lose(number).await;
        }
        Err(fault)
    }

    async fn run<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, RedisFault> {
        self.ask(REQUEST_TIMEOUT, async |connection| script.invoke_async(connection).await).await
    }

    /// Asks the server about itself, and says what its owner should know.
    pub(super) async fn check(&self) -> Result<Vec<Finding>, RedisFault> {
        let info: String =
            self.ask(REQUEST_TIMEOUT, async |connection| cmd("INFO").query_async(connection).await).await?;
        let mut server = Server::read(&info);
        if server.is_replica() {
            return Err(RedisFault::Replica);
        }
        let config = self
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
        let role: Vec<Value> =
            self.ask(REQUEST_TIMEOUT, async |connection| cmd("ROLE").query_async(connection).await).await?;
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

    /// A script that is told all keys.
    fn with_all<'a>(&self, script: &'a Script) -> ScriptInvocation<'a> {
        let Names { meta, log, ids, keys, order } = &self.names;
        let mut script = script.key(meta);
        script.key(log).key(ids).key(keys).key(order);
        script
    }

    /// Tells a script how much is kept, idempotency keys included.
    fn all_limits(&self, script: &mut ScriptInvocation<'_>) {
        self.limits(script);
        script.arg(self.keys.count).arg(micros(self.keys.age));
    }

    /// Begins a copy whose first entry is to stand at a position, and says whether there was room for it.
    pub(super) async fn begin_copy(
        &self,
        identity: Identity,
        first: Position,
        before: Check,
    ) -> Result<bool, RedisFault> {
        let mut begin = self.with_all(&self.scripts.begin_copy);
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
        entries: impl Iterator<Item = (Publication<'a>, SystemTime)>,
    ) -> Result<Position, RedisFault> {
        let mut copy = self.with_all(&self.scripts.copy);
        copy.arg(first);
        self.all_limits(&mut copy);
        for (publication, at) in entries {
            publication.tell(&mut copy);
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
        let answer = tokio::time::timeout(BLOCKED + REQUEST_TIMEOUT, read.query_async(&mut connection)).await;
        let value: Value = answer.map_err(|_| RedisFault::too_late())?.map_err(RedisFault::of)?;
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

    /// Appends, and waits for the answer.
    pub(super) async fn append(
        &self,
        epoch: u32,
        publication: Publication<'_>,
    ) -> Result<Taken, AppendError> {
        let refused = |fault: RedisFault| AppendError::Refused(std::sync::Arc::new(fault));
        let kib = u32::try_from(publication.entry.len() / 1024 + 1).unwrap_or(u32::MAX);
        let _room = self.kib.try_acquire_many(kib).map_err(|_| refused(RedisFault::Busy))?;
        let _one = self.in_flight.try_acquire().map_err(|_| refused(RedisFault::Busy))?;
        let mut append = self.with_all(&self.scripts.append);
        append.arg(epoch_text(epoch));
        self.all_limits(&mut append);
        publication.tell(&mut append);
        let answered = self
            .ask(self.ack_timeout, async |connection| append.invoke_async::<Vec<Value>>(connection).await);
        let answer = match answered.await {
            Ok(answer) => answer,
            // It may have been on its way.
            Err(fault @ RedisFault::NoAnswer(_)) => {
                return Err(AppendError::Unknown(std::sync::Arc::new(fault)));
            }
            Err(fault) => return Err(refused(fault)),
        };
        let texts: Vec<_> = answer.iter().map(text).collect();
        let taken = match &texts[..] {
            [Some("anew")] => return Err(refused(RedisFault::BegunAnew)),
            [Some("other")] => return Err(AppendError::KeyReused),
            [Some("stored"), Some(position)] => position.parse().ok().map(Taken::Stored),
            [Some("same"), Some(position), Some(check)] => {
                let place = position.parse().ok().zip(unhex(check.as_bytes()));
                place.map(|(position, check)| Taken::Same(position, check))
            }
            _ => None,
        };
        taken.ok_or_else(|| {
            AppendError::Unknown(std::sync::Arc::new(RedisFault::NotUnderstood { request: "EVALSHA" }))
        })
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

/// Reads entries of a stream; `None` if there is something that is none of a hub's.
fn stored(value: Value) -> Option<Vec<Stored>> {
    let Value::Array(entries) = value else { return None };
    entries.into_iter().map(one).collect()
}

fn one(value: Value) -> Option<Stored> {
    let Value::Array(parts) = value else { return None };
    let mut parts = parts.into_iter();
    let position = place(text(&parts.next()?)?)?;
    let mut stored = Stored { position, before: None, at: UNIX_EPOCH, entry: Vec::new() };
    let Value::Array(fields) = parts.next()? else { return None };
    let mut fields = fields.into_iter();
    while let (Some(Value::BulkString(name)), Some(Value::BulkString(value))) = (fields.next(), fields.next())
    {
        match &name[..] {
            b"p" => stored.before = unhex(&value),
            b"t" => {
                let micros = std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok());
                stored.at = UNIX_EPOCH.checked_add(Duration::from_micros(micros?))?;
            }
            b"e" | b"i" => stored.entry = value,
            _ => {}
        }
    }
    Some(stored)
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

/// The id of the entry at a position.
fn id(position: Position) -> String {
    format!("{position}-0")
}

/// The position of the entry with an id; `None` if it is none of a hub's.
fn place(id: &str) -> Option<Position> {
    id.strip_suffix("-0")?.parse().ok()
}

fn epoch_text(epoch: u32) -> String {
    format!("{epoch:08x}")
}

fn hex(check: Check) -> String {
    format!("{:010x}", check.bits())
}

fn unhex(text: &[u8]) -> Option<Check> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.len() == 10)?;
    u64::from_str_radix(text, 16).ok().map(Check::from_random)
}

fn micros(age: Duration) -> u64 {
    u64::try_from(age.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn entry(id: &str, fields: &[&str]) -> Value {
        Value::Array(vec![bulk(id), Value::Array(fields.iter().map(|text| bulk(text)).collect())])
    }

    #[test]
    fn an_entry_of_a_stream_is_read_by_its_fields_and_its_id() {
        let value = entry("7-0", &["p", "00000000ff", "t", "1500000", "b", "900", "e", "\u{1}abc"]);
        let read = stored(Value::Array(vec![value])).expect("entries").pop().expect("one");
        assert_eq!((read.position, read.before), (7, Some(Check::from_random(255))));
        assert_eq!((read.at, read.entry), (UNIX_EPOCH + Duration::from_millis(1_500), b"\x01abc".to_vec()));
    }

    #[test]
    fn what_somebody_else_has_put_into_a_stream_is_no_entry() {
        for id in ["7-1", "1526919030474-55", "x-0", ""] {
            assert!(stored(Value::Array(vec![entry(id, &["e", "x"])])).is_none(), "{id}");
        }
        assert!(stored(bulk("x")).is_none());
    }

    #[test]
    fn a_check_comes_back_as_it_was_written() {
        let check = Check::from_random(0x0012_3456_789a);
        assert_eq!((hex(check).as_str(), unhex(b"123456789a")), ("123456789a", Some(check)));
        assert_eq!((unhex(b"12"), unhex(b"123456789x")), (None, None));
    }
}
