//! A server of its own, stopped by its process id.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::Context;

pub(crate) struct Server {
    pub(crate) url: String,
    process: Child,
    _folder: tempfile::TempDir,
}

impl Server {
    /// Starts one that syncs before it acknowledges.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir_in(concat!(env!("CARGO_MANIFEST_DIR"), "/target"))?;
        let config = folder.path().join("server.conf");
        let store = folder.path().join("store");
        std::fs::write(
            &config,
            format!(
                "listen: \"127.0.0.1:-1\"\njetstream {{ store_dir: {store:?}, sync_interval: always }}\n"
            ),
        )?;
        let program = std::env::var_os("FANFARE_NATS_SERVER").unwrap_or_else(|| "nats-server".into());
        let mut process = Command::new(program)
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("nats-server cannot be started; `scripts/test nats` installs it")?;
        let mut lines =
            BufReader::new(process.stderr.take().context("its errors")?).lines().map_while(Result::ok);
        let listens = "Listening for client connections on ";
        let address =
            lines.find_map(|line| line.split_once(listens).map(|(_, address)| address.trim().to_owned()));
        let url = format!("nats://{}", address.context("nats-server ended")?);
        anyhow::ensure!(lines.any(|line| line.contains("Server is ready")), "nats-server ended");
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { url, process, _folder: folder })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
