//! What the command line says about a log on NATS, without a server of NATS.

#![allow(missing_docs)]

mod common;

use common::refused;

#[test]
fn a_password_in_an_address_is_refused_and_not_repeated() {
    let (code, said) = refused(&["serve", "--dev", "--engine", "nats://me:hunter2@127.0.0.1:4222"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--nats-credentials") && !said.contains("hunter2"), "{said}");
}

#[test]
fn what_could_not_work_with_any_server_is_refused_before_anything_is_served() {
    for (flags, expected) in [
        (&["--hub-name", "a.b"][..], "a.b"),
        (&["--nats-credentials", "/nowhere/at/all.creds"], "/nowhere/at/all.creds"),
        (&["--nats-token", "@/nowhere/at/all"], "/nowhere/at/all"),
    ] {
        let arguments = [&["serve", "--dev", "--engine", "nats://127.0.0.1:4222"], flags].concat();
        let (code, said) = refused(&arguments);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}
