//! One key that tokens are made with.
//!
//! It does not check any; [`Key`](super::Key) does.

use std::fmt;

use jsonwebtoken::EncodingKey;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    RsaKeyPair,
};

use super::algorithm::{Algorithm, Family};
use super::crypto::{self, Signing};
use super::key::{KeyError, checked_secret};

/// A key that tokens are made with. It prints its algorithm, never itself.
pub struct SigningKey {
    algorithm: Algorithm,
    material: Signing,
}

impl SigningKey {
    /// The secret that is shared with the hub, taken byte for byte.
    ///
    /// # Errors
    ///
    /// Those of [`Key::secret`](super::Key::secret).
    pub fn secret(algorithm: Algorithm, secret: impl AsRef<[u8]>) -> Result<Self, KeyError> {
        Ok(Self { algorithm, material: Signing::Secret(checked_secret(algorithm, secret.as_ref())?) })
    }

    /// A private key in PEM: PKCS #8 (`PRIVATE KEY`), and for RSA also `RSA PRIVATE KEY`.
    ///
    /// # Errors
    ///
    /// [`KeyError::PemForSecret`], [`KeyError::PublicKey`], or [`KeyError::NotForAlgorithm`].
    pub fn pem(algorithm: Algorithm, pem: &str) -> Result<Self, KeyError> {
        if algorithm.is_symmetric() {
            return Err(KeyError::PemForSecret { algorithm });
        }
        if pem.contains("PUBLIC KEY-----") || pem.contains("CERTIFICATE-----") {
            return Err(KeyError::PublicKey);
        }
        let material = private(algorithm, pem).ok_or(KeyError::NotForAlgorithm { algorithm })?;
        Ok(Self { algorithm, material })
    }

    /// What it signs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Nothing if the system has no random numbers, or the key is too short for its algorithm.
    pub(super) fn sign(&self, signed: &[u8]) -> Option<Vec<u8>> {
        crypto::sign(&self.material, self.algorithm, signed)
    }
}

fn private(algorithm: Algorithm, pem: &str) -> Option<Signing> {
    let pem = pem.as_bytes();
    let ecdsa = |curve| {
        let key = EncodingKey::from_ec_pem(pem).ok()?;
        EcdsaKeyPair::from_pkcs8(curve, key.as_bytes(), &SystemRandom::new()).ok().map(Signing::Ecdsa)
    };
    match algorithm.family() {
        Family::Secret => None,
        Family::Rsa => {
            let key = EncodingKey::from_rsa_pem(pem).ok()?;
            Some(Signing::Rsa(Box::new(RsaKeyPair::from_der(key.as_bytes()).ok()?)))
        }
        Family::P256 => ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING),
        Family::P384 => ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING),
        Family::Ed25519 => {
            let key = EncodingKey::from_ed_pem(pem).ok()?;
            // OpenSSL leaves the public half out, which only this function forgives.
            Some(Signing::Ed25519(Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.as_bytes()).ok()?))
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}
