//! The keys of one issuer for one role, and which of them a token is checked with.
//!
//! A token's `kid` selects among these keys and nothing else. Keys of several issuers never meet here (M-098, M-099).

use super::algorithm::Algorithm;
use super::error::TokenError;
use super::jws::Unverified;
use super::key::Key;
use super::key_set::KeySet;
use super::verifier::Role;

/// Where keys come from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Keys {
    /// From configuration. A token's `kid` is not asked about them.
    Fixed(Vec<Key>),
    /// From a JSON Web Key Set, which may change.
    Set(KeySet),
}

impl From<Key> for Keys {
    fn from(key: Key) -> Self {
        Self::Fixed(vec![key])
    }
}

impl From<Vec<Key>> for Keys {
    fn from(keys: Vec<Key>) -> Self {
        Self::Fixed(keys)
    }
}

impl From<KeySet> for Keys {
    fn from(set: KeySet) -> Self {
        Self::Set(set)
    }
}

/// Accepts `token` if one of `keys` made its signature; asks sets for newer keys if it names one they do not have.
pub(super) async fn check_signature(
    keys: &[Keys],
    token: &Unverified<'_>,
    role: Role,
) -> Result<(), TokenError> {
    let mut refusal = match Search::new(token)?.among(keys, role) {
        Ok(()) => return Ok(()),
        Err(refusal) => refusal,
    };
    let id = token.key_id()?;
    for set in keys.iter().filter_map(Keys::set) {
        if set.lacks(id) && set.refetch().await {
            match Search::new(token)?.among(keys, role) {
                Ok(()) => return Ok(()),
                Err(newer) => refusal = newer,
            }
        }
    }
    Err(refusal)
}

impl Keys {
    pub(super) fn set(&self) -> Option<&KeySet> {
        match self {
            Self::Fixed(_) => None,
            Self::Set(set) => Some(set),
        }
    }
}

/// One pass over the keys, and what it met on the way, for the reason that is given in the end.
struct Search<'a> {
    token: &'a Unverified<'a>,
    algorithm: Algorithm,
    id: Option<&'a str>,
    allowed: Vec<Algorithm>,
    tried: bool,
    unknown_id: bool,
    unavailable: bool,
}

impl<'a> Search<'a> {
    fn new(token: &'a Unverified<'a>) -> Result<Self, TokenError> {
        Ok(Self {
            token,
            algorithm: token.algorithm()?,
            id: token.key_id()?,
            allowed: Vec::new(),
            tried: false,
            unknown_id: false,
            unavailable: false,
        })
    }

    fn among(mut self, keys: &[Keys], role: Role) -> Result<(), TokenError> {
        for keys in keys {
            let found = match keys {
                Keys::Fixed(keys) => self.any(keys.iter(), None),
                Keys::Set(set) => self.in_set(&set.current(), set.allowed()),
            };
            if found {
                return Ok(());
            }
        }
        // The most precise reason first.
        Err(if self.tried {
            TokenError::Signature { role }
        } else if !self.allowed.is_empty() {
            TokenError::AlgorithmNotAllowed { algorithm: self.algorithm, allowed: self.allowed }
        } else if self.unknown_id {
            TokenError::UnknownKeyId
        } else if self.unavailable {
            TokenError::KeysUnavailable
        } else {
            TokenError::NoKeys { role }
        })
    }

    /// A key without an id of its own is one that any `kid` may mean, where none bears that.
    fn in_set(&mut self, keys: &[Key], allowed: Option<&[Algorithm]>) -> bool {
        if keys.is_empty() {
            self.unavailable = true;
            return false;
        }
        let Some(id) = self.id else { return self.any(keys.iter(), allowed) };
        if keys.iter().any(|key| key.id() == Some(id)) {
            return self.any(keys.iter().filter(|key| key.id() == Some(id)), allowed);
        }
        self.unknown_id = true;
        self.any(keys.iter().filter(|key| key.id().is_none()), allowed)
    }

    /// Tries those of `keys` that are for the token's algorithm, of which all must be among `allowed`, if that is said.
    fn any<'k>(&mut self, keys: impl Iterator<Item = &'k Key>, allowed: Option<&[Algorithm]>) -> bool {
        for key in keys {
            let allowed = |algorithm: &&Algorithm| allowed.is_none_or(|allowed| allowed.contains(algorithm));
            let algorithms = || key.algorithms().iter().filter(allowed).copied();
            if !algorithms().any(|algorithm| algorithm == self.algorithm) {
                let news: Vec<_> =
                    algorithms().filter(|algorithm| !self.allowed.contains(algorithm)).collect();
                self.allowed.extend(news);
                continue;
            }
            self.tried = true;
            if key.verifies(self.algorithm, self.token.signed, &self.token.signature) {
                return true;
            }
        }
        false
    }
}
