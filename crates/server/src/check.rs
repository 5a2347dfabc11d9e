//! `fanfare check`: says what `serve` would do, and does nothing.
//!
//! It judges by the same functions as `serve`. It opens no port, and neither locks nor creates the folder of the log.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use fanfare_http::Origins;

use crate::access::{Access, PublishRate};
use crate::config::Config;
use crate::flags::Serve;
use crate::{descriptors, log, run, value};

/// Prints what would be served, or why nothing would.
pub(crate) fn check(mut config: Config) -> ExitCode {
    let mut notes = std::mem::take(&mut config.notes);
    let access = Access::of(&config, &mut notes);
    for note in &notes {
        eprintln!("fanfare: {}", note.sentence);
    }
    let access = match access {
        Ok(access) => access,
        Err(failure) => return failure.report(),
    };
    if let Err(failure) = run::prepare(&config.serve, &access).and_then(|_| log::check(&config.serve)) {
        eprintln!("fanfare: {failure}");
        return ExitCode::from(2);
    }
    // Whoever stops reading has read enough.
    let _ = io::stdout().write_all(report(&config, &access).as_bytes());
    ExitCode::SUCCESS
}

fn report(config: &Config, access: &Access) -> String {
    let mut text = String::new();
    let file = config.file.as_ref().map_or("none".to_owned(), |file| file.display().to_string());
    for (name, value) in
        [("file", file)].into_iter().chain(served(config)).chain(allowed(config.serve.dev, access))
    {
        let _ = writeln!(text, "{name:<13} {value}");
    }
    let _ = writeln!(text, "\nset, and where; everything else is at its default (fanfare serve --help):");
    let rows: Vec<_> =
        config.set.iter().map(|set| (format!("{} = {}", set.long, set.shown), &set.origin)).collect();
    let width = rows.iter().map(|(row, _)| row.chars().count()).max().unwrap_or(0).min(60);
    for (row, origin) in rows {
        let _ = writeln!(text, "  {row:<width$}  {origin}");
    }
    text
}

fn served(config: &Config) -> Vec<(&'static str, String)> {
    let flags = &config.serve;
    let certificate = config.set.iter().find(|set| set.long == "tls-cert");
    let scheme = if certificate.is_some() { "https" } else { "http" };
    let url = |address: &SocketAddr| format!("{scheme}://{address}{}", run::HUB_PATH);
    let mut lines: Vec<_> = flags.listen.iter().map(|address| ("hub", url(address))).collect();
    lines.push((
        "TLS",
        certificate.map_or("off".to_owned(), |set| format!("with the certificate in {}", set.shown)),
    ));
    lines.push(("admin", admin(flags)));
    lines.push(("engine", log::plan(flags)));
    lines.push(("limits", limits(flags)));
    lines
}

fn allowed(dev: bool, access: &Access) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    for issuer in &access.issuers {
        let told = if issuer.is_authorization_server { "; clients are sent there for tokens" } else { "" };
        lines.push(("issuer", format!("{}: {}{told}", issuer.id, issuer.keys)));
    }
    let legacy = access.legacy.as_ref().map_or("off".to_owned(), |keys| format!("on: {keys}"));
    lines.push(("legacy", legacy));
    if access.jwks_internal {
        lines.push(("JWK sets", "may be at loopback and private addresses".to_owned()));
    }
    let audience = access.resource_identifier.clone();
    lines.push(("audience", audience.unwrap_or_else(|| list(&access.public_urls, "none"))));
    lines.push(("cookie", access.cookie_name.clone()));
    lines.push(("no token", without_token(dev, access.anonymous).to_owned()));
    lines.push(("public URLs", list(&access.public_urls, "wherever clients ask")));
    lines.push(("CORS", origins(&access.cors_origins, "no origin")));
    lines.push(("with cookies", origins(&access.publish_origins, "only the hub's own pages publish")));
    let told = if access.subscriptions { "are told" } else { "are not told" };
    lines.push(("subscriptions", told.to_owned()));
    let lifetime = access.connection_lifetime_max;
    lines.push((
        "streams",
        lifetime.map_or("have no end".to_owned(), |lifetime| {
            format!("end after {} or less", value::written(lifetime))
        }),
    ));
    let rate = access
        .publish_rate
        .map(|PublishRate { rate, burst }| format!("{rate} for each subject, {burst} at once"));
    lines.push(("publishing", rate.unwrap_or_else(|| "without a limit".to_owned())));
    lines
}

fn without_token(dev: bool, anonymous: bool) -> &'static str {
    match (dev, anonymous) {
        (true, _) => "with --dev, everybody publishes, and reads what is public",
        (false, true) => "subscribers read what is public",
        (false, false) => "subscribers are refused",
    }
}

fn origins(origins: &Origins, none: &str) -> String {
    if origins.is_empty() { none.to_owned() } else { origins.to_string() }
}

fn list<T: ToString>(values: &[T], none: &str) -> String {
    let values: Vec<_> = values.iter().map(T::to_string).collect();
    if values.is_empty() { none.to_owned() } else { values.join(", ") }
}

fn admin(flags: &Serve) -> String {
    match flags.admin_listen {
        Some(address) => format!("http://{address}"),
        None if flags.dev => "beside the hub, with --dev".to_owned(),
        None => "none (--admin-listen)".to_owned(),
    }
}

fn limits(flags: &Serve) -> String {
    let Serve { max_subscribers, max_connections, max_body_bytes, max_event_bytes, write_timeout, .. } =
        flags;
    let connections = match (max_connections, descriptors::connections(), descriptors::limit()) {
        (Some(most), ..) => format!("{most} connections"),
        (None, Some(most), Some(files)) => format!("{most} connections (of {files} open files)"),
        _ => "any number of connections".to_owned(),
    };
    format!(
        "{max_subscribers} subscribers, {connections}, bodies of {max_body_bytes} bytes, events of {max_event_bytes} bytes, \
         a client that takes nothing for {} is cut",
        value::written(*write_timeout)
    )
}
