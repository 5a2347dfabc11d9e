//! The log on NATS: what its flags say, and whether it could be used.
//!
//! Waiting for servers, and going on when they are back, is the engine's matter.

use std::path::PathBuf;

use clap::Args;
use fanfare_engine::NatsEngine;
use fanfare_engine::nats::{Finding, NatsFault, NatsLogin, NatsOptions};
use serde::Deserialize;

use crate::asking::Operator;
use crate::cluster::{Asked, BYTES, FIRST_ANSWER, Failure, Kept, first_answer, shown};
use crate::secret::Secret;

const NATS: &str = "The log on NATS";

/// Who the hub is to NATS, and what stream it creates. They count with --engine nats://… alone.
#[derive(Debug, Args)]
#[allow(clippy::doc_markdown)] // This is shown as it stands, in a terminal.
#[allow(clippy::struct_field_names)] // They are the names of the flags.
pub(crate) struct NatsFlags {
    /// On how many servers a stream that is created is kept, 1 to 5. With 3, what was acknowledged survives the loss of one.
    #[arg(long, help_heading = NATS, value_name = "SERVERS", default_value = "3", value_parser = clap::value_parser!(u8).range(1..=5))]
    pub(crate) nats_replicas: u8,

    /// Where the servers of NATS say how they are set up, such as 127.0.0.1:8222: the address of each one's `http`. With them it is
    /// checked whether each syncs what it acknowledges. More than one: separated by commas.
    #[arg(long, help_heading = NATS, value_name = "ADDR", value_delimiter = ',')]
    pub(crate) nats_monitoring: Vec<String>,

    /// A file of credentials, with a token and a seed, as nsc writes it.
    #[arg(long, help_heading = NATS, value_name = "FILE", conflicts_with_all = ["nats_nkey", "nats_token", "nats_user"])]
    pub(crate) nats_credentials: Option<PathBuf>,

    /// The seed of an NKey; @FILE reads it from a file.
    #[arg(long, help_heading = NATS, value_name = "SEED", conflicts_with_all = ["nats_token", "nats_user"])]
    pub(crate) nats_nkey: Option<Secret>,

    /// A token; @FILE reads it from a file.
    #[arg(long, help_heading = NATS, value_name = "TOKEN", conflicts_with = "nats_user")]
    pub(crate) nats_token: Option<Secret>,

    /// A user, who has a password.
    #[arg(long, help_heading = NATS, value_name = "USER", requires = "nats_password")]
    pub(crate) nats_user: Option<String>,

    /// The user's password; @FILE reads it from a file.
    #[arg(long, help_heading = NATS, value_name = "PASSWORD", requires = "nats_user")]
    pub(crate) nats_password: Option<Secret>,

    /// A file of PEM text with certificates that servers are believed by, besides those of the system.
    #[arg(long, help_heading = NATS, value_name = "FILE")]
    pub(crate) nats_ca: Option<PathBuf>,

    /// The certificate that the hub shows to servers which ask for one: a file of PEM text.
    #[arg(long, help_heading = NATS, value_name = "FILE", requires = "nats_key")]
    pub(crate) nats_cert: Option<PathBuf>,

    /// The private key of that certificate: a file of PEM text.
    #[arg(long, help_heading = NATS, value_name = "FILE", requires = "nats_cert")]
    pub(crate) nats_key: Option<PathBuf>,
}

/// Starts the client for the servers of `--engine`.
///
/// # Errors
/// What could not work with any server.
pub(crate) async fn connect(
    flags: &NatsFlags,
    hub: &str,
    kept: &Kept,
    servers: &[String],
) -> Result<NatsEngine, Failure> {
    if servers.iter().any(|server| server.contains('@')) {
        let instead = "--nats-credentials, --nats-user, --nats-token or --nats-nkey";
        return Err(Failure::LoginInAddress { store: "NATS", instead });
    }
    let connected = options(flags, hub, kept, servers)?.connect().await;
    connected.map_err(|error| Failure::Connect(Box::new(error)))
}

fn options(nats: &NatsFlags, hub: &str, kept: &Kept, servers: &[String]) -> Result<NatsOptions, Failure> {
    let secret = |secret: &Secret| shown(secret, "NATS");
    let login = match (&nats.nats_credentials, &nats.nats_nkey, &nats.nats_token, &nats.nats_user) {
        (Some(file), ..) => NatsLogin::CredentialsFile(file.clone()),
        (_, Some(seed), ..) => NatsLogin::NKey(secret(seed)?),
        (_, _, Some(token), _) => NatsLogin::Token(secret(token)?),
        (.., Some(user)) => {
            let password = nats.nats_password.as_ref().map(secret).transpose()?.unwrap_or_default();
            NatsLogin::Password { user: user.clone(), password }
        }
        _ => NatsLogin::FromAddress,
    };
    Ok(NatsEngine::options(servers)
        .hub(hub)
        .login(login)
        .root_certificates(nats.nats_ca.clone())
        .client_certificate(nats.nats_cert.clone().zip(nats.nats_key.clone()))
        .replicas(usize::from(nats.nats_replicas))
        .history_events(kept.events.map(|events| events as u64))
        .history_bytes(kept.bytes.unwrap_or(BYTES) as u64)
        .history_age(kept.age)
        .idempotency(kept.keys))
}

/// Asks each server that can be asked whether what it acknowledges is on its disk; says what is wrong with it, or that nobody knows.
pub(crate) async fn syncing(addresses: Vec<String>) -> Vec<String> {
    if addresses.is_empty() {
        let unknown = "whether its servers sync what they acknowledge (sync_interval: always) is not known here; --nats-monitoring says \
                       where they can be asked";
        return vec![unknown.to_owned()];
    }
    let ask = |address: String| tokio::task::spawn_blocking(move || syncs(&address));
    let asked: Vec<_> = addresses.into_iter().map(ask).collect();
    let mut said = Vec::new();
    for asked in asked {
        said.extend(asked.await.unwrap_or_else(|panic| Err(panic.to_string())).err());
    }
    said
}

/// Whether the server that says so at `address` syncs before it acknowledges.
fn syncs(address: &str) -> Result<(), String> {
    let operator = Operator::new(address, None)?.within(FIRST_ANSWER);
    let answer = operator.ask("GET", "/jsz?config=true", None).map_err(|error| error.to_string())?;
    let setup: Option<Setup> = serde_json::from_str(&answer.body).ok().filter(|_| answer.status == 200);
    match setup.and_then(|setup| setup.config) {
        Some(JetStream { sync_always: true, .. }) => Ok(()),
        Some(JetStream { sync_interval, .. }) => Err(format!(
            "the server at {operator} syncs every {} s: what was acknowledged since may be lost when several servers lose power; set \
             `sync_interval: always` in its block `jetstream`",
            sync_interval / 1_000_000_000
        )),
        None => Err(format!("what answers at {operator} says nothing about JetStream")),
    }
}

/// What a server says of itself at `/jsz`.
#[derive(Deserialize)]
struct Setup {
    config: Option<JetStream>,
}

#[derive(Deserialize)]
struct JetStream {
    #[serde(default)]
    sync_always: bool,
    /// In nanoseconds.
    #[serde(default)]
    sync_interval: u64,
}

/// Asks about the stream, and waits a little for a server to ask.
///
/// # Errors
/// The stream cannot hold a log before somebody changes something.
pub(crate) async fn ask(engine: &NatsEngine) -> Result<Asked, Failure> {
    // A stream that is not there yet would be created, which needs no word.
    Asked::of(answer(engine).await.map(Option::unwrap_or_default), NatsFault::needs_hands)
}

/// Waits a little for a server to answer, whatever it says about the stream.
///
/// # Errors
/// None does.
pub(crate) async fn connected(engine: &NatsEngine) -> Result<(), NatsFault> {
    match answer(engine).await {
        Err(fault) if !fault.needs_hands() => Err(fault),
        _ => Ok(()),
    }
}

async fn answer(engine: &NatsEngine) -> Result<Option<Vec<Finding>>, NatsFault> {
    first_answer(async || engine.check().await, |fault| matches!(fault, NatsFault::NotConnected)).await
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// What is said of a server that answers like this.
    fn said(body: &'static str) -> Result<(), String> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let answering = thread::spawn(move || {
            let (mut client, _) = listener.accept().expect("a client");
            let mut asked = [0; 1024];
            let read = client.read(&mut asked).expect("a request");
            assert!(asked[..read].starts_with(b"GET /jsz?config=true HTTP/1.0\r\n"));
            let length = body.len();
            write!(client, "HTTP/1.0 200 OK\r\nContent-Length: {length}\r\n\r\n{body}").expect("answered");
        });
        let said = syncs(&address);
        answering.join().expect("it was asked");
        said
    }

    /// As nats-server 2.15.1 answers, but for what is not looked at.
    #[test]
    fn a_server_is_asked_whether_it_syncs_what_it_acknowledges() {
        assert_eq!(
            said(
                r#"{"memory":0,"config":{"store_dir":"/x","sync_interval":120000000000,"sync_always":true}}"#
            ),
            Ok(())
        );
        let lazy =
            said(r#"{"config":{"sync_interval":120000000000,"strict":true}}"#).expect_err("it does not");
        assert!(lazy.contains("every 120 s") && lazy.contains("sync_interval: always"), "{lazy}");
        let disabled = said(r#"{"memory":0,"disabled":true}"#).expect_err("it has none");
        assert!(disabled.contains("says nothing about JetStream"), "{disabled}");
        assert!(syncs("https://x.test").is_err());
    }
}
