//! Looks at the files of a certificate now and then, and says in the log what came of it.
//!
//! It asks for what is in them and not for when they were changed: a few kilobytes from the page cache cost nothing, and no
//! clock, link or half of a copy can deceive it. Where a certificate comes from it does not know.

use std::error::Error;

use super::{Tls, TlsError};

impl Tls {
    /// Looks at the files every now and then, for ever.
    pub(crate) async fn keep_looking(&self) {
        let mut failed_to_read = false;
        loop {
            tokio::time::sleep(self.look_every).await;
            let files = self.files.clone();
            // A file system that hangs holds one thread that has nothing else to do, and nobody who is served.
            let Ok(looked) = tokio::task::spawn_blocking(move || files.reload()).await else { continue };
            let is_unreadable = matches!(looked, Err(TlsError::Read { .. }));
            // Unreadable files stay so for long, and are told once.
            if !(is_unreadable && failed_to_read) {
                tell(looked);
            }
            failed_to_read = is_unreadable;
        }
    }
}

fn tell(looked: Result<bool, TlsError>) {
    match looked {
        Ok(false) => {}
        Ok(true) => tracing::info!("new connections get the new certificate"),
        Err(error) => {
            let cause = error.source().map(ToString::to_string);
            tracing::warn!(%error, cause, "kept the certificate from before");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::generate_simple_self_signed;
    use std::fs;
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    fn write(folder: &Path, name: &str) {
        let issued = generate_simple_self_signed([name.to_owned()]).expect("a certificate");
        fs::write(folder.join("cert.pem"), issued.cert.pem()).expect("a file");
        fs::write(folder.join("key.pem"), issued.signing_key.serialize_pem()).expect("a file");
    }

    fn current(tls: &Tls) -> Arc<rustls::sign::CertifiedKey> {
        tls.files.current.0.read().expect("no panic").clone()
    }

    #[test]
    fn what_has_changed_is_taken_and_what_is_of_no_use_leaves_the_one_before() {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), "a.test");
        let tls = Tls::from_pem_files(folder.path().join("cert.pem"), folder.path().join("key.pem"))
            .expect("a pair");
        let first = current(&tls);
        assert!(!tls.reload().expect("readable"));

        // The moment between the two files of a renewal.
        let key = fs::read(folder.path().join("key.pem")).expect("the key");
        write(folder.path(), "b.test");
        let new_key = fs::read(folder.path().join("key.pem")).expect("the key");
        fs::write(folder.path().join("key.pem"), key).expect("a file");
        assert!(matches!(tls.reload(), Err(TlsError::Mismatch { .. })));
        assert!(!tls.reload().expect("told already"));
        assert!(Arc::ptr_eq(&current(&tls), &first));

        fs::write(folder.path().join("key.pem"), new_key).expect("a file");
        assert!(tls.reload().expect("a pair again"));
        assert_ne!(current(&tls).cert, first.cert);

        fs::remove_file(folder.path().join("key.pem")).expect("it was there");
        assert!(matches!(tls.reload(), Err(TlsError::Read { .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn the_files_are_looked_at_as_often_as_was_said() {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), "a.test");
        let tls = Tls::from_pem_files(folder.path().join("cert.pem"), folder.path().join("key.pem"))
            .expect("a pair")
            .look_every(Duration::from_secs(3600));
        let first = current(&tls);
        write(folder.path(), "b.test");
        let looking = tokio::spawn({
            let tls = tls.clone();
            async move { tls.keep_looking().await }
        });
        while Arc::ptr_eq(&current(&tls), &first) {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        looking.abort();
    }
}
