//! Who may publish, and what a subscriber may read: [`Access`], and the [`Rights`] that a request has by it.
//!
//! It decides before a request reaches the hub. How a token travels is in `bearer.rs`, what one has to say in
//! [`token`](crate::token). Rules: sections 7 to 11 of the protocol.

mod bearer;
mod denied;
mod origin;
mod payloads;
mod rights;
mod tokens;

use std::fmt;
use std::sync::Arc;

use http::request::Parts;

pub use denied::Denied;
pub use origin::{OriginError, Origins};
pub use payloads::Payloads;
pub use rights::Rights;
pub use tokens::TokenAccess;

use crate::Mercure;
use crate::token::Role;

/// An answer that may take a while.
pub type Answer<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Decides for each request what it may do. An application that knows its users without tokens implements it.
///
/// Whatever a middleware has put into the request's extensions is there to be looked at.
///
/// ```
/// use fanfare_http::{Access, Answer, Authorize, Denied, Rights, Role};
/// use fanfare_hub::{Grant, Matcher};
/// use http::request::Parts;
///
/// /// What the application's own middleware found out.
/// #[derive(Clone)]
/// struct User(u64);
///
/// struct Sessions;
///
/// impl Authorize for Sessions {
///     fn authorize<'a>(&'a self, request: &'a Parts, role: Role) -> Answer<'a, Result<Rights, Denied>> {
///         Box::pin(async move {
///             let Some(User(id)) = request.extensions.get() else { return Err(Denied::NoToken) };
///             let own = Matcher::exact(format!("users/{id}")).map_err(|error| Denied::Invalid(error.into()))?;
///             Ok(match role {
///                 Role::Subscriber => Rights::nothing().read(Grant::from_iter([own])),
///                 Role::Publisher => Rights::nothing(),
///             })
///         })
///     }
/// }
///
/// let access = Access::by(Sessions);
/// # let _ = access;
/// ```
pub trait Authorize: Send + Sync + 'static {
    /// Says what `request` may do in `role`.
    ///
    /// # Errors
    /// It may not even try, and is answered as [`Denied`] says.
    fn authorize<'a>(&'a self, request: &'a Parts, role: Role) -> Answer<'a, Result<Rights, Denied>>;
}

/// Who may publish over HTTP, and who may read private events. Cheap to clone.
#[derive(Clone)]
pub struct Access(Kind);

#[derive(Clone)]
enum Kind {
    ReadOnly,
    Open,
    Tokens(Arc<TokenAccess>),
    Custom(Arc<dyn Authorize>),
}

impl Access {
    /// Nobody publishes over HTTP, and everybody reads what is public: for an application that publishes in process. It is
    /// the default.
    #[must_use]
    pub fn read_only() -> Self {
        Self(Kind::ReadOnly)
    }

    /// Everybody publishes, and everybody reads what is public. For closed networks, and for trying things out (M-108).
    #[must_use]
    pub fn open() -> Self {
        Self(Kind::Open)
    }

    /// Whoever shows a token may do what the token says.
    #[must_use]
    pub fn tokens(access: TokenAccess) -> Self {
        Self(Kind::Tokens(Arc::new(access)))
    }

    /// The application decides.
    #[must_use]
    pub fn by(authorize: impl Authorize) -> Self {
        Self(Kind::Custom(Arc::new(authorize)))
    }

    /// What has been said about tokens, if they decide.
    pub(crate) fn token_access(&self) -> Option<&TokenAccess> {
        match &self.0 {
            Kind::Tokens(access) => Some(access),
            _ => None,
        }
    }

    /// What `request` may do in `role`.
    pub(crate) async fn rights(
        &self,
        mercure: &Mercure,
        request: &Parts,
        role: Role,
    ) -> Result<Rights, Denied> {
        match &self.0 {
            Kind::ReadOnly if role == Role::Publisher => {
                Err(Denied::Forbidden("Nobody publishes to this hub over HTTP."))
            }
            Kind::ReadOnly => Ok(Rights::anonymous()),
            Kind::Open => Ok(Rights::anonymous().publish(fanfare_hub::Grant::everything())),
            Kind::Tokens(access) => access.rights(mercure, request, role).await,
            Kind::Custom(authorize) => authorize.authorize(request, role).await,
        }
    }
}

impl Default for Access {
    fn default() -> Self {
        Self::read_only()
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::ReadOnly => f.write_str("ReadOnly"),
            Kind::Open => f.write_str("Open"),
            Kind::Tokens(access) => access.fmt(f),
            Kind::Custom(_) => f.write_str("Custom(_)"),
        }
    }
}
