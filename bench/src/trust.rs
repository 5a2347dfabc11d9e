//! A certificate of our own for a server that is measured, and the trust of the generator in it.
//!
//! It is made for one run and signed by nobody else.

use anyhow::Context;
use rcgen::CertifiedKey;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Whom it is issued to: where servers listen.
const NAME: &str = "127.0.0.1";

pub(crate) struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    trusted: CertificateDer<'static>,
}

impl Certificate {
    /// Makes one, with its files in `folder`.
    pub(crate) fn issue(folder: &Path) -> anyhow::Result<Self> {
        let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
        let (chain, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
        fs::write(&chain, cert.pem()).context("the certificate cannot be written")?;
        fs::write(&key, signing_key.serialize_pem()).context("the key cannot be written")?;
        Ok(Self { chain, key, trusted: cert.der().clone() })
    }

    /// What the hub is told.
    pub(crate) fn arguments(&self) -> [String; 4] {
        let path = |path: &PathBuf| path.display().to_string();
        ["--tls-cert".to_owned(), path(&self.chain), "--tls-key".to_owned(), path(&self.key)]
    }

    /// A client that trusts it and nobody else, and speaks `protocol`.
    pub(crate) fn trust(&self, protocol: &str) -> anyhow::Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.trusted.clone())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        Ok(Arc::new(config))
    }
}
