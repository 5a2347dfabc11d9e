//! Writes a `fanfare.toml` that explains every setting, out of what the flags say about themselves.
//!
//! Every setting stands behind a `#` without a space, so that the file changes nothing until somebody takes one away. A file
//! that is already there is never written over unasked.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{Arg, Command};

use super::command::{CONFIG, command, is_list, is_switch, settings, variable};
use super::issuer;
use crate::flags::Init;

const WIDTH: usize = 110;

const HEAD: &str = "\
# The configuration of Fanfare. Every setting of `fanfare serve` is here, with its default or an example;
# take away the # in front of one to change it. Flags win over variables (--data-dir, FANFARE_DATA_DIR), and
# variables over this file. It is read from the folder that fanfare is started in, or from where --config or
# FANFARE_CONFIG says. `fanfare check` says whether it is understood, and what would be served.
";

/// What a value may look like where there is no default, by the name that its flag gives it.
const EXAMPLES: &[(&str, &str)] = &[
    ("ADDR", "127.0.0.1:9090"),
    ("ALG", "HS256"),
    ("BYTES", "1GiB"),
    ("COUNT", "1000"),
    ("DIR", "./fanfare-data"),
    ("DURATION", "24h"),
    ("ENGINE", "disk"),
    ("EVENTS", "100000"),
    ("FILE", "./file.pem"),
    ("ID", "https://hub.example.com/.well-known/mercure"),
    ("ISSUER", "https://app.example.com"),
    ("JWKS", "https://idp.example.com/.well-known/jwks.json"),
    ("KEY", "@./secret.key"),
    ("ORIGIN", "https://app.example.com"),
    ("RATE", "100/s"),
    ("THREADS", "2"),
    ("NETWORK", "10.0.0.0/8"),
    ("CONNECTIONS", "100"),
    ("NAME", "default"),
    ("PASSWORD", "@./secret.password"),
    ("SEED", "@./secret.nkey"),
    ("SERVERS", "3"),
    ("TOKEN", "@./admin.token"),
    ("URL", "https://hub.example.com"),
    ("USER", "fanfare"),
];

/// Prints the file, or writes it where `init` says.
pub(crate) fn init(init: &Init) -> ExitCode {
    let text = text(&command());
    let Some(path) = &init.output else {
        // Whoever stops reading has read enough.
        let _ = io::stdout().write_all(text.as_bytes());
        return ExitCode::SUCCESS;
    };
    let opened = if init.force { File::create(path) } else { File::create_new(path) };
    match opened.and_then(|mut file| file.write_all(text.as_bytes())) {
        Ok(()) => {
            println!("wrote {}", path.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("fanfare: {}", refusal(path, &error));
            ExitCode::from(2)
        }
    }
}

fn refusal(path: &Path, error: &io::Error) -> String {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::AlreadyExists => format!("{path} is already there; --force writes over it"),
        _ => format!("{path} cannot be written: {error}"),
    }
}

fn text(command: &Command) -> String {
    let mut text = HEAD.to_owned();
    let mut headings: Vec<&str> = Vec::new();
    for heading in settings(command).filter_map(Arg::get_help_heading) {
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    for heading in headings {
        let _ = write!(text, "\n\n# ===== {heading} =====\n");
        for flag in settings(command).filter(|flag| flag.get_help_heading() == Some(heading)) {
            if flag.get_id() != CONFIG {
                text.push('\n');
                explain(flag, &mut text);
            }
        }
    }
    text.push_str(issuer::EXAMPLE);
    text
}

fn explain(flag: &Arg, text: &mut String) {
    let help = flag.get_long_help().or(flag.get_help()).map(ToString::to_string).unwrap_or_default();
    // clap takes the full stop from a text of one paragraph.
    let stop = if help.ends_with(['.', ']']) { "" } else { "." };
    for paragraph in format!("{help}{stop}").lines() {
        comment(paragraph, text);
    }
    if !is_switch(flag) {
        for value in flag.get_possible_values().iter().filter(|value| !value.is_hide_set()) {
            let help = value.get_help().map(ToString::to_string).unwrap_or_default();
            comment(&format!("  {}: {help}", value.get_name()), text);
        }
    }
    let Some(long) = flag.get_long() else { return };
    comment(&variable(long), text);
    let Some(value) = value(flag) else { return };
    let _ = writeln!(text, "#{long} = {value}");
}

/// One paragraph as lines of a comment.
fn comment(paragraph: &str, text: &mut String) {
    let indent = paragraph.len() - paragraph.trim_start().len();
    let mut line = String::from("#");
    line.extend(std::iter::repeat_n(' ', indent));
    for word in paragraph.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            text.push_str(line.trim_end());
            text.push('\n');
            line = String::from("#");
            line.extend(std::iter::repeat_n(' ', indent));
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}

/// The default of `flag` as TOML; an example where it has none.
fn value(flag: &Arg) -> Option<String> {
    let defaults = flag.get_default_values().iter().map(|value| value.to_string_lossy().into_owned());
    let mut values: Vec<String> = defaults.collect();
    if values.is_empty() {
        values.push(example(flag)?);
    }
    let values: Vec<String> = values.iter().map(|value| toml(value, is_switch(flag))).collect();
    Some(if is_list(flag) { format!("[{}]", values.join(", ")) } else { values.join(", ") })
}

fn example(flag: &Arg) -> Option<String> {
    if let Some(first) = flag.get_possible_values().first() {
        return Some(first.get_name().to_owned());
    }
    let name = flag.get_value_names()?.first()?;
    EXAMPLES.iter().find(|(of, _)| of == name).map(|(_, example)| (*example).to_owned())
}

fn toml(value: &str, is_bare: bool) -> String {
    if is_bare || value.parse::<i64>().is_ok() {
        return value.to_owned();
    }
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::config::{file, layers::Layers, parse};

    #[track_caller]
    fn settings_of(text: &str) -> Vec<String> {
        let command = command();
        let arguments = ["fanfare".into(), "serve".into()];
        let given = parse(&command, &arguments).expect("no flags");
        let mut layers = Layers::over(&command, given.subcommand().expect("serve").1);
        let read = file::read(Path::new("fanfare.toml"), text, &command)
            .unwrap_or_else(|failure| panic!("{failure}"));
        let names = read.settings.iter().map(|setting| setting.long.clone()).collect();
        layers.add(read.settings).unwrap_or_else(|failure| panic!("{failure}"));
        names
    }

    #[test]
    fn as_it_is_printed_it_sets_nothing() {
        assert_eq!(settings_of(&text(&command())), [""; 0]);
    }

    /// A flag whose value has a name that is not in `EXAMPLES` fails here: give it an example there, or a default.
    #[test]
    fn every_line_that_is_uncommented_is_understood() {
        let text = text(&command());
        let uncommented: Vec<&str> = text
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => rest,
                _ => line,
            })
            .collect();
        let names = settings_of(&uncommented.join("\n"));
        for flag in settings(&command()).filter(|flag| flag.get_id() != CONFIG) {
            let long = flag.get_long().expect("a long name");
            assert!(names.iter().any(|name| name == long), "{long} has no line in\n{text}");
        }
    }

    #[test]
    fn every_line_is_short_enough_for_a_terminal() {
        for line in text(&command()).lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
    }
}
