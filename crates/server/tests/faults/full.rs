//! A disk that is really full: a file system of four mebibytes.
//!
//! It takes the right to mount one; where nobody may, that is said, and `errors.rs` has the same with a disk that only says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::common::Hub;
use crate::disk::{skip, until_ready_is};
use crate::history::{Answer, Reader, Sent, check, kept, publish};

/// A file system in memory, for as long as this lives.
pub(crate) struct Mounted {
    folder: TempDir,
    /// What comes before `mount`: nothing for root, or `sudo`.
    by: &'static [&'static str],
}

impl Mounted {
    /// `None` where nobody may mount, which is said.
    pub(crate) fn new(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={size},mode=0777");
        for by in [&[][..], &["sudo", "-n"]] {
            if run(by, &["mount", "-t", "tmpfs", "-o", &options, "tmpfs"], folder.path()) {
                return Some(Self { folder, by });
            }
        }
        skip("nobody here may mount a file system: no test of a disk that is really full", false);
        None
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    pub(crate) fn make_read_only(&self) {
        assert!(run(self.by, &["mount", "-o", "remount,ro"], self.folder.path()));
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        run(self.by, &["umount"], self.folder.path());
    }
}

fn run(by: &[&str], command: &[&str], path: &Path) -> bool {
    let words = [by, command].concat();
    let status = Command::new(words[0]).args(&words[1..]).arg(path).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

#[test]
fn a_file_system_without_room_refuses_and_goes_on_once_it_has_some() {
    let Some(small) = Mounted::new("4m") else { return };
    let (filler, data_dir) = (small.path().join("filler"), small.path().join("data"));
    fs::write(&filler, vec![1; 2 * 1024 * 1024]).unwrap();
    let start = || Hub::start(&["--data-dir", data_dir.to_str().unwrap(), "--keep-alive", "1s"]);
    let (hub, mut sent, mut n) = (start(), Vec::new(), 0);
    let mut reader = Reader::open(hub.address(), None).expect("a stream");
    let mut publish_next = |hub: &Hub, bytes: usize, sent: &mut Vec<Sent>| {
        n += 1;
        sent.push(publish(hub.address(), &format!("{n}-{}", "x".repeat(bytes))));
        matches!(sent.last(), Some(Sent { answer: Answer::Stored(_), .. }))
    };
    // Twice: what had to be found out once is not remembered wrongly.
    for room in [1024 * 1024, 0] {
        while publish_next(&hub, 50_000, &mut sent) {}
        assert_eq!(sent.last().map(|sent| &sent.answer), Some(&Answer::Refused));
        assert_eq!(hub.get("/readyz").0, 503);
        assert!(
            !publish_next(&hub, 10, &mut sent),
            "small ones would fit, but the order is that of publishing"
        );
        fs::write(&filler, vec![1; room]).unwrap();
        until_ready_is(&hub, 200);
        for _ in 0..4 {
            assert!(publish_next(&hub, 50_000, &mut sent));
        }
    }
    let last = sent.last().expect("one").data.clone();
    let mut delivered = Vec::new();
    while delivered.last().is_none_or(|event: &crate::history::Event| event.data != last) {
        delivered.push(reader.next().expect("the stream goes on"));
    }
    drop(hub);
    let hub = start();
    let mut found = kept(hub.address(), "earliest", "mark");
    found.pop();
    assert_eq!(check(&sent, &delivered, &found), Ok(()));
}
