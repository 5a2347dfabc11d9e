//! Makes and checks signatures, with `ring`: the one provider of cryptography that ships, for TLS as for tokens.
//!
//! It decides nothing about which key or algorithm may be used. `jsonwebtoken` reads the keys and could call this through
//! its `CryptoProvider`, but that is one for the whole process: an application that embeds the hub may have its own.
//! Secrets are compared in constant time (M-184), by `ring`.

use ring::rand::SystemRandom;
use ring::signature::{
    self, EcdsaKeyPair, Ed25519KeyPair, RsaEncoding, RsaKeyPair, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use ring::{hmac, rand::SecureRandom};

use super::algorithm::Algorithm;

/// What a signature is checked with.
pub(super) enum Verifying {
    Secret(hmac::Key),
    /// As `RSAPublicKey` in DER.
    RsaDer(Vec<u8>),
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// An uncompressed point on the curve of the algorithm.
    Point(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// What a signature is made with.
pub(super) enum Signing {
    Secret(hmac::Key),
    Rsa(Box<RsaKeyPair>),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

pub(super) fn hmac_key(algorithm: Algorithm, secret: &[u8]) -> Option<hmac::Key> {
    let digest = match algorithm {
        Algorithm::Hs256 => hmac::HMAC_SHA256,
        Algorithm::Hs384 => hmac::HMAC_SHA384,
        Algorithm::Hs512 => hmac::HMAC_SHA512,
        _ => return None,
    };
    Some(hmac::Key::new(digest, secret))
}

/// Whether `key` made `signature` for `signed` with `algorithm`; a key of another kind made none.
pub(super) fn verifies(key: &Verifying, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
    match key {
        // The key knows its digest. The name is checked again, so that this function holds without its caller's care.
        Verifying::Secret(key) => {
            hmac_key(algorithm, b"").is_some_and(|same| same.algorithm() == key.algorithm())
                && hmac::verify(key, signed, signature).is_ok()
        }
        Verifying::RsaDer(der) => rsa_check(algorithm)
            .is_some_and(|check| UnparsedPublicKey::new(check, der).verify(signed, signature).is_ok()),
        Verifying::Rsa { modulus, exponent } => {
            let key = RsaPublicKeyComponents { n: modulus, e: exponent };
            rsa_check(algorithm).is_some_and(|check| key.verify(check, signed, signature).is_ok())
        }
        Verifying::Point(point) => {
            let check = match algorithm {
                Algorithm::Es256 => &signature::ECDSA_P256_SHA256_FIXED,
                Algorithm::Es384 => &signature::ECDSA_P384_SHA384_FIXED,
                _ => return false,
            };
            UnparsedPublicKey::new(check, point).verify(signed, signature).is_ok()
        }
        Verifying::Ed25519(key) => {
            algorithm == Algorithm::EdDsa
                && UnparsedPublicKey::new(&signature::ED25519, key).verify(signed, signature).is_ok()
        }
    }
}

/// Signs `signed`, or returns nothing if the key is of another kind or the system has no random numbers.
pub(super) fn sign(key: &Signing, algorithm: Algorithm, signed: &[u8]) -> Option<Vec<u8>> {
    let random = SystemRandom::new();
    match key {
        Signing::Secret(key) => Some(hmac::sign(key, signed).as_ref().to_vec()),
        Signing::Rsa(key) => {
            let mut signature = vec![0; key.public().modulus_len()];
            key.sign(rsa_encoding(algorithm)?, &random, signed, &mut signature).ok()?;
            Some(signature)
        }
        Signing::Ecdsa(key) => Some(key.sign(&random, signed).ok()?.as_ref().to_vec()),
        Signing::Ed25519(key) => Some(key.sign(signed).as_ref().to_vec()),
    }
}

/// Bytes that nobody can guess.
pub(super) fn random_bytes<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(bytes)
}

/// `ring` refuses moduli of less than 2048 or more than 8192 bits.
fn rsa_check(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

fn rsa_encoding(algorithm: Algorithm) -> Option<&'static dyn RsaEncoding> {
    Some(match algorithm {
        Algorithm::Rs256 => &signature::RSA_PKCS1_SHA256,
        Algorithm::Rs384 => &signature::RSA_PKCS1_SHA384,
        Algorithm::Rs512 => &signature::RSA_PKCS1_SHA512,
        Algorithm::Ps256 => &signature::RSA_PSS_SHA256,
        Algorithm::Ps384 => &signature::RSA_PSS_SHA384,
        Algorithm::Ps512 => &signature::RSA_PSS_SHA512,
        _ => return None,
    })
}
