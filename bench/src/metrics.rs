//! Asks a server for a figure about itself: one gauge from a page in the Prometheus text format.
//!
//! Used for live heap, which no outsider can see. A server without such a page or gauge has no figure; that is no error.

use crate::protocol::response::ResponseReader;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(5);
const PAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The sum of all series of `name` on the server's `/metrics`.
pub(crate) fn gauge(server: SocketAddr, name: &str) -> Option<f64> {
    sum(&page(server)?, name)
}

fn page(server: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&server, TIMEOUT).ok()?;
    stream.set_read_timeout(Some(TIMEOUT)).ok()?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n").ok()?;
    let mut response = ResponseReader::new();
    let mut page = Vec::new();
    let mut buffer = [0; 16 * 1024];
    while !response.is_complete() && page.len() < PAGE_BYTES_MAX {
        let read = stream.read(&mut buffer).ok()?;
        if read == 0 {
            response.end().ok()?;
            break;
        }
        response.push(&buffer[..read], |body| page.extend_from_slice(body)).ok()?;
        if response.status().is_some_and(|status| status != 200) {
            return None;
        }
    }
    String::from_utf8(page).ok()
}

fn sum(page: &str, name: &str) -> Option<f64> {
    let values = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let value = match rest.strip_prefix('{') {
            Some(labels) => labels.rsplit_once('}')?.1,
            None => rest.strip_prefix(' ')?,
        };
        value.split_whitespace().next()?.parse::<f64>().ok()
    });
    values.reduce(|sum, value| sum + value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_is_the_sum_of_its_series() {
        let page =
            "# TYPE heap gauge\nheap{arena=\"a b}\"} 1.5e3\nheap{arena=\"b\"} 500 1700000000\nheap_max 9\n";
        assert_eq!(sum(page, "heap"), Some(2000.0));
        assert_eq!(sum(page, "heap_max"), Some(9.0));
        assert_eq!(sum(page, "hea"), None);
    }
}
