//! The flags that say who may do what, and with which tokens.
//!
//! Nothing is judged here but the form of single values; what they mean together is for [`Access`](super::Access).

use std::num::NonZeroU32;
use std::time::Duration;

use clap::{Args, ValueEnum};
use fanfare_http::Origins;
use url::Url;

use super::rate::Rate;
use super::{cookie_name, hub_url, identifier};
use crate::secret::Secret;
use crate::value;

const KEYS: &str = "Keys and tokens";
const ACCESS: &str = "Access";

#[derive(Debug, Args)]
#[allow(clippy::doc_markdown)] // This is shown as it stands, in a terminal.
pub(crate) struct AccessFlags {
    /// The key that the tokens of publishers are checked with.
    ///
    /// A secret of 32 bytes or more that is shared with whoever makes the tokens (`openssl rand -hex 32` makes one), or a
    /// public key in PEM. @FILE or file:///FILE reads it from a file, where it is safer than on a command line, which every
    /// user of the machine can read. It is never shown.
    #[arg(long, help_heading = KEYS, value_name = "KEY")]
    pub(crate) publisher_jwt_key: Option<Secret>,

    /// How the tokens of publishers are signed. [default: HS256 for a secret; for a PEM key it has to be said]
    ///
    /// One of HS256, HS384, HS512 for a secret; RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA for a PEM key.
    /// A token that is signed in another way is refused.
    #[arg(long, help_heading = KEYS, value_name = "ALG")]
    pub(crate) publisher_jwt_alg: Option<String>,

    /// The key that the tokens of subscribers are checked with; as for publishers.
    #[arg(long, help_heading = KEYS, value_name = "KEY")]
    pub(crate) subscriber_jwt_key: Option<Secret>,

    /// How the tokens of subscribers are signed; as for publishers.
    #[arg(long, help_heading = KEYS, value_name = "ALG")]
    pub(crate) subscriber_jwt_alg: Option<String>,

    /// Where the JWK set of an identity provider is, instead of keys: https://…, or file:///… for a set that is mounted as a
    /// file.
    ///
    /// It is fetched again in the background, and when a token names a key that is not in it. It is for the tokens of
    /// publishers and of subscribers that the issuers in --trusted-issuers made; several issuers with keys of their own stand
    /// in the file, each below [[issuer]].
    #[arg(long, help_heading = KEYS, value_name = "JWKS")]
    pub(crate) jwks_url: Option<Secret>,

    /// Lets JWK sets be fetched from loopback and private addresses, and without TLS.
    ///
    /// Without it such an address is refused, so that whoever can change a DNS record cannot make the hub read inside your
    /// network, and so is http://, where whoever is on the way could put in a key of their own.
    #[arg(long, help_heading = KEYS)]
    pub(crate) jwks_internal: bool,

    /// Who makes the tokens: the value that has to stand in their claim `iss`. May be given several times (in the
    /// environment: separated by commas).
    ///
    /// All of them sign with the keys above. With none, only tokens of the protocol before 1.0 can be checked, which
    /// name no issuer (--legacy).
    #[arg(long, help_heading = KEYS, value_name = "ISSUER", value_delimiter = ',', value_parser = identifier)]
    pub(crate) trusted_issuers: Vec<String>,

    /// What has to stand in the claim `aud` of a token: this hub, as its tokens name it. [default: a --public-url]
    #[arg(long, help_heading = KEYS, value_name = "ID", value_parser = identifier)]
    pub(crate) resource_identifier: Option<String>,

    /// Whether what clients and tokens did before version 1.0 of the protocol is understood too. [default: on if
    /// --trusted-issuers and [[issuer]] name nobody, and with --dev; off otherwise]
    ///
    /// That is: topics as URI templates, tokens with a claim `mercure` and without issuer or audience, the cookie
    /// mercureAuthorization and the parameter `authorization`. Such tokens are only ever checked with --publisher-jwt-key and
    /// --subscriber-jwt-key, never with the keys below [[issuer]].
    #[arg(long, help_heading = KEYS, value_enum)]
    pub(crate) legacy: Option<Legacy>,

    /// The cookie in which browsers bring their token. Over plain HTTP, browsers refuse a name that begins with __Secure-.
    #[arg(
        long,
        help_heading = KEYS,
        value_name = "NAME",
        default_value = "__Secure-mercure_access_token",
        value_parser = cookie_name
    )]
    pub(crate) cookie_name: String,

    /// Subscribers without a token get what is public. Without it they are refused.
    #[arg(long, help_heading = ACCESS)]
    pub(crate) anonymous: bool,

    /// Where clients reach the hub, such as https://hub.example.com. May be given several times (in the environment:
    /// separated by commas). [default: wherever they ask]
    ///
    /// A URL without a path means the hub at /.well-known/mercure. The first one is what relative topics are resolved
    /// against. Requests for another host are answered 421.
    #[arg(long, help_heading = ACCESS, value_name = "URL", value_delimiter = ',', value_parser = hub_url)]
    pub(crate) public_url: Vec<Url>,

    /// The origin of a page that may subscribe from elsewhere, such as https://app.example.com; * for all, but then without
    /// cookies. May be given several times (in the environment: separated by commas).
    #[arg(long, help_heading = ACCESS, value_name = "ORIGIN", value_delimiter = ',')]
    pub(crate) cors_origin: Vec<Origins>,

    /// The origin of a page that may publish with a cookie, such as https://app.example.com or https://*.example.com; * for
    /// all. May be given several times (in the environment: separated by commas).
    ///
    /// Without it, nobody publishes with a cookie: any page that a user opens could do it in the user's name. Publishers that
    /// send a header Authorization need none of this.
    #[arg(long, help_heading = ACCESS, value_name = "ORIGIN", value_delimiter = ',')]
    pub(crate) publish_origin: Vec<Origins>,

    /// Tells those whose token allows it who subscribes to what: as events, and at /.well-known/mercure/subscriptions. Over several
    /// machines, on all of them; all have to be started with it.
    #[arg(long, help_heading = ACCESS)]
    pub(crate) subscriptions: bool,

    /// After what time a stream is ended at the latest, such as 1h; 0 for never. The client comes back and goes on where it
    /// was.
    ///
    /// Each stream ends somewhere between 80 and 100 % of it, so that clients do not all come back at once. It bounds how
    /// long a token that does not expire is good for.
    #[arg(long, help_heading = ACCESS, value_name = "DURATION", default_value = "1h", value_parser = value::duration)]
    pub(crate) max_connection_lifetime: Duration,

    /// How many publications each subject may make, such as 100/s, 600/m or 10/h. More: 429. [default: without limit]
    ///
    /// The subject is who the token was made for (its claim `sub`).
    #[arg(long, help_heading = ACCESS, value_name = "RATE")]
    pub(crate) publish_rate: Option<Rate>,

    /// How many publications a subject that was quiet may make at once, before --publish-rate holds. [default: as many
    /// as --publish-rate says in its unit]
    #[arg(long, help_heading = ACCESS, value_name = "COUNT")]
    pub(crate) publish_burst: Option<NonZeroU32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Legacy {
    /// Both are understood.
    On,
    /// Version 1.0 alone.
    Off,
}
