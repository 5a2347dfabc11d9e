//! Finds the token that a request carries: in the header, in a cookie, or, for clients from before Mercure 1.0, in the query.
//!
//! It looks for one, and judges none. Rules: M-087 to M-090, M-196, M-197, M-120.

use http::request::Parts;
use http::{HeaderMap, header};

use crate::access::Denied;
use crate::form::Form;

/// The cookie of clients from before Mercure 1.0.
pub(crate) const LEGACY_COOKIE: &str = "mercureAuthorization";

/// A shorter text cannot be a signed token: three parts, two points, a digest (M-120).
const TOKEN_BYTES_MIN: usize = 41;

/// A token, and the way it came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bearer {
    pub(crate) token: String,
    pub(crate) by: Way,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Header,
    /// A browser sends it with whatever request any page makes.
    Cookie,
    Query,
}

/// Finds the token of a request; the header comes first, whatever it holds (M-089).
pub(crate) fn find(request: &Parts, cookie: &str, legacy: bool) -> Result<Option<Bearer>, Denied> {
    let mut headers = request.headers.get_all(header::AUTHORIZATION).into_iter();
    if let Some(value) = headers.next() {
        if headers.next().is_some() {
            return Err(Denied::Presentation("The header Authorization was sent more than once."));
        }
        let token = of_header(value.as_bytes())?;
        return Ok(Some(Bearer { token, by: Way::Header }));
    }
    if legacy && let Some(token) = of_query(request)? {
        return Ok(Some(Bearer { token, by: Way::Query }));
    }
    let found = of_cookies(&request.headers, cookie)
        .or_else(|| of_cookies(&request.headers, LEGACY_COOKIE).filter(|_| legacy));
    Ok(found.map(|token| Bearer { token, by: Way::Cookie }))
}

fn of_header(value: &[u8]) -> Result<String, Denied> {
    let wrong = "The header Authorization has to be `Bearer`, one space and the token.";
    let (scheme, token) = value.split_at_checked(7).ok_or(Denied::Presentation(wrong))?;
    if !scheme.eq_ignore_ascii_case(b"bearer ") {
        return Err(Denied::Presentation(wrong));
    }
    of_bytes(token).ok_or(Denied::Presentation(wrong))
}

/// Takes what could be a token; whether it is one is for others to say.
fn of_bytes(bytes: &[u8]) -> Option<String> {
    let is_token = bytes.len() >= TOKEN_BYTES_MIN && bytes.iter().all(u8::is_ascii_graphic);
    is_token.then(|| String::from_utf8_lossy(bytes).into_owned())
}

fn of_query(request: &Parts) -> Result<Option<String>, Denied> {
    let query = request.uri.query().unwrap_or_default().as_bytes();
    let found = Form::new(query).find(|(name, _)| &**name == b"authorization");
    let wrong = "The parameter `authorization` has to be a token.";
    found.map(|(_, value)| of_bytes(&value).ok_or(Denied::Presentation(wrong))).transpose()
}

/// The first cookie of this name; an empty one is none, for that is how some delete theirs.
fn of_cookies(headers: &HeaderMap, name: &str) -> Option<String> {
    let cookies =
        headers.get_all(header::COOKIE).into_iter().flat_map(|line| line.as_bytes().split(|b| *b == b';'));
    cookies
        .filter_map(|pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="))
        .map(|value| value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value))
        .find(|value| !value.is_empty())
        .map(|value| String::from_utf8_lossy(value).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    const A: &str = "aaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaa.a";
    const B: &str = "bbbbbbbbbbbbbbbbbbbb.bbbbbbbbbbbbbbbbbbbb.b";
    const COOKIE: &str = "__Secure-mercure_access_token";

    fn request(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::get(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request").into_parts().0
    }

    #[track_caller]
    fn check(uri: &str, headers: &[(&str, &str)], legacy: bool, expected: Option<(&str, Way)>) {
        let found = find(&request(uri, headers), COOKIE, legacy).expect("a token or none");
        assert_eq!(found.as_ref().map(|bearer| (&*bearer.token, bearer.by)), expected, "{uri} {headers:?}");
    }

    #[test]
    fn the_header_comes_first_and_its_scheme_is_in_any_case_m087_m089() {
        let cookie = format!("{COOKIE}={B}");
        for scheme in ["Bearer", "bearer", "BEARER"] {
            let header = format!("{scheme} {A}");
            check("/", &[("authorization", &header), ("cookie", &cookie)], true, Some((A, Way::Header)));
        }
        check("/", &[("cookie", &cookie)], false, Some((B, Way::Cookie)));
        check("/", &[], true, None);
    }

    #[test]
    fn a_header_that_is_no_bearer_token_is_refused_even_beside_a_good_cookie_m087_m120() {
        let cookie = format!("{COOKIE}={B}");
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            "Basic YTpi",
            "Bearer short",
            &format!("Bearer  {A}"),
            &format!("Bearer {A} x"),
            A,
        ] {
            let request = request("/", &[("authorization", wrong), ("cookie", &cookie)]);
            assert!(matches!(find(&request, COOKIE, true), Err(Denied::Presentation(_))), "{wrong}");
        }
        let header = format!("Bearer {A}");
        let twice = request("/", &[("authorization", &header), ("authorization", &header)]);
        assert!(matches!(find(&twice, COOKIE, true), Err(Denied::Presentation(_))));
    }

    #[test]
    fn a_token_in_the_url_counts_for_older_clients_alone_m090_m196() {
        let uri = format!("/?authorization={A}&access_token={B}");
        check(&uri, &[], false, None);
        check(&uri, &[("cookie", &format!("{LEGACY_COOKIE}={B}"))], true, Some((A, Way::Query)));
    }

    #[test]
    fn the_older_cookie_counts_for_older_clients_where_the_newer_is_absent_m196() {
        let older = format!("x=1; {LEGACY_COOKIE}={A}");
        check("/", &[("cookie", &older)], true, Some((A, Way::Cookie)));
        check("/", &[("cookie", &older)], false, None);
        let both = format!("{older}; {COOKIE}={B}");
        check("/", &[("cookie", &both)], true, Some((B, Way::Cookie)));
    }

    #[test]
    fn cookies_are_found_between_others_and_empty_ones_are_none() {
        check(
            "/",
            &[("cookie", &format!("a=b;{COOKIE}=\"{A}\"")), ("cookie", "c=d")],
            false,
            Some((A, Way::Cookie)),
        );
        check("/", &[("cookie", "a=b"), ("cookie", &format!("{COOKIE}={A}"))], false, Some((A, Way::Cookie)));
        check("/", &[("cookie", &format!("{COOKIE}="))], false, None);
        check("/", &[("cookie", &format!("x{COOKIE}={A}"))], false, None);
    }
}
