//! The program is stopped in the middle of its work and goes on later, as in a suspended machine or a starved container.
//!
//! Nobody is told anything meanwhile, and nothing is lost or doubled by it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::common::{Hub, PATIENCE};
use crate::history::{Answer, Reader, Sent, check, kept, publish};

/// Sends a signal and waits until the kernel says that the process is in one of the states that `ps` would show.
fn signal_until(hub: &Hub, signal: &str, is_reached: impl Fn(&str) -> bool) {
    hub.signal(signal);
    let since = std::time::Instant::now();
    loop {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", hub.id())).unwrap();
        if is_reached(stat.rsplit(") ").next().unwrap_or_default()) {
            return;
        }
        assert!(since.elapsed() < PATIENCE, "{stat}");
        thread::yield_now();
    }
}

#[test]
fn who_is_stopped_and_goes_on_loses_and_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let start = || Hub::start(&["--data-dir", folder.path().to_str().unwrap()]);
    let hub = start();
    let (address, is_over) = (hub.address(), &AtomicBool::new(false));
    let publishing = move |name: String, until: &AtomicBool| {
        let mut sent: Vec<Sent> = Vec::new();
        for n in 0.. {
            sent.push(publish(address, &format!("{name}-{n}")));
            if until.load(Ordering::SeqCst) {
                break;
            }
        }
        sent
    };
    let mut reader = Reader::open(address, None).expect("a stream");
    let (mut sent, mut late) = (Vec::new(), Vec::new());
    thread::scope(|scope| {
        let publishers: Vec<_> =
            (0..3).map(|publisher| scope.spawn(move || publishing(publisher.to_string(), is_over))).collect();
        // Many short ones, some that clients notice, and one that is longer than anything the program does by the clock.
        let shorts = std::iter::repeat_n(0, 12);
        for (stop, millis) in shorts.chain([200, 200, 200, 1_500]).enumerate() {
            signal_until(&hub, "STOP", |state| state.starts_with('T'));
            // Who comes meanwhile is heard later.
            let is_once = &*Box::leak(Box::new(AtomicBool::new(true)));
            let coming = scope.spawn(move || publishing(format!("late-{stop}"), is_once));
            thread::sleep(Duration::from_millis(millis));
            signal_until(&hub, "CONT", |state| !state.starts_with('T'));
            late.extend(coming.join().expect("a publisher"));
        }
        is_over.store(true, Ordering::SeqCst);
        for publisher in publishers {
            sent.extend(publisher.join().expect("a publisher"));
        }
    });
    sent.extend(late);
    assert!(sent.iter().all(|sent| matches!(sent.answer, Answer::Stored(_))));
    sent.push(publish(address, "last"));
    let delivered = reader.through("last");
    assert_eq!(check(&sent, &[], &delivered), Ok(()), "as it was delivered");
    drop(hub);
    let hub = start();
    let mut found = kept(hub.address(), "earliest", "mark");
    found.pop();
    assert_eq!(check(&sent, &delivered, &found), Ok(()), "as it is kept");
}
