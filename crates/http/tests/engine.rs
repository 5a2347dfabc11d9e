//! What clients are told when the log does not do its work.
#![allow(clippy::unwrap_used)]

mod common;

use std::future::{pending, ready};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::SystemTime;

use axum::Router;
use axum::body::Body;
use common::failing::{Failing, fault};
use common::{Stream, get, post, subscription};
use fanfare_http::{Access, Mercure};
use fanfare_hub::engine::{
    Answer, AppendError, Appended, Batch, Bounds, Content, Engine, Followed, Follower, Logged, ReadError,
    ReadRequest,
};
use fanfare_hub::{Check, Delivery, EngineFault, Grant, Hub, IdempotencyKey, Matcher, Position, Submission};
use fanfare_wire::EventId;
use futures_util::StreamExt;

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

/// A log that takes presence only now and then.
#[derive(Default)]
struct Moody {
    follower: OnceLock<Arc<dyn Follower>>,
    /// How often it was asked, and how many entries it has.
    asked: Mutex<(u64, u64)>,
}

impl Engine for Moody {
    fn follow(&self, follower: Arc<dyn Follower>) -> Result<(), EngineFault> {
        Failing::Refuses.follow(follower.clone())?;
        let _ = self.follower.set(follower);
        Ok(())
    }

    fn append(&self, _: Submission, _: Option<IdempotencyKey>) -> Answer<'_, Result<Appended, AppendError>> {
        Box::pin(ready(Err(AppendError::Refused(fault()))))
    }

    fn announce(
        &self,
        presence: Option<Submission>,
        _: Option<IdempotencyKey>,
    ) -> Answer<'static, Result<Appended, AppendError>> {
        let mut asked = self.asked.lock().unwrap();
        asked.0 += 1;
        match asked.0 % 3 {
            1 => return Box::pin(ready(Err(AppendError::Refused(fault())))),
            2 => return Box::pin(ready(Err(AppendError::Unknown(fault())))),
            _ => {}
        }
        asked.1 += 1;
        let (position, check, at) = (asked.1, Check::from_random(7), SystemTime::now());
        let content = presence.map_or(Content::Forgotten, Content::Presence);
        let follower = self.follower.get().unwrap();
        follower.accept(Followed::Entry(Logged { position, check, at, content }));
        follower.ring();
        let id = EventId::parse(position.to_string()).unwrap();
        Box::pin(ready(Ok(Appended { position, id, duplicate: false })))
    }

    fn bounds(&self) -> Answer<'_, Result<Bounds, EngineFault>> {
        Box::pin(ready(Err(fault())))
    }

    fn read(&self, _: ReadRequest) -> Answer<'_, Result<Batch, ReadError>> {
        Box::pin(pending())
    }

    fn find(&self, _: EventId) -> Answer<'_, Result<Option<Position>, EngineFault>> {
        Box::pin(pending())
    }
}

/// M-144: whatever the log does, it is told in the end that a subscriber came, and then that it is gone.
#[tokio::test(start_paused = true)]
async fn what_the_log_does_not_take_is_announced_when_it_does() {
    let hub = Hub::builder().engine(Moody::default()).build().unwrap();
    let app: Router = Mercure::new(hub.clone()).subscriptions(true).router();
    let mut watch = hub.subscribe(Matcher::any()).grant(&Grant::everything()).bookmarks(false);
    let stream = Stream::open(&app, "match=a&match=b&match=c").await;
    let mut told = async |active: bool| {
        let mut texts = std::collections::BTreeSet::new();
        while texts.len() < 3 {
            let Some(Ok(Delivery::Event(entry))) = watch.next().await else { panic!("no event") };
            let frame = String::from_utf8(entry.frame().as_bytes().to_vec()).unwrap();
            assert!(frame.contains(&format!("\"active\":{active}")), "{frame}");
            texts.insert(entry.topics()[0].as_str().split('/').nth(5).unwrap().to_owned());
        }
        assert_eq!(texts, ["a", "b", "c"].map(str::to_owned).into());
    };
    told(true).await;
    drop(stream);
    told(false).await;
}

#[tokio::test(start_paused = true)]
async fn over_a_log_that_keeps_no_presence_streams_are_served_nevertheless() {
    let hub = Hub::builder().engine(Failing::Refuses).build().unwrap();
    let app: Router = Mercure::new(hub).subscriptions(true).router();
    drop(Stream::open(&app, "match=a").await);
    Stream::open(&app, "match=a").await;
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_says_that_the_log_is_away_until_it_is_back() {
    let moody = Arc::new(Moody::default());
    let hub = Hub::builder().engine(moody.clone()).build().unwrap();
    let app: Router = Mercure::new(hub).access(Access::open()).router();
    let mut stream = Stream::open(&app, "match=a").await;
    assert_eq!(stream.until(":\n:\n").await, ":\n:\n", "the opening, and a keep-alive");
    let follower = moody.follower.get().unwrap();
    follower.accept(Followed::Stalled { fault: fault() });
    for _ in 0..2 {
        let comment = ": the log is not available at the moment; nothing is lost\n";
        assert_eq!(stream.until(comment).await, comment);
    }
    follower.accept(Followed::Recovered);
    assert_eq!(stream.until(":\n").await, ":\n");
}
