//! A cluster of NATS of the test's own: each server on its machine and folder again and again.

use std::fs::{self, OpenOptions};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use crate::ground::{Ground, Machine, SmallDisk};

/// What servers are started by. `scripts/test` installs it and puts it on the path.
///
/// It is looked for here: what starts it in a namespace does not say that it is not there.
fn program() -> io::Result<PathBuf> {
    if let Some(named) = std::env::var_os("FANFARE_NATS_SERVER") {
        return Ok(named.into());
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&folders).map(|folder| folder.join("nats-server"));
    let found = places.find(|place| place.is_file());
    found.ok_or_else(|| io::Error::other("there is no nats-server; `scripts/test cluster` installs it"))
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    folder: PathBuf,
    process: Child,
    /// What it keeps things on, if that can become full.
    pub(crate) disk: Option<SmallDisk>,
}

/// Starts a cluster in a folder. The disks of some of them can become full.
pub(crate) fn start(ground: &Ground, folder: &Path, small_disks: &[usize]) -> io::Result<Vec<Server>> {
    let routes: Vec<_> =
        ground.machines.iter().map(|machine| format!("\"nats://{}\"", machine.route)).collect();
    let routes = routes.join(", ");
    let mut servers = Vec::new();
    for (number, machine) in ground.machines.iter().enumerate() {
        let folder = folder.join(format!("nats-{number}"));
        let store = folder.join("store");
        fs::create_dir_all(&store)?;
        let disk = small_disks.contains(&number).then(|| SmallDisk::mount(&store)).transpose()?;
        let (address, route) = (machine.nats, machine.route);
        let store = store.display().to_string();
        fs::write(
            folder.join("server.conf"),
            format!(
                "server_name: n{number}\nlisten: \"{address}\"\n\
                 jetstream {{ store_dir: {store:?}, sync_interval: always, max_file_store: 1GB }}\n\
                 cluster {{ name: c, listen: \"{route}\", routes: [{routes}] }}\n"
            ),
        )?;
        let process = spawn(machine, &folder)?;
        servers.push(Server { address, folder, process, disk });
    }
    Ok(servers)
}

fn spawn(machine: &Machine, folder: &Path) -> io::Result<Child> {
    let log = OpenOptions::new().create(true).append(true).open(folder.join("server.log"))?;
    let mut command = machine.within(&program()?);
    command.arg("-c").arg(folder.join("server.conf"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()
}

impl Server {
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        self.process.kill()?;
        self.process.wait().map(drop)
    }

    pub(crate) fn start_again(&mut self, machine: &Machine) -> io::Result<()> {
        self.process = spawn(machine, &self.folder)?;
        Ok(())
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
