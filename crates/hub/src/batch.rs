//! Bytes that are due to many members of a crowd, made once for all who need the same.
//!
//! It knows where each frame ends, so that a write that was cut short anywhere becomes a place in the log again. It never
//! looks at the log itself.

use std::ops::Range;

use std::sync::Arc;

use fanfare_wire::{Coding, EventId, Shift, Sum};

use crate::crowd::{Bookmarks, Member};
use crate::{Bookmark, Entry, Form, Position};

/// What a [`Reading`](crate::Reading) has made ready, for a few hundred members at once. Kept and used again.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    /// The frames in `bytes`, in the order in which they stand there.
    marks: Vec<Mark>,
    /// The last run in each form.
    runs: [Option<Run>; Form::COUNT],
    /// The last bookmark in each form.
    bookmarks: [Option<(Position, Range<usize>, Sum)>; Form::COUNT],
    /// What has to be compressed before it can be made ready.
    wanted: Vec<(Arc<Entry>, Coding)>,
    /// How many bytes these have.
    wanted_bytes: usize,
    shift: Shift,
    /// Room for what is found for one member.
    pub(crate) walked: Vec<Position>,
}

/// A frame in a batch.
#[derive(Clone, Copy, Debug)]
struct Mark {
    position: Position,
    /// Where it ends; `usize::MAX` if its end is not here.
    end: usize,
    /// How many bytes the frames of all marks up to this one have, without what stands around them.
    frames_bytes: usize,
    /// Whether it ends the stream of its topic.
    is_end: bool,
    /// What these sum up to, as far as somebody's end has to tell.
    sum: Sum,
}

/// What was made last: all of `readership`'s frames from position `from` up to `until`, without it.
#[derive(Debug)]
struct Run {
    readership: u32,
    from: Position,
    until: Position,
    /// Whether that is all up to the end of the log.
    all: bool,
    /// Where its bytes begin.
    start: usize,
    marks: Range<usize>,
}

/// A run that is being made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    pub(crate) bytes: usize,
    marks: usize,
}

/// A part of a [`Batch`] for one member.
#[derive(Clone, Debug)]
pub struct Share {
    bytes: Range<usize>,
    /// Whether nothing is due behind it.
    all: bool,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// These marks; with all of them written, the member goes on at `until`.
    Frames { marks: Range<usize>, until: Position },
    /// A bookmark of this position.
    Bookmark { position: Position, sum: Sum },
}

impl Share {
    /// Whether it is of events, which are made again where a write was cut short; the rest of anything else has to be kept.
    #[must_use]
    pub fn is_of_events(&self) -> bool {
        matches!(self.kind, Kind::Frames { .. })
    }

    /// Whether the member is due more, once it has this: there was too much for one share.
    #[must_use]
    pub fn has_more_behind(&self) -> bool {
        !self.all
    }
}

impl Batch {
    /// Makes an empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The bytes of a share.
    #[must_use]
    pub fn bytes(&self, share: &Share) -> &[u8] {
        &self.bytes[share.bytes.clone()]
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        // One large batch is no reason to keep its memory.
        self.bytes.shrink_to(KEPT_BYTES_MAX);
        self.marks.clear();
        self.runs = Default::default();
        self.bookmarks = Default::default();
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// A share of the run that was made last, if that is what this member is due.
    pub(crate) fn again(&self, member: &Member) -> Option<Share> {
        let run = self.runs[member.form.number()].as_ref()?;
        if run.readership != member.readership() {
            return None;
        }
        if !(run.from..run.until).contains(&member.next) {
            return None;
        }
        let marks = self.marks_from(run, member.next);
        (!marks.is_empty()).then(|| self.share_of(run, member, marks))
    }

    /// A share of the run that was made last, if a member of whatever readership is due just these entries, up to the end
    /// of the log: those who each ask for topics of their own mostly get the same nevertheless.
    pub(crate) fn same(&self, member: &Member) -> Option<Share> {
        let run = self.runs[member.form.number()].as_ref().filter(|run| run.all)?;
        let marks = self.marks_from(run, *self.walked.first()?);
        let positions = self.marks[marks.clone()].iter().map(|mark| mark.position);
        positions.eq(self.walked.iter().copied()).then(|| self.share_of(run, member, marks))
    }

    /// The marks of a run from a position on.
    fn marks_from(&self, run: &Run, from: Position) -> Range<usize> {
        let marks = &self.marks[run.marks.clone()];
        run.marks.start + marks.partition_point(|mark| mark.position < from)..run.marks.end
    }

    /// The end of a run from one of its marks on.
    fn share_of(&self, run: &Run, member: &Member, marks: Range<usize>) -> Share {
        let is_whole = marks.start == run.marks.start;
        let start = if is_whole { run.start } else { self.marks[marks.start - 1].end };
        self.share(member, start, marks, (run.until, run.all))
    }

    pub(crate) fn begin(&self) -> Begun {
        Begun { bytes: self.bytes.len(), marks: self.marks.len() }
    }

    /// Whether a frame is too large to be made ready whole.
    pub(crate) fn is_large(frame: &[u8]) -> bool {
        frame.len() > PIECE_BYTES_MAX
    }

    /// Notes that somebody is due an entry in a coding that nobody had it in before; gives whether there is room for more such.
    pub(crate) fn want(&mut self, entry: Arc<Entry>, coding: Coding) -> bool {
        let is_noted = |(other, of): &(Arc<Entry>, Coding)| *of == coding && Arc::ptr_eq(other, &entry);
        if self.wanted_bytes < WANTED_BYTES_MAX && !self.wanted.iter().any(is_noted) {
            self.wanted_bytes += entry.frame().as_bytes().len();
            self.wanted.push((entry, coding));
        }
        self.wanted_bytes < WANTED_BYTES_MAX
    }

    /// Compresses what was found missing by the last [`Reading`](crate::Reading), which has ended: it takes long, and needs no lock. Whoever was
    /// told to look again finds it then.
    pub fn compress_wanted(&mut self) {
        self.wanted_bytes = 0;
        for (entry, coding) in self.wanted.drain(..) {
            let _ = entry.frame().coded(coding, usize::MAX);
        }
    }

    pub(crate) fn push(&mut self, entry: &Entry, frame: &[u8], sum: Sum, form: Form) {
        form.framing.put(frame, &mut self.bytes);
        self.mark(entry, self.bytes.len(), sum);
    }

    fn mark(&mut self, entry: &Entry, end: usize, sum: Sum) {
        let frames_bytes = self.frames_bytes(self.marks.len()) + entry.frame().as_bytes().len();
        let mut all = self.sum(self.marks.len());
        all.add(sum, &mut self.shift);
        let (position, is_end) = (entry.position(), entry.is_end());
        self.marks.push(Mark { position, end, frames_bytes, is_end, sum: all });
    }

    /// What the frames of the first `marks` marks sum up to.
    fn sum(&self, marks: usize) -> Sum {
        marks.checked_sub(1).map_or(Sum::default(), |last| self.marks[last].sum)
    }

    /// How many bytes the frames of the first `marks` marks have.
    fn frames_bytes(&self, marks: usize) -> usize {
        marks.checked_sub(1).map_or(0, |last| self.marks[last].frames_bytes)
    }

    /// Puts in only the next piece of the large frame that `member` is in, or about to begin; for nobody else.
    pub(crate) fn piece(&mut self, member: &Member, entry: &Entry, frame: &[u8], sum: Sum) -> Share {
        let (start, first) = (self.bytes.len(), self.marks.len());
        let from = member.offset as usize;
        let is_rest = member.form.framing.put_part(frame, from, PIECE_BYTES_MAX, &mut self.bytes);
        self.mark(entry, if is_rest { self.bytes.len() } else { usize::MAX }, sum);
        let until = entry.position() + 1;
        Share {
            bytes: start..self.bytes.len(),
            all: false,
            kind: Kind::Frames { marks: first..first + 1, until },
        }
    }

    pub(crate) fn is_empty_since(&self, begun: &Begun) -> bool {
        self.marks.len() == begun.marks
    }

    /// Ends a run, which others may share; none if there is nothing in it.
    pub(crate) fn finish(
        &mut self,
        member: &Member,
        begun: Begun,
        until: Position,
        all: bool,
    ) -> Option<Share> {
        let marks = begun.marks..self.marks.len();
        if marks.is_empty() {
            return None;
        }
        let share = self.share(member, begun.bytes, marks.clone(), (until, all));
        let from = member.next;
        let run = Run { readership: member.readership(), from, until, all, start: begun.bytes, marks };
        self.runs[member.form.number()] = Some(run);
        Some(share)
    }

    pub(crate) fn bookmark(&mut self, position: Position, id: &EventId, form: Form) -> Share {
        let (bytes, sum) = match &self.bookmarks[form.number()] {
            Some((made, bytes, sum)) if *made == position => (bytes.clone(), *sum),
            _ => {
                let (start, mut sum) = (self.bytes.len(), Sum::default());
                form.put(&Bookmark::new(position, id.clone()).frame(), &mut sum, &mut self.bytes);
                let bytes = start..self.bytes.len();
                self.bookmarks[form.number()] = Some((position, bytes.clone(), sum));
                (bytes, sum)
            }
        };
        Share { bytes, all: true, kind: Kind::Bookmark { position, sum } }
    }

    fn share(
        &self,
        member: &Member,
        start: usize,
        marks: Range<usize>,
        (until, all): (Position, bool),
    ) -> Share {
        let end = self.marks[marks.end - 1].end;
        // A bookmark may still be due behind the last event.
        let all = all && member.bookmarks != Bookmarks::Soon;
        Share { bytes: start + member.offset as usize..end, all, kind: Kind::Frames { marks, until } }
    }

    /// Moves a member behind what was written, and adds the frames that it has now in full to what its body sums up to; gives how many they
    /// are, and their bytes.
    pub(crate) fn advance(
        &self,
        member: &mut Member,
        share: &Share,
        written: usize,
        sum: &mut Sum,
        shift: &mut Shift,
    ) -> (u64, u64) {
        let Kind::Frames { marks, until } = &share.kind else { return (0, 0) };
        // Counted from where the first frame begins, which may be in an earlier batch.
        let reached = member.offset as usize + written;
        let end_of =
            |mark: &Mark| mark.end.saturating_sub(share.bytes.start).saturating_add(member.offset as usize);
        let frames = &self.marks[marks.clone()];
        let whole = frames.partition_point(|mark| end_of(mark) <= reached);
        let last = whole.checked_sub(1).map(|at| frames[at]);
        let whole_end = last.as_ref().map_or(0, end_of);
        if let Some(last) = last {
            member.client_at = last.position;
            member.has_end = last.is_end;
        }
        match frames.get(whole) {
            // The rest of a frame, or all of it.
            Some(half) => {
                member.next = half.position;
                member.offset = u32::try_from(reached - whole_end).unwrap_or(u32::MAX);
            }
            None => {
                member.next = *until;
                member.offset = 0;
            }
        }
        sum.add_between(self.sum(marks.start), self.sum(marks.start + whole), shift);
        let frames_bytes = self.frames_bytes(marks.start + whole) - self.frames_bytes(marks.start);
        (whole as u64, frames_bytes as u64)
    }
}

/// From what size on a frame is made ready piece by piece, so that what a slow client takes in many writes is not copied
/// whole for each of them.
const PIECE_BYTES_MAX: usize = 512 * 1024;
/// How many bytes are compressed at once: some milliseconds of work, for which everybody else waits.
const WANTED_BYTES_MAX: usize = 256 * 1024;
/// How much room a batch keeps between two uses, in bytes.
const KEPT_BYTES_MAX: usize = 1024 * 1024;
