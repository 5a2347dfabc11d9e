//! Where the machines of a run are: network namespaces on a bridge, which can be cut off from each other, or only ports of this
//! one.
//!
//! A machine has a node of the hub and perhaps a server of the store. It starts neither.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::address::free_address;

/// How many machines there are.
pub(crate) const MACHINES: usize = 3;

const STORE_PORT: u16 = 4222;
const ROUTE_PORT: u16 = 6222;
const HUB_PORT: u16 = 8080;
const ADMIN_PORT: u16 = 9090;

/// How much has room on a disk that is to become full, in MiB.
const SMALL_DISK_MIB: usize = 128;

pub(crate) struct Ground {
    /// The number of this run among those of the process, if its machines are namespaces.
    run: Option<usize>,
    pub(crate) machines: Vec<Machine>,
}

/// Where things are on a machine.
pub(crate) struct Machine {
    namespace: Option<String>,
    ip: Ipv4Addr,
    pub(crate) store: SocketAddr,
    pub(crate) route: SocketAddr,
    pub(crate) hub: SocketAddr,
    /// The hub's, for operators.
    pub(crate) admin: SocketAddr,
    /// Say that addresses are taken.
    _flags: Vec<UdpSocket>,
}

/// What is cut, until all is healed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    /// A machine and the others do not hear each other.
    Off(usize),
    /// The others do not hear a machine.
    Mute(usize),
    /// A machine does not hear the others.
    Deaf(usize),
    /// A node of the hub and all servers of the store, that of its machine included.
    Engine(usize),
    /// Two machines, which both hear the third.
    Between(usize, usize),
}

impl Ground {
    /// Machines of namespaces, which this process may make.
    pub(crate) fn of_namespaces(run: usize) -> io::Result<Self> {
        let bridge = format!("bridge{run}");
        ip(&["link", "add", "name", &bridge, "type", "bridge"])?;
        let ground = Self {
            run: Some(run),
            machines: (0..MACHINES).map(|at| Machine::of_namespace(run, at)).collect(),
        };
        ip(&["addr", "add", &format!("{}/24", address(run, 254)), "dev", &bridge])?;
        ip(&["link", "set", &bridge, "up"])?;
        for (number, machine) in ground.machines.iter().enumerate() {
            let name = machine.namespace.as_deref().expect("it is one");
            let outside = format!("v{run}-{number}");
            ip(&["netns", "add", name])?;
            ip(&["link", "add", &outside, "type", "veth", "peer", "name", "eth0", "netns", name])?;
            ip(&["link", "set", &outside, "master", &bridge, "up"])?;
            ip(&["-n", name, "addr", "add", &format!("{}/24", machine.ip), "dev", "eth0"])?;
            ip(&["-n", name, "link", "set", "eth0", "up"])?;
            ip(&["-n", name, "link", "set", "lo", "up"])?;
        }
        Ok(ground)
    }

    /// Machines that are only ports.
    pub(crate) fn of_ports() -> Self {
        Self { run: None, machines: (0..MACHINES).map(|_| Machine::of_ports()).collect() }
    }

    /// Whether machines can be cut off, and have disks of their own.
    pub(crate) fn has_namespaces(&self) -> bool {
        self.run.is_some()
    }

    pub(crate) fn cut(&self, cut: Cut) -> io::Result<()> {
        let others = |of: usize| (0..MACHINES).filter(move |other| *other != of);
        match cut {
            Cut::Off(which) => others(which).try_for_each(|other| {
                self.drop_from(which, other)?;
                self.drop_to(which, other)
            }),
            Cut::Mute(which) => others(which).try_for_each(|other| self.drop_to(which, other)),
            Cut::Deaf(which) => others(which).try_for_each(|other| self.drop_from(which, other)),
            Cut::Engine(which) => {
                let port = STORE_PORT.to_string();
                self.iptables(which, &["-A", "OUTPUT", "-p", "tcp", "--dport", &port, "-j", "DROP"])?;
                self.iptables(which, &["-A", "INPUT", "-p", "tcp", "--sport", &port, "-j", "DROP"])
            }
            Cut::Between(one, other) => {
                self.drop_from(one, other)?;
                self.drop_to(one, other)
            }
        }
    }

    /// Nothing is cut any more.
    pub(crate) fn heal(&self) -> io::Result<()> {
        (0..MACHINES).try_for_each(|which| self.iptables(which, &["-F"]))
    }

    fn drop_from(&self, which: usize, other: usize) -> io::Result<()> {
        self.iptables(which, &["-A", "INPUT", "-s", &self.machines[other].ip.to_string(), "-j", "DROP"])
    }

    fn drop_to(&self, which: usize, other: usize) -> io::Result<()> {
        self.iptables(which, &["-A", "OUTPUT", "-d", &self.machines[other].ip.to_string(), "-j", "DROP"])
    }

    fn iptables(&self, which: usize, arguments: &[&str]) -> io::Result<()> {
        run(self.machines[which].within("iptables".as_ref()).arg("-w").args(arguments))
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        // Later runs of this process have numbers of their own; whatever is left goes with it.
        let Some(run) = self.run else { return };
        for machine in &self.machines {
            let _ = ip(&["netns", "del", machine.namespace.as_deref().unwrap_or_default()]);
        }
        let _ = ip(&["link", "del", &format!("bridge{run}")]);
    }
}

impl Machine {
    fn of_namespace(run: usize, number: usize) -> Self {
        let ip = address(run, 1 + u8::try_from(number).expect("few"));
        let at = |port| SocketAddr::from((ip, port));
        let (store, route, hub, admin) = (at(STORE_PORT), at(ROUTE_PORT), at(HUB_PORT), at(ADMIN_PORT));
        Self {
            namespace: Some(format!("run{run}-{number}")),
            ip,
            store,
            route,
            hub,
            admin,
            _flags: Vec::new(),
        }
    }

    fn of_ports() -> Self {
        let [(store, a), (route, b), (hub, c), (admin, d)] = std::array::from_fn(|_| free_address());
        Self { namespace: None, ip: Ipv4Addr::LOCALHOST, store, route, hub, admin, _flags: vec![a, b, c, d] }
    }

    /// A program that is started there. The process is the program's own.
    pub(crate) fn within(&self, program: &Path) -> Command {
        match &self.namespace {
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace]).arg(program);
                command
            }
            None => Command::new(program),
        }
    }
}

/// A disk that can become full.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Puts it in the place of an empty folder.
    pub(crate) fn mount(folder: &Path) -> io::Result<Self> {
        let size = format!("size={SMALL_DISK_MIB}m");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(folder))?;
        Ok(Self(folder.to_owned()))
    }

    /// Leaves no room.
    pub(crate) fn fill(&self) -> io::Result<()> {
        let mut file = std::fs::File::create(self.0.join("filler"))?;
        let zeros = [0; 4_096];
        loop {
            match io::Write::write_all(&mut file, &zeros) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) fn make_room(&self) -> io::Result<()> {
        std::fs::remove_file(self.0.join("filler"))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A server may not have ended yet that has files there.
        let _ = run(Command::new("umount").arg("--lazy").arg(&self.0));
    }
}

fn address(run: usize, host: u8) -> Ipv4Addr {
    let byte = |number: usize| u8::try_from(number % 250).expect("a byte");
    Ipv4Addr::new(10, byte(run / 250), byte(run), host)
}

fn ip(arguments: &[&str]) -> io::Result<()> {
    run(Command::new("ip").args(arguments))
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim())))
}
