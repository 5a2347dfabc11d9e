//! The loop of one worker: waits, takes in what has happened, and writes, a few hundred connections at a time.
//!
//! Between two batches it looks at everything else, so publications that come meanwhile go out together, and nobody who
//! reads slowly keeps others waiting. It never blocks but in its poll.

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use fanfare_hub::{Batch, Subscription};
use fanfare_wire::{Sum, jitter};
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use crate::bell::Bell;
use crate::clock::{Clock, NEVER, Sweep, Tick, WallSecond};
use crate::collected::Collected;
use crate::connection::{Aside, Connection, KeepAlive, State};
use crate::counts::Totals;
use crate::inbox::{Command, Inbox};
use crate::report::{Request, Subscriber};
use crate::room::Room;
use crate::rounds::Link;
use crate::sending::Sending;
use crate::socket::{self, Discarded, Wrote};
use crate::writing::Pick;
use crate::{Adoption, Ended, Settings, clock};

/// The token of the bell; connections have the numbers of their slots.
const BELL: Token = Token(usize::MAX);
/// How many events are taken from the poll at once.
const EVENTS: usize = 1_024;
/// How many commands are obeyed before everything else is looked at again.
const COMMANDS: usize = 128;
/// How much of what clients send is read away at once, in bytes.
const SCRATCH_BYTES: usize = 16 * 1024;
/// How long a worker that has just written stays awake for the next event: about as long as waking it would take.
const LINGER: Duration = Duration::from_micros(50);
/// Who gives the core away and gets it back only after this time shares it with somebody who never rests, and had better
/// sleep: then it is woken in preference.
const CROWDED: Duration = Duration::from_millis(1);
/// How often it lets others go first when the bell rings in that time.
const YIELDS: usize = 4;
/// The room of a connection that has no hub any more.
const NO_ROOM: u32 = u32::MAX;

/// What a worker is begun with, in a thread of its own.
pub(crate) struct Beginning {
    poll: Poll,
    sending: Sending,
    inbox: Arc<Inbox>,
    settings: Settings,
    totals: Arc<Totals>,
}

impl Beginning {
    pub(crate) fn new(settings: Settings, totals: Arc<Totals>) -> io::Result<Self> {
        let poll = Poll::new()?;
        let bell = Arc::new(Bell::new(poll.registry(), BELL)?);
        let sending = Sending::new(settings.io_uring)?;
        Ok(Self { poll, sending, inbox: Arc::new(Inbox::new(bell)), settings, totals })
    }

    pub(crate) fn inbox(&self) -> Arc<Inbox> {
        self.inbox.clone()
    }

    /// Works until it is told to stop. Tells first whether it writes through a ring.
    pub(crate) fn run(mut self, started: mpsc::Sender<io::Result<bool>>) {
        match self.sending.start(self.settings.io_uring) {
            Ok(sending) => {
                self.sending = sending;
                // Whoever began it waits for this, or has given up and stops it.
                let _ = started.send(Ok(self.sending.is_ring()));
                drop(started);
                Worker::begin(self).run();
            }
            Err(error) => drop(started.send(Err(error))),
        }
    }
}

pub(crate) struct Worker {
    pub(crate) poll: Poll,
    pub(crate) sending: Sending,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) settings: Settings,
    pub(crate) totals: Arc<Totals>,
    pub(crate) clock: Clock,
    sweep: Sweep,
    pub(crate) connections: Slab<Connection>,
    pub(crate) rooms: Slab<Room>,
    pub(crate) collected: Collected,
    pub(crate) batch: Batch,
    pub(crate) picks: Vec<(usize, Pick)>,
    pub(crate) wrote: Vec<Wrote>,
    /// Whether it has written since it last waited.
    pub(crate) has_written: bool,
    /// Until when it does not linger.
    crowded_until: Tick,
    scratch: Box<[u8]>,
    /// The last tick of the window over which the streams end, once there is one.
    drained_by: Option<Tick>,
    /// The keep-alive that was agreed last; mostly they are all the same.
    keep_alive: Option<Rc<KeepAlive>>,
    /// What was asked for and not yet done.
    commands: VecDeque<Command>,
    stopped: bool,
}

impl Worker {
    fn begin(Beginning { poll, sending, inbox, settings, totals }: Beginning) -> Self {
        Self {
            collected: Collected::new(settings.collected_bytes_max, totals.clone()),
            poll,
            sending,
            inbox,
            settings,
            totals,
            clock: Clock::new(Instant::now(), SystemTime::now()),
            sweep: Sweep::default(),
            connections: Slab::new(),
            rooms: Slab::new(),
            batch: Batch::new(),
            picks: Vec::new(),
            wrote: Vec::new(),
            has_written: false,
            crowded_until: 0,
            scratch: vec![0; SCRATCH_BYTES].into_boxed_slice(),
            drained_by: None,
            keep_alive: None,
            commands: VecDeque::new(),
            stopped: false,
        }
    }

    fn run(&mut self) {
        let mut events = Events::with_capacity(EVENTS);
        while !self.stopped {
            self.wait(&mut events);
            let ticked = self.clock.advance(Instant::now());
            if ticked {
                self.clock.see_wall(SystemTime::now());
            }
            for event in &events {
                self.happened(event);
            }
            self.commands.extend(self.inbox.take());
            for _ in 0..COMMANDS {
                let Some(command) = self.commands.pop_front() else { break };
                self.obey(command);
            }
            self.call_collectors();
            for (number, room) in &mut self.rooms {
                room.hear();
                room.call(&mut self.connections, number);
            }
            if ticked {
                for key in self.sweep.next(self.connections.capacity()) {
                    self.look_after(key);
                }
                self.rooms.retain(|_, room| room.connections > 0);
            }
            self.write();
        }
    }

    /// Waits until there is something to do, unless there is.
    fn wait(&mut self, events: &mut Events) {
        let mut patience = self.patience();
        if patience != Some(Duration::ZERO) && (self.lingers() || !self.inbox.bell().fall_asleep()) {
            patience = Some(Duration::ZERO);
        }
        // An interrupted or failed poll told of nothing; what is due is due nevertheless.
        if self.poll.poll(events, patience).is_err() {
            events.clear();
        }
        self.inbox.bell().wake_up();
    }

    /// Stays awake for a moment after it has written; gives whether the bell rang in that time.
    fn lingers(&mut self) -> bool {
        if !std::mem::take(&mut self.has_written) || self.clock.now() < self.crowded_until {
            return false;
        }
        let (bell, begun) = (self.inbox.bell(), Instant::now());
        while !bell.is_rung() && begun.elapsed() < LINGER {
            thread::yield_now();
        }
        let rung = bell.is_rung();
        // Under load somebody else wants this core, and may have something to go out with what rang.
        for _ in 0..YIELDS {
            if rung && begun.elapsed() < LINGER {
                thread::yield_now();
            }
        }
        if begun.elapsed() > CROWDED {
            self.crowded_until = self.clock.after(Duration::from_secs(1));
        }
        rung
    }

    /// How long to wait for something to happen; `None` for ever.
    fn patience(&self) -> Option<Duration> {
        if !self.commands.is_empty()
            || self.collected.is_due()
            || self.rooms.iter().any(|(_, room)| !room.is_idle())
        {
            return Some(Duration::ZERO);
        }
        // A room outlives its last connection by a tick, so that a hub is not entered and left all the time.
        (!self.connections.is_empty() || !self.rooms.is_empty())
            .then(|| self.clock.until_next(Instant::now()))
    }

    /// A socket takes bytes again, or has some, or is gone.
    fn happened(&mut self, event: &Event) {
        let key = event.token().0;
        let Some(connection) = self.connections.get_mut(key) else { return };
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            let left = self.settings.input_bytes_max.saturating_sub(connection.input);
            match socket::discard(&connection.socket, &mut self.scratch, left as usize) {
                Discarded::Bytes(bytes) if bytes > left as usize => {
                    return self.cut(key, Ended::TooMuchInput);
                }
                Discarded::Bytes(bytes) => connection.input += u32::try_from(bytes).unwrap_or(left),
                Discarded::Gone(how) => return self.end(key, how),
            }
        }
        if event.is_writable() && connection.state.full {
            self.takes_bytes_again(key);
        }
    }

    pub(crate) fn takes_bytes_again(&mut self, key: usize) {
        let connection = &mut self.connections[key];
        connection.state.full = false;
        self.totals.full.fetch_sub(1, Relaxed);
        if connection.aside.is_some() {
            self.tend(key);
        } else {
            self.make_ready(key);
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Adopt(adoption) => self.adopt(*adoption),
            Command::Tend { key } => self.tend(key),
            Command::Drain { window } => self.drain(window),
            Command::End { hub, keys } => self.end_those_of(&hub, &keys),
            Command::CutAll => self.cut_all(),
            Command::Report(request) => self.report(&request),
            Command::Stop => self.stopped = true,
        }
    }

    fn adopt(&mut self, Adoption { socket, head, subscription, terms, client }: Adoption) {
        let socket = TcpStream::from_std(socket);
        socket::set_up(&socket, &self.settings);
        let room = self.room_of(&subscription);
        let ends_at = terms.ends_at.map_or(NEVER, |at| self.clock.sweep_before(at));
        let (form, mut sum) = (terms.form(), Sum::default());
        let keep_alive = terms.keep_alive.map(|(after, frame)| self.agreed(KeepAlive { after, frame }));
        // Who has no hub any more gets the head, and the end.
        let mut aside = Aside { owed: head, ..Aside::default() };
        form.begin(&mut aside.owed);
        if let Some(opening) = &terms.opening {
            aside.owe_frame(opening, form, &mut sum);
        }
        let has_hub = room != NO_ROOM;
        if has_hub {
            aside.subscription = Some(subscription);
        } else {
            aside.owe_end(form, sum);
        }
        if self.connections.len() == self.connections.capacity() {
            // Left alone it would double, and most of what an idle subscriber costs would be room for others.
            self.connections.reserve_exact(self.connections.len() / 8 + 16);
        }
        let key = self.connections.insert(Connection {
            socket,
            member: None,
            aside: Some(Box::new(aside)),
            keep_alive,
            client,
            room,
            link: Link::NONE,
            since: self.clock.now(),
            progress_at: self.clock.now(),
            ends_at,
            expires_at: terms.expires_at.map_or(WallSecond::NEVER, WallSecond::of),
            input: 0,
            form,
            sum,
            state: State { by_hub: !has_hub, ..State::default() },
        });
        let interest = Interest::READABLE | Interest::WRITABLE;
        let socket = &mut self.connections[key].socket;
        if self.poll.registry().register(socket, Token(key), interest).is_err() {
            return self.cut(key, Ended::Cut);
        }
        if self.drained_by.is_some() {
            self.draw_end(key);
        }
        self.tend(key);
    }

    fn room_of(&mut self, subscription: &Subscription) -> u32 {
        let Some(hub) = subscription.hub() else { return NO_ROOM };
        let known = self.rooms.iter().find(|(_, room)| room.is_of(&hub)).map(|(key, _)| key);
        let key = known
            .unwrap_or_else(|| self.rooms.insert(Room::new(hub.crowd(self.inbox.bell().clone().into()))));
        self.rooms[key].connections += 1;
        u32::try_from(key).unwrap_or(NO_ROOM)
    }

    /// Shares the keep-alive with those before, as long as it is the same.
    fn agreed(&mut self, keep_alive: KeepAlive) -> Rc<KeepAlive> {
        match &self.keep_alive {
            Some(last) if **last == keep_alive => last.clone(),
            _ => self.keep_alive.insert(Rc::new(keep_alive)).clone(),
        }
    }

    /// Has a member looked at in its turn.
    pub(crate) fn make_ready(&mut self, key: usize) {
        let room = self.connections[key].room as usize;
        if let Some(room) = self.rooms.get_mut(room) {
            room.rounds.ready(&mut self.connections, key);
        }
    }

    fn drain(&mut self, window: Duration) {
        if self.drained_by.is_some() {
            return;
        }
        self.drained_by = Some(self.clock.after(window));
        for key in 0..self.connections.capacity() {
            if self.connections.contains(key) {
                self.draw_end(key);
                self.look_after(key);
            }
        }
    }

    /// Chooses when in the window of the drain a connection ends.
    fn draw_end(&mut self, key: usize) {
        let left = clock::duration(self.drained_by.map_or(0, |by| by.saturating_sub(self.clock.now())));
        let at = self.clock.now() + clock::ticks(jitter::within(&(Duration::ZERO..left)));
        let connection = &mut self.connections[key];
        if at < connection.ends_at {
            connection.ends_at = at;
            connection.state.drained = true;
        }
    }

    fn report(&self, request: &Request) {
        let mut subscribers: Vec<Subscriber> = Vec::new();
        let log_next: Vec<u64> = (0..self.rooms.capacity())
            .map(|key| self.rooms.get(key).map_or(0, |room| room.crowd.hub().counts().log_next))
            .collect();
        for (_, connection) in &self.connections {
            let end = log_next.get(connection.room as usize).copied().unwrap_or(0);
            // A member whose socket takes all is looked at as soon as there is something for it.
            let behind = |next: u64| if connection.state.full { end.saturating_sub(next) } else { 0 };
            subscribers.push(Subscriber {
                address: None,
                client: connection.client.as_ref().and_then(|client| client.address),
                connected: clock::duration(self.clock.since(connection.since)),
                behind: connection.member.as_ref().map_or(0, |member| behind(member.next())),
                full: connection
                    .state
                    .full
                    .then(|| clock::duration(self.clock.since(connection.progress_at))),
            });
        }
        let mut order: Vec<usize> = (0..subscribers.len()).collect();
        order.sort_by(|&a, &b| subscribers[a].worse_first(&subscribers[b]));
        order.truncate(request.most);
        let sockets: Vec<&TcpStream> =
            self.connections.iter().map(|(_, connection)| &connection.socket).collect();
        request.answers.add(
            order
                .into_iter()
                // Only those that are told are asked for their address: it is a call to the kernel each.
                .map(|at| Subscriber { address: sockets[at].peer_addr().ok(), ..subscribers[at].clone() })
                .collect(),
        );
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let commands = std::mem::take(&mut self.commands);
        for command in commands.into_iter().chain(self.inbox.close()) {
            if matches!(command, Command::Adopt(_)) {
                self.totals.ended(Ended::Cut);
                self.totals.leave();
            }
        }
        if !std::thread::panicking() {
            self.cut_all();
        }
    }
}
