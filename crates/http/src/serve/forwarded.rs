//! Reads what proxies say about a request in `Forwarded` (RFC 7239) and in `X-Forwarded-For`, `-Proto` and `-Host`.
//!
//! Both become the same list, the proxy nearest to us last. Who of them may be believed is not decided here.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, header};

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// What one proxy says about whom it speaks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hop {
    /// Whom it got the request from; `None` if it does not tell, or not by address.
    pub(crate) address: Option<IpAddr>,
    /// The scheme it was asked with.
    pub(crate) proto: Option<String>,
    /// The host it was asked for.
    pub(crate) host: Option<String>,
}

/// `Forwarded` is not well-formed. Its end cannot be told from its beginning then, which the client may have written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Whether there is a header of the kind that begins with `X`.
pub(crate) fn is_x_forwarded(headers: &HeaderMap) -> bool {
    [FOR, PROTO, HOST].iter().any(|name| headers.contains_key(name))
}

/// Reads `X-Forwarded-…`. Each proxy adds its client's address to the first; of the others there may be one for each
/// address, or else the last is for the last.
pub(crate) fn x_forwarded(headers: &HeaderMap) -> Vec<Hop> {
    let (addresses, protos, hosts) = (listed(headers, &FOR), listed(headers, &PROTO), listed(headers, &HOST));
    let count = addresses.len().max(1);
    let each = |list: &[&str], at: usize| {
        let found = if list.len() == count { list.get(at) } else { list.last() };
        found.map(|&text| text.to_owned())
    };
    let hop = |at: usize| Hop {
        address: addresses.get(at).and_then(|text| node(text)),
        proto: each(&protos, at),
        host: each(&hosts, at),
    };
    (0..count).map(hop).collect()
}

fn listed<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a str> {
    // What is no text is an entry all the same: it stands for somebody.
    let values = headers.get_all(name).into_iter().map(|value| value.to_str().unwrap_or("?"));
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|text| !text.is_empty()).collect()
}

/// Reads `Forwarded`.
///
/// # Errors
/// [`Malformed`].
pub(crate) fn forwarded(headers: &HeaderMap) -> Result<Vec<Hop>, Malformed> {
    let mut hops = Vec::new();
    for value in headers.get_all(header::FORWARDED) {
        read_forwarded(value.to_str().map_err(|_| Malformed)?, &mut hops)?;
    }
    Ok(hops)
}

fn read_forwarded(text: &str, hops: &mut Vec<Hop>) -> Result<(), Malformed> {
    let mut rest = text;
    loop {
        let mut pairs = Vec::new();
        loop {
            rest = rest.trim_start_matches([' ', '\t']);
            if !rest.is_empty() && !rest.starts_with([',', ';']) {
                let (name, value, behind) = pair(rest)?;
                pairs.push((name, value));
                rest = behind.trim_start_matches([' ', '\t']);
            }
            match rest.strip_prefix(';') {
                Some(behind) => rest = behind,
                None => break,
            }
        }
        if !pairs.is_empty() {
            hops.push(hop(pairs)?);
        }
        match rest.strip_prefix(',') {
            Some(behind) => rest = behind,
            None if rest.is_empty() => return Ok(()),
            None => return Err(Malformed),
        }
    }
}

fn hop(pairs: Vec<(String, String)>) -> Result<Hop, Malformed> {
    let (mut hop, mut is_addressed) = (Hop::default(), false);
    for (name, value) in pairs {
        // Nothing may be told twice.
        let is_repeated = match name.as_str() {
            "for" => {
                hop.address = node(&value);
                std::mem::replace(&mut is_addressed, true)
            }
            "proto" => hop.proto.replace(value).is_some(),
            "host" => hop.host.replace(value).is_some(),
            _ => false,
        };
        if is_repeated {
            return Err(Malformed);
        }
    }
    Ok(hop)
}

/// Reads `name=value`; gives the name in small letters, the value, and what stands behind it.
fn pair(text: &str) -> Result<(String, String, &str), Malformed> {
    let (name, rest) = text.split_once('=').ok_or(Malformed)?;
    let is_named = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!~*'+".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_named) {
        return Err(Malformed);
    }
    let (value, rest) = value(rest)?;
    Ok((name.to_ascii_lowercase(), value, rest))
}

/// Reads a value, in quotation marks or bare. Bare ones may have the colons and brackets that should be in quotation marks.
fn value(text: &str) -> Result<(String, &str), Malformed> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ';', ' ', '\t', '"', '\\', '=']).unwrap_or(text.len());
        return if end == 0 { Err(Malformed) } else { Ok((text[..end].to_owned(), &text[end..])) };
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Ok((value, &quoted[at + 1..])),
            '\\' => value.push(letters.next().ok_or(Malformed)?.1),
            _ => value.push(letter),
        }
    }
    Err(Malformed)
}

/// Reads an address with or without port; `None` for `unknown`, for made-up names, and for what is none.
fn node(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse().ok().map(|socket: SocketAddr| socket.ip()))?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
        values
            .iter()
            .map(|value| (name.clone(), HeaderValue::from_bytes(value.as_bytes()).expect("a value")))
            .collect()
    }

    /// The list in short: address, scheme and host of each, a dash for what is not told.
    fn short(hops: &[Hop]) -> String {
        let words = hops.iter().map(|hop| {
            let address = hop.address.map(|address| address.to_string());
            [address, hop.proto.clone(), hop.host.clone()]
                .map(|word| word.unwrap_or("-".to_owned()))
                .join(" ")
        });
        words.collect::<Vec<_>>().join(" | ")
    }

    #[track_caller]
    fn check(values: &[&str], expected: Result<&str, Malformed>) {
        let read = forwarded(&headers(&header::FORWARDED, values));
        assert_eq!(read.map(|hops| short(&hops)), expected.map(str::to_owned), "{values:?}");
    }

    #[test]
    fn the_examples_of_rfc_7239_are_read() {
        check(&["for=\"_gazonk\""], Ok("- - -"));
        check(&["For=\"[2001:db8:cafe::17]:4711\""], Ok("2001:db8:cafe::17 - -"));
        check(&["for=192.0.2.60;proto=http;by=203.0.113.43"], Ok("192.0.2.60 http -"));
        check(&["for=192.0.2.43, for=198.51.100.17"], Ok("192.0.2.43 - - | 198.51.100.17 - -"));
        check(
            &["for=192.0.2.43", "for=198.51.100.17;by=203.0.113.60;proto=https;host=example.com"],
            Ok("192.0.2.43 - - | 198.51.100.17 https example.com"),
        );
        check(&["for=unknown, for=\"192.0.2.1:80\""], Ok("- - - | 192.0.2.1 - -"));
    }

    #[test]
    fn blanks_empty_parts_and_escapes_are_borne() {
        check(&[" for=192.0.2.1 ; proto=https ,, ;host=\"a\\\"b\" "], Ok("192.0.2.1 https - | - - a\"b"));
        check(&["for=[::1]:80;proto=http", ""], Ok("::1 http -"));
        check(&["for=::ffff:192.0.2.1"], Ok("192.0.2.1 - -"));
    }

    /// A client that opens a quotation mark must not swallow what the proxy has put behind it.
    #[test]
    fn what_is_not_well_formed_is_refused_whole() {
        for text in [
            "for=\"192.0.2.1, for=198.51.100.17",
            "for=\"a, for=\"[2001:db8::1]\"",
            "for=192.0.2.1 for=198.51.100.17",
            "for",
            "=x",
            "for=",
            "f(or=x",
            "for=x;proto=http;proto=https",
            "for=192.0.2.1;for=198.51.100.17",
            "for=\"x\"y",
            "for=\"x\\",
        ] {
            check(&[text], Err(Malformed));
        }
    }

    #[track_caller]
    fn check_x(fields: &[(HeaderName, &'static str)], expected: &str) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, HeaderValue::from_static(value));
        }
        assert_eq!(short(&x_forwarded(&headers)), expected, "{fields:?}");
    }

    #[test]
    fn the_x_headers_are_read_as_proxies_write_them() {
        check_x(&[(FOR, "192.0.2.1")], "192.0.2.1 - -");
        check_x(
            &[(FOR, "192.0.2.1, 10.0.0.1"), (FOR, "10.0.0.2")],
            "192.0.2.1 - - | 10.0.0.1 - - | 10.0.0.2 - -",
        );
        check_x(
            &[(FOR, "192.0.2.1,10.0.0.1"), (PROTO, "https,http"), (HOST, "a.test")],
            "192.0.2.1 https a.test | 10.0.0.1 http a.test",
        );
        check_x(
            &[(FOR, "192.0.2.1,10.0.0.1,10.0.0.2"), (PROTO, "https,http")],
            "192.0.2.1 http - | 10.0.0.1 http - | 10.0.0.2 http -",
        );
        check_x(&[(PROTO, "https")], "- https -");
        check_x(
            &[(FOR, "192.0.2.1:1234, [2001:db8::1]:80, unknown, <script>")],
            "192.0.2.1 - - | 2001:db8::1 - - | - - - | - - -",
        );
    }

    proptest! {
        #[test]
        fn any_value_is_read_or_refused(text in "[ -~]{0,80}") {
            let _ = forwarded(&headers(&header::FORWARDED, &[&text]));
            let _ = x_forwarded(&headers(&FOR, &[&text]));
        }

        /// Whatever a client sends before it, in the same line, what the last proxy adds is read as the last entry or
        /// everything is refused.
        #[test]
        fn nothing_a_client_sends_hides_what_a_proxy_adds(
            sent in prop_oneof!["[a-z0-9=;,\"\\\\ \\[\\].:]{0,40}", "for=[a-z\"\\\\;=, ]{0,20}"],
            address in any::<IpAddr>(),
        ) {
            let node = if address.is_ipv4() { address.to_string() } else { format!("\"[{address}]\"") };
            let read = forwarded(&headers(&header::FORWARDED, &[&format!("{sent}, for={node};proto=https")]));
            if let Ok(hops) = read {
                prop_assert_eq!(hops.last(), Some(&Hop {
                    address: Some(address.to_canonical()), proto: Some("https".to_owned()), host: None,
                }));
            }
        }
    }
}
