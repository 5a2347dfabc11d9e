//! `fanfare token`: makes tokens, and explains those that others made.
//!
//! It talks to no hub: what a hub would answer is worked out here, by the same check.

mod explain;
mod key;
mod mint;

use std::fmt::Display;
use std::process::ExitCode;

use clap::{Args, Subcommand};

/// What `fanfare token` may be told.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Token {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
#[allow(clippy::doc_markdown)] // This is shown as it stands, in a terminal.
enum Action {
    /// Makes a token and prints it
    ///
    /// Without --publish and --subscribe it grants nothing, which is enough to read what is public. Examples:
    ///
    ///   fanfare token mint --dev --publish '*' --subscribe '*'
    ///   fanfare token mint --key @publisher.key --issuer https://shop.example.com \
    ///     --audience https://hub.example.com/.well-known/mercure \
    ///     --publish-pattern 'https://shop.example.com/orders/:id'
    ///   fanfare token mint --legacy --key @hub.key --publish '*'
    #[command(verbatim_doc_comment)]
    Mint(Box<mint::Mint>),

    /// Says what a token grants, and why a hub would refuse it
    ///
    /// Nothing of what it shows is to be believed unless it says accepted. Without keys it only takes the token apart.
    /// It ends with 0 if the token is accepted for publishing or subscribing, or no keys were given, and with 1 otherwise.
    /// Examples:
    ///
    ///   fanfare token explain < token.txt
    ///   fanfare token explain --config /etc/fanfare.toml < token.txt
    ///   fanfare token explain --dev eyJhbGciOiJIUzI1NiIs…
    ///   fanfare token explain --publisher-jwt-key @publisher.key \
    ///     --trusted-issuers https://shop.example.com \
    ///     --resource-identifier https://hub.example.com/.well-known/mercure - < token.txt
    #[command(verbatim_doc_comment)]
    Explain(Box<explain::Explain>),
}

/// Does what was asked for.
pub(crate) fn run(token: &Token) -> ExitCode {
    let outcome = match &token.action {
        Action::Mint(mint) => mint.run(),
        Action::Explain(explain) => explain.run(),
    };
    outcome.unwrap_or_else(|refusal| {
        eprintln!("fanfare: {refusal}");
        ExitCode::from(2)
    })
}

/// A sentence for whoever typed the command.
type Refusal = String;

/// Puts the flag before what is wrong with it.
fn at(flag: &str) -> impl Fn(&dyn Display) -> Refusal + '_ {
    move |reason| format!("--{flag}: {reason}")
}

/// The token alone, of a text that may be a whole header `Authorization`.
pub(crate) fn bare(text: &str) -> &str {
    let text = text.trim();
    let named = text.get(..7).filter(|start| start.eq_ignore_ascii_case("bearer "));
    named.map_or(text, |_| text[7..].trim())
}
