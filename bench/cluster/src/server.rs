//! Servers of its own, stopped by their process ids.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::NAME;

/// How long servers may take to find each other.
const PATIENCE: Duration = Duration::from_secs(30);

/// A process that ends with this value, and its folder with it.
struct Server {
    process: Child,
    _folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// As many as keep the stream, in a cluster if there are several.
pub(crate) struct NatsServers {
    pub(crate) urls: Vec<String>,
    _servers: Vec<Server>,
}

impl NatsServers {
    /// Starts them; each syncs before it acknowledges.
    pub(crate) fn start(count: usize) -> anyhow::Result<Self> {
        let routes = free_ports(count)?;
        let (mut urls, mut servers) = (Vec::new(), Vec::new());
        for (number, route) in routes.iter().enumerate() {
            let folder = folder()?;
            let config = folder.path().join("server.conf");
            let store = folder.path().join("store");
            let mut text = format!(
                "listen: \"127.0.0.1:-1\"\nserver_name: n{number}\njetstream {{ store_dir: {store:?}, sync_interval: always }}\n"
            );
            if count > 1 {
                let others: Vec<String> =
                    routes.iter().map(|port| format!("\"nats-route://127.0.0.1:{port}\"")).collect();
                text += &format!(
                    "cluster {{ name: bench, listen: \"127.0.0.1:{route}\", routes: [{}] }}\n",
                    others.join(", ")
                );
            }
            std::fs::write(&config, text)?;
            let program = std::env::var_os("FANFARE_NATS_SERVER").unwrap_or_else(|| "nats-server".into());
            let mut process = Command::new(program)
                .arg("-c")
                .arg(&config)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .context("nats-server cannot be started; `scripts/test cluster` installs it")?;
            let mut lines =
                BufReader::new(process.stderr.take().context("its errors")?).lines().map_while(Result::ok);
            servers.push(Server { process, _folder: folder });
            let listens = "Listening for client connections on ";
            let address =
                lines.find_map(|line| line.split_once(listens).map(|(_, address)| address.trim().to_owned()));
            urls.push(format!("nats://{}", address.context("nats-server ended")?));
            // What is not read fills the pipe.
            std::thread::spawn(move || lines.for_each(drop));
        }
        Ok(Self { urls, _servers: servers })
    }

    /// Waits until a stream can be made.
    pub(crate) async fn until_ready(&self) -> anyhow::Result<()> {
        let begin = Instant::now();
        loop {
            let context = async_nats::jetstream::new(self.client().await?);
            match context.query_account().await {
                Ok(_) => return Ok(()),
                Err(error) if begin.elapsed() > PATIENCE => return Err(error.into()),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Removes the stream of a hub.
    pub(crate) async fn forget_hub(&self) -> anyhow::Result<()> {
        let context = async_nats::jetstream::new(self.client().await?);
        context.delete_stream(format!("FANFARE_{NAME}")).await?;
        Ok(())
    }

    /// A connection to one of them.
    pub(crate) async fn client(&self) -> anyhow::Result<async_nats::Client> {
        Ok(async_nats::connect(&self.urls[..]).await?)
    }
}

pub(crate) struct RedisServer {
    pub(crate) url: String,
    _server: Server,
}

impl RedisServer {
    /// Starts one that syncs before it answers.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let folder = folder()?;
        let port = free_ports(1)?[0];
        let program = std::env::var_os("FANFARE_REDIS_SERVER").unwrap_or_else(|| "redis-server".into());
        let mut process = Command::new(program)
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""])
            .args(["--appendonly", "yes", "--appendfsync", "always"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("redis-server cannot be started; `apt-get install redis-server` installs it")?;
        let mut lines =
            BufReader::new(process.stdout.take().context("its output")?).lines().map_while(Result::ok);
        let server = Server { process, _folder: folder };
        anyhow::ensure!(lines.any(|line| line.contains("Ready to accept connections")), "redis-server ended");
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { url: format!("redis://127.0.0.1:{port}"), _server: server })
    }

    /// Removes everything.
    pub(crate) async fn forget_all(&self) -> anyhow::Result<()> {
        let mut connection = redis::Client::open(&*self.url)?.get_multiplexed_async_connection().await?;
        redis::cmd("FLUSHALL").exec_async(&mut connection).await?;
        Ok(())
    }
}

/// On the disk that is measured: a file system in memory makes every sync free.
fn folder() -> anyhow::Result<tempfile::TempDir> {
    Ok(tempfile::tempdir_in(concat!(env!("CARGO_MANIFEST_DIR"), "/target"))?)
}

/// Ports that were free a moment ago.
fn free_ports(count: usize) -> anyhow::Result<Vec<u16>> {
    let bound: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    Ok(bound.iter().map(|listener| Ok(listener.local_addr()?.port())).collect::<std::io::Result<_>>()?)
}
