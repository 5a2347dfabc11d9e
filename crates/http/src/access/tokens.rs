//! Rights by token: finds it, has it checked, and compiles what it grants.

use std::fmt;
use std::time::SystemTime;

use fanfare_hub::{Grant, Matcher};
use http::request::Parts;

use crate::Mercure;
use crate::access::bearer::{self, Way};
use crate::access::{Denied, Origins, Payloads, Rights, origin};
use crate::mercure::Settings;
use crate::patterns::CompileError;
use crate::revocation::{Bearer, Licence, Revocations};
use crate::token::{Claims, Role, TopicMatcher, Verifier};

/// The cookie of the protocol; browsers accept it over TLS alone (M-088).
const COOKIE: &str = "__Secure-mercure_access_token";

/// How tokens decide: which are believed, how they may travel, and what goes without one.
///
/// Clients from before Mercure 1.0 show theirs in a cookie `mercureAuthorization` or in the query, too, where
/// [`Mercure::legacy`] is on; what such a token has to say is decided by the verifier.
#[derive(Clone)]
pub struct TokenAccess {
    verifier: Verifier,
    pub(crate) cookie: String,
    anonymous: bool,
    open_publishing: bool,
    publish_origins: Origins,
    pub(crate) authorization_servers: Vec<String>,
    revocations: Option<Revocations>,
}

impl TokenAccess {
    /// Believes the tokens that `verifier` does. Nobody gets in without one.
    #[must_use]
    pub fn new(verifier: Verifier) -> Self {
        Self {
            verifier,
            cookie: COOKIE.to_owned(),
            anonymous: false,
            open_publishing: false,
            publish_origins: Origins::none(),
            authorization_servers: Vec::new(),
            revocations: None,
        }
    }

    /// Lets subscribers in that have no token; they read what is public (M-109). Default: no.
    #[must_use]
    pub fn anonymous(mut self, let_in: bool) -> Self {
        self.anonymous = let_in;
        self
    }

    /// Lets everybody publish who shows no token: for closed networks, and for trying things out (M-108). Default: no.
    #[must_use]
    pub fn open_publishing(mut self, open: bool) -> Self {
        self.open_publishing = open;
        self
    }

    /// Sets the name of the cookie that may hold the token. Default: `__Secure-mercure_access_token`.
    #[must_use]
    pub fn cookie(mut self, name: impl Into<String>) -> Self {
        self.cookie = name.into();
        self
    }

    /// Lets pages of these origins publish with the cookie, besides those of the hub's own (M-178). Default: none.
    #[must_use]
    pub fn publish_origins(mut self, origins: Origins) -> Self {
        self.publish_origins = origins;
        self
    }

    /// Names the issuers that clients can ask for a token, in the hub's metadata (M-172). Default: none.
    #[must_use]
    pub fn authorization_servers<T: Into<String>>(mut self, issuers: impl IntoIterator<Item = T>) -> Self {
        self.authorization_servers = issuers.into_iter().map(Into::into).collect();
        self
    }

    /// Refuses the tokens that `revocations` has, and has the streams ended that live by them. Default: none is revoked.
    #[must_use]
    pub fn revocations(mut self, revocations: Revocations) -> Self {
        self.revocations = Some(revocations);
        self
    }

    /// What the hub calls itself in tokens; clients learn it from the metadata.
    pub(crate) fn resource(&self) -> Option<&str> {
        self.verifier.audience()
    }

    pub(super) async fn rights(
        &self,
        mercure: &Mercure,
        request: &Parts,
        role: Role,
    ) -> Result<Rights, Denied> {
        let settings = &mercure.settings;
        let Some(bearer) = bearer::find(request, &self.cookie, settings.legacy)? else {
            return match role {
                Role::Subscriber if self.anonymous => Ok(Rights::anonymous()),
                Role::Publisher if self.open_publishing => {
                    Ok(Rights::anonymous().publish(Grant::everything()))
                }
                _ => Err(Denied::NoToken),
            };
        };
        let claims = self.verifier.verify(&bearer.token, role, SystemTime::now()).await;
        let claims = claims.map_err(|error| Denied::Invalid(error.into()))?;
        if claims.legacy && !settings.legacy {
            return Err(Denied::Invalid("clients from before Mercure 1.0 are not served".into()));
        }
        // Only what a browser sends by itself can be sent by a page that knows nothing of the token.
        if role == Role::Publisher
            && bearer.by == Way::Cookie
            && !origin::may_publish(&request.headers, &settings.hub_url, &self.publish_origins)
        {
            return Err(Denied::ForeignOrigin);
        }
        let mut licence = None;
        if let Some(revocations) = &self.revocations {
            let bearer = Bearer::of(&claims);
            revocations.check(&bearer)?;
            licence = Some(Licence { revocations: revocations.clone(), bearer: bearer.into() });
        }
        Ok(Rights { licence, ..rights(claims, settings).await? })
    }
}

impl fmt::Debug for TokenAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenAccess")
            .field("cookie", &self.cookie)
            .field("anonymous", &self.anonymous)
            .field("open_publishing", &self.open_publishing)
            .field("publish_origins", &self.publish_origins)
            .finish_non_exhaustive()
    }
}

/// Turns what a token says into what its bearer may do.
async fn rights(mut claims: Claims, settings: &Settings) -> Result<Rights, Denied> {
    let (mut publish, mut read, mut payloads) = (Vec::new(), Vec::new(), Payloads::default());
    let topics = claims.details.iter_mut().map(|detail| std::mem::take(&mut detail.topics)).collect();
    let by_detail = matchers(topics, settings).await?;
    let who = who(&claims);
    // The payload of an older token is its own, whatever it may read (M-204).
    let of_legacy = claims.details.iter().find(|detail| claims.legacy && detail.subscribe);
    let of_legacy = of_legacy.and_then(|detail| detail.payload.clone());
    for (detail, matchers) in claims.details.into_iter().zip(by_detail) {
        if detail.publish {
            publish.extend(matchers.iter().cloned());
        }
        if detail.subscribe {
            read.extend(matchers.iter().cloned());
            payloads = payloads.detail(matchers, detail.payload);
        }
    }
    if of_legacy.is_some() {
        payloads = payloads.detail([Matcher::any()], of_legacy);
    }
    Ok(Rights {
        publish: Grant::from_iter(publish),
        read: Grant::from_iter(read),
        payloads,
        until: claims.expires_at,
        who,
        anonymous: false,
        legacy: claims.legacy,
        licence: None,
    })
}

/// Whoever may issue tokens for one name may do so for others of theirs, never for those of another issuer. What a token of the
/// older protocol says of its issuer was held against nothing, so its names are apart from all others.
fn who(claims: &Claims) -> Option<std::sync::Arc<str>> {
    let (issuer, subject) = (claims.issuer.as_deref(), claims.subject.as_deref());
    let protocol = if claims.legacy { "legacy" } else { "modern" };
    (issuer.is_some() || subject.is_some()).then(|| {
        format!("{protocol}\n{}\n{}", issuer.unwrap_or_default(), subject.unwrap_or_default()).into()
    })
}

/// Compiles the matchers of a token, by detail, within one budget; one that does not compile makes the token invalid (M-112), and
/// so do those that cost too much together (M-117).
async fn matchers(topics: Vec<Vec<TopicMatcher>>, settings: &Settings) -> Result<Vec<Vec<Matcher>>, Denied> {
    let invalid = |error: fanfare_hub::MatcherError| Denied::Invalid(error.into());
    let mut by_detail = Vec::with_capacity(topics.len());
    let (mut sources, mut belong_to) = (Vec::new(), Vec::new());
    for (detail, topics) in topics.into_iter().enumerate() {
        let mut matchers = Vec::with_capacity(topics.len());
        for TopicMatcher { language, text } in topics {
            if language.has_to_compile(&text) {
                sources.push((language, text));
                belong_to.push(detail);
            } else {
                matchers.push(Matcher::exact(&text).map_err(invalid)?);
            }
        }
        by_detail.push(matchers);
    }
    match settings.patterns.matchers(sources, settings.limits.patterns).await {
        Ok(compiled) => {
            for (matcher, detail) in compiled.into_iter().zip(belong_to) {
                by_detail[detail].push(matcher);
            }
        }
        Err(CompileError::Matcher(error)) => return Err(invalid(error)),
        Err(CompileError::Busy) => return Err(Denied::Unavailable),
    }
    Ok(by_detail)
}
