//! A folder on a disk that fails as it is told to, by `shim.c`, which is compiled here and preloaded into the program.
//!
//! It never touches this process.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::common::{Hub, PATIENCE, fanfare, forget_variables};

/// How the program ends when the power goes.
pub(crate) const POWER_STATUS: i32 = 86;

pub(crate) struct Disk {
    folder: TempDir,
    switch: File,
    clock: File,
}

/// The shim, compiled once; `None` where there is no compiler, which is said.
fn shim() -> Option<&'static Path> {
    static SHIM: OnceLock<Option<(TempDir, PathBuf)>> = OnceLock::new();
    let compiled = SHIM.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("shim.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/shim.c");
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let mut command = Command::new(&compiler);
        command.args(["-O2", "-Wall", "-shared", "-fPIC", "-o"]).arg(&library).arg(source);
        match command.args(["-ldl", "-lpthread"]).status() {
            Ok(status) => assert!(status.success(), "{command:?}"),
            Err(error) => {
                skip(
                    &format!("no C compiler for the disk that fails: {}: {error}", compiler.display()),
                    true,
                );
                return None;
            }
        }
        Some((folder, library))
    });
    compiled.as_ref().map(|(_, library)| library.as_path())
}

/// Says that a test cannot do its work here; with `CI=true` what can be installed has to be there. `FANFARE_SKIPPED` is a file
/// that `scripts/test` reads it from.
pub(crate) fn skip(why: &str, can_be_mended: bool) {
    let line = format!("{why}\n");
    // Not through the test harness, which keeps what a passing test says to itself.
    let _ = std::io::stderr().write_all(format!("skipped: {line}").as_bytes());
    if let Some(path) = std::env::var_os("FANFARE_SKIPPED") {
        let file = OpenOptions::new().append(true).create(true).open(path);
        file.and_then(|mut file| file.write_all(line.as_bytes())).unwrap();
    }
    let is_ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
    assert!(!(can_be_mended && is_ci), "with CI=true nothing may be skipped: {why}");
}

impl Disk {
    /// A new one, which does not fail yet; `None` where none can be made, which is said.
    pub(crate) fn new() -> Option<Self> {
        shim()?;
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("disk")).unwrap();
        let zeros = |name: &str, length| {
            let path = folder.path().join(name);
            fs::write(&path, vec![0; length]).unwrap();
            OpenOptions::new().write(true).open(path).unwrap()
        };
        let (switch, clock) = (zeros("switch", 64), zeros("clock", 8));
        Some(Self { folder, switch, clock })
    }

    /// The folder that the program is told of.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("disk/data")
    }

    /// `fanfare serve` on this disk, on a free port, with more arguments.
    pub(crate) fn command(&self, more: &[&str]) -> Command {
        let path = |name: &str| self.folder.path().join(name);
        // What it says is put aside: of many faults it says many sentences.
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$0\" \"$@\" 2>>\"$SAID\""]).arg(fanfare(&[]).get_program());
        command.args(["serve", "--dev", "--listen", "127.0.0.1:0", "--io-uring", "off"]);
        command.arg("--data-dir").arg(self.data_dir()).args(more);
        forget_variables(&mut command);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .env("SAID", path("said"))
            .env("LD_PRELOAD", shim().unwrap())
            .env("FAULTS_FOLDER", path("disk"))
            .env("FAULTS_SWITCH", path("switch"))
            .env("FAULTS_CLOCK", path("clock"))
            .env("RUST_LOG", "off");
        command
    }

    /// All that the program has said on standard error.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("said")).unwrap_or_default()
    }

    pub(crate) fn start(&self, more: &[&str]) -> Hub {
        Hub::of(self.command(more), 1)
    }

    /// Where failed syncs are noted for the next process: `FAULTS_LOST`.
    pub(crate) fn lost(&self) -> PathBuf {
        self.folder.path().join("lost")
    }

    /// From now on every operation of a kind fails: `"sync EIO"`.
    pub(crate) fn fail(&self, what: &str) {
        let mut text = [0; 64];
        text[..what.len()].copy_from_slice(what.as_bytes());
        self.switch.write_all_at(&text, 0).unwrap();
    }

    /// From now on operations of two kinds fail.
    pub(crate) fn fail_both(&self, one: &str, other: &str) {
        self.fail(&format!("{one} {other}"));
    }

    /// From now on nothing fails.
    pub(crate) fn mend(&self) {
        self.fail("off");
    }

    /// The wall clock is wrong by so many seconds.
    pub(crate) fn set_clock(&self, seconds: i64) {
        self.clock.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    }
}

/// Starts what may end before it serves; then, its exit status.
pub(crate) fn try_start(command: Command) -> Result<Hub, Option<i32>> {
    let mut hub = Hub::of(command, 0);
    let line = hub.line();
    match line.strip_prefix("listening on http://") {
        Some(address) => hub.addresses.push(address.to_owned()),
        None => return Err(hub.wait().code()),
    }
    Ok(hub)
}

/// Waits until `/readyz` answers with `status`. The guard is only there to end a broken test.
pub(crate) fn until_ready_is(hub: &Hub, status: u16) {
    let since = std::time::Instant::now();
    while hub.get("/readyz").0 != status {
        assert!(since.elapsed() < PATIENCE, "/readyz never became {status}");
        std::thread::yield_now();
    }
}
