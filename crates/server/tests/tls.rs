//! The program over TLS, asked by curl: HTTP/2, a renewed certificate, and what is said of files that are of no use.
#![allow(clippy::unwrap_used)]
#![cfg(unix)]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use common::{HUB, Hub, PATIENCE, refused};

/// Writes a certificate for this machine and its key.
fn issue(folder: &Path) {
    let issued =
        rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    fs::write(folder.join("cert.pem"), issued.cert.pem()).unwrap();
    fs::write(folder.join("key.pem"), issued.signing_key.serialize_pem()).unwrap();
}

/// What curl prints, if it succeeds; it trusts the certificate in `trusted` alone.
fn curl(trusted: &Path, arguments: &[&str]) -> Option<String> {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--noproxy", "*", "--max-time", "60", "--cacert"]);
    let output = curl.arg(trusted).args(arguments).output().expect("curl runs");
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

#[test]
fn curl_is_served_over_http2_and_a_certificate_is_renewed_at_sighup() {
    let folder = tempfile::tempdir().unwrap();
    issue(folder.path());
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let hub = Hub::start(&["--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()]);
    let url = format!("https://{}{HUB}", hub.address());

    let publish = ["--http2", "-d", "topic=a", "-d", "data=x", "-w", " over %{http_version}", &url];
    let answer = curl(&certificate, &publish).expect("an answer");
    assert!(answer.starts_with('#') && answer.ends_with(" over 2"), "{answer}");
    let answer =
        curl(&certificate, &["--http1.1", "--tls-max", "1.2", "-w", "%{http_code}", "-X", "OPTIONS", &url]);
    assert_eq!(answer.expect("an answer"), "204");
    // The page that the hub serves may publish, and no other.
    // Each refusal is seen, although it comes before the body was read: a reset behind it would hide it from curl.
    for (scheme, status) in [("https", "200")].into_iter().chain([("http", "403"); 10]) {
        let origin = format!("Origin: {scheme}://{}", hub.address());
        let from_page = ["-H", &origin, "-d", "topic=a", "-o", "/dev/null", "-w", "%{http_code}", &url];
        assert_eq!(curl(&certificate, &from_page).expect("an answer"), status);
    }

    let old = folder.path().join("old.pem");
    fs::copy(&certificate, &old).unwrap();
    issue(folder.path());
    hub.signal("HUP");
    let begun = Instant::now();
    while curl(&certificate, &["-o", "/dev/null", &url]).is_none() {
        assert!(begun.elapsed() < PATIENCE, "the new one is not served");
    }
    assert!(curl(&old, &["-o", "/dev/null", &url]).is_none(), "the old one is not served any more");
}

#[test]
fn files_that_are_of_no_use_are_a_reason_not_to_start() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    issue(folder.path());
    issue(other.path());
    let path = |folder: &Path, name: &str| folder.join(name).to_str().unwrap().to_owned();
    let certificate = path(folder.path(), "cert.pem");
    for (key, code, hint) in [
        (None, 2, "arguments were not provided:\n  --tls-key"),
        (Some(path(other.path(), "key.pem")), 2, "give the two files that were issued together"),
        (Some(certificate.clone()), 2, "has no usable private key"),
        (Some(path(folder.path(), "nothing.pem")), 2, "nothing.pem: No such file or directory"),
    ] {
        let mut arguments = vec!["serve", "--dev", "--listen", "127.0.0.1:0", "--tls-cert", &certificate];
        arguments.extend(key.iter().flat_map(|key| ["--tls-key", key.as_str()]));
        let (exit, said) = refused(&arguments);
        assert_eq!(exit, Some(code), "{said}");
        assert!(said.contains(hint), "{said}");
    }
}

#[test]
fn what_is_said_of_proxies_is_checked() {
    let (code, said) = refused(&["serve", "--dev", "--trusted-proxies", "10.0.0.0/8,proxy"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("\"proxy\" is neither an address such as 10.0.0.7"), "{said}");
    let (code, said) = refused(&["serve", "--dev", "--proxy-protocol"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("say with --trusted-proxies"), "{said}");
}
