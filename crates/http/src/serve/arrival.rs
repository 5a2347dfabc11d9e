//! What happens on a connection before anybody speaks HTTP: who it is, whether it may be here, and TLS.
//!
//! In this order, because the header of the PROXY protocol comes before the handshake. All of it is held up by the client
//! alone, and whoever waits for it sets a limit to that.

use std::net::SocketAddr;

use tokio::net::TcpStream;

use super::client::Origin;
use super::connection::House;
use super::io::{Impatient, impatient};
use super::places::{Place, Standing};
use super::proxy_protocol;
#[cfg(feature = "tls")]
use super::tls;

/// A connection on which HTTP may begin.
pub(crate) struct Arrival {
    pub(crate) socket: Socket,
    pub(crate) origin: Origin,
    /// What of it counts, if its client is counted by connections.
    pub(crate) place: Option<Place>,
}

/// What HTTP is spoken over.
pub(crate) enum Socket {
    Plain(Impatient),
    #[cfg(feature = "tls")]
    Secure(Box<tls::Secure>),
}

/// Finds out who has come; `None` if it has to go.
pub(crate) async fn arrive(mut socket: TcpStream, peer: SocketAddr, house: &House) -> Option<Arrival> {
    let mut address = peer.ip().to_canonical();
    if house.trusted.announce(address) {
        match proxy_protocol::read(&mut socket).await {
            Ok(Some(source)) => address = source.ip().to_canonical(),
            Ok(None) => {}
            Err(error) => {
                house.counts.handshake_failed();
                // A proxy that is set up otherwise would be silence without a reason.
                tracing::warn!(%peer, %error, "closed a connection");
                return None;
            }
        }
    }
    let place = match &house.places {
        Some(places) if !house.trusted.contains(address) => Some(places.take(address)),
        _ => None,
    };
    if place.as_ref().is_some_and(|place| place.standing() == Standing::FarOver) {
        house.counts.refused();
        tracing::debug!(%address, "closed a connection of a client that has far too many");
        return None;
    }
    let socket = impatient(socket, house.limits.write_timeout, house.counts.clone());
    #[cfg(feature = "tls")]
    let (socket, is_secure) = match &house.tls {
        None => (Socket::Plain(socket), false),
        Some(tls) => match tls::accept(socket, tls).await {
            Some(secure) => (Socket::Secure(Box::new(secure)), true),
            None => {
                house.counts.handshake_failed();
                return None;
            }
        },
    };
    #[cfg(not(feature = "tls"))]
    let (socket, is_secure) = (Socket::Plain(socket), false);
    Some(Arrival { socket, origin: Origin { peer, address, is_secure }, place })
}
