//! `fanfare token explain`.
//!
//! It takes the flags and variables of `serve` that say whom to trust, so that it answers as the hub beside it would.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Args;
use clap::builder::BoolishValueParser;
use fanfare_http::token::{Algorithm, Explanation, Fetch, Issuer, KeySet, Keys, Verifier};

use super::{Refusal, at, bare, key};
use crate::access::{Access, DEVELOPMENT_ISSUER, DEVELOPMENT_KEY, DEVELOPMENT_RESOURCE};
use crate::causes::causes;
use crate::config::{self, Ask};
use crate::endpoint;
use crate::secret::Secret;

/// What `fanfare token explain` may be told.
#[derive(Debug, Args)]
#[allow(clippy::doc_markdown)] // This is shown as it stands, in a terminal.
pub(super) struct Explain {
    /// The token, with or without `Bearer` before it; without one, or with -, it is read from standard input, so that it
    /// stays out of the shell's history.
    #[arg(value_name = "TOKEN")]
    token: Option<String>,

    /// The key that the tokens of publishers are checked with: a secret, or a public key in PEM. @FILE reads it from a file.
    #[arg(
        long,
        env = "FANFARE_PUBLISHER_JWT_KEY",
        hide_env_values = true,
        value_name = "KEY",
        allow_hyphen_values = true
    )]
    publisher_jwt_key: Option<Secret>,

    /// How the tokens of publishers are signed. [default: HS256 for a secret; for a PEM key it has to be said]
    #[arg(long, env = "FANFARE_PUBLISHER_JWT_ALG", value_name = "ALG")]
    publisher_jwt_alg: Option<Algorithm>,

    /// The key that the tokens of subscribers are checked with; as for publishers.
    #[arg(
        long,
        env = "FANFARE_SUBSCRIBER_JWT_KEY",
        hide_env_values = true,
        value_name = "KEY",
        allow_hyphen_values = true
    )]
    subscriber_jwt_key: Option<Secret>,

    /// How the tokens of subscribers are signed; as for publishers.
    #[arg(long, env = "FANFARE_SUBSCRIBER_JWT_ALG", value_name = "ALG")]
    subscriber_jwt_alg: Option<Algorithm>,

    /// Where the JWK set of an identity provider is: https://…, or file:///….
    #[arg(long, env = "FANFARE_JWKS_URL", hide_env_values = true, value_name = "JWKS")]
    jwks_url: Option<Secret>,

    /// Lets the JWK set be fetched from loopback and private addresses, and without TLS.
    #[arg(long, env = "FANFARE_JWKS_INTERNAL", value_parser = BoolishValueParser::new(), action = clap::ArgAction::SetTrue)]
    jwks_internal: bool,

    /// Who makes the tokens: the value that has to stand in their claim `iss`. [default: whoever stands there]
    #[arg(long, env = "FANFARE_TRUSTED_ISSUERS", value_name = "ISSUER", value_delimiter = ',')]
    trusted_issuers: Vec<String>,

    /// What has to stand in their claim `aud`. [default: whatever stands there]
    #[arg(long, env = "FANFARE_RESOURCE_IDENTIFIER", value_name = "ID")]
    resource_identifier: Option<String>,

    /// Answers as the hub would that reads this fanfare.toml and the variables that are set here; other flags do not count
    /// then.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// What a hub with --dev would say: the key that everybody knows, issuer https://localhost, audience
    /// https://localhost/.well-known/mercure.
    #[arg(long)]
    dev: bool,
}

/// More than any hub takes, and enough to say how much too long a token is.
const INPUT_BYTES_MAX: u64 = 1 << 20;

impl Explain {
    pub(super) fn run(&self) -> Result<ExitCode, Refusal> {
        let token = self.token()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("the runtime could not be started: {error}"))?;
        runtime.block_on(self.explain(bare(&token)))
    }

    fn token(&self) -> Result<String, Refusal> {
        match self.token.as_deref() {
            Some(token) if token != "-" => Ok(token.to_owned()),
            _ => {
                let mut token = String::new();
                let read = io::stdin().take(INPUT_BYTES_MAX).read_to_string(&mut token);
                read.map_err(|error| format!("standard input cannot be read: {error}"))?;
                Ok(token)
            }
        }
    }

    async fn explain(&self, token: &str) -> Result<ExitCode, Refusal> {
        let now = SystemTime::now();
        let bare = Explanation::of(token, None, now).await;
        let Some((hub, assumed)) = self.hub(&bare)? else {
            print!("{bare}");
            println!("No keys were given, so nothing was checked; --help tells how.");
            return Ok(ExitCode::SUCCESS);
        };
        for (source, error) in hub.load().await {
            eprintln!("fanfare: {source}: {}", causes(&error));
        }
        let explanation = Explanation::of(token, Some(&hub), now).await;
        print!("{explanation}");
        if let Ok(parts) = &explanation.parts {
            if parts.legacy {
                println!("It is of the protocol before 1.0: a hub takes it only with --legacy on.");
            } else if assumed {
                println!(
                    "Assumed: its issuer is trusted and its audience is the hub; --trusted-issuers and --resource-identifier \
                     have them checked."
                );
            }
        }
        let accepted = explanation.verdicts.iter().any(|(_, verdict)| verdict.is_ok());
        Ok(if accepted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// A hub that trusts these keys, and whether it trusts whoever the token names; nothing without keys.
    fn hub(&self, bare: &Explanation) -> Result<Option<(Verifier, bool)>, Refusal> {
        if let Some(file) = &self.config {
            return configured(file).map(|hub| Some((hub, false)));
        }
        let set = self.set()?;
        let set = set.as_ref();
        let (key, algorithm) = (self.publisher_jwt_key.as_ref(), self.publisher_jwt_alg);
        let publisher = self.keys(key, algorithm, set, "publisher-jwt-key")?;
        let (key, algorithm) = (self.subscriber_jwt_key.as_ref(), self.subscriber_jwt_alg);
        let subscriber = self.keys(key, algorithm, set, "subscriber-jwt-key")?;
        if publisher.is_empty() && subscriber.is_empty() {
            return Ok(None);
        }
        let named = |claim: &str| {
            let claim = bare.parts.as_ref().ok()?.claims.get(claim)?;
            let first = claim.as_array().and_then(|list| list.first()).unwrap_or(claim);
            first.as_str().map(str::to_owned)
        };
        let issuers = match (&self.trusted_issuers[..], self.dev) {
            ([], true) => vec![DEVELOPMENT_ISSUER.to_owned()],
            ([], false) => named("iss").into_iter().collect(),
            (issuers, _) => issuers.to_vec(),
        };
        let audience = self.resource_identifier.clone();
        let audience =
            audience.or(self.dev.then(|| DEVELOPMENT_RESOURCE.to_owned())).or_else(|| named("aud"));
        // A hub has a name, also where the token names none.
        let audience = audience.unwrap_or_else(|| "the hub".to_owned());
        let assumed = !self.dev && (self.trusted_issuers.is_empty() || self.resource_identifier.is_none());

        let mut hub = Verifier::builder().audience(audience);
        for name in issuers.into_iter().filter(|name| !name.is_empty()) {
            let issuer = publisher.iter().cloned().fold(Issuer::new(name), Issuer::publisher);
            hub = hub.issuer(subscriber.iter().cloned().fold(issuer, Issuer::subscriber));
        }
        for keys in &publisher {
            hub = hub.legacy_publisher(keys.clone());
        }
        for keys in &subscriber {
            hub = hub.legacy_subscriber(keys.clone());
        }
        hub.build().map(|hub| Some((hub, assumed))).map_err(|error| error.to_string())
    }

    /// The keys of one role: the set is everybody's.
    fn keys(
        &self,
        given: Option<&Secret>,
        named: Option<Algorithm>,
        set: Option<&KeySet>,
        flag: &str,
    ) -> Result<Vec<Keys>, Refusal> {
        let given = given.cloned().or_else(|| self.dev.then(|| DEVELOPMENT_KEY.to_owned().into()));
        let key = given.map(|given| key::checking(&given, named, flag)).transpose()?;
        Ok(key.map(Keys::from).into_iter().chain(set.cloned().map(Keys::from)).collect())
    }

    fn set(&self) -> Result<Option<KeySet>, Refusal> {
        let Some(url) = &self.jwks_url else { return Ok(None) };
        let mut fetch = Fetch::new().map_err(|error| at("jwks-url")(&error))?;
        if self.jwks_internal {
            fetch = fetch.allow_internal();
        }
        KeySet::from_url(url.expose(), &fetch).map(Some).map_err(|error| at("jwks-url")(&error))
    }
}

/// Whom the hub of this file trusts.
fn configured(file: &Path) -> Result<Verifier, Refusal> {
    let arguments = ["fanfare".into(), "check".into(), "--config".into(), file.as_os_str().to_owned()];
    let asked = config::read(&arguments, std::env::vars_os()).map_err(|failure| failure.to_string())?;
    let Ask::Check(config) = asked else {
        return Err("--config: this is no configuration of a hub".to_owned());
    };
    // What its author should know, `fanfare check` tells.
    let access = Access::of(&config, &mut Vec::new()).map_err(|failure| failure.to_string())?;
    endpoint::verifier(&access).map_err(|failure| failure.to_string())
}
