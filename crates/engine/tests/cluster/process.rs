//! A server of a store, of the test's own: started again and again with its own folder, stopped by its process id.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Where a server says what it does.
#[derive(Clone, Copy)]
#[allow(dead_code)] // Each server has one.
pub enum Says {
    Out,
    Err,
}

/// A process that runs, or did.
pub struct Process {
    child: Option<Child>,
    pub folder: tempfile::TempDir,
}

impl Process {
    /// One that does not run yet, with an empty folder.
    pub fn new() -> Self {
        Self { child: None, folder: tempfile::tempdir().expect("a folder") }
    }

    /// Where it keeps what it stores.
    pub fn store(&self) -> PathBuf {
        let store = self.folder.path().join("store");
        fs::create_dir_all(&store).expect("a folder");
        store
    }

    /// Starts it, and reads what it says until it is ready. Gives what it said if it ends instead.
    pub fn start(
        &mut self,
        command: &mut Command,
        says: Says,
        mut is_ready: impl FnMut(&str) -> bool,
    ) -> Result<(), String> {
        let (out, err) = match says {
            Says::Out => (Stdio::piped(), Stdio::null()),
            Says::Err => (Stdio::null(), Stdio::piped()),
        };
        let mut child =
            command.stdin(Stdio::null()).stdout(out).stderr(err).spawn().unwrap_or_else(|error| {
                panic!("{command:?} cannot be started ({error}); `scripts/test test-all` installs it")
            });
        let pipe: Box<dyn Read + Send> = match says {
            Says::Out => Box::new(child.stdout.take().expect("its output")),
            Says::Err => Box::new(child.stderr.take().expect("its errors")),
        };
        let mut lines = BufReader::new(pipe).lines().map_while(Result::ok);
        let mut said = String::new();
        loop {
            let Some(line) = lines.next() else {
                child.wait().expect("ended");
                return Err(said);
            };
            if is_ready(&line) {
                break;
            }
            said.push_str(&line);
            said.push('\n');
        }
        self.child = Some(child);
        // What it says from now on is read so that it can go on.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(())
    }

    /// Ends it as a loss of power would, but for the disk.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("killed");
            child.wait().expect("ended");
        }
    }

    /// Stops it without ending it, as a machine that hangs.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.child.as_ref().expect("it runs").id().to_string();
        let status = Command::new("kill").args(["-s", signal, &id]).status().expect("kill runs");
        assert!(status.success());
    }

    /// A copy of everything it has stored; it does not run.
    pub fn back_up(&self) -> tempfile::TempDir {
        assert!(self.child.is_none(), "it writes while it runs");
        let copy = tempfile::tempdir().expect("a folder");
        copy_all(&self.store(), copy.path());
        copy
    }

    /// Puts a copy in the place of what it has stored; it does not run.
    pub fn go_back(&self, copy: &Path) {
        assert!(self.child.is_none(), "it reads while it runs");
        fs::remove_dir_all(self.store()).expect("removed");
        copy_all(copy, &self.store());
    }
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let to = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_all(&path, &to);
        } else {
            fs::copy(&path, &to).expect("copied");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
