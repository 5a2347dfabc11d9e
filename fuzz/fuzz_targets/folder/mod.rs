//! The files of a log that a release wrote, and what may become of them.
//!
//! It knows of the format no more than where the checksums of format 1 stand (`docs/log-format.md`).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

#[derive(arbitrary::Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    First,
    Second,
    Third,
}

/// Something that happens to a file; files are counted by name, and from the front again where there are fewer.
#[derive(arbitrary::Arbitrary, Debug)]
pub enum Change<'a> {
    Flip {
        file: u8,
        at: u16,
        bit: u8,
    },
    Write {
        file: u8,
        at: u16,
        bytes: &'a [u8],
    },
    Cut {
        file: u8,
        at: u16,
    },
    Remove {
        file: u8,
    },
    Replace {
        file: u8,
        bytes: &'a [u8],
    },
    /// A part of one file is written over another, or behind it.
    Copy {
        from: u8,
        begins: u16,
        length: u16,
        to: u8,
        at: u16,
    },
    /// A segment begins with another position, by its name and by its header.
    Renumber {
        file: u8,
        first: u64,
        shift: u8,
    },
}

macro_rules! files {
    ($format:literal: $($name:literal),*) => {
        vec![$(($name, &include_bytes!(concat!("../../../testdata/logs/", $format, "/default/", $name))[..])),*]
    };
}

pub struct Files(BTreeMap<String, Vec<u8>>);

impl Files {
    pub fn of(format: Format) -> Self {
        let files = match format {
            Format::First => {
                files!("format-1": "log", "00000000000000000001.seg", "00000000000000000001.idx", "00000000000000000013.seg", "00000000000000000013.idx", "00000000000000000021.seg")
            }
            Format::Second => {
                files!("format-2": "log", "00000000000000000001.seg", "00000000000000000001.idx", "00000000000000000020.seg", "00000000000000000020.idx", "00000000000000000026.seg", "00000000000000000026.idx", "00000000000000000034.seg")
            }
            Format::Third => {
                files!("format-3": "log", "00000000000000000001.seg", "00000000000000000001.idx", "00000000000000000024.seg", "00000000000000000024.idx", "00000000000000000026.seg", "00000000000000000026.idx", "00000000000000000034.seg")
            }
        };
        Self(files.into_iter().map(|(name, bytes)| (name.to_owned(), bytes.to_vec())).collect())
    }

    pub fn lay(&self, folder: &Path) {
        let folder = folder.join("default");
        fs::create_dir(&folder).expect("a folder");
        for (name, bytes) in &self.0 {
            fs::write(folder.join(name), bytes).expect("written");
        }
    }

    fn name(&self, number: u8) -> Option<String> {
        self.0.keys().nth(usize::from(number).checked_rem(self.0.len())?).cloned()
    }

    fn file(&mut self, number: u8) -> Option<&mut Vec<u8>> {
        let name = self.name(number)?;
        self.0.get_mut(&name)
    }

    pub fn change(&mut self, change: &Change<'_>) {
        match *change {
            Change::Flip { file, at, bit } => {
                if let Some(byte) = self.file(file).and_then(|bytes| bytes.get_mut(usize::from(at))) {
                    *byte ^= 1 << (bit % 8);
                }
            }
            Change::Write { file, at, bytes } => self.write(file, usize::from(at), bytes),
            Change::Cut { file, at } => {
                if let Some(bytes) = self.file(file) {
                    bytes.truncate(usize::from(at));
                }
            }
            Change::Remove { file } => {
                if let Some(name) = self.name(file) {
                    self.0.remove(&name);
                }
            }
            Change::Replace { file, bytes } => {
                if let Some(file) = self.file(file) {
                    *file = bytes.to_vec();
                }
            }
            Change::Copy { from, begins, length, to, at } => {
                let Some(bytes) = self.file(from) else { return };
                let copied = bytes.iter().skip(usize::from(begins)).take(usize::from(length)).copied();
                let copied: Vec<u8> = copied.collect();
                self.write(to, usize::from(at), &copied);
            }
            Change::Renumber { file, first, shift } => {
                let first = first >> (shift % 64);
                let Some(name) = self.name(file).filter(|name| name.ends_with(".seg")) else { return };
                let Some(mut bytes) = self.0.remove(&name) else { return };
                if let Some(place) = bytes.get_mut(16..24) {
                    place.copy_from_slice(&first.to_le_bytes());
                }
                self.0.insert(format!("{first:020}.seg"), bytes);
            }
        }
    }

    fn write(&mut self, file: u8, at: usize, bytes: &[u8]) {
        let Some(file) = self.file(file) else { return };
        let at = at.min(file.len());
        if file.len() < at + bytes.len() {
            file.resize(at + bytes.len(), 0);
        }
        file[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Makes the checksums of format 1 right, as far as the lengths lead.
    pub fn mend(&mut self) {
        for (name, bytes) in &mut self.0 {
            match name.rsplit_once('.').map(|(_, ending)| ending) {
                Some("seg") => mend_segment(bytes),
                Some("idx") => mend_index(bytes),
                _ => mend_manifest(bytes),
            }
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    let four: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(four)).ok()
}

fn put(bytes: &mut [u8], at: usize, crc: u32) {
    if let Some(place) = bytes.get_mut(at..at + 4) {
        place.copy_from_slice(&crc.to_le_bytes());
    }
}

fn mend_segment(bytes: &mut [u8]) {
    if bytes.len() < 40 {
        return;
    }
    put(bytes, 36, crc32fast::hash(&bytes[..36]));
    let mut at = 40;
    while let Some(length) = u32_at(bytes, at + 4) {
        let Some(group) = bytes.get_mut(at..at + 32 + length) else { return };
        let mut entry = 32;
        while let Some(length) = u32_at(group, entry) {
            let Some(body) = group.get(entry + 8..entry + 8 + length) else { break };
            let crc = crc32fast::hash(body);
            put(group, entry + 4, crc);
            entry += 8 + length;
        }
        let mut crc = crc32fast::Hasher::new();
        crc.update(&group[..12]);
        crc.update(&group[16..]);
        put(group, 12, crc.finalize());
        at += 32 + length;
    }
}

fn mend_index(bytes: &mut [u8]) {
    if bytes.len() < 68 {
        return;
    }
    put(bytes, 52, crc32fast::hash(&bytes[68..]));
    put(bytes, 64, crc32fast::hash(&bytes[..64]));
}

fn mend_manifest(bytes: &mut Vec<u8>) {
    let Some(at) = bytes.windows(5).position(|five| five == b"\ncrc ") else { return };
    bytes.truncate(at + 1);
    let crc = crc32fast::hash(bytes);
    bytes.extend_from_slice(format!("crc {crc:08x}\n").as_bytes());
}
