//! Reads the JSON of a token, and refuses what two readers could understand differently.
//!
//! Member names are unique in each object and the depth is bounded. It never repairs anything.
//! Source: [RFC 7519 § 4](https://www.rfc-editor.org/rfc/rfc7519#section-4), which lets a parser reject duplicate names.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The members of an object.
pub(super) type Object = Map<String, Value>;

/// Why a text is not an object that can be trusted to mean one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is not a JSON object.
    Malformed,
    /// Two members of one object have the same name.
    Duplicate,
    /// Objects and arrays lie deeper in each other than the limit.
    Deep,
}

/// Reads `json` as one object.
pub(super) fn object(json: &[u8], depth_max: usize) -> Result<Object, Fault> {
    let fault = Cell::new(Fault::Malformed);
    let mut walk = serde_json::Deserializer::from_slice(json);
    Level { left: depth_max, fault: &fault }.deserialize(&mut walk).map_err(|_| fault.get())?;
    // A second pass, so that numbers are read by the library, whichever features of it an application has switched on.
    match serde_json::from_slice(json) {
        Ok(Value::Object(members)) => Ok(members),
        _ => Err(Fault::Malformed),
    }
}

/// Walks one value that may hold `left` more levels; the error tells nothing, [`Fault`] does.
#[derive(Clone, Copy)]
struct Level<'a> {
    left: usize,
    fault: &'a Cell<Fault>,
}

impl Level<'_> {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        match self.left.checked_sub(1) {
            Some(left) => Ok(Self { left, ..self }),
            None => Err(self.refuse(Fault::Deep)),
        }
    }

    fn refuse<E: Error>(self, fault: Fault) -> E {
        self.fault.set(fault);
        E::custom("")
    }
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let level = self.deeper()?;
        while items.next_element_seed(level)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let level = self.deeper()?;
        let mut names = HashSet::new();
        // Owned where the name holds an escape: `"\u0061ud"` is `"aud"`.
        while let Some(Name(name)) = members.next_key()? {
            if !names.insert(name) {
                return Err(self.refuse(Fault::Duplicate));
            }
            members.next_value_seed(level)?;
        }
        Ok(())
    }
}

/// `Cow<str>` as a member name, borrowed where it can be.
#[derive(PartialEq, Eq, Hash)]
struct Name<'de>(Cow<'de, str>);

impl<'de> serde::Deserialize<'de> for Name<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: Result<(), Fault>) {
        assert_eq!(object(json.as_bytes(), 4).map(|_| ()), expected, "{json}");
    }

    #[test]
    fn an_object_of_everything_is_read() {
        check(r#"{"a":[1,-1,1.5,"x","\u0041",true,null,{}],"b":{}}"#, Ok(()));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for json in [
            "",
            "[]",
            "1",
            "null",
            "\"x\"",
            "{",
            "{} {}",
            "{\"a\":1e999}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":NaN}",
        ] {
            check(json, Err(Fault::Malformed));
        }
    }

    #[test]
    fn a_name_that_stands_twice_is_refused_wherever_and_however_it_is_written_m115() {
        check(r#"{"aud":1,"aud":1}"#, Err(Fault::Duplicate));
        check(r#"{"aud":1,"\u0061ud":1}"#, Err(Fault::Duplicate));
        check(r#"{"a":[{"b":1,"c":2,"b":3}]}"#, Err(Fault::Duplicate));
        check(r#"{"a":{"b":1},"b":1}"#, Ok(()));
    }

    #[test]
    fn depth_is_bounded_m117() {
        check(r#"{"a":[[[1]]]}"#, Ok(()));
        check(r#"{"a":[[[[1]]]]}"#, Err(Fault::Deep));
        check(&format!("{{\"a\":{}", "[".repeat(10_000)), Err(Fault::Deep));
    }
}
