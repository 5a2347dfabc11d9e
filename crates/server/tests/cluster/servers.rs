//! The store below the hubs, of the test's own: servers of NATS or one of Redis, each on its machine and folder again and again.

use std::fs::{self, OpenOptions};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use crate::ground::{Ground, Machine, SmallDisk};
use crate::jetstream::JetStream;
use crate::redis::Redis;
use crate::store::Ask;

/// Which store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    /// A server on each machine, and one stream on all three.
    Nats,
    /// One server, on the first machine.
    Redis,
}

impl Engine {
    /// `FANFARE_CLUSTER_ENGINE` says which; NATS unless said.
    pub(crate) fn read() -> Self {
        match std::env::var("FANFARE_CLUSTER_ENGINE").as_deref() {
            Err(_) | Ok("nats") => Self::Nats,
            Ok("redis") => Self::Redis,
            Ok(other) => panic!("FANFARE_CLUSTER_ENGINE={other}"),
        }
    }

    /// What the flag calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nats => "nats",
            Self::Redis => "redis",
        }
    }

    /// Which server is meant where a machine is.
    pub(crate) fn server_of(self, machine: usize) -> usize {
        match self {
            Self::Nats => machine,
            Self::Redis => 0,
        }
    }

    /// On which machines there is a server: on the first so many.
    fn machines(self, ground: &Ground) -> &[Machine] {
        match self {
            Self::Nats => &ground.machines,
            Self::Redis => &ground.machines[..1],
        }
    }

    /// Where hubs find it.
    pub(crate) fn url(self, ground: &Ground) -> String {
        let servers = self.machines(ground).iter();
        let urls: Vec<_> = servers.map(|machine| format!("{}://{}", self.name(), machine.store)).collect();
        urls.join(",")
    }

    /// A way to ask it.
    pub(crate) fn asker(self, servers: Vec<SocketAddr>) -> Box<dyn Ask> {
        match self {
            Self::Nats => Box::new(JetStream::new(servers)),
            Self::Redis => Box::new(Redis::new(servers[0])),
        }
    }

    /// What servers are started by. `scripts/test` installs it and puts it on the path.
    ///
    /// It is looked for here: what starts it in a namespace does not say that it is not there.
    fn program(self) -> io::Result<PathBuf> {
        let (variable, name) = match self {
            Self::Nats => ("FANFARE_NATS_SERVER", "nats-server"),
            Self::Redis => ("FANFARE_REDIS_SERVER", "redis-server"),
        };
        if let Some(named) = std::env::var_os(variable) {
            return Ok(named.into());
        }
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let mut places = std::env::split_paths(&folders).map(|folder| folder.join(name));
        let found = places.find(|place| place.is_file());
        found.ok_or_else(|| {
            io::Error::other(format!("there is no {name}; `scripts/test cluster` installs it"))
        })
    }

    /// What a server is told.
    fn settings(self, ground: &Ground, number: usize, store: &Path, syncs_at_once: bool) -> String {
        let machine = &ground.machines[number];
        let (address, route) = (machine.store, machine.route);
        match self {
            Self::Nats => {
                let routes: Vec<_> =
                    ground.machines.iter().map(|machine| format!("\"nats://{}\"", machine.route)).collect();
                let routes = routes.join(", ");
                let store = store.display().to_string();
                format!(
                    "server_name: n{number}\nlisten: \"{address}\"\n\
                     jetstream {{ store_dir: {store:?}, sync_interval: always, max_file_store: 1GB }}\n\
                     cluster {{ name: c, listen: \"{route}\", routes: [{routes}] }}\n"
                )
            }
            Self::Redis => {
                let syncs = if syncs_at_once { "always" } else { "everysec" };
                format!(
                    "bind {}\nport {}\nprotected-mode no\ndir \"{}\"\nsave \"\"\n\
                     appendonly yes\nappendfsync {syncs}\nauto-aof-rewrite-percentage 0\n",
                    address.ip(),
                    address.port(),
                    store.display()
                )
            }
        }
    }
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    engine: Engine,
    folder: PathBuf,
    process: Child,
    /// What it keeps things on, if that can become full.
    pub(crate) disk: Option<SmallDisk>,
}

/// Starts the servers in a folder. The disks of some of them can become full.
pub(crate) fn start(
    engine: Engine,
    ground: &Ground,
    folder: &Path,
    small_disks: &[usize],
    syncs_at_once: bool,
) -> io::Result<Vec<Server>> {
    let mut servers = Vec::new();
    for (number, machine) in engine.machines(ground).iter().enumerate() {
        let folder = folder.join(format!("{}-{number}", engine.name()));
        let store = store_in(&folder);
        fs::create_dir_all(&store)?;
        let disk = small_disks.contains(&number).then(|| SmallDisk::mount(&store)).transpose()?;
        fs::write(settings_in(&folder), engine.settings(ground, number, &store, syncs_at_once))?;
        let process = spawn(engine, machine, &folder)?;
        servers.push(Server { address: machine.store, engine, folder, process, disk });
    }
    Ok(servers)
}

fn store_in(folder: &Path) -> PathBuf {
    folder.join("store")
}

fn settings_in(folder: &Path) -> PathBuf {
    folder.join("server.conf")
}

fn spawn(engine: Engine, machine: &Machine, folder: &Path) -> io::Result<Child> {
    let log = OpenOptions::new().create(true).append(true).open(folder.join("server.log"))?;
    let mut command = machine.within(&engine.program()?);
    if engine == Engine::Nats {
        command.arg("-c");
    }
    command.arg(settings_in(folder));
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()
}

impl Server {
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        self.process.kill()?;
        self.process.wait().map(drop)
    }

    pub(crate) fn start_again(&mut self, machine: &Machine) -> io::Result<()> {
        self.process = spawn(self.engine, machine, &self.folder)?;
        Ok(())
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// How long the file is by now to which it appends, of Redis alone.
    pub(crate) fn appended(&self) -> io::Result<u64> {
        Ok(fs::metadata(self.append_file()?)?.len())
    }

    /// Has it lose what it has appended behind that, as the machine's power would take it that was not synced. It does not run.
    pub(crate) fn lose_behind(&self, length: u64) -> io::Result<()> {
        OpenOptions::new().write(true).open(self.append_file()?)?.set_len(length)
    }

    /// It is never written anew here, so there is one.
    fn append_file(&self) -> io::Result<PathBuf> {
        let store = store_in(&self.folder);
        // Redis 7 has a folder of such files, those before one.
        for folder in [store.join("appendonlydir"), store] {
            let files = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
            let mut files = files.map(|file| file.path()).filter(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                name.ends_with(".incr.aof") || name == "appendonly.aof"
            });
            if let Some(file) = files.next() {
                return Ok(file);
            }
        }
        Err(io::Error::other("it appends to no file"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
