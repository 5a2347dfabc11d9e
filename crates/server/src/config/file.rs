//! Reads `fanfare.toml`: a key for each flag, whose value is turned into that flag's argument.
//!
//! What a value may be is for the parser of the command line to say; only its TOML type is checked here. A line of the file is
//! never repeated in an error, because a secret may stand in it.

use std::ffi::OsString;
use std::path::Path;

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, Command};
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::command::{CONFIG, is_list, is_secret, is_switch, settings as flags};
use super::issuer::{self, IssuerTable};
use super::setting::Setting;
use super::{Failure, Origin};

/// What stands in the file.
#[derive(Default)]
pub(super) struct Content {
    /// In its order.
    pub(super) settings: Vec<Setting>,
    pub(super) issuers: Vec<IssuerTable>,
}

/// Reads the file.
///
/// # Errors
/// It is not TOML, a key is not known, or a value has not the type that its flag needs.
pub(super) fn read(path: &Path, text: &str, command: &Command) -> Result<Content, Failure> {
    let refuse = |start: usize, reason: String| Failure::File {
        path: path.to_owned(),
        line: line(text, start),
        reason,
    };
    let origin = |start: usize| Origin::File { path: path.to_owned(), line: line(text, start) };
    let table = DeTable::parse(text).map_err(|error| {
        refuse(error.span().map_or(0, |span| span.start), format!("this is not TOML: {}", error.message()))
    })?;
    let mut entries: Vec<_> = table.get_ref().iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let mut content = Content::default();
    for (key, value) in entries {
        let start = key.span().start;
        if key.get_ref() == issuer::NAME {
            content.issuers = issuer::tables(value.get_ref(), start, &origin)?;
            continue;
        }
        let (long, values) =
            setting(key.get_ref(), value, command).map_err(|reason| refuse(start, reason))?;
        if content.settings.iter().any(|earlier| earlier.long == long) {
            return Err(refuse(start, format!("{long} stands here for the second time, with - and with _")));
        }
        content.settings.push(Setting { long, values, origin: origin(start) });
    }
    Ok(content)
}

fn line(text: &str, start: usize) -> usize {
    1 + text.bytes().take(start).filter(|&byte| byte == b'\n').count()
}

fn setting(
    key: &str,
    value: &Spanned<DeValue<'_>>,
    command: &Command,
) -> Result<(String, Vec<OsString>), String> {
    // Both ways of writing are natural, in TOML and on the command line.
    let long = key.replace('_', "-");
    if long == CONFIG {
        return Err("the file cannot name another file; that is for --config and FANFARE_CONFIG".to_owned());
    }
    let Some(flag) = flags(command).find(|flag| flag.get_long() == Some(&long)) else {
        return Err(unknown(key, &long, value.get_ref(), command));
    };
    let values = values(flag, value.get_ref()).map_err(|expected| format!("{key}: it takes {expected}"))?;
    Ok((long, values))
}

fn unknown(key: &str, long: &str, value: &DeValue<'_>, command: &Command) -> String {
    if value.is_table() {
        return format!(
            "there is no table [{key}]; settings stand at the top of the file, without one, and issuers below [[issuer]]"
        );
    }
    match similar(long, command) {
        Some(flag) => format!("there is no setting {key}; did you mean {flag}?"),
        None => {
            format!("there is no setting {key}; `fanfare config init` prints a file with all there are")
        }
    }
}

/// The flag that `long` was probably meant to be: the parser of the command line knows.
pub(super) fn similar(long: &str, command: &Command) -> Option<String> {
    let asked = ["fanfare", "serve", &format!("--{long}")];
    let error = command.clone().try_get_matches_from(asked).err()?;
    match error.get(ContextKind::SuggestedArg)? {
        ContextValue::String(flag) => Some(flag.trim_start_matches('-').to_owned()),
        _ => None,
    }
}

/// The values as arguments, or what the flag takes instead.
fn values(flag: &Arg, value: &DeValue<'_>) -> Result<Vec<OsString>, &'static str> {
    match value {
        DeValue::Array(values) if is_list(flag) => {
            if values.is_empty() && !flag.get_default_values().is_empty() {
                return Err("at least one value");
            }
            values.iter().map(|value| argument(flag, value.get_ref())).collect()
        }
        DeValue::Array(_) => Err("one value, not a list"),
        value => Ok(vec![argument(flag, value)?]),
    }
}

fn argument(flag: &Arg, value: &DeValue<'_>) -> Result<OsString, &'static str> {
    if is_switch(flag) {
        return value.as_bool().map(|is_on| is_on.to_string().into()).ok_or("true or false, without quotes");
    }
    match value {
        DeValue::String(text) => Ok(text.as_ref().into()),
        // A number may be anything by the time that it is read: 0123 is not 123.
        _ if is_secret(flag) => Err("a text in quotes"),
        DeValue::Integer(number) => decimal(number).map(Into::into).ok_or("a number that is not that large"),
        DeValue::Float(number) => Ok(number.as_str().into()),
        DeValue::Boolean(is_on) => on_or_off(flag, *is_on).ok_or("a text in quotes, or a number"),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => Err("a text in quotes, or a number"),
    }
}

fn decimal(number: &DeInteger<'_>) -> Option<String> {
    i64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number.to_string())
}

/// `true` and `false` for a flag that has more to choose from than `on` and `off`, or other ways of saying it.
fn on_or_off(flag: &Arg, is_on: bool) -> Option<OsString> {
    let word = if is_on { "on" } else { "off" };
    flag.get_possible_values().iter().any(|value| value.matches(word, false)).then(|| word.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::command::command;

    const SECRET: &str = "correct-horse-battery-staple";

    proptest! {
        /// Whatever is around a secret, and however it breaks the file.
        #[test]
        fn an_error_never_repeats_the_value_of_a_key(
            before in "[\"'\\[\\]{}#.,=\\\\ tx0\n]{0,6}",
            after in "[\"'\\[\\]{}#.,=\\\\ tx0\n]{0,6}",
            key in prop::sample::select(vec!["publisher-jwt-key", "jwks-url", "dev", "workers", "listen", "nothing", "[[issuer]]\nid"]),
        ) {
            let text = format!("{key} = {before}{SECRET}{after}");
            // Where it is a key itself, it has to be named.
            prop_assume!(!before.contains('\n') && !before.contains('#'));
            if let Err(failure) = read(Path::new("fanfare.toml"), &text, &command()) {
                prop_assert!(!failure.to_string().contains(SECRET), "{}", failure);
            }
        }

        #[test]
        fn no_text_is_too_much(text in "(\\PC|\n){0,60}") {
            let _ = read(Path::new("fanfare.toml"), &text, &command());
        }
    }
}
