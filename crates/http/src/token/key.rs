//! One key that tokens are checked with.
//!
//! Each key knows what it may be used for, so that a token has no say in it: an RSA key is never a secret. It does not
//! sign; [`SigningKey`](super::SigningKey) does. Source: requirements M-096 to M-098.

use std::fmt;
use std::sync::Arc;

use jsonwebtoken::{AlgorithmFamily, DecodingKey, DecodingKeyKind};

use super::algorithm::{Algorithm, Family};
use super::crypto::{self, Verifying};

/// The shortest secret: as long as what HMAC-SHA-256 makes of it (RFC 7518 § 3.2, RFC 8725 § 3.5).
pub const SECRET_BYTES_MIN: usize = 32;

/// A key that tokens are checked with, and the algorithms it may be used for. Cheap to clone.
///
/// It prints its algorithms, never itself.
#[derive(Clone)]
pub struct Key {
    id: Option<Arc<str>>,
    algorithms: Arc<[Algorithm]>,
    material: Arc<Verifying>,
}

/// Why there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// The secret is too short to withstand guessing.
    ShortSecret {
        /// Its length.
        bytes: usize,
    },
    /// A PEM block was given for an HMAC algorithm: whoever knows the public key could sign.
    PemForSecret {
        /// The algorithm.
        algorithm: Algorithm,
    },
    /// A secret was given for an algorithm of public keys.
    SecretForPublic {
        /// The algorithm.
        algorithm: Algorithm,
    },
    /// The PEM block holds a private key, which the hub must not know.
    PrivateKey,
    /// The PEM block holds a public key, with which nothing can be signed.
    PublicKey,
    /// The text is not a PEM block of a key that the algorithm works with.
    NotForAlgorithm {
        /// The algorithm.
        algorithm: Algorithm,
    },
    /// The RSA key has fewer than 2048 bits.
    ShortRsa,
}

/// Why a key that could be read is of no use.
pub(super) enum Misfit {
    /// It is for other algorithms.
    Kind,
    ShortRsa,
}

impl Key {
    /// A secret that the hub shares with whoever makes tokens, taken byte for byte.
    ///
    /// # Errors
    ///
    /// [`KeyError::ShortSecret`] below 32 bytes, [`KeyError::PemForSecret`] if the secret looks like a PEM block, and
    /// [`KeyError::SecretForPublic`] if `algorithm` is not an HMAC.
    ///
    /// ```
    /// use fanfare_http::token::{Algorithm, Key, KeyError};
    ///
    /// assert!(Key::secret(Algorithm::Hs256, "!ChangeThisMercureHubJWTSecretKey!").is_ok());
    /// assert_eq!(Key::secret(Algorithm::Hs256, "secret").unwrap_err(), KeyError::ShortSecret { bytes: 6 });
    /// ```
    pub fn secret(algorithm: Algorithm, secret: impl AsRef<[u8]>) -> Result<Self, KeyError> {
        let key = checked_secret(algorithm, secret.as_ref())?;
        Ok(Self::new(None, vec![algorithm], Verifying::Secret(key)))
    }

    /// A public key in PEM (`PUBLIC KEY`, `RSA PUBLIC KEY`, or that of a `CERTIFICATE`, whose chain and dates are not looked at).
    ///
    /// # Errors
    ///
    /// Every variant of [`KeyError`] but those about secrets and signing.
    pub fn pem(algorithm: Algorithm, pem: &str) -> Result<Self, KeyError> {
        // First, since it is the way in which public keys become secrets.
        if algorithm.is_symmetric() {
            return Err(KeyError::PemForSecret { algorithm });
        }
        if pem.contains("PRIVATE KEY-----") {
            return Err(KeyError::PrivateKey);
        }
        let read = match algorithm.family() {
            Family::Rsa => DecodingKey::from_rsa_pem(pem.as_bytes()),
            Family::P256 | Family::P384 => DecodingKey::from_ec_pem(pem.as_bytes()),
            _ => DecodingKey::from_ed_pem(pem.as_bytes()),
        };
        let key = read.map_err(|_| KeyError::NotForAlgorithm { algorithm })?;
        Self::public(None, algorithm.family(), vec![algorithm], &key).map_err(|misfit| match misfit {
            Misfit::Kind => KeyError::NotForAlgorithm { algorithm },
            Misfit::ShortRsa => KeyError::ShortRsa,
        })
    }

    /// A public key that was read from PEM or a JWK; all of `algorithms` are of `family`.
    pub(super) fn public(
        id: Option<Arc<str>>,
        family: Family,
        algorithms: Vec<Algorithm>,
        key: &DecodingKey,
    ) -> Result<Self, Misfit> {
        let material = match (key.family(), key.kind(), family) {
            (AlgorithmFamily::Rsa, DecodingKeyKind::SecretOrDer(der), Family::Rsa) => {
                // 2048 bits of modulus need 270 bytes with exponent and framing, 1024 bits need 140.
                if der.len() < 256 {
                    return Err(Misfit::ShortRsa);
                }
                Verifying::RsaDer(der.clone())
            }
            (AlgorithmFamily::Rsa, DecodingKeyKind::RsaModulusExponent { n, e }, Family::Rsa) => {
                let modulus: Vec<u8> = n.iter().copied().skip_while(|&byte| byte == 0).collect();
                if modulus.len() < 256 {
                    return Err(Misfit::ShortRsa);
                }
                Verifying::Rsa { modulus, exponent: e.clone() }
            }
            // 4, and the two coordinates.
            (AlgorithmFamily::Ec, DecodingKeyKind::SecretOrDer(point), Family::P256) if point.len() == 65 => {
                Verifying::Point(point.clone())
            }
            (AlgorithmFamily::Ec, DecodingKeyKind::SecretOrDer(point), Family::P384) if point.len() == 97 => {
                Verifying::Point(point.clone())
            }
            (AlgorithmFamily::Ed, DecodingKeyKind::SecretOrDer(key), Family::Ed25519) if key.len() == 32 => {
                Verifying::Ed25519(key.clone())
            }
            _ => return Err(Misfit::Kind),
        };
        Ok(Self::new(id, algorithms, material))
    }

    fn new(id: Option<Arc<str>>, algorithms: Vec<Algorithm>, material: Verifying) -> Self {
        Self { id, algorithms: algorithms.into(), material: Arc::new(material) }
    }

    /// What it may be used for.
    #[must_use]
    pub fn algorithms(&self) -> &[Algorithm] {
        &self.algorithms
    }

    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    pub(super) fn verifies(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        self.algorithms.contains(&algorithm) && crypto::verifies(&self.material, algorithm, signed, signature)
    }
}

/// A secret that is long enough and for this algorithm.
pub(super) fn checked_secret(algorithm: Algorithm, secret: &[u8]) -> Result<ring::hmac::Key, KeyError> {
    let key = crypto::hmac_key(algorithm, secret).ok_or(KeyError::SecretForPublic { algorithm })?;
    if secret.windows(11).any(|window| window == b"-----BEGIN ") {
        return Err(KeyError::PemForSecret { algorithm });
    }
    if secret.len() < SECRET_BYTES_MIN {
        return Err(KeyError::ShortSecret { bytes: secret.len() });
    }
    Ok(key)
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("algorithms", &self.algorithms).finish_non_exhaustive()
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShortSecret { bytes } => write!(
                f,
                "the secret has {bytes} bytes, which can be guessed; take at least {SECRET_BYTES_MIN}, such as the output \
                 of `openssl rand -hex 32`"
            ),
            Self::PemForSecret { algorithm } => write!(
                f,
                "a PEM block was given for {algorithm}, which works with a shared secret; whoever knows the public key \
                 could make tokens. Name the algorithm of the key, such as RS256, ES256 or EdDSA"
            ),
            Self::SecretForPublic { algorithm } => write!(
                f,
                "{algorithm} works with a public key in PEM, not with a secret; for a secret name HS256, HS384 or HS512"
            ),
            Self::PrivateKey => f.write_str(
                "the PEM block holds a private key; the hub needs the public one, such as `openssl pkey -pubout` prints",
            ),
            Self::PublicKey => f.write_str("the PEM block holds a public key; signing takes the private one"),
            Self::NotForAlgorithm { algorithm } => write!(
                f,
                "the text is not a PEM block of a key for {algorithm} (a private key is read as PKCS #8, such as \
                 `openssl pkcs8 -topk8 -nocrypt` prints)"
            ),
            Self::ShortRsa => f.write_str("the RSA key has fewer than 2048 bits"),
        }
    }
}

impl std::error::Error for KeyError {}
