//! What a log keeps when its process ends, and what clients come back to.

use fanfare_engine::DiskEngine;
use fanfare_hub::{Delivery, GapReason, IdempotencyKey, PublishError, Resume};
use fanfare_wire::Event;

use crate::support::{files, folder, hub, id, next, next_data, publish, publish_all, small, to, wait};

#[test]
fn a_client_resumes_behind_its_last_event_after_a_restart() {
    let folder = folder();
    let seen = {
        let hub = hub(DiskEngine::options(folder.path()));
        publish(&hub, "a", "1");
        let seen = publish(&hub, "a", "2").id;
        publish(&hub, "a", "3");
        seen
    };
    let hub = hub(DiskEngine::options(folder.path()));
    assert_eq!(publish(&hub, "a", "4").position, 4);
    let mut subscription = hub.subscribe("a").bookmarks(false).after(seen);
    assert_eq!(next_data(&mut subscription, 2), ["3", "4"]);
}

#[test]
fn what_memory_does_not_hold_is_read_from_the_disk() {
    let folder = folder();
    let first = {
        let hub = hub(small(folder.path()));
        let first = publish(&hub, "a", "0").id;
        publish_all(&hub, (1..5_000).map(|n| to(&["a"], Event::new(format!("{n} {}", "x".repeat(700))))));
        first
    };
    assert!(files(folder.path(), "seg").len() > 2, "several segments");
    let hub = hub(small(folder.path()));
    for last in [first, id("earliest")] {
        let from = usize::from(last.as_str() != "earliest");
        let mut subscription = hub.subscribe("a").bookmarks(false).after(last);
        let numbers: Vec<_> = next_data(&mut subscription, 5_000 - from)
            .into_iter()
            .map(|data| data.split(' ').next().unwrap_or_default().parse::<usize>().expect("a number"))
            .collect();
        assert_eq!(numbers, (from..5_000).collect::<Vec<_>>());
    }
}

#[test]
fn a_publisher_s_id_is_found_after_a_restart_and_the_earliest_counts() {
    let folder = folder();
    {
        let hub = hub(small(folder.path()));
        let event = |n: usize| {
            let event = Event::new(format!("{n} {}", "x".repeat(700)));
            match n {
                10 | 4_000 => event.id(id("mine")),
                _ => event,
            }
        };
        publish_all(&hub, (0..5_000).map(|n| to(&["a"], event(n))));
    }
    let hub = hub(small(folder.path()));
    let mut subscription = hub.subscribe("a").bookmarks(false).after(id("mine"));
    assert!(matches!(wait(subscription.opened()), Ok(Resume::Resumed { after: 11 })));
    assert!(next_data(&mut subscription, 1)[0].starts_with("11 "));

    let mut subscription = hub.subscribe("a").after(id("nobody's"));
    let Delivery::Gap(gap) = next(&mut subscription) else { panic!("a gap is due") };
    assert_eq!(gap.reason(), GapReason::Unknown);
}

#[test]
fn an_idempotency_key_is_known_after_a_restart() {
    let folder = folder();
    let publication =
        |data: &str| to(&["a"], Event::new(data.to_owned())).idempotency_key(IdempotencyKey::new("order 41"));
    let first = {
        let hub = hub(DiskEngine::options(folder.path()));
        publish(&hub, "a", "before");
        let both = publish_all(&hub, [publication("paid"), publication("paid")]);
        assert_eq!((both[0].duplicate, both[1].duplicate), (false, true), "in one group");
        assert_eq!(both[0].id, both[1].id);
        both[0].clone()
    };
    let hub = hub(DiskEngine::options(folder.path()));
    let again = wait(hub.publish_all(publication("paid"))).expect("published");
    assert_eq!((again.id, again.position, again.duplicate), (first.id, first.position, true));
    let other = wait(hub.publish_all(publication("refunded")));
    assert!(matches!(other, Err(PublishError::KeyReused)), "{other:?}");
    assert_eq!(publish(&hub, "a", "behind").position, 3);
}

#[test]
fn a_log_that_lost_its_newest_entries_is_noticed() {
    let (folder, backup) = (folder(), folder());
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        std::fs::create_dir_all(to.join("default")).expect("a folder");
        for file in std::fs::read_dir(from.join("default")).expect("the folder") {
            let path = file.expect("a file").path();
            std::fs::copy(&path, to.join("default").join(path.file_name().expect("a name"))).expect("copied");
        }
    };
    let (kept, lost) = {
        let hub = hub(DiskEngine::options(folder.path()));
        let kept = publish(&hub, "a", "1").id;
        copy(folder.path(), backup.path());
        (kept, publish(&hub, "a", "2").id)
    };
    let hub = hub(DiskEngine::options(backup.path()));
    for attempt in 0..2 {
        let mut subscription = hub.subscribe("a").after(lost.clone());
        let Delivery::Gap(gap) = next(&mut subscription) else { panic!("a gap is due") };
        assert_eq!(gap.reason(), GapReason::Rewound, "attempt {attempt}");
        let mut subscription = hub.subscribe("a").bookmarks(false).after(kept.clone());
        publish(&hub, "a", "other");
        assert_eq!(next_data(&mut subscription, 1 + attempt), vec!["other"; 1 + attempt]);
    }
}

#[test]
fn another_log_s_id_is_rewound() {
    let (folder, other) = (folder(), folder());
    let foreign = publish(&hub(DiskEngine::options(other.path())), "a", "1").id;
    let hub = hub(DiskEngine::options(folder.path()));
    publish(&hub, "a", "1");
    let mut subscription = hub.subscribe("a").after(foreign);
    let Delivery::Gap(gap) = next(&mut subscription) else { panic!("a gap is due") };
    assert_eq!(gap.reason(), GapReason::Rewound);
}
