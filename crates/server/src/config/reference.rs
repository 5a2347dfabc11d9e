//! The variables of the reference hub, so that it can be replaced without touching its environment.
//!
//! They come below our own variables and above the file. Whoever sets them hears what they became. What a Caddyfile says
//! cannot be taken over, and is not guessed at.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::setting::Setting;
use super::{Failure, Layers, Note, Origin};

/// A variable, and the setting that it is.
const SAME: [(&str, &str); 6] = [
    ("MERCURE_PUBLISHER_JWT_KEY", "publisher-jwt-key"),
    ("MERCURE_PUBLISHER_JWT_ALG", "publisher-jwt-alg"),
    ("MERCURE_SUBSCRIBER_JWT_KEY", "subscriber-jwt-key"),
    ("MERCURE_SUBSCRIBER_JWT_ALG", "subscriber-jwt-alg"),
    ("MERCURE_TRUSTED_ISSUERS", "trusted-issuers"),
    ("MERCURE_RESOURCE_IDENTIFIER", "resource-identifier"),
];

const SERVER_NAME: &str = "SERVER_NAME";
const DIRECTIVES: &str = "MERCURE_EXTRA_DIRECTIVES";
/// Text for Caddy, of which nothing is ours.
const CADDY: [&str; 3] = ["GLOBAL_OPTIONS", "CADDY_EXTRA_CONFIG", "CADDY_SERVER_EXTRA_DIRECTIVES"];

/// What a directive of the reference hub is here.
const DIRECTIVE_FLAGS: [(&str, &str); 13] = [
    ("anonymous", "--anonymous"),
    ("cookie_name", "--cookie-name"),
    ("cors_origins", "--cors-origin"),
    ("heartbeat", "--keep-alive"),
    ("issuer", "[[issuer]] in fanfare.toml"),
    ("max_request_body_size", "--max-body-bytes"),
    ("protocol_version_compatibility", "--legacy"),
    ("public_urls", "--public-url"),
    ("publish_origins", "--publish-origin"),
    ("resource_identifier", "--resource-identifier"),
    ("subscriptions", "--subscriptions"),
    ("transport", "--engine"),
    ("write_timeout", "--max-connection-lifetime"),
];

/// Adds what the environment says in the reference hub's words.
///
/// # Errors
/// `SERVER_NAME` is no address.
pub(super) fn add(
    environment: &BTreeMap<OsString, OsString>,
    has_certificate: bool,
    layers: &mut Layers<'_>,
    notes: &mut Vec<Note>,
) -> Result<(), Failure> {
    let variable = |name: &str| environment.get(&OsString::from(name)).filter(|value| !value.is_empty());
    for (name, long) in SAME {
        let Some(value) = variable(name) else { continue };
        // An algorithm goes with the key beside it, and not with one from elsewhere.
        let key = name.strip_suffix("ALG").map(|prefix| format!("{prefix}KEY"));
        let of_other_key = key.filter(|key| {
            let long = SAME.iter().find(|(name, _)| name == key).map(|(_, long)| *long);
            long.is_some_and(
                |long| !matches!(layers.origin(long), Some(Origin::Reference(name)) if name == key),
            )
        });
        if let Some(key) = of_other_key {
            notes.push(Note::info(format!("{name} was ignored: it goes with {key}, which does not count")));
            continue;
        }
        let value = if long == "trusted-issuers" { issuers(value) } else { value.clone() };
        let became = Setting {
            long: long.to_owned(),
            values: vec![value],
            origin: Origin::Reference(name.to_owned()),
        };
        add_one(became, &format!("it is --{long} here"), layers, notes)?;
    }
    if let Some(value) = variable(SERVER_NAME) {
        add_server_name(&value.to_string_lossy(), has_certificate, layers, notes)?;
    }
    if let Some(value) = variable(DIRECTIVES) {
        notes.push(directives(&value.to_string_lossy()));
    }
    for name in CADDY.into_iter().filter(|name| variable(name).is_some()) {
        notes.push(Note::info(format!("{name} was ignored: it is text for Caddy, which is not here")));
    }
    Ok(())
}

fn add_one(
    setting: Setting,
    became: &str,
    layers: &mut Layers<'_>,
    notes: &mut Vec<Note>,
) -> Result<(), Failure> {
    let name = setting.origin.to_string();
    let note = match layers.origin(&setting.long) {
        Some(Origin::Flag) => format!("{name} was ignored: --{} is there", setting.long),
        Some(origin) => format!("{name} was ignored: {origin} is there"),
        None => format!("{name} was read: {became}"),
    };
    notes.push(Note::info(note));
    layers.add(vec![setting])
}

/// The reference takes one; several were meant to be a list.
fn issuers(value: &OsString) -> OsString {
    let Some(text) = value.to_str() else { return value.clone() };
    let names: Vec<_> = text.split([',', ' ', '\t', '\n']).filter(|name| !name.is_empty()).collect();
    names.join(",").into()
}

fn add_server_name(
    value: &str,
    has_certificate: bool,
    layers: &mut Layers<'_>,
    notes: &mut Vec<Note>,
) -> Result<(), Failure> {
    let origin = Origin::Reference(SERVER_NAME.to_owned());
    let refuse =
        |reason: String| Failure::Setting { origin: origin.clone(), long: "listen".to_owned(), reason };
    if let Some(winner) = layers.origin("listen") {
        let winner = if *winner == Origin::Flag { "--listen".to_owned() } else { winner.to_string() };
        notes.push(Note::info(format!("{SERVER_NAME} was ignored: {winner} is there")));
        return Ok(());
    }
    let mut values = Vec::new();
    for site in value.split([',', ' ']).filter(|site| !site.is_empty()) {
        let (address, is_tls) = address(site).map_err(&refuse)?;
        if is_tls && !has_certificate {
            return Err(refuse(format!(
                "\"{site}\" asks for HTTPS with a certificate that the hub gets by itself (ACME), which is not built: give \
                 --tls-cert and --tls-key, or behind a proxy that does HTTPS write http://{site}; --listen wins over it"
            )));
        }
        if !values.contains(&address) {
            values.push(address);
        }
    }
    let values: Vec<String> = values.iter().map(SocketAddr::to_string).collect();
    let became = format!("it is --listen {} here", values.join(","));
    let values = values.into_iter().map(OsString::from).collect();
    add_one(Setting { long: "listen".to_owned(), values, origin }, &became, layers, notes)
}

/// Where a site of Caddy's is listened on, and whether it is HTTPS there.
fn address(site: &str) -> Result<(SocketAddr, bool), String> {
    let (scheme, rest) = match site.split_once("://") {
        Some((scheme @ ("http" | "https"), rest)) => (Some(scheme), rest),
        Some(_) => return Err(expected(site)),
        None => (None, site),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = match rest.rsplit_once(':') {
        // The colons of an IPv6 address stand in brackets.
        Some((host, port)) if !port.ends_with(']') => {
            (host, Some(port.parse::<u16>().map_err(|_| expected(site))?))
        }
        _ => (rest, None),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if host.contains(['/', '@', '{', '}']) {
        return Err(expected(site));
    }
    // As in Caddy: HTTPS, unless the scheme or the port says otherwise or there is no name to have a certificate for.
    let is_tls = match scheme {
        Some(scheme) => scheme == "https",
        None => port == Some(443) || !(port == Some(80) || host.is_empty()),
    };
    let ip = match host.parse::<IpAddr>() {
        Ok(ip) if ip.is_loopback() => ip,
        _ if host == "localhost" || host.ends_with(".localhost") => IpAddr::V4(Ipv4Addr::LOCALHOST),
        _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    };
    Ok((SocketAddr::new(ip, port.unwrap_or(if is_tls { 443 } else { 80 })), is_tls))
}

fn expected(site: &str) -> String {
    format!("\"{site}\" is not understood: write :80, http://localhost:8080 or http://hub.example.com")
}

/// Names only directives that are known: anything else may be a secret.
fn directives(text: &str) -> Note {
    let words: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let meant = DIRECTIVE_FLAGS.iter().filter(|(directive, _)| words.contains(directive));
    let meant: Vec<String> = meant.map(|(directive, flag)| format!("{directive} is {flag}")).collect();
    let meant = if meant.is_empty() {
        String::new()
    } else {
        format!("; of what stands there, {}", meant.join(", "))
    };
    Note::warning(format!("{DIRECTIVES} was ignored: it is text for Caddy, which is not here{meant}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_site_is_listened_on_where_caddy_would() {
        for (site, expected, is_tls) in [
            (":80", "0.0.0.0:80", false),
            (":3000", "0.0.0.0:3000", false),
            (":443", "0.0.0.0:443", true),
            ("localhost", "127.0.0.1:443", true),
            ("localhost:80", "127.0.0.1:80", false),
            ("http://localhost", "127.0.0.1:80", false),
            ("http://localhost:3000/", "127.0.0.1:3000", false),
            ("http://127.0.0.1:3000", "127.0.0.1:3000", false),
            ("http://[::1]:3000", "[::1]:3000", false),
            ("http://[::1]", "[::1]:80", false),
            ("hub.example.com", "0.0.0.0:443", true),
            ("https://hub.example.com:8443", "0.0.0.0:8443", true),
            ("http://hub.example.com", "0.0.0.0:80", false),
            ("http://192.0.2.1:8080", "0.0.0.0:8080", false),
        ] {
            let (address, tls) = address(site).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((address.to_string().as_str(), tls), (expected, is_tls), "{site}");
        }
        for site in ["ftp://x", ":99999", "http://x:y", "http://x/path", "{$X}"] {
            assert!(address(site).is_err(), "{site}");
        }
    }

    #[test]
    fn directives_are_told_by_their_flags_and_nothing_else_is_repeated() {
        let note = directives("anonymous\ncors_origins *\npublisher_jwt hunter2\nhunter3");
        assert_eq!(
            note.sentence,
            "MERCURE_EXTRA_DIRECTIVES was ignored: it is text for Caddy, which is not here; of what stands there, \
             anonymous is --anonymous, cors_origins is --cors-origin"
        );
        assert!(note.is_warning);
    }

    proptest! {
        #[test]
        fn no_site_is_too_much(site in "(https?://)?\\PC{0,12}(:[0-9]{0,6})?/?") {
            let _ = address(&site);
        }
    }
}
