//! Finds an issuer's key set by the metadata that it publishes.
//!
//! Nothing else in them is believed. Source: [RFC 8414 § 3](https://www.rfc-editor.org/rfc/rfc8414#section-3), requirement M-098.

use serde_json::Value;
use url::Url;

use super::{Fetch, FetchError, checked};

/// Where the metadata of `issuer` may stand, in the order in which they are asked for.
pub(super) fn places(issuer: &Url) -> Vec<Url> {
    let path = issuer.path().trim_end_matches('/');
    let at = |path: String| {
        let mut url = issuer.clone();
        url.set_query(None);
        url.set_fragment(None);
        url.set_path(&path);
        url
    };
    vec![
        // Between host and path, as RFC 8414 has it; OpenID Connect appends.
        at(format!("/.well-known/oauth-authorization-server{path}")),
        at(format!("{path}/.well-known/openid-configuration")),
    ]
}

/// Asks in `places` for where the keys of `issuer` are.
pub(super) async fn key_set_url(fetch: &Fetch, issuer: &str, places: &[Url]) -> Result<Url, FetchError> {
    let mut refusal = FetchError::Metadata;
    for place in places {
        match fetch.get(place).await {
            Ok(answer) => return jwks_uri(&answer.body, issuer, fetch).ok_or(FetchError::Metadata),
            // There are none here.
            Err(error @ FetchError::Status(400..=499)) => refusal = error,
            Err(error) => return Err(error),
        }
    }
    Err(refusal)
}

fn jwks_uri(metadata: &[u8], issuer: &str, fetch: &Fetch) -> Option<Url> {
    let metadata: Value = serde_json::from_slice(metadata).ok()?;
    // Whoever answers for one issuer must not name the keys of another (RFC 8414 § 3.3).
    if metadata.get("issuer")?.as_str()? != issuer {
        return None;
    }
    checked(metadata.get("jwks_uri")?.as_str()?, fetch).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_stand_where_the_standards_say_m098() {
        let check = |issuer: &str, expected: [&str; 2]| {
            let found: Vec<String> =
                places(&issuer.parse().expect("a URL")).iter().map(Url::to_string).collect();
            assert_eq!(found, expected);
        };
        check(
            "https://as.test",
            [
                "https://as.test/.well-known/oauth-authorization-server",
                "https://as.test/.well-known/openid-configuration",
            ],
        );
        check(
            "https://as.test/realms/shop/?x#y",
            [
                "https://as.test/.well-known/oauth-authorization-server/realms/shop",
                "https://as.test/realms/shop/.well-known/openid-configuration",
            ],
        );
    }
}
