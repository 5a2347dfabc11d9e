//! Who takes part in a comparison, and who cannot and why.
//!
//! Nothing is installed here: `scripts/bench` does that.

use crate::contestant::Contestant;
use crate::target::Dialect;
use crate::{floor, rival_nchan};
use anyhow::bail;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::{Command, Stdio};

/// The floor of one send for each event, which ratios are taken of.
pub(crate) const FLOOR_SEND: &str = "floor-send";
/// The floor of one send for all that is pending, which ratios are taken of.
pub(crate) const FLOOR_CURSOR: &str = "floor-cursor";
/// The same over `io_uring`.
pub(crate) const FLOOR_URING: &str = "floor-uring";
/// All floors.
pub(crate) const FLOORS: [&str; 3] = [FLOOR_SEND, FLOOR_CURSOR, FLOOR_URING];
/// The rival that everything but Rust's ordinary way is absent from.
pub(crate) const AXUM: &str = "axum";
/// The hub, through epoll where it has the choice.
pub(crate) const FANFARE: &str = "fanfare";
/// The hub through `io_uring`.
pub(crate) const FANFARE_URING: &str = "fanfare-uring";

/// Where the programs and configurations of the rivals are.
const RIVALS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/rivals");
/// The hub's option that chooses how it writes.
const URING_OPTION: &str = "--io-uring";

/// Who is meant to take part.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Chosen {
    /// The program `fanfare`: adds the contestant of this name, run as `serve --dev` on a free port; twice, over epoll and
    /// over `io_uring`, where it has the choice.
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) fanfare: Option<String>,
    /// Further arguments of `fanfare serve`, split at spaces.
    #[arg(long, value_name = "ARGUMENTS", default_value = "", allow_hyphen_values = true)]
    pub(crate) fanfare_arguments: String,
    /// One more contestant: a server that prints `listening on http://…` and speaks the same two requests.
    #[arg(long, value_name = "NAME=COMMAND", value_parser = Contestant::parse)]
    contestant: Vec<Contestant>,
    /// Only these contestants, by name; the floors among them if ratios are wanted.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

/// Somebody who cannot take part here.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Absent {
    pub(crate) contestant: String,
    /// A sentence.
    pub(crate) reason: String,
}

/// Those who take part, in order, and those who cannot.
pub(crate) fn contestants(chosen: &Chosen) -> anyhow::Result<(Vec<Contestant>, Vec<Absent>)> {
    let mut all: Vec<(String, Result<Contestant, String>)> = Vec::new();
    let mut add =
        |name: &str, contestant: Result<Contestant, String>| all.push((name.to_owned(), contestant));
    let own = |name: &str, command: &str| Contestant::own(name, &[command]);
    add(FLOOR_SEND, Ok(own(FLOOR_SEND, "floor-send")?));
    add(FLOOR_CURSOR, Ok(own(FLOOR_CURSOR, "floor-cursor")?));
    let uring_refusal = floor::uring_refusal();
    add(FLOOR_URING, uring_refusal.clone().map_or(Ok(own(FLOOR_URING, "floor-uring")?), Err));
    add(AXUM, Ok(own(AXUM, "rival-axum")?));
    let nchan =
        Contestant { dialect: Dialect::Nchan, ..Contestant::own_without_address("nchan", "rival-nchan")? };
    add("nchan", rival_nchan::refusal().map_or(Ok(nchan), Err));
    add("better-sse", better_sse());
    if let Some(program) = &chosen.fanfare {
        let (plain, uring) = fanfare(program, &chosen.fanfare_arguments);
        add(FANFARE, Ok(plain));
        if let Some(uring) = uring {
            add(FANFARE_URING, uring_refusal.map_or(Ok(uring), Err));
        }
    }
    for contestant in &chosen.contestant {
        add(&contestant.name, Ok(contestant.clone()));
    }
    for name in &chosen.only {
        if !all.iter().any(|(contestant, _)| contestant == name) {
            bail!("there is no contestant {name}");
        }
    }
    let (mut present, mut absent) = (Vec::new(), Vec::new());
    for (name, contestant) in all {
        if !chosen.only.is_empty() && !chosen.only.contains(&name) {
            continue;
        }
        match contestant {
            Ok(contestant) => present.push(contestant),
            Err(reason) => absent.push(Absent { contestant: name, reason }),
        }
    }
    Ok((present, absent))
}

fn better_sse() -> Result<Contestant, String> {
    if !Path::new(RIVALS).join("node_modules/better-sse").exists() {
        return Err(format!("better-sse is not installed (npm ci in {RIVALS})"));
    }
    let node = Command::new("node").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !node.is_ok_and(|status| status.success()) {
        return Err("Node.js is not installed".to_owned());
    }
    let command = vec!["node".to_owned(), format!("{RIVALS}/better-sse.js")];
    Ok(Contestant { name: "better-sse".to_owned(), command, dialect: Dialect::mercure() })
}

/// The hub over epoll, and over `io_uring` where its program has the choice.
fn fanfare(program: &str, arguments: &str) -> (Contestant, Option<Contestant>) {
    // Left alone it keeps some of its file descriptors for whom it turns away.
    let room: &[&str] =
        if has_option(program, "--max-connections") { &["--max-connections", "19900"] } else { &[] };
    let variant = |name: &str, more: &[&str]| {
        let fixed = ["serve", "--dev", "--listen", "127.0.0.1:0", "--shutdown-window", "0s"];
        let words = std::iter::once(program).chain(fixed).chain(room.iter().copied());
        let words = words.chain(arguments.split_whitespace());
        let command = words.chain(more.iter().copied()).map(str::to_owned).collect();
        Contestant { name: name.to_owned(), command, dialect: Dialect::mercure() }
    };
    if has_option(program, URING_OPTION) {
        (variant(FANFARE, &[URING_OPTION, "off"]), Some(variant(FANFARE_URING, &[URING_OPTION, "on"])))
    } else {
        (variant(FANFARE, &[]), None)
    }
}

/// Whether `fanfare serve` takes this option.
pub(crate) fn has_option(program: &str, option: &str) -> bool {
    let help = Command::new(program).args(["serve", "--help"]).stdin(Stdio::null()).output();
    help.is_ok_and(|help| String::from_utf8_lossy(&help.stdout).contains(&format!("{option} ")))
}
