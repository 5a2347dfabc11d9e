//! Folders that cannot be used: each ends the program with status 1 and a sentence that says what to do.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::{Hub, fanfare};
use crate::disk::{Disk, try_start};
use crate::full::Mounted;

/// Starts the program on a folder that it has to refuse; gives what it says.
fn refusal(data_dir: &Path) -> String {
    refusal_of(fanfare(&[]), data_dir)
}

fn refusal_of(mut command: Command, data_dir: &Path) -> String {
    command.args(["serve", "--dev", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data_dir);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    if !line.is_empty() {
        child.kill().unwrap();
        child.wait().unwrap();
        panic!("it serves: {line}");
    }
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let last = said.lines().last().unwrap_or_default().to_owned();
    assert!(last.starts_with("fanfare: "), "{said}");
    last
}

/// A folder with one event.
fn used() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(&["--data-dir", folder.path().to_str().unwrap()]);
    assert_eq!(hub.publish("topic=a&data=x").0, 200);
    folder
}

#[test]
fn a_second_process_on_the_folder_is_refused_and_the_first_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(&["--data-dir", folder.path().to_str().unwrap()]);
    let said = refusal(folder.path());
    assert!(said.contains("another process uses the log") && said.contains("stop it"), "{said}");
    assert!(said.contains(folder.path().to_str().unwrap()), "{said}");
    assert_eq!(hub.publish("topic=a&data=x").0, 200);
}

#[test]
fn a_folder_of_a_newer_release_is_refused() {
    let folder = used();
    let log = folder.path().join("default/log");
    fs::write(&log, fs::read_to_string(&log).unwrap().replace("format 3", "format 4")).unwrap();
    let said = refusal(folder.path());
    assert!(said.contains("written by a newer release (format 4); start that one"), "{said}");
}

#[test]
fn a_damaged_file_is_named_with_its_byte() {
    let folder = used();
    {
        let hub = Hub::start(&["--data-dir", folder.path().to_str().unwrap()]);
        assert_eq!(hub.publish("topic=a&data=y").0, 200);
    }
    let segment = folder.path().join("default/00000000000000000001.seg");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[90] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    let said = refusal(folder.path());
    assert!(said.contains("00000000000000000001.seg is damaged at byte 40"), "{said}");
    assert!(said.contains("restore the folder from a backup"), "{said}");
    assert_eq!(fs::read(&segment).unwrap(), bytes, "it is left as it was");
}

#[test]
fn a_folder_that_may_not_be_written_to_is_refused() {
    // By its permissions. Root may write everywhere, so that somebody else has to try.
    let folder = used();
    let inner = folder.path().join("default");
    for path in [&inner.join("lock"), &inner.join("log"), &inner] {
        let mode = if path.is_dir() { 0o555 } else { 0o444 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let segment = inner.join("00000000000000000001.seg");
    fs::set_permissions(segment, fs::Permissions::from_mode(0o444)).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let said = if fs::write(inner.join("probe"), "").is_err() {
        refusal(folder.path())
    } else {
        fs::remove_file(inner.join("probe")).unwrap();
        refusal_of_nobody(folder.path())
    };
    fs::set_permissions(&inner, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(said.contains("this user may not write there") && said.contains("default/lock"), "{said}");

    // By a file system that is mounted so.
    if let Some(mounted) = Mounted::new("4m") {
        let data_dir = mounted.path().join("data");
        drop(Hub::start(&["--data-dir", data_dir.to_str().unwrap()]));
        mounted.make_read_only();
        let said = refusal(&data_dir);
        assert!(said.contains("this user may not write there"), "{said}");
    }

    // By a disk that became so after an error.
    let Some(disk) = Disk::new() else { return };
    drop(disk.start(&[]));
    disk.fail("any EROFS");
    assert_eq!(try_start(disk.command(&[])).err(), Some(Some(1)));
    assert!(disk.said().contains("this user may not write there"), "{}", disk.said());
}

/// The same as `refusal`, as a user with no rights, who needs a copy of the program that he may run.
fn refusal_of_nobody(data_dir: &Path) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("fanfare");
    fs::copy(fanfare(&[]).get_program(), &program).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(program);
    refusal_of(command, data_dir)
}
