//! The tables `[[issuer]]` of the file: the one thing that no flag can say.
//!
//! Types are checked here and names are known; what an issuer needs is for [`access`](crate::access) to say.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Failure, Origin};
use crate::secret::Secret;

/// Where the file begins to be about one issuer.
pub(super) const NAME: &str = "issuer";

/// What stands in the printed file.
pub(super) const EXAMPLE: &str = "

# ===== Issuers with keys of their own =====

# One table for each of them, at the end of the file: whatever stands below [[issuer]] belongs to it. Each
# has keys for publishers, for subscribers, or with jwt-key or jwks-url for both. A key is a secret, a public
# key in PEM, or @FILE to read either from a file; a JWK set is https://… or file:///….

#[[issuer]]
# What stands in the claim iss of its tokens.
#id = \"https://idp.example.com\"
#jwks-url = \"https://idp.example.com/.well-known/jwks.json\"
# Which algorithms are taken from its JWK set. [default: all that use public keys]
#jwt-alg = [\"RS256\", \"ES256\"]
# Whether the hub's metadata tell clients to get their tokens there.
#authorization-server = true

#[[issuer]]
#id = \"https://shop.example.com\"
#publisher-jwt-key = \"@./publisher.key\"
#publisher-jwt-alg = \"HS256\"
#subscriber-jwt-key = \"@./subscriber.pem\"
#subscriber-jwt-alg = \"ES256\"
";

const TEXTS: [&str; 10] = [
    "id",
    "jwt-key",
    "jwt-alg",
    "jwks-url",
    "publisher-jwt-key",
    "publisher-jwt-alg",
    "publisher-jwks-url",
    "subscriber-jwt-key",
    "subscriber-jwt-alg",
    "subscriber-jwks-url",
];

const AUTHORIZATION_SERVER: &str = "authorization-server";

/// One table.
pub(crate) struct IssuerTable {
    /// Where it begins.
    origin: Origin,
    /// By name. All are kept as secrets: it is not known yet what was written where.
    texts: BTreeMap<String, (Vec<Secret>, Origin)>,
    pub(crate) is_authorization_server: bool,
}

impl IssuerTable {
    pub(crate) fn has(&self, name: &str) -> bool {
        self.texts.contains_key(name)
    }

    pub(crate) fn list(&self, name: &str) -> &[Secret] {
        self.texts.get(name).map_or(&[], |(texts, _)| texts)
    }

    /// The one text of this name.
    pub(crate) fn one(&self, name: &str) -> Result<Option<&Secret>, Failure> {
        match self.list(name) {
            [] if self.has(name) => Err(self.refuse(name, "it takes a text in quotes")),
            [] => Ok(None),
            [one] => Ok(Some(one)),
            [..] => Err(self.refuse(name, "it takes one text, not a list")),
        }
    }

    /// Says that `name` cannot be what it is, with its place.
    pub(crate) fn refuse(&self, name: &str, reason: &str) -> Failure {
        let origin = self.texts.get(name).map_or(&self.origin, |(_, origin)| origin);
        Failure::Setting {
            origin: origin.clone(),
            long: format!("[[issuer]] {name}"),
            reason: reason.to_owned(),
        }
    }
}

/// Reads all tables. `origin` tells the place of a byte of the file.
pub(super) fn tables(
    value: &DeValue<'_>,
    start: usize,
    origin: &dyn Fn(usize) -> Origin,
) -> Result<Vec<IssuerTable>, Failure> {
    let refuse = || Failure::Setting {
        origin: origin(start),
        long: NAME.to_owned(),
        reason: "write a table for each issuer, below a line [[issuer]]".to_owned(),
    };
    let tables = value.as_array().ok_or_else(refuse)?.iter();
    tables
        .map(|value| {
            table(value.get_ref().as_table().ok_or_else(refuse)?, origin(value.span().start), origin)
        })
        .collect()
}

fn table(
    table: &DeTable<'_>,
    begin: Origin,
    origin: &dyn Fn(usize) -> Origin,
) -> Result<IssuerTable, Failure> {
    let mut read = IssuerTable { origin: begin, texts: BTreeMap::new(), is_authorization_server: false };
    for (key, value) in table {
        let name = key.get_ref().replace('_', "-");
        let origin = origin(key.span().start);
        let refuse = |reason: &str| Failure::Setting {
            origin: origin.clone(),
            long: format!("[[issuer]] {name}"),
            reason: reason.to_owned(),
        };
        if name == AUTHORIZATION_SERVER {
            read.is_authorization_server =
                value.get_ref().as_bool().ok_or_else(|| refuse("it takes true or false, without quotes"))?;
        } else if TEXTS.contains(&name.as_str()) {
            let texts = texts(value).ok_or_else(|| refuse("it takes a text in quotes"))?;
            if read.has(&name) {
                return Err(refuse("it stands here for the second time, with - and with _"));
            }
            read.texts.insert(name, (texts, origin));
        } else {
            let known = TEXTS.join(", ");
            return Err(refuse(&format!(
                "an issuer has {known} and {AUTHORIZATION_SERVER}; what is not about one issuer stands above the first [[issuer]]"
            )));
        }
    }
    Ok(read)
}

fn texts(value: &Spanned<DeValue<'_>>) -> Option<Vec<Secret>> {
    let text = |value: &Spanned<DeValue<'_>>| value.get_ref().as_str().map(|text| text.to_owned().into());
    match value.get_ref() {
        DeValue::Array(values) => values.iter().map(text).collect(),
        _ => text(value).map(|text| vec![text]),
    }
}
