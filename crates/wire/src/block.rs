//! The fields of the block that a decoder is in the middle of.
//!
//! Copies a field only when it must: when the pushed bytes end before the block does, and when data has several lines.
//! It knows no lines and no dispatch; that is [`Decoder`](crate::Decoder).

use alloc::string::String;
use alloc::vec::Vec;
use core::mem;

use crate::DecodeError;

/// A buffer that had to grow beyond this is given back after use, so that one large event is not paid for by a
/// quiet stream for ever.
const KEPT_BYTES_MAX: usize = 256 * 1024;

/// The fields that had to be copied. Buffers are used again from block to block.
#[derive(Clone, Debug, Default)]
pub(crate) struct Block {
    /// The data, raw, with an LF between two lines; it begins at `data_start`.
    data: Vec<u8>,
    data_start: usize,
    has_data: bool,
    name: String,
    /// What the last event ID becomes at the end of the block, if the block has an `id` field.
    id: String,
    has_id: bool,
}

/// The fields that lie in the pushed bytes. They come after those that were copied.
#[derive(Default)]
pub(crate) struct Pushed<'c> {
    pub(crate) data: Option<&'c [u8]>,
    pub(crate) name: Option<&'c [u8]>,
}

impl Block {
    /// Takes a line of data that lies in the pushed bytes.
    #[inline]
    pub(crate) fn push_data<'c>(
        &mut self,
        value: &'c [u8],
        pushed: &mut Pushed<'c>,
        limit: usize,
    ) -> Result<(), DecodeError> {
        if self.has_data || pushed.data.is_some() {
            self.keep_data(pushed);
            return self.append_data(value, limit);
        }
        if value.len() > limit {
            return Err(DecodeError::EventTooLong { limit });
        }
        pushed.data = Some(value);
        Ok(())
    }

    /// Takes a line of data that was held: `line` from `start` on. May swap buffers with it.
    pub(crate) fn push_held_data(
        &mut self,
        line: &mut Vec<u8>,
        start: usize,
        pushed: &mut Pushed<'_>,
        limit: usize,
    ) -> Result<(), DecodeError> {
        self.keep_data(pushed);
        if self.has_data {
            return self.append_data(&line[start..], limit);
        }
        if line.len() - start > limit {
            return Err(DecodeError::EventTooLong { limit });
        }
        // The line becomes the buffer, so that long data is copied once.
        mem::swap(&mut self.data, line);
        self.data_start = start;
        self.has_data = true;
        Ok(())
    }

    fn append_data(&mut self, value: &[u8], limit: usize) -> Result<(), DecodeError> {
        // What is held never passes the limit, and no slice is as long as `usize::MAX`: this cannot wrap.
        let room = limit - (self.data.len() - self.data_start);
        if value.len() + 1 > room {
            return Err(DecodeError::EventTooLong { limit });
        }
        self.data.push(b'\n');
        self.data.extend_from_slice(value);
        Ok(())
    }

    /// Takes the name, in place of one that came before.
    pub(crate) fn set_name(&mut self, value: &[u8]) {
        self.name.clear();
        push_text(&mut self.name, value);
    }

    /// Takes the id, unless clients ignore it.
    pub(crate) fn set_id(&mut self, value: &[u8]) {
        if !value.contains(&0) {
            self.id.clear();
            push_text(&mut self.id, value);
            self.has_id = true;
        }
    }

    /// Copies what lies in the pushed bytes, because the block goes on beyond them.
    #[inline]
    pub(crate) fn keep(&mut self, mut pushed: Pushed<'_>) {
        self.keep_data(&mut pushed);
        if let Some(name) = pushed.name {
            self.set_name(name);
        }
    }

    #[inline]
    fn keep_data(&mut self, pushed: &mut Pushed<'_>) {
        if let Some(data) = pushed.data.take() {
            self.data.extend_from_slice(data);
            self.has_data = true;
        }
    }

    /// Moves the id to `last_event_id` if the block has one, and says whether it has.
    #[inline]
    pub(crate) fn commit_id(&mut self, last_event_id: &mut String) -> bool {
        let has_id = mem::take(&mut self.has_id);
        if has_id {
            mem::swap(last_event_id, &mut self.id);
        }
        has_id
    }

    /// Whether the block has said nothing yet.
    #[inline]
    pub(crate) fn is_new(&self) -> bool {
        !self.has_data && !self.has_id && self.name.is_empty()
    }

    pub(crate) fn has_data(&self) -> bool {
        self.has_data
    }

    pub(crate) fn data(&self) -> &[u8] {
        &self.data[self.data_start..]
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Makes ready for the next block. An id that was not committed stays.
    #[inline]
    pub(crate) fn end(&mut self) {
        empty(&mut self.data);
        self.data_start = 0;
        self.has_data = false;
        self.name.clear();
    }

    /// Drops the whole block, the id too.
    pub(crate) fn drop_unfinished(&mut self) {
        self.end();
        self.has_id = false;
    }
}

/// Appends `bytes`, each maximal part that is not UTF-8 as one U+FFFD.
///
/// It may be given one line alone, or some joined by LF: no byte of a longer character is an ASCII byte, so a line end
/// ends a broken character too.
pub(crate) fn push_text(out: &mut String, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            out.push(char::REPLACEMENT_CHARACTER);
        }
    }
}

/// Empties a buffer, and gives it back if it is large.
#[inline]
pub(crate) fn empty(buffer: &mut Vec<u8>) {
    if buffer.capacity() > KEPT_BYTES_MAX {
        *buffer = Vec::new();
    } else {
        buffer.clear();
    }
}

/// The same for text.
#[inline]
pub(crate) fn empty_text(buffer: &mut String) {
    if buffer.capacity() > KEPT_BYTES_MAX {
        *buffer = String::new();
    } else {
        buffer.clear();
    }
}
