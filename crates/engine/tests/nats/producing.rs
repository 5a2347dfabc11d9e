//! Streams that outlive their readers, with producers and readers on several nodes.

use fanfare_hub::{Hub, ProduceError, Resume, Stopped};
use fanfare_wire::Event;
use futures_util::StreamExt;

use crate::server::{Server, options};
use crate::support::{hub, next_data, soon};

const ANSWER: &str = "answers/7";

async fn nodes(server: &Server) -> [Hub; 2] {
    [hub(options(server)).await, hub(options(server)).await]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_on_another_node_takes_over_and_every_node_knows_the_end() {
    let server = Server::start();
    let [one, other] = nodes(&server).await;
    let mut first = soon("producing", one.produce(ANSWER).into_future()).await.expect("a producer");
    soon("sending", first.send(Event::new("one"))).await.expect("sent");
    let mut reader = other.subscribe(ANSWER).from_start().bookmarks(false);
    assert_eq!(next_data(&mut reader, 1).await, ["one"]);

    let mut second = soon("producing", other.produce(ANSWER).into_future()).await.expect("a producer");
    assert!(second.takes_over());
    let late = soon("sending", first.send(Event::new("late"))).await;
    assert!(matches!(late, Err(ProduceError::Superseded)), "{late:?}");
    assert_eq!(soon("the news", first.stopped()).await, Stopped::Superseded);
    soon("asking", one.stop_producing(ANSWER)).await.expect("asked");
    assert_eq!(soon("the wish", second.stopped()).await, Stopped::Asked);
    soon("sending", second.send(Event::new("two"))).await.expect("sent");
    let end = soon("ending", second.end("stopped")).await.expect("ended").id;

    assert_eq!(next_data(&mut reader, 2).await, ["two", "stopped"]);
    assert!(soon("the end", reader.next()).await.is_none());
    // One that starts later has nothing of it in memory.
    let late = hub(options(&server).warm_events(0)).await;
    for node in [&one, &other, &late] {
        let mut back = node.subscribe(ANSWER).after(end.clone());
        assert_eq!(soon("opening", back.opened()).await.expect("open"), &Resume::Over);
        let mut whole = node.subscribe(ANSWER).from_start().bookmarks(false);
        assert_eq!(next_data(&mut whole, 3).await, ["one", "two", "stopped"]);
        let again = soon("producing", node.produce(ANSWER).into_future()).await;
        assert!(matches!(again, Err(ProduceError::Ended)), "{again:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_producers_that_begin_at_once_on_two_nodes_one_is_left() {
    let server = Server::start();
    let [one, other] = nodes(&server).await;
    for answer in 0..20 {
        let topic = format!("answers/{answer}");
        let write = async |hub: &Hub, name: &'static str| {
            let mut producer = match hub.produce(topic.clone()).await {
                Ok(producer) => producer,
                // The other one was quick.
                Err(ProduceError::Ended) => return false,
                Err(other) => panic!("{other}"),
            };
            for _ in 0..5 {
                match producer.send(Event::new(name)).await {
                    Ok(_) => {}
                    Err(ProduceError::Superseded) => return false,
                    Err(other) => panic!("{other}"),
                }
            }
            producer.end("done").await.is_ok()
        };
        let (here, there) =
            soon("producing", async { tokio::join!(write(&one, "here"), write(&other, "there")) }).await;
        let ends = usize::from(here) + usize::from(there);
        assert!(ends == 1, "one has ended it: {here} {there}");
        let mut reader = one.subscribe(topic.as_str()).from_start().bookmarks(false);
        let mut seen = Vec::new();
        while seen.last().is_none_or(|last| last != "done") {
            seen.extend(next_data(&mut reader, 1).await);
        }
        let winner = if here { "here" } else { "there" };
        let from = seen.iter().position(|data| data == winner).expect("events of its own");
        assert!(seen[..from].iter().all(|data| data != winner), "{seen:?}");
        assert_eq!(seen[from..], [winner, winner, winner, winner, winner, "done"]);
    }
}
