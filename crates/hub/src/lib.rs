//! The hub: topics, one ordered log, and subscriptions that resume exactly.
//!
//! A [`Hub`] takes [`Publication`]s, puts them into one order and hands them to the [`Subscription`]s that ask
//! for them and may read them. It has no runtime and speaks no HTTP: futures and streams run wherever they are
//! polled, and the time comes from a [`Clock`]. Where the log lives is an [`engine`]'s matter; without one it is in memory.
//!
//! For every subscriber, over all its reconnections: events arrive in the hub's one order (P1); from the first
//! bookmark or event on, every accepted event that it asked for and may read arrives, or is covered by a gap in
//! its place (P2); none arrives twice (P3); a slow one delays nobody and holds a bounded number of bytes (P5); a
//! last event ID from a log that was rewound never resumes in the wrong place (P6).

mod affixes;
mod arrivals;
mod batch;
mod candidates;
mod catch_up;
mod charge;
mod check_source;
mod clock;
mod compile_budget;
mod counts;
mod crowd;
mod crowds;
mod delivery;
#[cfg(feature = "urlpattern")]
mod demand;
mod detached;
mod endings;
pub mod engine;
mod entry;
#[cfg(any(feature = "urlpattern", feature = "uri-template"))]
mod expression;
mod feed;
mod framing;
mod held;
#[cfg(feature = "urlpattern")]
mod host_groups;
mod hub;
mod id;
mod interned;
mod keys;
mod lane;
mod live;
mod load;
mod loads;
mod log;
mod matcher;
mod memory;
mod namespace;
mod opening;
mod page;
mod pages;
mod patterns;
mod produced;
mod producer;
mod publication;
mod resume;
mod router;
mod segments;
mod selection;
mod sieve;
mod snapshot;
mod subscribe_error;
mod subscribers;
mod subscription;
mod sync;
mod terms_bytes;
mod text;
mod topic;
mod trimmed;
#[cfg(feature = "uri-template")]
mod uri_template;
#[cfg(feature = "urlpattern")]
mod url_pattern;
#[cfg(feature = "urlpattern")]
mod wildcards;

pub use batch::{Batch, Share};
pub use charge::Charge;
pub use clock::{Clock, SystemClock};
pub use compile_budget::CompileBudget;
pub use counts::Counts;
pub use crowd::{Crowd, Due, Look, Member, Reading};
pub use delivery::{Bookmark, Delivery};
pub use endings::SubscriptionKey;
pub use engine::EngineFault;
pub use entry::Entry;
pub use framing::{Form, Framing};
pub use hub::{BuildError, Health, Hub, HubBuilder, IntoSelection, Published};
pub use id::{Check, IdKey, Place, Position};
pub use live::SubscriptionHandle;
pub use matcher::{Matcher, MatcherError, MatcherKind};
pub use producer::{Produce, ProduceError, Producer, Stopped};
pub use publication::{Addressed, IdempotencyKey, Publication, PublishError, Submission};
pub use resume::{Gap, GapReason, Resume, UnknownId};
pub use selection::{Grant, Selection};
pub use snapshot::Snapshot;
pub use subscribe_error::SubscribeError;
pub use subscribers::{Subscriber, Subscribers};
pub use subscription::Subscription;
pub use text::forbidden_character;
pub use topic::{Topic, TopicError};
