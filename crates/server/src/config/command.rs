//! The command line as clap knows it, and what every flag gets without asking for it.
//!
//! A flag is declared once, in [`flags`](crate::flags). Its variable, its place in the file and the form of its value are
//! derived here from its name and its type. Nothing here knows a flag by its name, but for `config`.

use std::any::TypeId;

use clap::builder::BoolishValueParser;
use clap::{Arg, ArgAction, Command, CommandFactory};

use crate::flags::Flags;
use crate::secret::Secret;

/// The flag that names the file, which cannot stand in the file.
pub(super) const CONFIG: &str = "config";

/// The command line that is parsed. It reads no variables: they are a layer of their own.
pub(super) fn command() -> Command {
    on_settings(Flags::command(), |flag| match &flag {
        _ if is_switch(&flag) => with_optional_value(flag),
        // A key may begin with a dash, and in PEM it does.
        _ if is_secret(&flag) => flag.allow_hyphen_values(true),
        _ => flag,
    })
}

/// The command line as `--help` shows it: each flag with its variable.
pub(super) fn command_for_help() -> Command {
    on_settings(command(), |flag| match flag.get_long().map(variable) {
        // The value of a variable may be a secret, and help is pasted into issues.
        Some(variable) => flag.env(variable).hide_env_values(true),
        None => flag,
    })
}

/// The flags that are settings: all those of `serve`.
pub(super) fn settings(command: &Command) -> impl Iterator<Item = &Arg> {
    command.find_subcommand("serve").into_iter().flat_map(Command::get_arguments)
}

/// The variable of the flag `--long`.
pub(super) fn variable(long: &str) -> String {
    format!("FANFARE_{}", long.to_ascii_uppercase().replace('-', "_"))
}

/// Whether `flag` is on or off.
pub(super) fn is_switch(flag: &Arg) -> bool {
    flag.get_value_parser().type_id() == TypeId::of::<bool>()
}

/// Whether the value of `flag` is never shown.
pub(super) fn is_secret(flag: &Arg) -> bool {
    flag.get_value_parser().type_id() == TypeId::of::<Secret>()
}

/// Whether `flag` may be given several times.
pub(super) fn is_list(flag: &Arg) -> bool {
    matches!(flag.get_action(), ArgAction::Append)
}

fn on_settings(command: Command, change: impl Fn(Arg) -> Arg) -> Command {
    command.mut_subcommands(|subcommand| match subcommand.get_name() {
        "serve" | "check" => subcommand.mut_args(&change),
        _ => subcommand,
    })
}

/// `--dev` stays what it is; `--dev=false` says no to a variable or a file that says yes.
fn with_optional_value(flag: Arg) -> Arg {
    flag.action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .value_name("true|false")
        .value_parser(BoolishValueParser::new())
        .default_missing_value("true")
        .default_value("false")
        .hide_default_value(true)
        .hide_possible_values(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
        command_for_help().debug_assert();
    }

    #[test]
    fn every_flag_has_a_variable_a_group_and_a_help_text() {
        let command = command_for_help();
        for flag in settings(&command) {
            let long = flag.get_long().expect("a long name");
            let expected = format!("FANFARE_{}", long.to_ascii_uppercase().replace('-', "_"));
            assert_eq!(flag.get_env().and_then(|name| name.to_str()), Some(expected.as_str()), "--{long}");
            assert!(flag.get_help_heading().is_some() && flag.get_help().is_some(), "--{long}");
        }
    }

    #[test]
    fn check_takes_what_serve_takes() {
        let command = command();
        let names = |of: &str| -> Vec<String> {
            let found = command.find_subcommand(of).expect("a subcommand");
            found.get_arguments().map(|flag| flag.get_id().to_string()).collect()
        };
        assert_eq!(names("serve"), names("check"));
    }
}
