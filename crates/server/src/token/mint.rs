//! `fanfare token mint`.
//!
//! Standard output is the token and nothing else, for scripts.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::Args;
use fanfare_http::token::{self, Algorithm, Language, TopicMatcher};

use super::{Refusal, at, key};
use crate::access::{DEVELOPMENT_ISSUER, DEVELOPMENT_KEY, DEVELOPMENT_RESOURCE};
use crate::secret::Secret;
use crate::value;

/// What `fanfare token mint` may be told.
#[derive(Debug, Args)]
#[allow(clippy::doc_markdown)] // This is shown as it stands, in a terminal.
pub(super) struct Mint {
    /// A topic that may be published to; * for all. May be given several times. With --legacy: a text or a URI template.
    #[arg(long, value_name = "TOPIC")]
    publish: Vec<String>,

    /// A URL Pattern of topics that may be published to, such as https://shop.example.com/orders/:id.
    #[arg(long, value_name = "PATTERN", conflicts_with = "legacy")]
    publish_pattern: Vec<String>,

    /// A topic whose private updates may be read; * for all. May be given several times. With --legacy: a text or a URI
    /// template.
    #[arg(long, value_name = "TOPIC")]
    subscribe: Vec<String>,

    /// A URL Pattern of topics whose private updates may be read.
    #[arg(long, value_name = "PATTERN", conflicts_with = "legacy")]
    subscribe_pattern: Vec<String>,

    /// What others see of the subscriber among the active subscriptions, as a JSON object. No secrets: they can read it.
    #[arg(long, value_name = "JSON", allow_hyphen_values = true)]
    payload: Option<String>,

    /// How long the token holds, such as 10m or 8h. [default: 1h; with --legacy: for ever]
    #[arg(long, value_name = "DURATION", value_parser = value::duration)]
    lifetime: Option<Duration>,

    /// The key to sign with: a secret of 32 bytes or more, or a private key in PEM (PKCS #8). @FILE reads it from a file,
    /// where it is safer than on a command line.
    #[arg(
        long,
        value_name = "KEY",
        env = "FANFARE_TOKEN_KEY",
        hide_env_values = true,
        allow_hyphen_values = true
    )]
    // A PEM block begins with hyphens; refused for that, it would be shown.
    key: Option<Secret>,

    /// What to sign with: HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA.
    /// [default: HS256 for a secret; for a PEM key it has to be said]
    #[arg(long, value_name = "ALG")]
    algorithm: Option<Algorithm>,

    /// Which of the issuer's keys it is, where they are in a JWK set: the header `kid`.
    #[arg(long, value_name = "ID")]
    key_id: Option<String>,

    /// Who makes the token, exactly as the hub knows them: the claim `iss`.
    #[arg(long, value_name = "ISSUER", conflicts_with = "legacy")]
    issuer: Option<String>,

    /// The hub, as it knows itself: the claim `aud`; its public URL, as a rule.
    #[arg(long, value_name = "ID", conflicts_with = "legacy")]
    audience: Option<String>,

    /// For whom the token is: the claim `sub`.
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,

    /// Makes a token of the protocol before 1.0, with a claim `mercure`, for hubs that take those.
    #[arg(long)]
    legacy: bool,

    /// For a hub with --dev: the key that everybody knows, issuer https://localhost, audience
    /// https://localhost/.well-known/mercure.
    #[arg(long)]
    dev: bool,
}

impl Mint {
    pub(super) fn run(&self) -> Result<ExitCode, Refusal> {
        let dev = |development: &'static str| self.dev.then_some(development);
        let key = self.key.clone().or(dev(DEVELOPMENT_KEY).map(|key| key.to_owned().into()));
        let key = key.ok_or("--key is missing; --dev takes the key that everybody knows")?;
        let key = key::signing(&key, self.algorithm, "key")?;
        let mut mint = if self.legacy {
            token::Mint::legacy()
        } else {
            let issuer = self.issuer.as_deref().or(dev(DEVELOPMENT_ISSUER));
            let audience = self.audience.as_deref().or(dev(DEVELOPMENT_RESOURCE));
            token::Mint::modern(
                issuer.ok_or("--issuer is missing: who makes the token, as the hub knows them")?,
                audience
                    .ok_or("--audience is missing: the hub, as it knows itself; its public URL, as a rule")?,
            )
        };
        let plain = if self.legacy { Language::Selector } else { Language::Exact };
        mint = mint
            .publish(matchers(plain, &self.publish, "publish")?)
            .publish(matchers(Language::UrlPattern, &self.publish_pattern, "publish-pattern")?)
            .subscribe(matchers(plain, &self.subscribe, "subscribe")?)
            .subscribe(matchers(Language::UrlPattern, &self.subscribe_pattern, "subscribe-pattern")?);
        if let Some(payload) = &self.payload {
            mint = mint.payload(serde_json::from_str(payload).map_err(|error| at("payload")(&error))?);
        }
        if let Some(subject) = &self.subject {
            mint = mint.subject(subject);
        }
        if let Some(lifetime) = self.lifetime {
            mint = mint.lifetime(lifetime);
        }
        if let Some(id) = &self.key_id {
            mint = mint.key_id(id);
        }
        println!("{}", mint.sign(&key, SystemTime::now()).map_err(|error| error.to_string())?);
        Ok(ExitCode::SUCCESS)
    }
}

fn matchers(language: Language, texts: &[String], flag: &str) -> Result<Vec<TopicMatcher>, Refusal> {
    texts.iter().map(|text| TopicMatcher::new(language, text).map_err(|fault| at(flag)(&fault))).collect()
}
