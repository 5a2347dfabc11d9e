//! The certificate that the flags name, and the signal that has it read again.
//!
//! What is in the files, and when they are looked at without a signal, is the library's matter.

use std::convert::Infallible;
use std::error::Error;
use std::io;

use fanfare_http::Tls;

use crate::flags::Serve;
use crate::run::Failure;
use crate::signals::Hangups;

/// Reads the certificate; `None` if the flags name none.
///
/// # Errors
/// One file without the other, or a pair that cannot be used.
pub(crate) fn open(flags: &Serve) -> Result<Option<Tls>, Failure> {
    match (&flags.tls_cert, &flags.tls_key) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => {
            Tls::from_pem_files(certificate, key).map(Some).map_err(Failure::Tls)
        }
        _ => Err(Failure::HalfTls),
    }
}

/// Has it read again at each SIGHUP, for ever.
///
/// # Errors
/// The signal cannot be caught.
pub(crate) fn reload_when_asked(tls: Option<Tls>) -> io::Result<impl Future<Output = Infallible>> {
    // Caught at once: whoever is told that we listen may send it.
    let caught = tls.map(|tls| Ok::<_, io::Error>((tls, Hangups::catch()?))).transpose()?;
    Ok(async move {
        match caught {
            Some((tls, hangups)) => reload_at_each(hangups, tls).await,
            None => std::future::pending().await,
        }
    })
}

async fn reload_at_each(mut hangups: Hangups, tls: Tls) -> Infallible {
    loop {
        hangups.next().await;
        let tls = tls.clone();
        match tokio::task::spawn_blocking(move || tls.reload()).await {
            Ok(Ok(true)) => tracing::info!("new connections get the new certificate"),
            Ok(Ok(false)) => tracing::info!("the certificate has not changed"),
            Ok(Err(error)) => {
                let cause = error.source().map(ToString::to_string);
                tracing::warn!(%error, cause, "kept the certificate from before");
            }
            Err(error) => tracing::error!(%error, "could not look at the certificate"),
        }
    }
}
