//! `fanfare check`: says what `serve` would do, and does nothing.
//!
//! It judges by the same functions as `serve`. It opens no port, and neither locks nor creates the folder of the log.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::config::Config;
use crate::flags::Serve;
use crate::{log, run};

/// Prints what would be served, or why nothing would.
pub(crate) fn check(config: &Config) -> ExitCode {
    for note in &config.notes {
        eprintln!("fanfare: {note}");
    }
    let flags = &config.serve;
    if let Err(failure) = run::check(flags).and_then(|()| log::check(flags)) {
        eprintln!("fanfare: {failure}");
        return ExitCode::from(2);
    }
    // Whoever stops reading has read enough.
    let _ = io::stdout().write_all(report(config).as_bytes());
    ExitCode::SUCCESS
}

fn report(config: &Config) -> String {
    let mut lines =
        vec![("file", config.file.as_ref().map_or("none".to_owned(), |file| file.display().to_string()))];
    lines.extend(served(&config.serve));
    let mut text = String::new();
    for (name, value) in lines {
        let _ = writeln!(text, "{name:<10} {value}");
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

fn served(flags: &Serve) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    for address in &flags.listen {
        lines.push(("hub", format!("http://{address}{}", run::HUB_PATH)));
    }
    lines.push(("admin", admin(flags)));
    lines.push(("engine", log::plan(flags)));
    lines.push(("limits", limits(flags)));
    lines
}

fn admin(flags: &Serve) -> String {
    match flags.admin_listen {
        Some(address) => format!("http://{address}"),
        None if flags.dev => "beside the hub, with --dev".to_owned(),
        None => "none (--admin-listen)".to_owned(),
    }
}

fn limits(flags: &Serve) -> String {
    let Serve { max_subscribers, max_body_bytes, max_event_bytes, write_timeout, .. } = flags;
    format!(
        "{max_subscribers} subscribers, bodies of {max_body_bytes} bytes, events of {max_event_bytes} bytes, \
         a client that takes nothing for {write_timeout:?} is cut"
    )
}
