//! The server under test as the generator sees it: where it is, and the two requests, as bytes.
//!
//! Most contestants take the Mercure protocol's: a `GET` to subscribe and a form by `POST` to publish. One that has paths
//! and bodies of its own has a [`Dialect`] of its own; nothing stands between it and the generator.

use crate::protocol::payload::{Payloads, Stamp};
use anyhow::{Context, bail};
use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::{SocketAddr, ToSocketAddrs};

/// What a room's topic begins with, as in a form: a URL, which patterns are made for.
const ROOM: &str = "https%3A%2F%2Fexample.com%2Froom%2F";

/// The form of the two requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `GET` and form by `POST` on one path.
    Mercure { path: String },
    /// `GET /sub/TOPIC`, and `POST /pub/TOPIC` with the data as its body. One topic for each subscriber.
    Nchan,
}

/// What each subscriber asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Selection {
    /// The topic that is published to.
    #[default]
    Shared,
    /// That topic, and so many more that nobody else asks for: a selection of its own.
    Own { topics: usize },
    /// A topic that nothing is published to.
    Stranger,
    /// A pattern of its own that matches nothing that is published.
    Pattern,
    /// Every room that is published to: each by its name, and every third subscriber all of them by one pattern.
    Rooms,
}

/// Whose ids the events have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ids {
    /// The hub makes them.
    #[default]
    Hub,
    /// The publisher chooses them, and uses none twice.
    Publisher,
}

/// One topic on one server, or several rooms in turn.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    dialect: Dialect,
    authority: String,
    topic: String,
    selection: Selection,
    /// The publishing request up to the value of `Content-Length`.
    publish_head: String,
    /// The form up to the data.
    publish_form: String,
    /// As many as are published to in turn, in place of the topic; 0 for the topic.
    rooms: u64,
    ids: Ids,
}

impl Dialect {
    /// The Mercure protocol on its own path.
    pub(crate) fn mercure() -> Self {
        Self::Mercure { path: "/.well-known/mercure".to_owned() }
    }
}

impl Selection {
    /// Appends the query that asks for it, for the subscriber `index`, where `topic` is what is published to.
    fn write(self, topic: &str, rooms: u64, index: usize, out: &mut String) {
        // Writing to a string cannot fail.
        let _ = match self {
            Self::Shared | Self::Own { .. } => write!(out, "match={topic}"),
            Self::Rooms if index % 3 == 2 => write!(out, "match_urlpattern={ROOM}%3Aroom"),
            Self::Rooms => (0..rooms)
                .try_for_each(|room| write!(out, "{}match={ROOM}{room}", if room == 0 { "" } else { "&" })),
            Self::Stranger => write!(out, "match=own/{index}/0"),
            // `:rest` as an escaped path segment of a URL of its own.
            Self::Pattern => {
                write!(out, "match_urlpattern=https%3A%2F%2Fexample.com%2Fown%2F{index}%2F%3Arest")
            }
        };
        if let Self::Own { topics } = self {
            for number in 0..topics {
                let _ = write!(out, "&match=own/{index}/{number}");
            }
        }
    }
}

impl Target {
    /// `base` is `http://host:port`; `topic` must need no escapes.
    pub(crate) fn new(
        base: &str,
        dialect: Dialect,
        topic: &str,
        selection: Selection,
    ) -> anyhow::Result<Self> {
        let (authority, address) = found(base)?;
        if !topic.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte)) {
            bail!("the topic {topic} needs escapes: use letters, digits and -._~/ alone");
        }
        let (path, kind, form) = match &dialect {
            Dialect::Mercure { path } => {
                (path.clone(), "application/x-www-form-urlencoded", format!("topic={topic}&data="))
            }
            Dialect::Nchan => (format!("/pub/{topic}"), "text/plain", String::new()),
        };
        Ok(Self {
            address,
            publish_head: format!(
                "POST {path} HTTP/1.1\r\nHost: {authority}\r\nContent-Type: {kind}\r\nContent-Length: "
            ),
            publish_form: form,
            dialect,
            authority: authority.to_owned(),
            topic: topic.to_owned(),
            selection,
            rooms: 0,
            ids: Ids::Hub,
        })
    }

    /// Those who come from now on come to another server.
    pub(crate) fn move_to(&mut self, base: &str) -> anyhow::Result<()> {
        let (authority, address) = found(base)?;
        authority.clone_into(&mut self.authority);
        self.address = address;
        Ok(())
    }

    /// Publishes to so many rooms in turn instead of the topic. The Mercure protocol alone has them.
    pub(crate) fn spread(&mut self, rooms: u64) {
        self.rooms = rooms;
    }

    /// Whose ids the events have from now on. The Mercure protocol alone lets a publisher choose them.
    pub(crate) fn identify(&mut self, ids: Ids) {
        self.ids = ids;
    }

    /// What those ask for whose request is made from now on.
    pub(crate) fn select(&mut self, selection: Selection) {
        self.selection = selection;
    }

    /// The whole request that subscribes, for the subscriber of this index; with the last event ID that it saw.
    pub(crate) fn subscribe_request(&self, index: usize, last_event_id: Option<&[u8]>) -> Vec<u8> {
        let mut request = match &self.dialect {
            Dialect::Mercure { path } => {
                let mut start = format!("GET {path}?");
                self.selection.write(&self.topic, self.rooms, index, &mut start);
                start
            }
            Dialect::Nchan => format!("GET /sub/{}", self.topic),
        };
        let _ = write!(
            request,
            " HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\nCache-Control: no-cache\r\n",
            self.authority
        );
        let mut request = request.into_bytes();
        if let Some(id) = last_event_id {
            request.extend_from_slice(b"Last-Event-ID: ");
            request.extend_from_slice(id);
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        request
    }

    /// The form up to the data.
    fn form(&self, stamp: Stamp) -> Cow<'_, str> {
        if self.rooms == 0 && self.ids == Ids::Hub {
            return Cow::Borrowed(&self.publish_form);
        }
        let mut form = match stamp.sequence.checked_rem(self.rooms) {
            Some(room) => format!("topic={ROOM}{room}"),
            None => format!("topic={}", self.topic),
        };
        if self.ids == Ids::Publisher {
            // With the time, for another generator may publish to the same log.
            let Stamp { publisher, sequence, sent_ns } = stamp;
            let _ = write!(form, "&id={publisher:x}.{sequence:x}.{sent_ns:x}");
        }
        form.push_str("&data=");
        Cow::Owned(form)
    }

    /// Appends the request that publishes `stamp`.
    pub(crate) fn write_publication(&self, payloads: &Payloads, stamp: Stamp, out: &mut Vec<u8>) {
        let form = self.form(stamp);
        let form_bytes = form.len() + payloads.data_bytes(stamp.sequence);
        out.extend_from_slice(self.publish_head.as_bytes());
        out.extend_from_slice(form_bytes.to_string().as_bytes());
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(form.as_bytes());
        payloads.write(stamp, out);
    }
}

/// What `http://host:port` names, and where that is.
fn found(base: &str) -> anyhow::Result<(&str, SocketAddr)> {
    let authority = base
        .strip_prefix("http://")
        .map(|rest| rest.trim_end_matches('/'))
        .filter(|authority| !authority.is_empty() && !authority.contains('/'))
        .with_context(|| format!("{base} is not of the form http://host:port"))?;
    let with_port = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
    let address = with_port
        .to_socket_addrs()
        .with_context(|| format!("{authority} cannot be resolved"))?
        .next()
        .with_context(|| format!("{authority} has no address"))?;
    Ok((authority, address))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const BASE: &str = "http://127.0.0.1:8080";

    fn published(dialect: Dialect) -> (String, String) {
        let target = Target::new(BASE, dialect, "bench", Selection::Shared).unwrap();
        let mut request = Vec::new();
        let stamp = Stamp { publisher: 1, sequence: 2, sent_ns: 3 };
        target.write_publication(&Payloads::new(100), stamp, &mut request);
        let request = String::from_utf8(request).unwrap();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    #[test]
    fn the_publication_is_as_long_as_it_says() {
        let (head, body) = published(Dialect::mercure());
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())));
        assert!(body.starts_with("topic=bench&data=0001.0000000000000002.0000000000000003.abc"));
        let (head, body) = published(Dialect::Nchan);
        assert!(head.starts_with("POST /pub/bench ") && head.ends_with("Content-Length: 100"), "{head}");
        assert!(body.starts_with("0001."), "{body}");
    }

    #[test]
    fn rooms_are_published_to_in_turn_and_asked_for_by_name_or_pattern() {
        let mut target = Target::new(BASE, Dialect::mercure(), "bench", Selection::Rooms).unwrap();
        target.spread(2);
        target.identify(Ids::Publisher);
        let mut request = Vec::new();
        let stamp = Stamp { publisher: 1, sequence: 3, sent_ns: 16 };
        target.write_publication(&Payloads::of_sizes(&[39, 100]), stamp, &mut request);
        let request = String::from_utf8(request).unwrap();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())));
        let form = "topic=https%3A%2F%2Fexample.com%2Froom%2F1&id=1.3.10&data=0001.0000000000000003.";
        assert!(body.starts_with(form), "{body}");
        let query = |index| String::from_utf8(target.subscribe_request(index, None)).unwrap();
        let rooms = "match=https%3A%2F%2Fexample.com%2Froom%2F0&match=https%3A%2F%2Fexample.com%2Froom%2F1 ";
        assert!(query(0).contains(rooms), "{}", query(0));
        assert!(query(2).contains("?match_urlpattern=https%3A%2F%2Fexample.com%2Froom%2F%3Aroom "));
    }

    #[test]
    fn a_subscriber_with_a_selection_of_its_own_asks_for_it() {
        let request = |selection, id: Option<&[u8]>| {
            let target = Target::new(BASE, Dialect::mercure(), "bench", selection).unwrap();
            String::from_utf8(target.subscribe_request(7, id)).unwrap()
        };
        let path = "GET /.well-known/mercure?match=bench";
        assert!(request(Selection::Shared, None).starts_with(&format!("{path} HTTP/1.1\r\n")));
        let own = request(Selection::Own { topics: 2 }, Some(b"#1x"));
        assert!(own.starts_with(&format!("{path}&match=own/7/0&match=own/7/1 HTTP/1.1\r\n")), "{own}");
        assert!(own.ends_with("\r\nLast-Event-ID: #1x\r\n\r\n"), "{own}");
        let pattern = request(Selection::Pattern, None);
        assert!(pattern.contains("?match_urlpattern=https%3A%2F%2Fexample.com%2Fown%2F7%2F%3Arest HTTP"));
    }

    #[test]
    fn what_is_no_base_address_is_refused() {
        for base in ["https://127.0.0.1:1", "127.0.0.1:1", "http://", "http://127.0.0.1:1/path"] {
            assert!(Target::new(base, Dialect::mercure(), "bench", Selection::Shared).is_err(), "{base}");
        }
        assert!(Target::new("http://127.0.0.1:1", Dialect::mercure(), "a b", Selection::Shared).is_err());
    }
}
