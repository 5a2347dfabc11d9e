//! What a token that was checked says, and the claims that decide whether it still holds.
//!
//! The time is an argument. Source: [RFC 7519 § 4.1](https://www.rfc-editor.org/rfc/rfc7519#section-4.1), requirements M-101
//! and M-102.

use std::time::{Duration, SystemTime};

use serde_json::{Number, Value};

use super::details::Detail;
use super::error::TokenError;
use super::json::Object;

/// What a genuine token says.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Claims {
    /// `iss`. Always there, but in legacy tokens.
    pub issuer: Option<String>,
    /// `sub`: for whom it was made.
    pub subject: Option<String>,
    /// `jti`: the token's own name.
    pub id: Option<String>,
    /// `iat`: when it was made, as its issuer says.
    pub issued_at: Option<SystemTime>,
    /// Until when the hub honours it: `exp` and the leeway. Always there, but in legacy tokens.
    pub expires_at: Option<SystemTime>,
    /// Whether it is a token of the older protocol.
    pub legacy: bool,
    /// What it grants, in the token's order. Empty: it is genuine, and grants nothing (M-116).
    pub details: Vec<Detail>,
}

impl Claims {
    /// Reads all but the grants.
    pub(super) fn read(claims: &Object, leeway: Duration) -> Result<Self, TokenError> {
        Ok(Self {
            issuer: text(claims, "iss")?,
            subject: text(claims, "sub")?,
            id: text(claims, "jti")?,
            issued_at: date(claims, "iat")?,
            expires_at: date(claims, "exp")?.map(|date| date + leeway),
            legacy: false,
            details: Vec::new(),
        })
    }
}

/// A claim that is a text, if it is there.
pub(super) fn text(claims: &Object, name: &'static str) -> Result<Option<String>, TokenError> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(TokenError::MalformedClaim { name }),
    }
}

/// Refuses a token that has expired, or is not valid yet. At `exp` itself it has expired.
pub(super) fn check_dates(claims: &Object, now: SystemTime, leeway: Duration) -> Result<(), TokenError> {
    if let Some(expiry) = date(claims, "exp")?
        && let Ok(ago) = now.duration_since(expiry + leeway)
    {
        return Err(TokenError::Expired { ago });
    }
    if let Some(start) = date(claims, "nbf")?
        && let Ok(ahead) = start.duration_since(now)
        && let Some(ahead) = ahead.checked_sub(leeway)
        && !ahead.is_zero()
    {
        return Err(TokenError::NotYetValid { ahead });
    }
    Ok(())
}

/// Refuses a token whose `aud` contains none of `expected`.
pub(super) fn check_audience(claims: &Object, expected: &[String]) -> Result<(), TokenError> {
    let is_expected = |audience: &str| expected.iter().any(|ours| ours == audience);
    let fits = match claims.get("aud") {
        None => return Err(TokenError::MissingClaim { name: "aud" }),
        Some(Value::String(audience)) => is_expected(audience),
        Some(Value::Array(audiences)) => {
            if !audiences.iter().all(Value::is_string) {
                return Err(TokenError::MalformedClaim { name: "aud" });
            }
            audiences.iter().filter_map(Value::as_str).any(is_expected)
        }
        Some(_) => return Err(TokenError::MalformedClaim { name: "aud" }),
    };
    if fits { Ok(()) } else { Err(TokenError::Audience { expected: expected.to_vec() }) }
}

/// A claim that is a date, if it is there.
pub(super) fn date(claims: &Object, name: &'static str) -> Result<Option<SystemTime>, TokenError> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::Number(seconds)) => Ok(Some(numeric_date(seconds))),
        Some(_) => Err(TokenError::MalformedClaim { name }),
    }
}

/// The last second of the year 9999. What lies beyond is that far away; what lies before 1970 is 1970.
const LAST_SECOND: u64 = 253_402_300_799;

/// Seconds since 1970, with a fraction if the token has one, to the precision of a double (a quarter of a microsecond).
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
// Clamped to what fits before it is cast.
fn numeric_date(number: &Number) -> SystemTime {
    let since = if let Some(seconds) = number.as_u64() {
        Duration::from_secs(seconds.min(LAST_SECOND))
    } else {
        // Negative, fractional, or huge. It is never NaN, which JSON cannot say; if it were, it would be 1970.
        let seconds = number.as_f64().unwrap_or(0.0).max(0.0).min(LAST_SECOND as f64);
        let whole = seconds.floor();
        Duration::new(whole as u64, (((seconds - whole) * 1e9) as u32).min(999_999_999))
    };
    SystemTime::UNIX_EPOCH + since
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(json: &str) -> Object {
        super::super::json::object(json.as_bytes(), 8).expect("an object")
    }

    fn at(seconds: u64, nanos: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos)
    }

    #[test]
    fn a_date_is_read_to_its_fraction_and_never_beyond_what_a_clock_shows_m101() {
        let cases = [
            ("0", at(0, 0)),
            ("1790000000", at(1_790_000_000, 0)),
            ("1790000000.25", at(1_790_000_000, 250_000_000)),
            ("1.79e9", at(1_790_000_000, 0)),
            ("-0", at(0, 0)),
            ("-1", at(0, 0)),
            ("-1.5", at(0, 0)),
            ("-9223372036854775808", at(0, 0)),
            ("1e-300", at(0, 0)),
            ("18446744073709551615", at(LAST_SECOND, 0)),
            ("99999999999999999999999999", at(LAST_SECOND, 0)),
            ("1.7976931348623157e308", at(LAST_SECOND, 0)),
            ("-1.7976931348623157e308", at(0, 0)),
        ];
        for (number, expected) in cases {
            assert_eq!(
                date(&claims(&format!("{{\"exp\":{number}}}")), "exp"),
                Ok(Some(expected)),
                "{number}"
            );
        }
    }

    #[test]
    fn a_date_of_another_type_is_refused_m101() {
        for wrong in ["\"1790000000\"", "null", "[1]", "true", "{}"] {
            let claims = claims(&format!("{{\"exp\":{wrong}}}"));
            assert_eq!(date(&claims, "exp"), Err(TokenError::MalformedClaim { name: "exp" }), "{wrong}");
        }
    }

    #[test]
    fn a_token_ends_at_its_expiry_and_starts_at_its_beginning_m101() {
        let leeway = Duration::from_secs(5);
        let check = |json: &str, now, leeway| check_dates(&claims(json), now, leeway).is_ok();
        let fractional = r#"{"exp":100.25}"#;
        assert!(check(fractional, at(100, 249_999_999), Duration::ZERO));
        assert!(!check(fractional, at(100, 250_000_000), Duration::ZERO));
        assert!(check(fractional, at(105, 249_999_999), leeway));
        assert!(!check(fractional, at(105, 250_000_000), leeway));
        let later = r#"{"nbf":100.25}"#;
        assert!(!check(later, at(100, 249_999_999), Duration::ZERO));
        assert!(check(later, at(100, 250_000_000), Duration::ZERO));
        assert!(!check(later, at(95, 249_999_999), leeway));
        assert!(check(later, at(95, 250_000_000), leeway));
        assert!(check("{}", at(0, 0), Duration::ZERO));
    }

    #[test]
    fn the_audience_is_a_text_or_a_list_that_holds_the_hub_m102() {
        let expected = ["https://push.test/hub".to_owned()];
        let check = |aud: &str| check_audience(&claims(&format!("{{\"aud\":{aud}}}")), &expected);
        assert_eq!(check(r#""https://push.test/hub""#), Ok(()));
        assert_eq!(check(r#"["https://a.test","https://push.test/hub"]"#), Ok(()));
        for other in [
            r#""https://push.test/hub/""#,
            r#""HTTPS://push.test/hub""#,
            r#""*""#,
            "[]",
            r#"["https://a.test"]"#,
        ] {
            assert_eq!(check(other), Err(TokenError::Audience { expected: expected.to_vec() }), "{other}");
        }
        for malformed in ["null", "1", "{}", r#"["https://push.test/hub",1]"#] {
            assert_eq!(check(malformed), Err(TokenError::MalformedClaim { name: "aud" }), "{malformed}");
        }
        assert_eq!(check_audience(&claims("{}"), &expected), Err(TokenError::MissingClaim { name: "aud" }));
    }
}
