//! The rival nchan: writes a configuration for nginx into a folder of its own and becomes nginx.
//!
//! Its configuration is `rivals/nchan.conf`. It takes no port but a free one, and needs nginx with the module installed.

use anyhow::{Context, bail};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::Signal;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

const CONFIGURATION: &str = include_str!("../rivals/nchan.conf");
/// Where Debian puts nginx and its modules.
const PROGRAMS: [&str; 2] = ["/usr/sbin/nginx", "/usr/local/sbin/nginx"];
const MODULE: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";

/// Why it cannot run here, or `None` if it can.
pub(crate) fn refusal() -> Option<String> {
    if program().is_none() {
        return Some("nginx is not installed".to_owned());
    }
    let installed = Path::new(MODULE).exists();
    (!installed).then(|| format!("{MODULE} is not installed (Debian: libnginx-mod-nchan)"))
}

fn program() -> Option<&'static str> {
    PROGRAMS.into_iter().find(|program| Path::new(program).exists())
}

/// Becomes nginx; returns only with an error.
pub(crate) fn serve() -> anyhow::Result<()> {
    if let Some(refusal) = refusal() {
        bail!(refusal);
    }
    let program = program().context("nginx is not installed")?;
    // The port is free when this is dropped, and nobody else asks for a port in the moment between.
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    // One run at a time has it, and the next one takes it over.
    let directory = std::env::temp_dir().join("fanfare-bench-nchan");
    fs::create_dir_all(&directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    let (_, descriptors) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let mut text = CONFIGURATION
        .replace("@DIRECTORY@", &directory.display().to_string())
        .replace("@PORT@", &port.to_string())
        .replace("@DESCRIPTORS@", &descriptors.to_string());
    if nix::unistd::Uid::effective().is_root() {
        text.insert_str(0, "user root;\n");
    }
    let file = directory.join("nginx.conf");
    fs::write(&file, text).with_context(|| format!("{} cannot be written", file.display()))?;
    // The generator tries to connect until nginx listens.
    println!("listening on http://127.0.0.1:{port}");
    // Killed, the master would leave its worker behind; asked to end, it ends it too.
    set_pdeathsig(Signal::SIGTERM)?;
    Err(Command::new(program).arg("-p").arg(&directory).arg("-c").arg(&file).exec())
        .with_context(|| format!("{program} cannot be run"))
}
