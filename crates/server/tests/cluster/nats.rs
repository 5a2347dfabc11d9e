//! A cluster of NATS of the test's own: each server on its addresses and folder again and again.

use std::fs::{self, OpenOptions};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::address::free_address;

/// What servers are started by. `scripts/test` installs it and puts it on the path.
fn program() -> PathBuf {
    std::env::var_os("FANFARE_NATS_SERVER").map_or_else(|| "nats-server".into(), PathBuf::from)
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    folder: PathBuf,
    process: Child,
    /// Say that its addresses are taken.
    _flags: [UdpSocket; 2],
}

/// Starts a cluster in a folder.
pub(crate) fn start(count: usize, folder: &Path) -> io::Result<Vec<Server>> {
    let places: Vec<_> = (0..count).map(|_| (free_address(), free_address())).collect();
    let routes: Vec<_> = places.iter().map(|(_, (route, _))| format!("\"nats://{route}\"")).collect();
    let routes = routes.join(", ");
    let mut servers = Vec::new();
    for (number, ((address, flag), (route, other_flag))) in places.into_iter().enumerate() {
        let folder = folder.join(format!("nats-{number}"));
        fs::create_dir_all(&folder)?;
        let store = folder.join("store").display().to_string();
        fs::write(
            folder.join("server.conf"),
            format!(
                "server_name: n{number}\nlisten: \"{address}\"\njetstream {{ store_dir: {store:?}, sync_interval: always }}\n\
                 cluster {{ name: c, listen: \"{route}\", routes: [{routes}] }}\n"
            ),
        )?;
        let process = spawn(&folder)?;
        servers.push(Server { address, folder, process, _flags: [flag, other_flag] });
    }
    Ok(servers)
}

fn spawn(folder: &Path) -> io::Result<Child> {
    let log = OpenOptions::new().create(true).append(true).open(folder.join("server.log"))?;
    Command::new(program())
        .arg("-c")
        .arg(folder.join("server.conf"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map_err(|error| {
            io::Error::other(format!(
                "nats-server cannot be started ({error}); `scripts/test nats` installs it"
            ))
        })
}

impl Server {
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        self.process.kill()?;
        self.process.wait().map(drop)
    }

    pub(crate) fn start_again(&mut self) -> io::Result<()> {
        self.process = spawn(&self.folder)?;
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
