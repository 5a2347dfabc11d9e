//! The floor of sending: one `send(2)` for each subscriber and event, from one prepared buffer, in one thread.
//!
//! It never puts two events into one write, and waits for a full socket instead of remembering anything about it.

use super::door::{Connection, Door};
use mio::net::TcpStream;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;

/// How long a full socket is waited for, in milliseconds, before its subscriber is dropped.
const FULL_MS: u16 = 5_000;

/// Serves until the process is ended.
pub(crate) fn serve(listen: SocketAddr) -> anyhow::Result<()> {
    let mut door = Door::open(listen)?;
    let mut frames = VecDeque::new();
    let mut gone = Vec::new();
    loop {
        door.take_in(None, |frame| frames.push_back(frame.to_vec()))?;
        while let Some(frame) = frames.pop_front() {
            for (key, connection) in &mut door.connections {
                if let Connection::Subscribed(subscriber) = connection
                    && send(&mut subscriber.stream, &frame).is_err()
                {
                    gone.push(key);
                }
            }
            for key in gone.drain(..) {
                door.close(key);
            }
        }
    }
}

/// Sends all of `frame`: almost always with one call.
fn send(stream: &mut TcpStream, mut frame: &[u8]) -> io::Result<()> {
    loop {
        match stream.write(frame) {
            Ok(sent) if sent == frame.len() => return Ok(()),
            Ok(sent) => frame = &frame[sent..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut socket = [PollFd::new(stream.as_fd(), PollFlags::POLLOUT)];
                if poll(&mut socket, PollTimeout::from(FULL_MS))? == 0 {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
            Err(error) => return Err(error),
        }
    }
}
