//! Whose tokens are taken: the keys at the top, and the tables `[[issuer]]` of the file.
//!
//! Every key belongs to an issuer, or to the tokens that name none; they are never pooled (M-099).

use std::fmt;

use super::key::{self, Form, Verification};
use super::{DEVELOPMENT_KEY, identifier};
use crate::config::{Config, Failure, IssuerTable, Origin};
use crate::secret::Secret;

/// Somebody whose tokens are taken.
#[derive(Clone, Debug)]
pub(crate) struct Issuer {
    /// What stands in the claim `iss`.
    pub(crate) id: String,
    pub(crate) keys: Keys,
    /// Whether the hub's metadata tell clients to get their tokens there.
    pub(crate) is_authorization_server: bool,
}

/// What the tokens of each role are checked with. None: the role is refused.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys {
    pub(crate) publisher: Option<Verification>,
    pub(crate) subscriber: Option<Verification>,
}

impl Keys {
    pub(super) fn is_empty(&self) -> bool {
        self.publisher.is_none() && self.subscriber.is_none()
    }

    pub(super) fn is_well_known(&self) -> bool {
        let known = |keys: &Verification| matches!(keys, Verification::Key { is_well_known: true, .. });
        [&self.publisher, &self.subscriber].into_iter().flatten().any(known)
    }

    pub(super) fn development() -> Self {
        let key = Verification::key(&DEVELOPMENT_KEY.to_owned().into(), Form::Literal, &[]).ok();
        Self { publisher: key.clone(), subscriber: key }
    }
}

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role =
            |keys: &Option<Verification>| keys.as_ref().map_or("nothing".to_owned(), ToString::to_string);
        write!(f, "publishers have {}, subscribers {}", role(&self.publisher), role(&self.subscriber))
    }
}

/// What stands at the top of the file, or on the command line.
pub(super) struct Top {
    pub(super) keys: Keys,
    key_set: Option<Verification>,
}

impl Top {
    pub(super) fn read(config: &Config) -> Result<Self, Failure> {
        let flags = &config.serve.access;
        let of_role = |role: &str, text: &Option<Secret>, algorithm: &Option<String>| {
            let (key, alg) = (format!("{role}-jwt-key"), format!("{role}-jwt-alg"));
            let Some(text) = text else {
                return match algorithm {
                    Some(_) => {
                        Err(config.refuse(&alg, &format!("there is no key that it is for: set {key}")))
                    }
                    None => Ok(None),
                };
            };
            let form = match config.origin(&key) {
                Some(Origin::Reference(_)) => Form::Literal,
                _ => Form::Ours,
            };
            let algorithm = algorithm.as_deref().map(key::algorithm).transpose();
            let algorithm = algorithm.map_err(|reason| config.refuse(&alg, &reason))?;
            Verification::key(text, form, algorithm.as_slice())
                .map(Some)
                .map_err(|reason| config.refuse(&key, &reason))
        };
        let publisher = of_role("publisher", &flags.publisher_jwt_key, &flags.publisher_jwt_alg)?;
        let subscriber = of_role("subscriber", &flags.subscriber_jwt_key, &flags.subscriber_jwt_alg)?;
        let keys = Keys { publisher, subscriber };
        let key_set = flags.jwks_url.as_ref().map(|url| Verification::key_set(url, &[])).transpose();
        let key_set = key_set.map_err(|reason| config.refuse("jwks-url", &reason))?;
        if key_set.is_some() {
            let reason = if flags.trusted_issuers.is_empty() {
                "set trusted-issuers, too: it says whose tokens are checked with this JWK set"
            } else if keys.publisher.is_some() && keys.subscriber.is_some() {
                "publishers and subscribers have keys already; if others have the JWK set, say so below [[issuer]] in the file"
            } else {
                return Ok(Self { keys, key_set });
            };
            return Err(config.refuse("jwks-url", reason));
        }
        Ok(Self { keys, key_set })
    }

    /// What the trusted issuers sign with.
    fn trusted(&self) -> Keys {
        let Keys { publisher, subscriber } = self.keys.clone();
        Keys {
            publisher: publisher.or_else(|| self.key_set.clone()),
            subscriber: subscriber.or_else(|| self.key_set.clone()),
        }
    }
}

/// Everybody whose tokens are taken.
pub(super) fn all(config: &Config, top: &Top) -> Result<Vec<Issuer>, Failure> {
    let mut issuers: Vec<Issuer> = Vec::new();
    let trusted = top.trusted();
    for id in &config.serve.access.trusted_issuers {
        if trusted.is_empty() {
            let reason = "there is nothing to check their tokens with: set publisher-jwt-key, subscriber-jwt-key or jwks-url";
            return Err(config.refuse("trusted-issuers", reason));
        }
        if issuers.iter().all(|issuer| issuer.id != *id) {
            issuers.push(Issuer { id: id.clone(), keys: trusted.clone(), is_authorization_server: false });
        }
    }
    for table in &config.issuers {
        let issuer = of_table(table)?;
        if issuers.iter().any(|earlier| earlier.id == issuer.id) {
            let reason = format!("{} is named twice, and an issuer has its keys in one place", issuer.id);
            return Err(table.refuse("id", &reason));
        }
        issuers.push(issuer);
    }
    Ok(issuers)
}

fn of_table(table: &IssuerTable) -> Result<Issuer, Failure> {
    let Some(id) = table.one("id")? else {
        return Err(table
            .refuse("id", "it is missing: set it to what stands in the claim iss of this issuer's tokens"));
    };
    let id = identifier(id.expose()).map_err(|reason| table.refuse("id", &reason))?;
    let keys = Keys { publisher: of_role(table, "publisher")?, subscriber: of_role(table, "subscriber")? };
    if keys.is_empty() {
        let reason = "this issuer has no keys: set jwks-url or jwt-key, or one of them for publishers or subscribers only, \
                      such as publisher-jwt-key";
        return Err(table.refuse("id", reason));
    }
    Ok(Issuer { id, keys, is_authorization_server: table.is_authorization_server })
}

/// What is said of the role wins over what is said of both.
fn of_role(table: &IssuerTable, role: &str) -> Result<Option<Verification>, Failure> {
    let own = |name: &str| format!("{role}-{name}");
    let is_own = [own("jwt-key"), own("jwks-url")].iter().any(|name| table.has(name));
    let named = |name: &str| if is_own { own(name) } else { name.to_owned() };
    let (key, key_set) = (table.one(&named("jwt-key"))?, table.one(&named("jwks-url"))?);
    let alg = if table.has(&own("jwt-alg")) { own("jwt-alg") } else { "jwt-alg".to_owned() };
    let algorithms: Result<Vec<_>, _> =
        table.list(&alg).iter().map(|name| key::algorithm(name.expose())).collect();
    let algorithms = algorithms.map_err(|reason| table.refuse(&alg, &reason))?;
    let (read, name) = match (key, key_set) {
        (None, None) => return Ok(None),
        (Some(key), None) => (Verification::key(key, Form::Ours, &algorithms), named("jwt-key")),
        (None, Some(url)) => (Verification::key_set(url, &algorithms), named("jwks-url")),
        (Some(_), Some(_)) => (Err("there is a key, too; keep one of them".to_owned()), named("jwks-url")),
    };
    read.map(Some).map_err(|reason| table.refuse(&name, &reason))
}
