//! Addresses for servers that are started on them again and again.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use crate::dice::Dice;

/// An address that nobody listens on, and what keeps other runs of this test from choosing it while the hub is down.
///
/// Not one that the system would choose: that port could be given to a connection meanwhile, and a client of this very
/// address could even be connected with itself.
pub(crate) fn free_address() -> (SocketAddr, UdpSocket) {
    let mut dice = Dice::new(u64::from(std::process::id()));
    loop {
        let port = 10_000 + u16::try_from(dice.below(20_000)).expect("a port");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        // The two kinds of ports have nothing to do with each other, so this one is only a flag, which ends with us.
        let Ok(flag) = UdpSocket::bind(address) else { continue };
        if TcpListener::bind(address).is_ok() {
            return (address, flag);
        }
    }
}
