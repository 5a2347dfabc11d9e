//! Opens client connections from many loopback addresses, without waiting for them, and knows how many a process
//! may have.
//!
//! One address has some 28,000 ephemeral ports, of which those in use or in `TIME_WAIT` are gone; with several source
//! addresses a run of many rounds does not wait for ports.

use anyhow::{Context, bail};
use mio::net::TcpStream;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Descriptors that are not connections: standard streams, epoll, pipes, files of `/proc`.
const SPARE_DESCRIPTORS: u64 = 64;

/// Source addresses used by turns: 127.0.0.2 and up.
const SOURCE_ADDRESSES: usize = 16;

/// Raises this process's limit on file descriptors as far as allowed and refuses more connections than fit.
pub(crate) fn make_room_for(connections: usize) -> anyhow::Result<()> {
    let (soft, hard) =
        getrlimit(Resource::RLIMIT_NOFILE).context("the limit on file descriptors cannot be read")?;
    let limit = if setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() { hard } else { soft };
    let needed = connections as u64 + SPARE_DESCRIPTORS;
    if needed > limit {
        bail!(
            "{connections} connections need {needed} file descriptors in this process, and it may have {limit}: \
             use at most {} subscribers and publishers together",
            limit.saturating_sub(SPARE_DESCRIPTORS)
        );
    }
    Ok(())
}

/// Begins to connect to `server`; the connection is there when the socket is writable without an error.
///
/// `receive_bytes` bounds what the kernel takes for one that does not read.
pub(crate) fn connect(
    server: SocketAddr,
    index: usize,
    receive_bytes: Option<usize>,
) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(server), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    // Closing resets: no port stays in TIME_WAIT after thousands of connections, and no round waits for the one before.
    socket.set_linger(Some(Duration::ZERO))?;
    if let Some(bytes) = receive_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    if server.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST) {
        let last = u8::try_from(2 + index % SOURCE_ADDRESSES).unwrap_or(2);
        socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0)).into())?;
    }
    match socket.connect(&server.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(nix::errno::Errno::EINPROGRESS as i32) => {}
        Err(error) => return Err(error),
    }
    Ok(TcpStream::from_std(socket.into()))
}
