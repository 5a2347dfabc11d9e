//! What is revoked stays so: over starts, between nodes, and whatever the log drops (P7). No socket is opened here.

use std::task::Poll;

use futures_util::{FutureExt, poll};
use tokio::task::JoinHandle;

use super::*;

fn alice() -> Bearer {
    Bearer { subject: Some("alice".to_owned()), ..Bearer::default() }
}

fn of_alice() -> Revocation {
    Revocation::of_subject("alice")
}

async fn followed(revocations: Revocations) -> (Revocations, JoinHandle<()>) {
    let following = revocations.clone();
    let task = tokio::spawn(async move { following.follow().await });
    // Only so that a broken test ends.
    tokio::time::timeout(Duration::from_secs(20), revocations.caught_up()).await.expect("it catches up");
    (revocations, task)
}

fn hub(events: usize) -> Hub {
    Hub::builder().history_events(events).build().expect("a hub")
}

async fn publish(hub: &Hub, count: usize) {
    for _ in 0..count {
        hub.publish("a", Event::new("x")).await.expect("published");
    }
}

#[tokio::test]
async fn no_token_is_honoured_before_it_is_known_what_is_revoked_p7() {
    let hub = hub(100);
    let revocations = Revocations::new(&hub);
    assert_eq!(revocations.check(&alice()), Err(RevokedToken::Unknown));
    let refused = revocations.revoke(of_alice()).await;
    assert!(matches!(refused, Err(RevokeError::NotFollowed)), "{refused:?}");
    assert!(matches!(poll!(std::pin::pin!(revocations.caught_up())), Poll::Pending));
    let (revocations, _task) = followed(revocations).await;
    assert_eq!(revocations.check(&alice()), Ok(()));
}

#[tokio::test]
async fn a_process_that_starts_knows_what_was_revoked_whatever_stands_last_in_the_log_p7() {
    for behind in [0, 3] {
        let hub = hub(100);
        let (first, task) = followed(Revocations::new(&hub)).await;
        let done = first.revoke(of_alice()).await.expect("revoked");
        task.abort();
        publish(&hub, behind).await;
        let (second, _task) = followed(Revocations::new(&hub)).await;
        assert_eq!(second.check(&alice()), Err(RevokedToken::By(done.id)));
        assert!(second.lift(done.id).await.expect("lifted"));
        assert!(!second.lift(done.id).await.expect("nothing to lift"));
        assert_eq!(second.check(&alice()), Ok(()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_in_memory_is_not_filled_with_what_holds() {
    let hub = hub(10_000);
    let (revocations, _task) = followed(Revocations::new(&hub)).await;
    revocations.revoke(of_alice()).await.expect("revoked");
    for _ in 0..40 {
        publish(&hub, 1).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    // Once as it was said, and once as what holds.
    assert_eq!(hub.counts().log_entries, 42);
}

#[tokio::test]
async fn nodes_of_one_log_share_what_is_revoked_p7() {
    let hub = hub(100);
    let (one, _task) = followed(Revocations::new(&hub)).await;
    let (other, _task) = followed(Revocations::new(&hub)).await;
    let done = one.revoke(of_alice()).await.expect("revoked");
    // What it says itself stands behind that.
    other.revoke(Revocation::of_token("1")).await.expect("revoked");
    assert_eq!(other.check(&alice()), Err(RevokedToken::By(done.id)));
    assert!(other.lift(done.id).await.expect("lifted"));
    one.revoke(Revocation::of_token("2")).await.expect("revoked");
    assert_eq!(one.check(&alice()), Ok(()));
}

/// Goal: retention drops the entry by which somebody was revoked, and whoever starts then refuses them nevertheless.
#[tokio::test(start_paused = true)]
async fn what_holds_outlives_what_the_log_keeps_p7() {
    let hub = hub(20);
    let (first, _task) = followed(Revocations::new(&hub)).await;
    let done = first.revoke(of_alice()).await.expect("revoked");
    for _ in 0..20 {
        publish(&hub, 9).await;
        // The clock stands still but for this.
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert!(hub.bounds().await.expect("it knows").oldest > 100);
    let (second, _task) = followed(Revocations::new(&hub)).await;
    assert_eq!(second.check(&alice()), Err(RevokedToken::By(done.id)));
    // And what was lifted is not written again.
    assert!(first.lift(done.id).await.expect("lifted"));
    for _ in 0..20 {
        publish(&hub, 9).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let (third, _task) = followed(Revocations::new(&hub)).await;
    assert_eq!((third.check(&alice()), third.list().len()), (Ok(()), 0));
}

#[tokio::test(start_paused = true)]
async fn what_holds_is_written_again_in_entries_that_the_hub_takes_p7() {
    for event_bytes_max in [600, 256 * 1024] {
        let hub =
            Hub::builder().history_events(5_000).event_bytes_max(event_bytes_max).build().expect("a hub");
        let (first, _task) = followed(Revocations::renewed_every(&hub, Duration::from_secs(60))).await;
        for number in 0..300 {
            let long = Revocation::of_subject(format!("{number}{}", "x".repeat(300)));
            first.revoke(long).await.expect("revoked");
        }
        tokio::time::sleep(Duration::from_secs(61)).await;
        publish(&hub, 4_900).await;
        let (second, _task) = followed(Revocations::new(&hub)).await;
        assert_eq!(second.list().len(), 300, "{event_bytes_max}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_over_is_refused_no_more_and_not_written_again_p7() {
    let hub = hub(1_000);
    let (first, _task) = followed(Revocations::new(&hub)).await;
    let over = SystemTime::now().checked_sub(Duration::from_secs(1));
    first.revoke(of_alice().until(over)).await.expect("revoked");
    assert_eq!((first.check(&alice()), first.list().len()), (Ok(()), 0));
    let before = hub.counts().log_next;
    tokio::time::sleep(Duration::from_secs(10_000)).await;
    assert_eq!(hub.counts().log_next, before);
}

#[tokio::test]
async fn so_many_may_hold_and_no_more_p7() {
    let hub = hub(100);
    let (revocations, _task) = followed(Revocations::at_most(2, &hub, Duration::MAX)).await;
    for name in ["a", "b"] {
        revocations.revoke(Revocation::of_subject(name)).await.expect("revoked");
    }
    let full = revocations.revoke(Revocation::of_subject("c")).await.expect_err("there is no room");
    assert!(full.to_string().contains("at most 2"), "{full}");
    // One that holds already takes no more room.
    let same = revocations.revoke(Revocation::of_subject("b")).await.expect("revoked");
    assert!(revocations.lift(same.id).await.expect("lifted"));
    revocations.revoke(Revocation::of_subject("c")).await.expect("revoked");
}

#[tokio::test]
async fn a_name_is_as_long_as_the_limit_and_no_longer() {
    let (revocations, _task) = followed(Revocations::new(&hub(100))).await;
    let of = |bytes: usize| Revocation::of_subject("x".repeat(bytes));
    revocations.revoke(of(4_096)).await.expect("revoked");
    let error = revocations.revoke(of(4_097)).await.expect_err("too long");
    assert!(matches!(error, RevokeError::NameTooLong { bytes: 4_097, limit: 4_096 }), "{error}");
}

#[tokio::test]
async fn a_stream_that_has_ended_leaves_nothing_behind_p7() {
    let hub = hub(100);
    let (revocations, _task) = followed(Revocations::new(&hub)).await;
    let (subscription, ticket) = revocations.register(&alice(), hub.subscribe("a")).expect("it may");
    assert_eq!(revocations.streams(), 1);
    drop((subscription, ticket));
    assert_eq!(revocations.streams(), 0);
    // One that was refused has ended before it begins.
    hub.close();
    assert!(hub.subscribe("a").opened().now_or_never().is_some());
    assert!(revocations.register(&alice(), hub.subscribe("a")).is_ok());
    assert_eq!(revocations.streams(), 0);
}

#[tokio::test]
async fn a_stream_whose_token_was_revoked_since_it_was_checked_does_not_begin_p7() {
    let hub = hub(100);
    let (revocations, _task) = followed(Revocations::new(&hub)).await;
    assert_eq!(revocations.check(&alice()), Ok(()));
    let done = revocations.revoke(of_alice()).await.expect("revoked");
    let refused = revocations.register(&alice(), hub.subscribe("a")).map(drop);
    assert_eq!(refused, Err(RevokedToken::By(done.id)));
    assert_eq!((revocations.streams(), hub.counts().subscribers), (0, 0));
}

#[tokio::test]
async fn a_hub_that_is_closed_is_followed_no_more() {
    let hub = hub(100);
    let (revocations, task) = followed(Revocations::new(&hub)).await;
    hub.close();
    task.await.expect("it returns");
    assert_eq!(revocations.check(&alice()), Err(RevokedToken::Unknown));
}
