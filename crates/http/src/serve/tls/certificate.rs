//! Makes a certificate with its key out of PEM text, once it is sure that they belong together.
//!
//! It does not judge who issued the certificate, for whom or until when: that is for those who are to trust it.

use std::fs;
use std::path::Path;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;

use super::TlsError;

/// What the two files say. Not for logs.
#[derive(PartialEq, Eq)]
pub(crate) struct Pem {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Pem {
    /// Reads both.
    ///
    /// # Errors
    /// [`TlsError::Read`].
    pub(crate) fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let read = |path: &Path| fs::read(path).map_err(|error| TlsError::read(path, error));
        Ok(Self { certificate: read(certificate)?, key: read(key)? })
    }

    /// Checks what was read; the paths are for the errors.
    ///
    /// # Errors
    /// All but [`TlsError::Read`].
    pub(crate) fn certified(&self, certificate: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
        let chain = chain(&self.certificate, certificate)?;
        let der = PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| self.no_key(key))?;
        let signing = ring::sign::any_supported_type(&der)
            .map_err(|error| TlsError::UnsupportedKey { path: key.to_owned(), error })?;
        let certified = CertifiedKey::new(chain, signing);
        // One that cannot tell its other half is taken at its word: then clients find out.
        let Some(public) = certified.key.public_key() else { return Ok(certified) };
        let belongs_to = certified.cert.iter().position(|each| {
            ParsedCertificate::try_from(each).is_ok_and(|parsed| parsed.subject_public_key_info() == public)
        });
        match belongs_to {
            Some(0) => Ok(certified),
            other => Err(TlsError::Mismatch {
                certificate: certificate.to_owned(),
                key: key.to_owned(),
                belongs_to: other.map(|place| place + 1),
            }),
        }
    }

    fn no_key(&self, path: &Path) -> TlsError {
        let has = |words: &[u8]| self.key.windows(words.len()).any(|window| window == words);
        if has(b"ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED") {
            return TlsError::EncryptedKey { path: path.to_owned() };
        }
        TlsError::NoKey { path: path.to_owned() }
    }
}

/// Every certificate of the file, each of which has to be one.
fn chain(pem: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let none = |error| TlsError::NoCertificate { path: path.to_owned(), error };
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|_| none(None))?;
    for each in &chain {
        ParsedCertificate::try_from(each).map_err(|error| none(Some(error)))?;
    }
    if chain.is_empty() { Err(none(None)) } else { Ok(chain) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertifiedKey as Issued, generate_simple_self_signed};

    fn issued() -> (String, String) {
        let Issued { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        (cert.pem(), signing_key.serialize_pem())
    }

    #[track_caller]
    fn check(certificate: &str, key: &str, expected: &str) {
        let pem = Pem { certificate: certificate.as_bytes().to_vec(), key: key.as_bytes().to_vec() };
        let said = match pem.certified(Path::new("cert.pem"), Path::new("key.pem")) {
            Ok(certified) => format!("{} certificates", certified.cert.len()),
            Err(error) => error.to_string(),
        };
        assert!(said.starts_with(expected), "{said}");
        assert!(!said.contains(&key[key.len() / 2..]) || key.len() < 20, "{said}");
    }

    #[test]
    fn a_pair_that_was_issued_together_is_taken_with_its_chain() {
        let ((certificate, key), (issuer, _)) = (issued(), issued());
        check(&certificate, &key, "1 certificates");
        check(&format!("{certificate}{issuer}"), &key, "2 certificates");
        check(&format!("{certificate}{key}"), &format!("{certificate}{key}"), "1 certificates");
    }

    #[test]
    fn a_pair_that_is_none_is_refused_with_what_to_do() {
        let ((certificate, key), (other, other_key)) = (issued(), issued());
        check(
            &certificate,
            &other_key,
            "the private key in key.pem is not that of the certificate in cert.pem",
        );
        check(
            &format!("{other}{certificate}"),
            &key,
            "the private key in key.pem is that of certificate number 2 in cert.pem: the server's own has to be the first",
        );
        check("", &key, "cert.pem has no usable certificate: it has to be PEM");
        check(&key, &key, "cert.pem has no usable certificate");
        check(&certificate[..certificate.len() / 2], &key, "cert.pem has no usable certificate");
        let nonsense = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        check(&format!("{certificate}{nonsense}"), &key, "cert.pem has no usable certificate");
        check(&certificate, "", "key.pem has no usable private key");
        check(&certificate, &certificate, "key.pem has no usable private key");
    }

    #[test]
    fn keys_that_are_encrypted_or_of_no_use_are_told_apart() {
        let (certificate, _) = issued();
        for encrypted in [
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n",
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nMAA=\n-----END RSA PRIVATE KEY-----\n",
        ] {
            check(&certificate, encrypted, "the private key in key.pem is encrypted: write it without");
        }
        let unknown = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
        check(&certificate, unknown, "the private key in key.pem cannot be used: RSA of 2048");
    }
}
