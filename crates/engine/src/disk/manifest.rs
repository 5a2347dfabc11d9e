//! The file `log`: which log a folder holds.
//!
//! Read and written whole; it is never changed once it is there.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::ops::RangeInclusive;
use std::path::Path;

use super::error::OpenError;
use super::file;

/// The number of the format that is written.
pub(super) const FORMAT: u16 = 3;
/// Those that are read.
pub(super) const FORMATS: RangeInclusive<u16> = 1..=FORMAT;
const TITLE: &str = "fanfare log";
const NAME: &str = "log";

/// What tells one log from another.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Manifest {
    /// That of the release that began the log.
    format: u16,
    pub(super) epoch: u32,
    pub(super) key: [u8; 16],
    pub(super) salt: [u8; 16],
}

impl Manifest {
    fn draw() -> Result<Self, OpenError> {
        let mut drawn = [0; 36];
        getrandom::fill(&mut drawn).map_err(|error| OpenError::System {
            what: "draw random numbers",
            error: io::Error::other(error.to_string()),
        })?;
        let (epoch, rest) = drawn.split_at(4);
        let (key, salt) = rest.split_at(16);
        let missing = "36 bytes are 4 and twice 16";
        Ok(Self {
            format: FORMAT,
            epoch: u32::from_le_bytes(epoch.try_into().expect(missing)),
            key: key.try_into().expect(missing),
            salt: salt.try_into().expect(missing),
        })
    }

    /// Reads the manifest of `folder`; `None` if there is none.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, OpenError> {
        let path = folder.join(NAME);
        match fs::read(&path) {
            Ok(bytes) => Self::parse(&path, &bytes).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(OpenError::io("read", &path, error)),
        }
    }

    /// Begins a new log in `folder`: of this epoch and key, or of such as are drawn.
    pub(super) fn create(folder: &Path, log: Option<(u32, [u8; 16])>) -> Result<Self, OpenError> {
        let drawn = Self::draw()?;
        let manifest = log.map_or(drawn.clone(), |(epoch, key)| Self { epoch, key, ..drawn });
        let (path, new) = (folder.join(NAME), folder.join("log.new"));
        let write = || -> io::Result<()> {
            let _ = fs::remove_file(&new);
            let mut file: File = file::create(&new)?;
            file.write_all(manifest.text().as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            file::sync_folder(folder)
        };
        write().map_err(|error| OpenError::io("write", &path, error))?;
        Ok(manifest)
    }

    fn text(&self) -> String {
        let mut text = format!("{TITLE}\nformat {}\nepoch {:08x}\n", self.format, self.epoch);
        for (name, bytes) in [("key", &self.key), ("salt", &self.salt)] {
            // Writing to a string cannot fail.
            let _ = write!(text, "{name} ");
            for byte in bytes {
                let _ = write!(text, "{byte:02x}");
            }
            text.push('\n');
        }
        let crc = crc32fast::hash(text.as_bytes());
        let _ = writeln!(text, "crc {crc:08x}");
        text
    }

    fn parse(path: &Path, bytes: &[u8]) -> Result<Self, OpenError> {
        let damaged = || OpenError::Damaged { path: path.to_owned(), at: 0 };
        let text = std::str::from_utf8(bytes).map_err(|_| damaged())?;
        let mut lines = text.lines();
        if lines.next() != Some(TITLE) {
            return Err(damaged());
        }
        let mut field = |name: &str| {
            lines.next().and_then(|line| line.strip_prefix(name)?.strip_prefix(' ')).ok_or_else(damaged)
        };
        // A newer format may have other fields, and its own way to tell damage.
        let format: u16 = field("format")?.parse().map_err(|_| damaged())?;
        if !FORMATS.contains(&format) {
            return Err(OpenError::NewerFormat { path: path.to_owned(), format: u32::from(format) });
        }
        let epoch = u32::from_str_radix(field("epoch")?, 16).map_err(|_| damaged())?;
        let mut sixteen = |name| {
            let number = u128::from_str_radix(field(name)?, 16).map_err(|_| damaged())?;
            Ok::<_, OpenError>(number.to_be_bytes())
        };
        let manifest = Self { format, epoch, key: sixteen("key")?, salt: sixteen("salt")? };
        // The CRC is part of the text that it makes, so this holds all of the file against what was read from it.
        if manifest.text() == text { Ok(manifest) } else { Err(damaged()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_comes_back_as_it_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(Manifest::read(folder.path()).expect("no error").is_none());
        let made = Manifest::create(folder.path(), None).expect("written");
        assert!(Manifest::read(folder.path()).expect("read").is_some_and(|read| read == made));
    }

    #[test]
    fn a_manifest_with_any_byte_changed_is_damaged_or_of_another_format() {
        let path = Path::new("log");
        let text = Manifest { format: FORMAT, epoch: 7, key: [1; 16], salt: [2; 16] }.text();
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] ^= 1;
            let error = Manifest::parse(path, &changed).err().unwrap_or_else(|| panic!("byte {at}"));
            assert!(matches!(error, OpenError::Damaged { .. } | OpenError::NewerFormat { .. }), "{error}");
        }
        assert!(Manifest::parse(path, &text.as_bytes()[..text.len() - 1]).is_err());
    }

    #[test]
    fn a_newer_format_is_told_as_such() {
        let error = Manifest::parse(Path::new("log"), b"fanfare log\nformat 4\nwhatever\n").err();
        assert!(matches!(error, Some(OpenError::NewerFormat { format: 4, .. })));
    }
}
