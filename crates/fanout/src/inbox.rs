//! What others ask of a worker: a list under a lock, and a bell.
//!
//! Whoever puts the first thing in rings; until the worker has looked, the others need not.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use fanfare_hub::{Hub, SubscriptionKey};

use crate::Adoption;
use crate::bell::Bell;
use crate::report::Request;
use crate::sync::{Mutex, lock};

/// What a worker is asked to do.
pub(crate) enum Command {
    Adopt(Box<Adoption>),
    /// Looks at a connection whose subscription can go on.
    Tend {
        key: usize,
    },
    Drain {
        window: Duration,
    },
    /// Ends the streams of these subscriptions of a hub.
    End {
        hub: Hub,
        keys: Arc<HashSet<SubscriptionKey>>,
    },
    CutAll,
    Report(Request),
    /// Cuts everything and ends.
    Stop,
}

pub(crate) struct Inbox {
    bell: Arc<Bell>,
    /// `None` once the worker has ended.
    commands: Mutex<Option<Vec<Command>>>,
}

impl Inbox {
    pub(crate) fn new(bell: Arc<Bell>) -> Self {
        Self { bell, commands: Mutex::new(Some(Vec::new())) }
    }

    pub(crate) fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    /// Puts a command in.
    ///
    /// # Errors
    /// The command: nobody is there any more.
    pub(crate) fn put(&self, command: Command) -> Result<(), Command> {
        let first = {
            let mut commands = lock(&self.commands);
            let Some(commands) = &mut *commands else { return Err(command) };
            commands.push(command);
            commands.len() == 1
        };
        if first {
            self.bell.ring();
        }
        Ok(())
    }

    /// Takes all commands out.
    pub(crate) fn take(&self) -> Vec<Command> {
        lock(&self.commands).as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Takes all commands out and lets none in any more.
    pub(crate) fn close(&self) -> Vec<Command> {
        lock(&self.commands).take().unwrap_or_default()
    }
}
