//! `fanfare copy`, as an operator runs it.

#![allow(missing_docs)]

mod common;

use std::path::Path;

use common::{Hub, fanfare, read_until, refused};

fn serve(folder: &Path) -> Hub {
    Hub::start(&["--engine", "disk", "--data-dir", folder.to_str().expect("text")])
}

fn place(folder: &Path) -> String {
    format!("disk:{}", folder.display())
}

#[test]
fn a_hub_over_the_copy_of_a_log_resumes_whoever_was_at_the_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let (old, new) = (folder.path().join("old"), folder.path().join("new"));
    let mut hub = serve(&old);
    let ids: Vec<String> = (1..=3)
        .map(|number| {
            let (status, _, id) = hub.publish(&format!("topic=a&data={number}"));
            assert_eq!(status, 200, "{id}");
            id.trim().to_owned()
        })
        .collect();

    let (code, said) = refused(&["copy", &place(&old), &place(&new)]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("another process uses the log"), "{said}");

    hub.signal("TERM");
    assert!(hub.wait().success());
    let copied = fanfare(&["copy", &place(&old), &place(&new)]).output().expect("it runs");
    let said = String::from_utf8(copied.stdout).expect("text");
    assert!(copied.status.success(), "{said}");
    assert!(said.starts_with("copied 3 entries"), "{said}");

    let hub = serve(&new);
    let last = ids[0].replace('#', "%23");
    let mut stream = hub.subscribe(&format!("topic=a&last_event_id={last}"));
    let read = read_until(&mut stream, "data: 3\n\n");
    assert!(read.contains("data: 2\n") && !read.contains("data: 1\n") && !read.contains("gap"), "{read}");

    let (code, said) = refused(&["copy", &place(&old), &place(&new)]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("holds a log already"), "{said}");
}

#[test]
fn what_is_no_log_to_copy_is_refused_in_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let nothing = place(&folder.path().join("nothing"));
    for (arguments, code, expected) in [
        (["memory", "disk:x"], 2, "disk:FOLDER"),
        (["disk:", "disk:x"], 2, "disk:FOLDER"),
        (["/some/folder", "disk:x"], 2, "disk:FOLDER"),
        ([nothing.as_str(), "disk:x"], 1, "a log is missing in"),
    ] {
        let (exit, said) = refused(&[&["copy"][..], &arguments].concat());
        assert_eq!(exit, Some(code), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}
