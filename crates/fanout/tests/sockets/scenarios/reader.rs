//! Readers that are clients of a fan-out's sockets.
//!
//! Each thread of tests has a fan-out of its own, of one worker, and that stands still while the test does something: it is
//! held up where it drops a connection that was adopted for this, and is let go on to the next such one, so exactly once
//! around its loop, as often as somebody waits for something. So what it has done when is the same each time. The sockets are
//! of the kind that stays in the kernel: what was written to one can be read as soon as the write has returned. They take turns with all
//! framings and codings.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, Read as _};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::Poll;

use fanfare_fanout::{Adoption, Client, Fanout, Terms};
use fanfare_hub::{Form, Framing, GapReason, Hub, Resume, SubscribeError, Subscription};
use fanfare_wire::{Coding, Decoder, EventId, Item};

use super::super::decompressed::Decompressed;
use super::super::support::{HANGS, HEAD, settings};
use super::support::chunks::Chunks;
use super::support::{Bell, Got, Read, What};

/// How often a worker goes around without anything coming, and without the hub having counted anything, until nothing is taken to
/// come. Whoever searches, or reads from an engine what is not for it, is counted in fewer rounds.
const ROUNDS: usize = 8;

/// Whoever does not come to rest by then never does.
const NEVER: usize = 5_000;

thread_local! {
    static HOUSE: House = House::new();
}

/// A fan-out that stands still.
struct House {
    fanout: Fanout,
    stop: RefCell<Stop>,
    /// Which client is next.
    turn: Cell<usize>,
}

/// Where its worker waits.
struct Stop {
    reached: Receiver<()>,
    /// It goes on when this is dropped.
    _go_on: Sender<()>,
}

/// What is dropped with a connection by the worker.
struct Barrier {
    reached: Sender<()>,
    go_on: Receiver<()>,
}

impl Drop for Barrier {
    fn drop(&mut self) {
        // Whoever has gone waits for nothing.
        let _ = self.reached.send(());
        let _ = self.go_on.recv();
    }
}

impl House {
    fn new() -> Self {
        let fanout = Fanout::start(&settings()).unwrap();
        let stop = Self::stop(&fanout);
        stop.reached.recv().unwrap();
        Self { fanout, stop: RefCell::new(stop), turn: Cell::new(0) }
    }

    /// Has the worker stop once it gets there: before it looks at hubs, and behind whatever it was told before.
    fn stop(fanout: &Fanout) -> Stop {
        let ((reached, is_reached), (lets_go, go_on)) = (channel(), channel());
        let hub = Hub::builder().build().unwrap();
        hub.close();
        // Who has no hub any more is sent away at once.
        let client = Client { held: Some(Box::new(Barrier { reached, go_on })), ..Client::default() };
        adopt(fanout, hub.subscribe("a"), Form::default(), Some(client));
        Stop { reached: is_reached, _go_on: lets_go }
    }

    /// What the next client is written in.
    fn form(&self) -> Form {
        let turn = self.turn.replace(self.turn.get() + 1);
        let framing = if turn.is_multiple_of(2) { Framing::Chunked } else { Framing::Bare };
        let coding = Coding::COMPRESSING.get(turn / 2 % (Coding::COMPRESSING.len() + 1)).copied();
        Form { framing, coding: coding.unwrap_or_default() }
    }

    /// Has the worker go around once.
    fn round(&self) {
        let next = Self::stop(&self.fanout);
        drop(self.stop.replace(next));
        self.stop.borrow().reached.recv_timeout(HANGS).expect("the worker hangs, or is gone");
    }
}

/// Hands a subscription over, and gives the other end of its socket.
fn adopt(fanout: &Fanout, subscription: Subscription, form: Form, client: Option<Client>) -> UnixStream {
    let (server, socket) = UnixStream::pair().unwrap();
    server.set_nonblocking(true).unwrap();
    socket.set_nonblocking(true).unwrap();
    fanout
        .adopt(Adoption {
            socket: TcpStream::from(OwnedFd::from(server)),
            head: HEAD.to_vec(),
            subscription,
            terms: Terms { keep_alive: None, framing: form.framing, coding: form.coding, ..Terms::default() },
            client: client.map(Box::new),
        })
        .expect("a worker takes it");
    socket
}

pub(super) struct Reader {
    hub: Option<Hub>,
    /// Until it is asked for something.
    subscription: Option<Subscription>,
    socket: Option<UnixStream>,
    form: Form,
    chunks: Chunks,
    decompressed: Decompressed,
    decoder: Decoder,
    /// How much of the response's head is still to come.
    head: usize,
    got: VecDeque<Got>,
    has_ended: bool,
}

pub(super) fn read(subscription: Subscription) -> Reader {
    let form = HOUSE.with(House::form);
    Reader {
        form,
        chunks: Chunks::default(),
        decompressed: Decompressed::of(form.coding),
        hub: subscription.hub(),
        subscription: Some(subscription),
        socket: None,
        decoder: Decoder::new(),
        head: HEAD.len(),
        got: VecDeque::new(),
        has_ended: false,
    }
}

/// Has the worker notice who is gone.
pub(super) fn rest() {
    HOUSE.with(|house| (0..2).for_each(|_| house.round()));
}

impl Reader {
    /// What became of its last event ID, before it is asked for anything else.
    pub(super) async fn opened(&mut self) -> Result<&Resume, SubscribeError> {
        self.subscription.as_mut().expect("nobody has it yet").opened().await
    }

    /// Reads what its socket has.
    fn take_in(&mut self) {
        let mut buffer = [0; 16 * 1024];
        while let Some(socket) = &mut self.socket {
            match socket.read(&mut buffer) {
                Ok(0) => {
                    let is_whole = self.form.framing == Framing::Bare || self.chunks.has_ended();
                    assert!(is_whole && self.decompressed.has_ended(), "{:?} broke off", self.form);
                    self.has_ended = true;
                    self.socket = None;
                }
                Ok(read) => self.decode(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => panic!("the stream broke: {error}"),
            }
        }
    }

    fn decode(&mut self, bytes: &[u8]) {
        let (head, bytes) = bytes.split_at(bytes.len().min(self.head));
        let from = HEAD.len() - self.head;
        assert_eq!(head, &HEAD[from..from + head.len()]);
        self.head -= head.len();
        let bytes = match self.form.framing {
            Framing::Bare => bytes.to_vec(),
            Framing::Chunked => self.chunks.take_in(bytes),
        };
        let bytes = self.decompressed.take_in(&bytes);
        let mut bytes = &bytes[..];
        while let Some(item) = self.decoder.next(&mut bytes).unwrap() {
            let (what, id) = match item {
                Item::Event(event) if event.name == "fanfare.gap" => (gap(event.data), event.last_event_id),
                Item::Event(event) => (What::Event { data: event.data.to_owned() }, event.last_event_id),
                Item::LastEventId(id) => (What::Bookmark, id),
                other => panic!("{other:?}"),
            };
            self.got.push_back(Got { what, id: EventId::parse(id).unwrap(), position: None });
        }
    }
}

/// What the data of a gap event says.
fn gap(data: &str) -> What {
    let reasons = [GapReason::Trimmed, GapReason::Rewound, GapReason::Unknown, GapReason::Expired];
    let named =
        |reason: &GapReason| data.strip_prefix(&format!("{{\"reason\":\"{}\",\"after\":", reason.as_str()));
    let (reason, after) =
        reasons.iter().find_map(|reason| named(reason).map(|rest| (*reason, rest))).expect("a reason");
    let after = after.strip_suffix('}').expect("an object");
    let after = after.strip_prefix('"').and_then(|after| after.strip_suffix('"'));
    What::Gap { reason, after: after.map(|after| EventId::parse(after).unwrap()) }
}

impl Read for Reader {
    const IS_SERVED: bool = true;

    fn take(&mut self, _: &Arc<Bell>) -> Poll<Option<Result<Got, SubscribeError>>> {
        HOUSE.with(|house| {
            if let Some(subscription) = self.subscription.take() {
                self.socket = Some(adopt(&house.fanout, subscription, self.form, None));
            }
            let (mut counted, mut quiet) = (None, 0);
            for round in 0.. {
                self.take_in();
                if !self.got.is_empty() || self.has_ended || quiet == ROUNDS {
                    break;
                }
                assert!(round < NEVER, "the worker goes around and around");
                house.round();
                let before = std::mem::replace(&mut counted, self.hub.as_ref().map(Hub::counts));
                quiet = if before == counted { quiet + 1 } else { 0 };
            }
        });
        match self.got.pop_front() {
            Some(got) => Poll::Ready(Some(Ok(got))),
            None if self.has_ended => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}
