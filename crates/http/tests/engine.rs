//! What clients are told when the log does not do its work.
#![allow(clippy::unwrap_used)]

mod common;

use std::future::{pending, ready};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use common::{Stream, get, post, subscription};
use fanfare_http::{Access, Mercure};
use fanfare_hub::engine::{
    Answer, AppendError, Appended, Batch, Bounds, Engine, Followed, Follower, Origin, ReadError, ReadRequest,
};
use fanfare_hub::{Check, EngineFault, Hub, IdKey, IdempotencyKey, Position, Submission};
use fanfare_wire::EventId;

/// How the log fails.
#[derive(Clone, Copy)]
enum Failing {
    Refuses,
    MayHaveStored,
    NeverAnswers,
}

fn fault() -> EngineFault {
    Arc::new(std::io::Error::other("disk 7 is on fire"))
}

impl Engine for Failing {
    fn follow(&self, follower: Arc<dyn Follower>) -> Result<(), EngineFault> {
        let key = IdKey::new([7; 16]);
        follower.accept(Followed::NewEpoch(Origin {
            epoch: 1,
            key,
            from: 1,
            next: 1,
            check_before: Check::START,
        }));
        Ok(())
    }

    fn append(&self, _: Submission, _: Option<IdempotencyKey>) -> Answer<'_, Result<Appended, AppendError>> {
        match self {
            Self::Refuses => Box::pin(ready(Err(AppendError::Refused(fault())))),
            Self::MayHaveStored => Box::pin(ready(Err(AppendError::Unknown(fault())))),
            Self::NeverAnswers => Box::pin(pending()),
        }
    }

    fn bounds(&self) -> Answer<'_, Result<Bounds, EngineFault>> {
        match self {
            Self::NeverAnswers => Box::pin(pending()),
            _ => Box::pin(ready(Err(fault()))),
        }
    }

    fn read(&self, _: ReadRequest) -> Answer<'_, Result<Batch, ReadError>> {
        Box::pin(pending())
    }

    fn find(&self, _: EventId) -> Answer<'_, Result<Option<Position>, EngineFault>> {
        Box::pin(pending())
    }
}

fn app(engine: Failing) -> Router {
    Mercure::new(Hub::builder().engine(engine).build().unwrap()).access(Access::open()).router()
}

/// P4: only what is logged is acknowledged.
#[tokio::test]
async fn a_publication_that_was_not_stored_is_503_and_may_be_sent_again_p4_m085() {
    let answer = post(&app(Failing::Refuses), "topic=a&data=x").await;
    assert_eq!(answer.status, 503);
    let seconds: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=5).contains(&seconds));
    assert_eq!(
        answer.text,
        "The log is not available; the publication was not stored and may be sent again.\n"
    );
}

#[tokio::test(start_paused = true)]
async fn a_publication_that_may_have_been_stored_is_504_p4() {
    for engine in [Failing::MayHaveStored, Failing::NeverAnswers] {
        let answer = post(&app(engine), "topic=a&data=x").await;
        assert_eq!(answer.status, 504);
        assert!(!answer.headers.contains_key("retry-after"));
        assert!(
            answer
                .text
                .contains("may have been stored; sent again with the same Idempotency-Key it is stored once")
                && !answer.text.contains("disk 7"),
            "{}",
            answer.text
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_whose_place_cannot_be_found_is_sent_away_for_a_while_m038() {
    for engine in [Failing::Refuses, Failing::NeverAnswers] {
        let app = app(engine);
        assert_eq!(get(&app, "match=a&last_event_id=x").await.status, 503);
        let request = subscription("match=a&last_event_id=x").header("accept", "text/event-stream");
        let text = Stream::of(&app, request.body(Body::empty()).unwrap()).await.rest().await;
        assert!(text.starts_with("retry: ") && text.ends_with("\n\n"), "{text}");
        // Whoever does not look back needs nothing of it.
        Stream::open(&app, "match=a").await;
    }
}
