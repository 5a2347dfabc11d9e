//! What a folder may hold when a log is opened: torn ends, damage, other processes, other releases.

use std::fs;
use std::path::Path;

use fanfare_engine::DiskEngine;
use fanfare_engine::disk::OpenError;
use fanfare_wire::Event;

use crate::support::{files, folder, hub, publish, publish_all, small, to};

fn refused(folder: &Path) -> OpenError {
    DiskEngine::options(folder).open().expect_err("a refusal")
}

#[test]
fn a_second_engine_on_the_folder_is_refused_until_the_first_is_gone() {
    let folder = folder();
    let first = DiskEngine::options(folder.path()).open().expect("a log");
    assert!(matches!(refused(folder.path()), OpenError::InUse { .. }));
    drop(first);
    assert!(DiskEngine::options(folder.path()).open().is_ok());
}

/// Goal: whatever of the last group is on the disk, what was acknowledged before is there and nothing else.
/// Method: cut the newest segment at every byte of its last group, and scribble over every byte of it.
#[test]
fn a_torn_end_is_cut_off_and_nothing_else() {
    let whole = folder();
    {
        let hub = hub(DiskEngine::options(whole.path()));
        publish_all(&hub, (0..3).map(|n| to(&["a"], Event::new(n.to_string()))));
        // A group of its own.
        publish_all(&hub, (3..5).map(|n| to(&["a"], Event::new(n.to_string()))));
    }
    let segment = files(whole.path(), "seg").remove(0);
    let bytes = fs::read(&segment).expect("read");
    let mark = u32::to_le_bytes(0x4752_4F55);
    let groups: Vec<_> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(&mark)).collect();
    let last = *groups.last().expect("a group");
    let kept = if groups.len() == 2 { 3 } else { 5 - 1 };
    for at in last..bytes.len() {
        let mut scribbled = bytes.clone();
        scribbled[at] ^= 0x55;
        for changed in [&bytes[..at], &scribbled[..]] {
            fs::write(&segment, changed).expect("written");
            let engine = DiskEngine::options(whole.path()).open().expect("torn, not damaged");
            assert!(
                engine.counts().next <= kept + 1 || groups.len() != 2,
                "byte {at}: {:?}",
                engine.counts()
            );
            drop(engine);
            assert_eq!(fs::read(&segment).expect("read"), bytes[..last], "byte {at}");
        }
    }
}

#[test]
fn what_was_acknowledged_and_is_damaged_is_told_and_nothing_is_changed() {
    let folder = folder();
    {
        let hub = hub(DiskEngine::options(folder.path()));
        (0..3).for_each(|n| drop(publish(&hub, "a", &n.to_string())));
    }
    let segment = files(folder.path(), "seg").remove(0);
    let mut bytes = fs::read(&segment).expect("read");
    bytes[100] ^= 1;
    fs::write(&segment, &bytes).expect("written");
    let error = refused(folder.path());
    assert!(matches!(error, OpenError::Damaged { at: 40, .. }), "{error}");
    assert_eq!(fs::read(&segment).expect("read"), bytes);
}

#[test]
fn a_folder_of_a_newer_release_or_without_its_parts_is_refused() {
    let folder = folder();
    {
        let hub = hub(small(folder.path()));
        publish_all(&hub, (0..5_000).map(|_| to(&["a"], Event::new("x".repeat(700)))));
    }
    let manifest = folder.path().join("default/log");
    let text = fs::read_to_string(&manifest).expect("read");
    fs::write(&manifest, text.replace("format 3", "format 4")).expect("written");
    assert!(matches!(refused(folder.path()), OpenError::NewerFormat { format: 4, .. }));
    fs::write(&manifest, text.replace("epoch", "apoch")).expect("written");
    assert!(matches!(refused(folder.path()), OpenError::Damaged { .. }));
    fs::remove_file(&manifest).expect("removed");
    assert!(matches!(refused(folder.path()), OpenError::Missing { .. }));
    fs::write(&manifest, text).expect("written");
    let second = files(folder.path(), "seg").remove(1);
    let away = second.with_extension("away");
    fs::rename(&second, &away).expect("moved");
    let error = refused(folder.path());
    assert!(matches!(error, OpenError::Missing { .. }), "{error}");
    fs::rename(away, second).expect("moved back");
    assert!(small(folder.path()).open().is_ok());
}

#[test]
fn a_segment_that_was_begun_and_has_no_header_is_forgotten() {
    let folder = folder();
    publish(&hub(DiskEngine::options(folder.path())), "a", "1");
    for length in [0, 7, 39] {
        fs::write(folder.path().join("default/00000000000000000002.seg"), vec![0; length]).expect("written");
        let hub = hub(DiskEngine::options(folder.path()));
        assert_eq!(hub.counts().log_next, 2, "{length} bytes");
    }
}

#[test]
fn an_index_without_its_segment_is_removed() {
    let folder = folder();
    publish(&hub(DiskEngine::options(folder.path())), "a", "1");
    let alone = folder.path().join("default/00000000000000000700.idx");
    fs::write(&alone, "left behind").expect("written");
    drop(DiskEngine::options(folder.path()).open().expect("a log"));
    assert!(!alone.exists());
}

#[cfg(unix)]
#[test]
fn the_files_are_their_owner_s_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    publish(&hub(DiskEngine::options(folder.path())), "a", "1");
    for file in fs::read_dir(folder.path().join("default")).expect("the folder") {
        let file = file.expect("a file");
        let mode = file.metadata().expect("metadata").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?}", file.path());
    }
}

#[test]
fn a_file_where_the_folder_should_be_is_a_clear_error() {
    let folder = folder();
    let path = folder.path().join("taken");
    fs::write(&path, "").expect("written");
    let error = refused(&path);
    assert!(error.to_string().contains("taken"), "{error}");
}
