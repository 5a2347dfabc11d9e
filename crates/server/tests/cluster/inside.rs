//! Starts this test once more in namespaces of its own, where the machine allows it: a network that nobody else sees, a `/run` for
//! the names of further ones, mounts and processes.
//!
//! Whatever is made there is the kernel's to remove, with the last process, however this test ends; so nothing is cleaned up here,
//! and nothing of an earlier run can be in the way.

use std::env;
use std::process::{Command, Output, Stdio};

/// Says to the test that it is where it should be, and who sent it there.
const INSIDE: &str = "FANFARE_CLUSTER_INSIDE";

/// What has to work there.
const PROBE: &str = "set -e
mount -t tmpfs none /run
mkdir /run/netns
ip link set lo up
ip link add name bridge0 type bridge
ip netns add probe
ip link add v0 type veth peer name eth0 netns probe
ip link set v0 master bridge0 up
ip netns exec probe iptables -w -A INPUT -p tcp --dport 1 -s 10.0.0.1 -j DROP";

/// What prepares them for the test, which takes the place of this shell.
const PREPARE: &str = "mount -t tmpfs none /run && mkdir /run/netns && ip link set lo up && exec \"$@\"";

/// Where the test is.
pub(crate) enum Entered {
    /// In namespaces of its own.
    Inside,
    /// Where it was started, and why.
    Outside(String),
    /// It ran inside, and has passed or not.
    Ran(bool),
}

/// Goes into namespaces if that is possible, and runs the test of this name there.
pub(crate) fn enter(test: &str) -> Entered {
    if env::var_os(INSIDE).is_some() {
        return Entered::Inside;
    }
    match unshare().args(["sh", "-c", PROBE]).stdin(Stdio::null()).output() {
        Ok(Output { status, .. }) if status.success() => {}
        Ok(Output { stderr, .. }) => {
            let why = String::from_utf8_lossy(&stderr).trim().replace('\n', "; ");
            return Entered::Outside(if why.is_empty() { "they cannot be made".to_owned() } else { why });
        }
        Err(error) => return Entered::Outside(format!("setpriv: {error}")),
    }
    let program = env::current_exe().expect("this program");
    let mut command = unshare();
    command.args(["sh", "-c", PREPARE, "sh"]).arg(program).args([test, "--exact", "--nocapture"]);
    let status = command
        .env(INSIDE, std::process::id().to_string())
        .stdin(Stdio::null())
        .status()
        .expect("it ran a moment ago");
    Entered::Ran(status.success())
}

/// What nobody else's folders are called by: in namespaces of their own all processes have the same id.
pub(crate) fn name_of_run() -> String {
    env::var(INSIDE).unwrap_or_else(|_| std::process::id().to_string())
}

/// Starts a program in namespaces of its own, which dies with this thread, and all that it started with it.
fn unshare() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare"]);
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.trim_ascii() == b"0");
    if !is_root {
        command.arg("--map-root-user");
    }
    command.args(["--net", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"]);
    command
}
