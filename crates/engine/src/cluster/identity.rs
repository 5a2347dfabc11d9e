//! Which log a stream holds: its epoch and the key of its ids, which stand in the stream's metadata.
//!
//! They are drawn when a hub creates the stream and go wherever it is copied to. A stream without them is somebody else's.

use std::collections::HashMap;
use std::fmt::Write as _;

use fanfare_hub::IdKey;

const FORMAT: &str = "fanfare.format";
const EPOCH: &str = "fanfare.epoch";
const ID_KEY: &str = "fanfare.id_key";
/// The newest form, which is the only one so far.
const VERSION: &str = "1";
/// What stands there while a log is copied into the stream.
const BEGUN: &str = "copying";

/// What tells a log from every other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) epoch: u32,
    pub(crate) key: [u8; 16],
}

/// Why metadata name no log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoIdentity {
    /// No hub has created the stream.
    Foreign,
    /// A newer release has.
    Newer,
    /// A copy of a log was begun there, and is not whole.
    Begun,
}

impl Identity {
    /// Draws a new one.
    pub(crate) fn draw() -> Result<Self, getrandom::Error> {
        let mut drawn = [0; 20];
        getrandom::fill(&mut drawn)?;
        let (epoch, key) = drawn.split_at(4);
        Ok(Self {
            epoch: epoch.iter().fold(0, |epoch, byte| epoch << 8 | u32::from(*byte)),
            key: key.try_into().expect("16 of 20 bytes are left"),
        })
    }

    /// The same key, and another epoch than any before.
    pub(crate) fn renewed(self) -> Result<Self, getrandom::Error> {
        loop {
            let drawn = Self::draw()?;
            if drawn.epoch != self.epoch {
                return Ok(Self { epoch: drawn.epoch, ..self });
            }
        }
    }

    pub(crate) fn id_key(&self) -> IdKey {
        IdKey::new(self.key)
    }

    /// Reads a stream's metadata.
    pub(crate) fn read(metadata: &HashMap<String, String>) -> Result<Self, NoIdentity> {
        match metadata.get(FORMAT).map(String::as_str) {
            Some(VERSION) => {}
            Some(BEGUN) => return Err(NoIdentity::Begun),
            Some(_) => return Err(NoIdentity::Newer),
            None => return Err(NoIdentity::Foreign),
        }
        let epoch = metadata.get(EPOCH).and_then(|text| bytes::<4>(text)).ok_or(NoIdentity::Foreign)?;
        let key = metadata.get(ID_KEY).and_then(|text| bytes::<16>(text)).ok_or(NoIdentity::Foreign)?;
        Ok(Self { epoch: u32::from_be_bytes(epoch), key })
    }

    /// Writes it into a stream's metadata.
    pub(crate) fn write(&self, metadata: &mut HashMap<String, String>) {
        metadata.insert(FORMAT.to_owned(), VERSION.to_owned());
        metadata.insert(EPOCH.to_owned(), hex(&self.epoch.to_be_bytes()));
        metadata.insert(ID_KEY.to_owned(), hex(&self.key));
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({:08x})", self.epoch)
    }
}

/// Has metadata say that the stream is not whole yet.
pub(crate) fn begin_copy(metadata: &mut HashMap<String, String>) {
    metadata.insert(FORMAT.to_owned(), BEGUN.to_owned());
}

/// Whether metadata say so.
#[cfg(feature = "nats")]
pub(crate) fn is_begun_copy(metadata: &HashMap<String, String>) -> bool {
    metadata.get(FORMAT).is_some_and(|format| format == BEGUN)
}

/// Has metadata say that it is a log.
#[cfg(feature = "nats")]
pub(crate) fn finish_copy(metadata: &mut HashMap<String, String>) {
    metadata.insert(FORMAT.to_owned(), VERSION.to_owned());
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn bytes<const N: usize>(hex: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if hex.len() != 2 * N || !hex.is_ascii() {
        return None;
    }
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_comes_back_from_the_metadata_it_was_written_to() {
        let drawn = Identity::draw().expect("random numbers");
        let mut metadata = HashMap::from([("_nats.level".to_owned(), "1".to_owned())]);
        drawn.write(&mut metadata);
        assert_eq!(Identity::read(&metadata), Ok(drawn));
        let renewed = drawn.renewed().expect("random numbers");
        assert_ne!(renewed.epoch, drawn.epoch);
        assert_eq!(renewed.key, drawn.key);
    }

    #[test]
    fn metadata_of_others_name_no_log() {
        let mut metadata = HashMap::new();
        assert_eq!(Identity::read(&metadata), Err(NoIdentity::Foreign));
        Identity::draw().expect("random numbers").write(&mut metadata);
        metadata.insert(EPOCH.to_owned(), "12".to_owned());
        assert_eq!(Identity::read(&metadata), Err(NoIdentity::Foreign));
        begin_copy(&mut metadata);
        #[cfg(feature = "nats")]
        assert!(is_begun_copy(&metadata));
        assert_eq!(Identity::read(&metadata), Err(NoIdentity::Begun));
        metadata.insert(FORMAT.to_owned(), "2".to_owned());
        assert_eq!(Identity::read(&metadata), Err(NoIdentity::Newer));
    }
}
