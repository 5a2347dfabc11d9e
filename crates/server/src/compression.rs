//! What `--compression` says, in which codings streams may be, and the file of `--compression-dictionary`. It compresses nothing.

#[cfg(feature = "zstd")]
use std::fs::File;
#[cfg(feature = "zstd")]
use std::io::{self, Read};
#[cfg(feature = "zstd")]
use std::path::Path;
use std::str::FromStr;

use fanfare_hub::HubBuilder;
use fanfare_wire::Coding;
#[cfg(feature = "zstd")]
use fanfare_wire::Dictionary;

use crate::flags::Serve;

/// Codings, the preferred first; none of them for streams that are never compressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Compression(Vec<Coding>);

impl Compression {
    pub(crate) fn codings(&self) -> &[Coding] {
        &self.0
    }
}

impl FromStr for Compression {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "auto" => return Ok(Self(Coding::COMPRESSING.to_vec())),
            "off" => return Ok(Self(Vec::new())),
            _ => {}
        }
        let mut codings = Vec::new();
        for name in text.split(',').map(str::trim) {
            let known = Coding::COMPRESSING.iter().find(|coding| coding.name() == Some(name));
            match (known, name) {
                (Some(&coding), _) if !codings.contains(&coding) => codings.push(coding),
                (Some(_), _) => return Err(format!("{name} is named twice")),
                (None, "gzip" | "zstd") => {
                    return Err(format!("this program was built without the feature {name}"));
                }
                _ => return Err("write auto, off, gzip, zstd, or both with a comma between them".to_owned()),
            }
        }
        Ok(Self(codings))
    }
}

/// Gives the hub what the flags say of compressing.
///
/// # Errors
/// A sentence about the dictionary.
pub(crate) fn configure(builder: HubBuilder, flags: &Serve) -> Result<HubBuilder, String> {
    let builder = builder.compressed_from_bytes(flags.compression_min_bytes);
    let Some(path) = &flags.compression_dictionary else { return Ok(builder) };
    if flags.compression.codings().is_empty() {
        return Err(
            "--compression-dictionary is of no use while streams are not compressed: choose another \
                    --compression than off, or leave the dictionary out"
                .to_owned(),
        );
    }
    #[cfg(feature = "zstd")]
    return match read(path) {
        Ok(content) => match Dictionary::new(content) {
            Ok(dictionary) => Ok(builder.compression_dictionary(dictionary)),
            Err(error) => Err(format!("--compression-dictionary {} is none: {error}", path.display())),
        },
        Err(error) => Err(format!("--compression-dictionary {} cannot be read: {error}", path.display())),
    };
    #[cfg(not(feature = "zstd"))]
    Err(format!(
        "--compression-dictionary {}: this program was built without the feature zstd",
        path.display()
    ))
}

/// Enough of it to see that it is too long.
#[cfg(feature = "zstd")]
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(Dictionary::BYTES_MAX as u64 + 1).read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(all(test, feature = "gzip", feature = "zstd"))]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[Coding]) {
        assert_eq!(text.parse(), Ok(Compression(expected.to_vec())), "{text}");
    }

    #[test]
    fn codings_are_named_in_the_order_in_which_they_are_preferred() {
        check("auto", &[Coding::Gzip, Coding::Zstd]);
        check("off", &[]);
        check("zstd", &[Coding::Zstd]);
        check("zstd, gzip", &[Coding::Zstd, Coding::Gzip]);
    }

    #[test]
    fn what_is_no_coding_is_refused() {
        for text in ["", "br", "gzip,", "gzip,off", "gzip,gzip", "GZIP"] {
            assert!(text.parse::<Compression>().is_err(), "{text}");
        }
    }
}
