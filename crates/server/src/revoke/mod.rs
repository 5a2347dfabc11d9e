//! `fanfare revoke`: takes tokens back at a running hub, lists what is revoked, and lifts it.
//!
//! It asks the hub as any operator's tool would (`/admin/revocations`), and decides nothing itself.

use std::fmt;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::access::key_text;
use crate::asking::{Answer, Operator, Unanswered};
use crate::moment::Moment;
use crate::secret::Secret;
use crate::value;

/// Where revocations are asked for.
const PATH: &str = "/admin/revocations";

/// What `fanfare revoke` may be told.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
#[allow(clippy::doc_markdown)] // This is shown as it stands, in a terminal.
pub(crate) struct Revoke {
    /// Where operators ask the hub: the address of its --admin-listen (with --dev that of the hub), such as 127.0.0.1:9090.
    #[arg(long, global = true, env = "FANFARE_ADMIN_LISTEN", value_name = "ADDRESS")]
    admin: Option<String>,

    /// What the hub has as its --admin-token, if it has one. @FILE reads it from a file.
    #[arg(
        long,
        global = true,
        env = "FANFARE_ADMIN_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN",
        allow_hyphen_values = true
    )]
    admin_token: Option<Secret>,

    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
#[allow(clippy::doc_markdown)] // This is shown as it stands, in a terminal.
enum Action {
    /// Takes back all tokens of a subject, those that are made later too
    ///
    /// Its streams end at once. Example:
    ///
    ///   fanfare revoke --admin 127.0.0.1:9090 subject customer-7 --issuer https://shop.example.com
    #[command(verbatim_doc_comment)]
    Subject(Subject),

    /// Takes one token back, by its claim jti; fanfare token explain shows it
    ///
    ///   fanfare revoke --admin 127.0.0.1:9090 token 5f0c2a --until 24h
    #[command(verbatim_doc_comment)]
    Token(Token),

    /// Takes back everything that was issued before a moment, of everybody
    ///
    /// That is for a key that got out: have new tokens made first. Example:
    ///
    ///   fanfare revoke --admin 127.0.0.1:9090 before 2026-11-25T12:00:00Z --issuer https://shop.example.com
    #[command(verbatim_doc_comment)]
    Before(Before),

    /// Lists what is revoked
    List,

    /// Honours tokens again: undoes a revocation by its id
    ///
    /// Those tokens are good until they expire.
    Lift {
        /// The id that revoking told, and that list shows.
        #[arg(value_name = "ID")]
        id: String,
    },
}

#[derive(Debug, Args)]
struct Subject {
    /// The claim sub of those tokens.
    #[arg(value_name = "SUBJECT")]
    name: String,

    /// Only those that were issued before this moment: 2026-11-25T12:00:00Z, or seconds since 1970.
    #[arg(long, value_name = "MOMENT", value_parser = Moment::read)]
    issued_before: Option<Moment>,

    #[command(flatten)]
    bounds: Bounds,
}

#[derive(Debug, Args)]
struct Token {
    /// The claim jti of the token.
    #[arg(value_name = "ID")]
    id: String,

    #[command(flatten)]
    bounds: Bounds,
}

#[derive(Debug, Args)]
struct Before {
    /// The moment: 2026-11-25T12:00:00Z, or seconds since 1970. The claim iat is held against it; a token without it counts as old.
    #[arg(value_name = "MOMENT", value_parser = Moment::read)]
    moment: Moment,

    #[command(flatten)]
    bounds: Bounds,
}

#[derive(Debug, Args)]
struct Bounds {
    /// Only tokens of this issuer: their claim iss. Another issuer may use the same names for others.
    #[arg(long, value_name = "ISSUER")]
    issuer: Option<String>,

    /// When those tokens must have expired, and nothing needs to be remembered: a moment, or a time from now such as 24h.
    /// [default: it holds until it is lifted]
    #[arg(long, value_name = "MOMENT", value_parser = until)]
    until: Option<Moment>,
}

fn until(text: &str) -> Result<Moment, String> {
    if let Ok(moment) = Moment::read(text) {
        return Ok(moment);
    }
    let after = value::duration(text).ok().and_then(|after| SystemTime::now().checked_add(after));
    after.map(Moment).ok_or_else(|| {
        "write a moment such as 2026-11-25T12:00:00Z, or a time from now such as 24h".to_owned()
    })
}

/// Why it was not done.
enum Failure {
    /// Something else has to be typed.
    Said(String),
    /// The hub did not do it, or nobody knows.
    Asked(String),
}

impl From<Unanswered> for Failure {
    fn from(error: Unanswered) -> Self {
        Self::Asked(error.to_string())
    }
}

/// Does what was asked for.
pub(crate) fn run(revoke: &Revoke) -> ExitCode {
    match revoke.done() {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Said(sentence)) => {
            eprintln!("fanfare: {sentence}");
            ExitCode::from(2)
        }
        Err(Failure::Asked(sentence)) => {
            eprintln!("fanfare: {sentence}");
            ExitCode::FAILURE
        }
    }
}

impl Revoke {
    fn done(&self) -> Result<(), Failure> {
        let operator = self.operator()?;
        match &self.action {
            Action::Subject(asked) => self.revoke(&operator, &asked.wanted()),
            Action::Token(asked) => self.revoke(&operator, &asked.wanted()),
            Action::Before(asked) => self.revoke(&operator, &asked.wanted()),
            Action::List => list(&operator),
            Action::Lift { id } => lift(&operator, id),
        }
    }

    fn operator(&self) -> Result<Operator, Failure> {
        let Some(address) = &self.admin else {
            return Err(Failure::Said(
                "--admin is missing: where operators ask the hub, the address of its --admin-listen (or FANFARE_ADMIN_LISTEN)"
                    .to_owned(),
            ));
        };
        let token = self.admin_token.as_ref().map(key_text).transpose();
        let token = token.map_err(|reason| Failure::Said(format!("--admin-token: {reason}")))?;
        Operator::new(address, token).map_err(|reason| Failure::Said(format!("--admin: {reason}")))
    }

    fn revoke(&self, operator: &Operator, wanted: &Wanted) -> Result<(), Failure> {
        let answer = operator.ask("POST", PATH, Some(&wanted.json())).map_err(|error| match error {
            Unanswered::Unreached { .. } => Failure::Asked(error.to_string()),
            _ => Failure::Asked(format!("{error}; it may be revoked nevertheless: fanfare revoke list tells, and to revoke it twice does no harm")),
        })?;
        let done: Done = read(&expect(operator, answer, 200)?)?;
        println!("revoked  {wanted}");
        println!("streams  {} ended", done.streams_cut);
        println!("id       {}", done.id);
        let admin = self.admin.as_deref().unwrap_or_default();
        eprintln!("Honoured again by: fanfare revoke --admin {admin} lift {}", done.id);
        Ok(())
    }
}

fn list(operator: &Operator) -> Result<(), Failure> {
    let rows: Vec<Row> = read(&expect(operator, operator.ask("GET", PATH, None)?, 200)?)?;
    if rows.is_empty() {
        println!("Nothing is revoked.");
    }
    for Row { id, streams_cut, what } in rows {
        println!("{id}  {what}; {streams_cut} streams ended");
    }
    Ok(())
}

fn lift(operator: &Operator, id: &str) -> Result<(), Failure> {
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(Failure::Said(format!(
            "{id:?} is no id of a revocation; fanfare revoke list shows them"
        )));
    }
    let answer = operator.ask("DELETE", &format!("{PATH}/{id}"), None)?;
    if answer.status == 404 && answer.body.contains("revocation") {
        return Err(Failure::Asked(format!(
            "nothing is revoked with the id {id}; fanfare revoke list shows what is"
        )));
    }
    expect(operator, answer, 204)?;
    println!("lifted   {id}: those tokens are honoured again until they expire");
    Ok(())
}

/// The body of an answer with this status; of another one a sentence that says what to do.
fn expect(operator: &Operator, answer: Answer, status: u16) -> Result<String, Failure> {
    let Answer { status: found, body } = answer;
    if found == status {
        return Ok(body);
    }
    let said = body.trim_end().trim_end_matches('.');
    let hint = match found {
        401 if operator.has_token() => "; what --admin-token gives is another",
        401 => "; give it with --admin-token @FILE, or in FANFARE_ADMIN_TOKEN",
        404 | 405 => "; --admin is to be the address of the hub's --admin-listen",
        _ => "",
    };
    Err(Failure::Asked(format!("the hub at {operator} refused ({found}): {said}{hint}")))
}

fn read<T: serde::de::DeserializeOwned>(body: &str) -> Result<T, Failure> {
    serde_json::from_str(body)
        .map_err(|error| Failure::Asked(format!("the answer is not that of a hub: {error}")))
}

#[derive(Deserialize)]
struct Done {
    id: String,
    streams_cut: u64,
}

#[derive(Deserialize)]
struct Row {
    id: String,
    streams_cut: u64,
    #[serde(flatten)]
    what: Wanted,
}

/// Which tokens, as the hub reads and writes it.
#[derive(Debug, Default, Deserialize)]
struct Wanted {
    subject: Option<String>,
    token_id: Option<String>,
    issued_before: Option<Moment>,
    issuer: Option<String>,
    until: Option<Moment>,
}

impl Subject {
    fn wanted(&self) -> Wanted {
        let subject = Some(self.name.clone());
        Wanted { subject, issued_before: self.issued_before, ..self.bounds.wanted() }
    }
}

impl Token {
    fn wanted(&self) -> Wanted {
        Wanted { token_id: Some(self.id.clone()), ..self.bounds.wanted() }
    }
}

impl Before {
    fn wanted(&self) -> Wanted {
        Wanted { issued_before: Some(self.moment), ..self.bounds.wanted() }
    }
}

impl Bounds {
    fn wanted(&self) -> Wanted {
        Wanted { issuer: self.issuer.clone(), until: self.until, ..Wanted::default() }
    }
}

impl Wanted {
    fn json(&self) -> String {
        let texts = [("subject", &self.subject), ("token_id", &self.token_id), ("issuer", &self.issuer)];
        let moments = [("issued_before", self.issued_before), ("until", self.until)];
        let texts =
            texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), json!(text.as_ref()?))));
        let moments =
            moments.into_iter().filter_map(|(name, moment)| Some((name.to_owned(), json!(moment?))));
        Value::Object(texts.chain(moments).collect::<Map<_, _>>()).to_string()
    }
}

/// What comes from the hub may hold anything, and goes to a terminal: names are quoted.
impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.subject, &self.token_id) {
            (Some(subject), _) => write!(f, "tokens of the subject {subject:?}")?,
            (None, Some(id)) => write!(f, "the token {id:?}")?,
            (None, None) => f.write_str("tokens of everybody")?,
        }
        if let Some(issuer) = &self.issuer {
            write!(f, " by {issuer:?}")?;
        }
        if let Some(before) = self.issued_before {
            write!(f, " issued before {before}")?;
        }
        match self.until {
            Some(until) => write!(f, ", until {until}"),
            None => f.write_str(", until it is lifted"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_is_said_to_the_hub_and_to_people() {
        let moment = Moment::read("2026-11-25T12:00:00Z").expect("a moment");
        let all = Wanted {
            subject: Some("a \"b\"\u{1b}[31m".to_owned()),
            issued_before: Some(moment),
            issuer: Some("https://shop.test".to_owned()),
            until: Some(moment),
            ..Wanted::default()
        };
        assert_eq!(
            all.json(),
            r#"{"issued_before":"2026-11-25T12:00:00Z","issuer":"https://shop.test","subject":"a \"b\"\u001b[31m","until":"2026-11-25T12:00:00Z"}"#
        );
        assert_eq!(
            all.to_string(),
            r#"tokens of the subject "a \"b\"\u{1b}[31m" by "https://shop.test" issued before 2026-11-25T12:00:00Z, until 2026-11-25T12:00:00Z"#
        );
        let token = Wanted { token_id: Some("5f".to_owned()), ..Wanted::default() };
        assert_eq!(token.json(), r#"{"token_id":"5f"}"#);
        assert_eq!(token.to_string(), "the token \"5f\", until it is lifted");
    }

    #[test]
    fn an_end_is_a_moment_or_a_time_from_now() {
        assert_eq!(until("2026-11-25T12:00:00Z"), Moment::read("1795608000"));
        assert!(until("24h").expect("a moment").0 > SystemTime::now());
        assert!(until("soon").is_err());
    }
}
