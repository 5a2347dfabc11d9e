//! Puts a group together as bytes: its records one behind the other, and its header in front of them.
//!
//! It writes into memory alone. What is where stands in `docs/log-format.md`; who reads it is [`record`](super::record).

use fanfare_hub::{Check, Position};

use super::checksum::Checksum;
use super::record::{GROUP_HEADER_BYTES, GROUP_MARK, RECORD_PREFIX_BYTES, RECORD_STAMP_BYTES, group_crc};
use super::run::{RUN_BYTES, Run, Seed};
use crate::payload::PLACE;

/// A group that is being put together.
pub(super) struct GroupWriter {
    checksum: Checksum,
    bytes: Vec<u8>,
    first: Position,
    entries: u32,
    /// Presence that may go on: its record is written once it is known how long it is.
    open: Option<Open>,
}

/// A run without an end, or one entry of presence.
#[derive(Clone, Copy)]
struct Open {
    at: u64,
    first: Position,
    run: Run,
}

impl GroupWriter {
    /// Begins a group; `bytes` is room from another one.
    pub(super) fn begin(checksum: Checksum, mut bytes: Vec<u8>, first: Position) -> Self {
        bytes.clear();
        bytes.resize(GROUP_HEADER_BYTES, 0);
        Self { checksum, bytes, first, entries: 0, open: None }
    }

    /// Adds an entry; returns where in the group it begins.
    pub(super) fn push(&mut self, at: u64, check: Check, payload: &[u8]) -> usize {
        self.close_run();
        let begins = self.bytes.len();
        self.record(self.next(), at, check, payload);
        self.entries += 1;
        begins
    }

    /// Adds an entry of presence to the run that the entry before it is of, or begins one with a seed that is drawn; returns where in
    /// the group its record begins, and its check. All of a run are of one time.
    pub(super) fn push_place<E>(
        &mut self,
        at: u64,
        draw: impl FnOnce() -> Result<[u8; 16], E>,
    ) -> Result<(usize, Check), E> {
        let next = self.next();
        if self.open.is_some_and(|open| open.at != at) {
            self.close_run();
        }
        let open = match self.open {
            Some(open) => {
                self.open.insert(Open { run: Run { count: open.run.count + 1, ..open.run }, ..open })
            }
            None => {
                let run = Run { count: 1, seed: Seed(draw()?) };
                self.open.insert(Open { at, first: next, run })
            }
        };
        let check = open.run.seed.check(next);
        self.entries += 1;
        Ok((self.bytes.len(), check))
    }

    /// Adds a whole run.
    #[cfg(test)]
    pub(super) fn push_run(&mut self, at: u64, run: Run) -> usize {
        self.close_run();
        self.open = Some(Open { at, first: self.next(), run });
        self.entries += run.count;
        let begins = self.bytes.len();
        self.close_run();
        begins
    }

    /// How long it is with all that was added, at most.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() + self.open.map_or(0, |_| RUN_BYTES)
    }

    pub(super) fn entries(&self) -> u32 {
        self.entries
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Writes the header. `synced` is how long the file was when it was synced last.
    pub(super) fn finish(mut self, synced: u64) -> Vec<u8> {
        self.close_run();
        let body = u32::try_from(self.bytes.len() - GROUP_HEADER_BYTES).unwrap_or(u32::MAX);
        let header = &mut self.bytes[..GROUP_HEADER_BYTES];
        header[0..4].copy_from_slice(&GROUP_MARK.to_le_bytes());
        header[4..8].copy_from_slice(&body.to_le_bytes());
        header[8..12].copy_from_slice(&self.entries.to_le_bytes());
        header[16..24].copy_from_slice(&self.first.to_le_bytes());
        header[24..32].copy_from_slice(&synced.to_le_bytes());
        let crc = group_crc(self.checksum, &self.bytes);
        self.bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        self.bytes
    }

    fn next(&self) -> Position {
        self.first + Position::from(self.entries)
    }

    fn close_run(&mut self) {
        match self.open.take() {
            None => {}
            // A seed takes more room than the one check that it gives.
            Some(Open { at, first, run: Run { count: 1, seed } }) => {
                self.record(first, at, seed.check(first), &PLACE);
            }
            Some(Open { at, first, run }) => self.record(first, at, Check::START, &run.payload()),
        }
    }

    fn record(&mut self, position: Position, at: u64, check: Check, payload: &[u8]) {
        let begins = self.bytes.len();
        let length = RECORD_STAMP_BYTES - RECORD_PREFIX_BYTES + payload.len();
        self.bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&position.to_le_bytes());
        self.bytes.extend_from_slice(&at.to_le_bytes());
        self.bytes.extend_from_slice(&check.bits().to_le_bytes()[..5]);
        self.bytes.extend_from_slice(payload);
        let crc = self.checksum.of([&self.bytes[begins + RECORD_PREFIX_BYTES..]]);
        self.bytes[begins + 4..begins + RECORD_PREFIX_BYTES].copy_from_slice(&crc.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::disk::record;

    proptest! {
        /// Goal: what is read of a group is what was put into it, and presence between two publications takes one record.
        #[test]
        fn a_group_comes_back_with_presence_in_runs(entries in prop::collection::vec(any::<bool>(), 1..60)) {
            let mut writer = GroupWriter::begin(Checksum::PLAIN, Vec::new(), 41);
            let mut drawn = 0;
            let mut written = Vec::new();
            for (number, is_presence) in (0..).zip(&entries) {
                written.push(if *is_presence {
                    let seed = || Ok::<_, ()>({ drawn += 1; [drawn; 16] });
                    writer.push_place(7, seed).expect("drawn")
                } else {
                    let check = Check::from_random(1 << 39 | number);
                    (writer.push(7, check, &[0, 0, 0, 0, 0, 0, b'\n']), check)
                });
            }
            let most = writer.len();
            let group = writer.finish(0);
            prop_assert!(group.len() <= most);
            let counted = record::group(Checksum::PLAIN, &group).map(|group| group.entries as usize);
            prop_assert_eq!(counted, Some(written.len()));
            let (mut at, mut read) = (GROUP_HEADER_BYTES, Vec::new());
            while at < group.len() {
                let found = record::entry(Checksum::PLAIN, &group[at..]).expect("a record");
                for position in (found.position..).take(found.count() as usize) {
                    prop_assert_eq!(position, 41 + read.len() as Position);
                    read.push((at, found.standing_at(position).expect("an entry").check));
                }
                prop_assert_eq!(read.last().map(|read| read.1), Some(found.last_check()));
                at += found.bytes;
            }
            prop_assert_eq!(read, written);
            prop_assert_eq!(usize::from(drawn), entries.chunk_by(|one, next| one == next).filter(|chunk| chunk[0]).count());
        }
    }
}
