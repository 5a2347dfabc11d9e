//! What `--compression` says: in which codings streams may be. It compresses nothing.

use std::str::FromStr;

use fanfare_wire::Coding;

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
