//! What the kernel does about a TCP peer that takes nothing, for whoever has the socket but not the reading and writing of it.
//!
//! It sets options and never touches what is sent.

use std::io;
#[cfg(unix)]
use std::os::fd::AsFd as Socket;
#[cfg(windows)]
use std::os::windows::io::AsSocket as Socket;
use std::time::Duration;

use socket2::SockRef;

/// Has the kernel cut a connection whose peer takes nothing for `deadline`, in whole milliseconds, at least one.
///
/// That is a peer that does not confirm what it was sent, or for so long makes no room for more. The server hears of it as
/// [`io::ErrorKind::TimedOut`], and drops what it was sending. Linux alone can (`TCP_USER_TIMEOUT`); it looks at the deadline when it tries the peer again,
/// so some time after it.
///
/// Every framework shows its sockets at some place, so this works in all of them, whatever they do with a body:
///
/// ```no_run
/// use std::time::Duration;
///
/// use axum::serve::ListenerExt;
/// use tokio::net::TcpListener;
///
/// # async fn serve(router: axum::Router) -> std::io::Result<()> {
/// let deadline = Duration::from_secs(40);
/// let listener = TcpListener::bind("127.0.0.1:3000").await?;
/// // axum
/// let listener = listener.tap_io(move |socket| _ = fanfare_stream::tcp::cut_stalled(socket, deadline));
/// axum::serve(listener, router).await?;
/// // actix-web
/// actix_web::HttpServer::new(actix_web::App::new).on_connect(move |socket, _| {
///     if let Some(socket) = socket.downcast_ref::<actix_web::rt::net::TcpStream>() {
///         _ = fanfare_stream::tcp::cut_stalled(socket, deadline);
///     }
/// });
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`io::ErrorKind::Unsupported`] where the kernel has no such option; else what the kernel says.
pub fn cut_stalled(socket: &impl Socket, deadline: Duration) -> io::Result<()> {
    set_user_timeout(&SockRef::from(socket), deadline.max(Duration::from_millis(1)))
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn set_user_timeout(socket: &SockRef<'_>, timeout: Duration) -> io::Result<()> {
    socket.set_tcp_user_timeout(Some(timeout))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn set_user_timeout(_: &SockRef<'_>, _: Duration) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
