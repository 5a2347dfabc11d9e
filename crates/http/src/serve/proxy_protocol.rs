//! Reads the header with which a proxy says whose connection it passes on: the PROXY protocol, version 2.
//!
//! It reads the header and not a byte more, and believes what it says: whether the one who sends it may be believed is
//! decided before. Version 1, a line of text, is refused. Rules: section 2.2 of the
//! [specification](https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::{fmt, io};

use tokio::io::{AsyncRead, AsyncReadExt};

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// What the address and everything behind it may have. A proxy that adds its view of the client's certificate sends some
/// two kilobytes.
const REST_BYTES_MAX: usize = 4_096;

/// Why a connection has no header that can be used.
#[derive(Debug)]
pub(crate) enum ProxyHeaderError {
    /// The connection broke, or ended before the header did.
    Broken(io::Error),
    /// It begins with something else.
    Missing,
    /// The header is version 1's.
    Version1,
    /// The header contradicts the specification.
    Malformed(&'static str),
}

impl fmt::Display for ProxyHeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(_) => f.write_str("the connection ended within the header of the PROXY protocol"),
            Self::Missing => f.write_str("a trusted proxy did not begin with a header of the PROXY protocol"),
            Self::Version1 => f.write_str(
                "a trusted proxy speaks version 1 of the PROXY protocol; it has to send version 2 (HAProxy: send-proxy-v2)",
            ),
            Self::Malformed(what) => write!(f, "the header of the PROXY protocol is malformed: {what}"),
        }
    }
}

impl std::error::Error for ProxyHeaderError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Broken(error) => Some(error),
            _ => None,
        }
    }
}

/// Reads a header. `None` if the connection is the proxy's own, or one that has no address of the internet.
///
/// # Errors
/// All that is not a header of version 2. How much was read then is not defined.
pub(crate) async fn read(
    socket: &mut (impl AsyncRead + Unpin),
) -> Result<Option<SocketAddr>, ProxyHeaderError> {
    let mut fixed = [0; 16];
    socket.read_exact(&mut fixed).await.map_err(ProxyHeaderError::Broken)?;
    let (source, rest_bytes) = judge(&fixed)?;
    let mut rest = vec![0; rest_bytes];
    socket.read_exact(&mut rest).await.map_err(ProxyHeaderError::Broken)?;
    // What stands behind the addresses tells more than we ask for.
    Ok(match source {
        Source::Own => None,
        Source::V4 => rest.first_chunk::<12>().map(|[a, b, c, d, _, _, _, _, high, low, _, _]| {
            (IpAddr::from(Ipv4Addr::new(*a, *b, *c, *d)), u16::from_be_bytes([*high, *low])).into()
        }),
        Source::V6 => rest.first_chunk::<16>().zip(rest.get(32..34)).map(|(address, port)| {
            let port = port.iter().fold(0, |port, &byte| port << 8 | u16::from(byte));
            (IpAddr::from(Ipv6Addr::from(*address)), port).into()
        }),
    })
}

/// Where the connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Own,
    V4,
    V6,
}

/// Judges the fixed part; gives what the rest is and how long.
fn judge(fixed: &[u8; 16]) -> Result<(Source, usize), ProxyHeaderError> {
    let [signature @ .., version_and_command, family, high, low] = fixed;
    if signature != SIGNATURE {
        let is_text = fixed.starts_with(b"PROXY ");
        return Err(if is_text { ProxyHeaderError::Version1 } else { ProxyHeaderError::Missing });
    }
    let rest_bytes = usize::from(u16::from_be_bytes([*high, *low]));
    if rest_bytes > REST_BYTES_MAX {
        return Err(ProxyHeaderError::Malformed("it is too long"));
    }
    let is_own = match version_and_command {
        0x20 => true,
        0x21 => false,
        _ => return Err(ProxyHeaderError::Malformed("its version or command is unknown")),
    };
    let (source, least) = match family {
        // Unspecified, or a socket of the proxy's machine.
        0x00 | 0x31 => (Source::Own, 0),
        0x11 => (Source::V4, 12),
        0x21 => (Source::V6, 36),
        // A proxy may say anything about a connection of its own.
        _ if is_own => (Source::Own, 0),
        _ => return Err(ProxyHeaderError::Malformed("its address is of no family that TCP is spoken in")),
    };
    match () {
        () if is_own => Ok((Source::Own, rest_bytes)),
        () if rest_bytes < least => Err(ProxyHeaderError::Malformed("it ends within its addresses")),
        () => Ok((source, rest_bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(version_and_command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
        [&SIGNATURE[..], &[version_and_command, family], &length, rest].concat()
    }

    /// What was read, and how much was left for whoever speaks behind it.
    fn parse(bytes: &[u8]) -> Result<(Option<SocketAddr>, usize), String> {
        let mut left = bytes;
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let read = runtime.block_on(read(&mut left)).map_err(|error| error.to_string())?;
        Ok((read, left.len()))
    }

    #[track_caller]
    fn check(bytes: &[u8], expected: Result<Option<&str>, &str>) {
        match (parse(bytes), expected) {
            (Ok((read, left)), Ok(expected)) => {
                assert_eq!(read, expected.map(|text| text.parse().expect("an address")));
                assert_eq!(left, 0);
            }
            (Err(said), Err(expected)) => assert!(said.contains(expected), "{said}"),
            (seen, expected) => panic!("{seen:?}, not {expected:?}"),
        }
    }

    const V4: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0xc3, 0x50, 0x01, 0xbb];

    #[test]
    fn addresses_of_both_families_are_read() {
        check(&header(0x21, 0x11, &V4), Ok(Some("192.0.2.7:50000")));
        let mut v6 = [0; 36];
        (v6[0], v6[1], v6[15], v6[32], v6[33]) = (0x20, 0x01, 0x09, 0x1f, 0x90);
        check(&header(0x21, 0x21, &v6), Ok(Some("[2001::9]:8080")));
    }

    #[test]
    fn what_stands_behind_the_addresses_is_skipped() {
        check(
            &header(0x21, 0x11, &[&V4[..], &[0x04, 0, 3, 1, 2, 3], &[0xff; 900]].concat()),
            Ok(Some("192.0.2.7:50000")),
        );
    }

    #[test]
    fn a_proxys_own_connections_have_no_other_source() {
        check(&header(0x20, 0x00, &[]), Ok(None));
        check(&header(0x20, 0x11, &V4), Ok(None));
        check(&header(0x20, 0x77, &[1, 2, 3]), Ok(None));
        check(&header(0x21, 0x00, &[9; 20]), Ok(None));
        check(&header(0x21, 0x31, &[0; 216]), Ok(None));
    }

    #[test]
    fn what_is_no_header_of_version_2_is_refused() {
        check(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Err("did not begin"));
        check(b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n", Err("send-proxy-v2"));
        for version_and_command in [0x11, 0x22, 0x2f, 0x31, 0x00] {
            check(&header(version_and_command, 0x11, &V4), Err("version or command"));
        }
        for family in [0x01, 0x12, 0x22, 0x32, 0x41, 0x10, 0x13, 0xff] {
            check(&header(0x21, family, &[0; 216]), Err("family"));
        }
        check(&header(0x21, 0x11, &V4[..11]), Err("ends within its addresses"));
        check(&header(0x21, 0x21, &V4), Err("ends within its addresses"));
        check(&header(0x21, 0x11, &[0; REST_BYTES_MAX + 1]), Err("too long"));
        check(&header(0x21, 0x11, &V4)[..27], Err("ended within"));
        check(b"", Err("ended within"));
    }

    proptest! {
        /// Whatever comes, nothing panics, and not a byte behind the header is taken.
        #[test]
        fn any_bytes_are_read_or_refused(
            begins in any::<bool>(),
            version_and_command in prop_oneof![Just(0x20_u8), Just(0x21), any::<u8>()],
            family in prop_oneof![Just(0x11_u8), Just(0x21), any::<u8>()],
            length in prop_oneof![0_u16..64, any::<u16>()],
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut all = Vec::new();
            if begins {
                all.extend_from_slice(SIGNATURE);
                all.extend_from_slice(&[version_and_command, family]);
                all.extend_from_slice(&length.to_be_bytes());
            }
            all.extend_from_slice(&bytes);
            if let Ok((_, left)) = parse(&all) {
                prop_assert_eq!(all.len() - left, 16 + usize::from(u16::from_be_bytes([all[14], all[15]])));
            }
        }

        #[test]
        fn every_address_is_read_as_it_was_written(
            address in any::<IpAddr>(), port in any::<u16>(), behind in proptest::collection::vec(any::<u8>(), 0..50),
        ) {
            let (family, mut rest) = match address {
                IpAddr::V4(address) => (0x11, [&address.octets()[..], &[0; 4]].concat()),
                IpAddr::V6(address) => (0x21, [&address.octets()[..], &[0; 16]].concat()),
            };
            rest.extend_from_slice(&port.to_be_bytes());
            rest.extend_from_slice(&[0, 0]);
            rest.extend_from_slice(&behind);
            prop_assert_eq!(parse(&header(0x21, family, &rest)), Ok((Some((address, port).into()), 0)));
        }
    }
}
