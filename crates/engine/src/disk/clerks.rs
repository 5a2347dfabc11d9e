//! A few threads that do what they are handed, one thing after the other.
//!
//! What is handed in first is begun first. When the last handle goes, what is waiting is still done.

use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// Threads that do things of one kind.
pub(super) struct Clerks<T> {
    /// Taken when they are to end.
    desk: Option<Sender<T>>,
    threads: Vec<JoinHandle<()>>,
}

impl<T: Send + 'static> Clerks<T> {
    /// Starts `threads` of that name, which `work` on what they are handed.
    pub(super) fn start(
        name: &str,
        threads: usize,
        work: impl Fn(T) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let (desk, waiting) = mpsc::channel();
        let (waiting, work) = (Arc::new(Mutex::new(waiting)), Arc::new(work));
        let threads = (0..threads)
            .map(|_| {
                let (waiting, work) = (waiting.clone(), work.clone());
                thread::Builder::new().name(name.to_owned()).spawn(move || {
                    while let Some(next) = next(&waiting) {
                        work(next);
                    }
                })
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { desk: Some(desk), threads })
    }

    /// Has something done, some time.
    pub(super) fn hand(&self, what: T) {
        if let Some(desk) = &self.desk {
            // Without threads it is dropped, and whoever waits for its answer sees that.
            let _ = desk.send(what);
        }
    }
}

fn next<T>(waiting: &Mutex<Receiver<T>>) -> Option<T> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

impl<T> Drop for Clerks<T> {
    fn drop(&mut self) {
        self.desk = None;
        for clerk in self.threads.drain(..) {
            // A clerk's answer may be all that kept its office open. It ends by itself then.
            if clerk.thread().id() != thread::current().id() {
                // One that panicked has said so.
                let _ = clerk.join();
            }
        }
    }
}
