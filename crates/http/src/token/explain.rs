//! Tells a person what a token says, and why the hub would refuse it.
//!
//! What is shown is what somebody wrote, believed or not; only the verdicts come from [`Verifier::verify`] and from what compiles. It is for
//! whoever runs the hub, never for whoever sent the token (M-104).

use std::fmt;
use std::time::SystemTime;

use fanfare_hub::{CompileBudget, forbidden_character};
use serde_json::Value;
use url::Url;

use super::claims::{self, Claims};
use super::details::{self, Detail};
use super::error::TokenError;
use super::json::Object;
use super::jws::Unverified;
use super::legacy;
use super::limits::TokenLimits;
use super::span::rounded;
use super::verifier::{Role, Verifier};
use crate::causes::Causes;
use crate::mercure::DEFAULT_HUB_URL;

/// What a token says. Its `Display` is a page of text, in which nothing can move a terminal's cursor.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use std::time::SystemTime;
/// use fanfare_http::token::Explanation;
///
/// let token = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL3Nob3AudGVzdCJ9.";
/// let page = Explanation::of(token, None, SystemTime::now()).await.to_string();
/// assert!(page.contains(r#"alg       "none""#));
/// # });
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Explanation {
    /// The header and the claims as they were sent, or why they cannot be read.
    pub parts: Result<Parts, TokenError>,
    /// What [`Verifier::verify`] answers for each role, and whether a hub could use what is granted. Empty if there was none to ask.
    pub verdicts: Vec<(Role, Result<Claims, TokenError>)>,
    /// Whom the verifier trusts.
    pub trusted_issuers: Vec<String>,
    now: SystemTime,
}

/// What a token says, genuine or not.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Parts {
    /// The header.
    pub header: Object,
    /// The claims.
    pub claims: Object,
    /// What it would grant if it were genuine, or why its grants are defective.
    pub grants: Result<Vec<Detail>, TokenError>,
    /// Whether it is of the older protocol.
    pub legacy: bool,
}

impl Explanation {
    /// Takes `token` apart, and asks `verifier` about it, if there is one.
    pub async fn of(token: &str, verifier: Option<&Verifier>, now: SystemTime) -> Self {
        let mut verdicts = Vec::new();
        for role in [Role::Publisher, Role::Subscriber] {
            if let Some(verifier) = verifier {
                let genuine = verifier.verify(token, role, now).await;
                verdicts.push((role, genuine.and_then(|claims| usable(claims, verifier))));
            }
        }
        let mut trusted_issuers: Vec<String> =
            verifier.iter().flat_map(|verifier| verifier.issuers()).map(str::to_owned).collect();
        trusted_issuers.sort();
        Self { parts: Parts::read(token), verdicts, trusted_issuers, now }
    }
}

/// Compiles what is granted as the hub does, with its default limits.
fn usable(claims: Claims, verifier: &Verifier) -> Result<Claims, TokenError> {
    // Relative patterns stand for whatever is beside the hub.
    let hub_url = verifier.audience().and_then(|audience| Url::parse(audience).ok());
    let hub_url = hub_url.or_else(|| Url::parse(DEFAULT_HUB_URL).ok());
    let mut budget = CompileBudget::default();
    for topic in claims.details.iter().flat_map(|detail| &detail.topics) {
        if let Some(hub_url) = &hub_url {
            let compiled = topic.language.matcher_within(&topic.text, hub_url, &mut budget);
            compiled.map_err(TokenError::Matcher)?;
        }
    }
    Ok(claims)
}

impl Parts {
    fn read(token: &str) -> Result<Self, TokenError> {
        let limits = TokenLimits::default();
        let Unverified { header, claims, .. } = Unverified::parse(token, &limits)?;
        let legacy = !details::is_modern(&claims) && legacy::has_claim(&claims);
        let grants =
            if legacy { legacy::details(&claims, &limits) } else { details::details(&claims, &limits) };
        Ok(Self { header, claims, grants, legacy })
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.parts {
            Ok(parts) => parts.show(f, self.now)?,
            Err(error) => writeln!(f, "It cannot be read: {error}.")?,
        }
        for (role, verdict) in &self.verdicts {
            match verdict {
                Ok(_) => writeln!(f, "As {role}: accepted.")?,
                Err(error) => writeln!(f, "As {role}: refused; {}.", Causes(error))?,
            }
        }
        if self.verdicts.iter().any(|(_, verdict)| *verdict == Err(TokenError::UnknownIssuer)) {
            let names: Vec<String> = self.trusted_issuers.iter().map(|name| shown(name)).collect();
            writeln!(
                f,
                "Trusted issuers: {}.",
                if names.is_empty() { "none".to_owned() } else { names.join(", ") }
            )?;
        }
        Ok(())
    }
}

impl Parts {
    fn show(&self, f: &mut fmt::Formatter<'_>, now: SystemTime) -> fmt::Result {
        writeln!(f, "Header")?;
        for (name, value) in &self.header {
            writeln!(f, "  {:<9} {}", shown(name), json(value))?;
        }
        writeln!(f, "Claims")?;
        for (name, value) in self.claims.iter().filter(|(name, _)| !is_grant(name)) {
            write!(f, "  {:<9} {}", shown(name), json(value))?;
            match name.as_str() {
                "exp" => show_date(f, &self.claims, "exp", now)?,
                "nbf" => show_date(f, &self.claims, "nbf", now)?,
                "iat" => show_date(f, &self.claims, "iat", now)?,
                _ => {}
            }
            writeln!(f)?;
        }
        writeln!(f, "{}", if self.legacy { "Grants (older protocol, claim \"mercure\")" } else { "Grants" })?;
        match &self.grants {
            Err(error) => writeln!(f, "  defective: {error}")?,
            Ok(details) if details.is_empty() => {
                writeln!(f, "  none: no publishing, and no private updates; public ones may be read")?;
            }
            Ok(details) => details.iter().try_for_each(|detail| show_detail(f, detail))?,
        }
        Ok(())
    }
}

fn is_grant(name: &str) -> bool {
    matches!(name, "authorization_details" | "mercure" | "https://mercure.rocks/")
}

fn show_detail(f: &mut fmt::Formatter<'_>, detail: &Detail) -> fmt::Result {
    let actions = match (detail.publish, detail.subscribe) {
        (true, true) => "publish, subscribe",
        (true, false) => "publish",
        (false, true) => "subscribe",
        (false, false) => "nothing that is known",
    };
    writeln!(f, "  {actions}")?;
    for topic in &detail.topics {
        let language = topic.language.match_type().unwrap_or("selector");
        let all = if topic.text == "*" { " (every topic)" } else { "" };
        writeln!(f, "    {language:<10} {}{all}", shown(&topic.text))?;
    }
    if let Some(payload) = &detail.payload {
        writeln!(f, "    payload    {}", json(payload))?;
    }
    Ok(())
}

/// The date in words, and how far away it is.
fn show_date(
    f: &mut fmt::Formatter<'_>,
    claims: &Object,
    name: &'static str,
    now: SystemTime,
) -> fmt::Result {
    let Ok(Some(date)) = claims::date(claims, name) else { return write!(f, "  (not a date)") };
    write!(f, "  ({}, ", httpdate::fmt_http_date(date))?;
    match date.duration_since(now) {
        Ok(ahead) => write!(f, "in {})", rounded(ahead)),
        Err(past) => write!(f, "{} ago)", rounded(past.duration())),
    }
}

fn json(value: &Value) -> String {
    shown(&value.to_string())
}

/// `text` with everything escaped that is not seen: a token may come from anybody, and the reader has a terminal.
fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut buffer = [0; 4];
    for character in text.chars() {
        if forbidden_character(character.encode_utf8(&mut buffer)).is_some() {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_move_a_cursor_is_escaped() {
        assert_eq!(shown("a\u{1b}[2Jb\u{202e}c\u{e4}"), "a\\u{1b}[2Jb\\u{202e}c\u{e4}");
    }
}
