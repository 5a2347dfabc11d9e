//! The server under test as the generator sees it: where it is, and the two requests, as bytes.
//!
//! Every contestant takes the same ones: the Mercure protocol's `GET` to subscribe and form by `POST` to publish.

use crate::protocol::payload::{Payloads, Stamp};
use anyhow::{Context, bail};
use std::net::{SocketAddr, ToSocketAddrs};

/// One topic on one server.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// The whole request that subscribes.
    pub(crate) subscribe_request: Vec<u8>,
    /// The publishing request up to the value of `Content-Length`.
    publish_head: String,
    /// The form up to the data.
    publish_form: String,
}

impl Target {
    /// `base` is `http://host:port`; `path` is the hub's, on which both requests go; `topic` must need no escapes.
    pub(crate) fn new(base: &str, path: &str, topic: &str) -> anyhow::Result<Self> {
        let authority = base
            .strip_prefix("http://")
            .map(|rest| rest.trim_end_matches('/'))
            .filter(|authority| !authority.is_empty() && !authority.contains('/'))
            .with_context(|| format!("{base} is not of the form http://host:port"))?;
        let with_port =
            if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
        let address = with_port
            .to_socket_addrs()
            .with_context(|| format!("{authority} cannot be resolved"))?
            .next()
            .with_context(|| format!("{authority} has no address"))?;
        if !topic.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte)) {
            bail!("the topic {topic} needs escapes: use letters, digits and -._~/ alone");
        }
        Ok(Self {
            address,
            subscribe_request: format!(
                "GET {path}?match={topic} HTTP/1.1\r\nHost: {authority}\r\nAccept: text/event-stream\r\n\r\n"
            )
            .into_bytes(),
            publish_head: format!(
                "POST {path} HTTP/1.1\r\nHost: {authority}\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\nContent-Length: "
            ),
            publish_form: format!("topic={topic}&data="),
        })
    }

    /// Appends the request that publishes `stamp`.
    pub(crate) fn write_publication(&self, payloads: &Payloads, stamp: Stamp, out: &mut Vec<u8>) {
        let form_bytes = self.publish_form.len() + payloads.data_bytes();
        out.extend_from_slice(self.publish_head.as_bytes());
        out.extend_from_slice(form_bytes.to_string().as_bytes());
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(self.publish_form.as_bytes());
        payloads.write(stamp, out);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_publication_is_as_long_as_it_says() {
        let target = Target::new("http://127.0.0.1:8080", "/hub", "bench").unwrap();
        let mut request = Vec::new();
        let stamp = Stamp { publisher: 1, sequence: 2, sent_ns: 3 };
        target.write_publication(&Payloads::new(100), stamp, &mut request);
        let request = String::from_utf8(request).unwrap();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())));
        assert!(body.starts_with("topic=bench&data=0001.0000000000000002.0000000000000003.abc"));
    }

    #[test]
    fn what_is_no_base_address_is_refused() {
        for base in ["https://127.0.0.1:1", "127.0.0.1:1", "http://", "http://127.0.0.1:1/path"] {
            assert!(Target::new(base, "/hub", "bench").is_err(), "{base}");
        }
        assert!(Target::new("http://127.0.0.1:1", "/hub", "a b").is_err());
    }
}
