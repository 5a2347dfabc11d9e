//! Writes the few JSON documents of the hub: objects in a given order, with texts that may hold anything.
//!
//! It parses nothing. What is inserted as JSON was checked by whoever has it. Rules: RFC 8259.

/// An object that is being written.
pub(crate) struct Object(String);

impl Object {
    pub(crate) fn new() -> Self {
        Self("{".to_owned())
    }

    /// Adds a member with a text.
    pub(crate) fn text(self, name: &str, text: &str) -> Self {
        let mut quoted = String::with_capacity(text.len() + 2);
        push_quoted(&mut quoted, text);
        self.json(name, &quoted)
    }

    /// Adds a member with a value that is JSON already.
    pub(crate) fn json(mut self, name: &str, value: &str) -> Self {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        push_quoted(&mut self.0, name);
        self.0.push(':');
        self.0.push_str(value);
        self
    }

    pub(crate) fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// An array of values that are JSON already.
pub(crate) fn array(values: impl IntoIterator<Item = String>) -> String {
    let mut array = "[".to_owned();
    for value in values {
        if array.len() > 1 {
            array.push(',');
        }
        array.push_str(&value);
    }
    array.push(']');
    array
}

fn push_quoted(json: &mut String, text: &str) {
    json.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => json.extend(['\\', character]),
            '\0'..='\u{1f}' => json.extend(format!("\\u{:04x}", u32::from(character)).chars()),
            _ => json.push(character),
        }
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_stand_in_the_order_in_which_they_were_added() {
        let object = Object::new().text("b", "x").json("a", "true").json("c", "{\"d\":1}");
        assert_eq!(object.finish(), r#"{"b":"x","a":true,"c":{"d":1}}"#);
        assert_eq!(Object::new().finish(), "{}");
    }

    #[test]
    fn a_text_may_hold_anything() {
        let object = Object::new().text("\"", "a\"b\\c\nd\u{1}\u{7f}é鍵/");
        assert_eq!(object.finish(), "{\"\\\"\":\"a\\\"b\\\\c\\u000ad\\u0001\u{7f}é鍵/\"}");
    }

    #[test]
    fn an_array_may_be_empty() {
        assert_eq!(array([]), "[]");
        assert_eq!(array(["1".to_owned(), "{}".to_owned()]), "[1,{}]");
    }
}
