//! What a mailing does not share: one recipient's name and variables. There is one for each of a
//! million recipients, so it is kept small: a few octets and the texts.

use bytes::Bytes;
use serde::Deserialize;
use serde::Serialize;

use crate::render::fault::Code;
use crate::render::fault::Fault;

/// The variables of one recipient have at most as many octets, as JSON.
pub const VARIABLES_OCTETS_MAX: usize = 64 * 1024;
/// Arrays and objects of JSON that lie in each other.
pub const VARIABLES_DEPTH_MAX: usize = 32;
/// A display name has at most as many characters.
pub const DISPLAY_NAME_CHARACTERS_MAX: usize = 255;
/// The format that is written.
const FORMAT: u8 = 1;

/// Why octets are no binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a binding that we wrote")]
pub struct InvalidBinding;

/// One recipient's part. One that exists is within its limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    name: Box<str>,
    variables: Bytes,
}

#[derive(Serialize, Deserialize)]
struct Fields<'a> {
    name: &'a str,
    #[serde(borrow)]
    variables: &'a [u8],
}

impl Binding {
    /// The binding of a recipient with this display name (empty for none) and these variables: a
    /// JSON object, or nothing.
    ///
    /// # Errors
    /// What is wrong, at `/name` or `/variables`.
    pub fn new(name: &str, variables: Bytes) -> Result<Self, Fault> {
        let fault = |pointer: &str, code, detail: &str| Err(Fault::new(pointer, code, detail));
        if name.chars().count() > DISPLAY_NAME_CHARACTERS_MAX {
            return fault("/name", Code::TooLong, "longer than 255 characters");
        }
        if name.contains(|c: char| c.is_control()) {
            return fault("/name", Code::ControlCharacter, "a control character");
        }
        if variables.len() > VARIABLES_OCTETS_MAX {
            return fault("/variables", Code::TooLong, "longer than 64 KiB as JSON");
        }
        if depth(&variables) > VARIABLES_DEPTH_MAX {
            return fault("/variables", Code::TooDeep, "nested deeper than 32");
        }
        if !variables.is_empty() && !is_object(&variables) {
            return fault("/variables", Code::NotAnObject, "not a JSON object");
        }
        Ok(Self { name: name.into(), variables })
    }

    /// The display name; empty for none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The variables as JSON; nothing if there are none.
    pub const fn variables(&self) -> &Bytes {
        &self.variables
    }

    /// The octets that are kept.
    pub fn encode(&self) -> Bytes {
        let fields = Fields { name: &self.name, variables: &self.variables };
        let octets = Vec::with_capacity(self.name.len() + self.variables.len() + 8);
        let octets = postcard::to_extend(&fields, with_format(octets));
        // Writing texts into memory cannot fail; nothing would be read back as damaged.
        octets.unwrap_or_default().into()
    }

    /// The binding that was encoded so.
    ///
    /// # Errors
    /// The octets are not what [`Binding::encode`] gives.
    pub fn decode(octets: &[u8]) -> Result<Self, InvalidBinding> {
        let fields = octets.strip_prefix(&[FORMAT]).ok_or(InvalidBinding)?;
        let (fields, rest) =
            postcard::take_from_bytes::<Fields<'_>>(fields).map_err(|_| InvalidBinding)?;
        if !rest.is_empty() {
            return Err(InvalidBinding);
        }
        Self::new(fields.name, Bytes::copy_from_slice(fields.variables)).map_err(|_| InvalidBinding)
    }
}

fn with_format(mut octets: Vec<u8>) -> Vec<u8> {
    octets.push(FORMAT);
    octets
}

/// Whether this is one JSON object and nothing else: it is read now as it will be at the attempt.
fn is_object(json: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(json).is_ok()
}

/// How deep arrays and objects lie in each other, whether or not the rest is JSON.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0_usize);
    let (mut quoted, mut escaped) = (false, false);
    for octet in json {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn binding(name: &str, variables: &str) -> Result<Binding, Fault> {
        Binding::new(name, Bytes::copy_from_slice(variables.as_bytes()))
    }

    fn code(name: &str, variables: &str) -> (String, Code) {
        let fault = binding(name, variables).unwrap_err();
        (fault.pointer.into(), fault.code)
    }

    #[test]
    fn what_is_kept_is_small_and_read_back() {
        for (name, variables) in [
            ("", ""),
            ("", "{}"),
            ("Jürgen \"J\" Müller", r#"{"order": 7, "items": [{"n": "}]"}]}"#),
        ] {
            let binding = binding(name, variables).unwrap();
            let octets = binding.encode();
            assert!(octets.len() <= name.len() + variables.len() + 3);
            assert_eq!(Binding::decode(&octets), Ok(binding));
            for end in 0..octets.len() {
                assert_eq!(Binding::decode(&octets[..end]), Err(InvalidBinding));
            }
            let longer = [&octets, b"x".as_slice()].concat();
            assert_eq!(Binding::decode(&longer), Err(InvalidBinding));
            let other = [&[FORMAT + 1], &octets[1..]].concat();
            assert_eq!(Binding::decode(&other), Err(InvalidBinding));
        }
    }

    #[test]
    fn a_binding_is_for_ever_what_it_was() {
        let octets = include_bytes!("../../../../fuzz/seeds/mailing/3");
        let binding = Binding::decode(octets).unwrap();
        assert_eq!((binding.name(), &binding.variables()[..1]), ("Ann", b"{".as_slice()));
        assert_eq!(binding.encode(), octets.as_slice());
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for json in [
            "[]",
            "1",
            "null",
            "{",
            "{}x",
            "{} {}",
            r#"{"a": }"#,
            "\u{feff}{}",
            "{'a': 1}",
            r#"{"a":"\ud800"}"#,
        ] {
            assert_eq!(code("", json), ("/variables".into(), Code::NotAnObject), "{json}");
        }
        let name = |name| code(name, "{}");
        for injection in ["a\r\nBcc: x", "a\nb", "a\rb", "a\0b", "a\u{85}b"] {
            assert_eq!(name(injection), ("/name".into(), Code::ControlCharacter));
        }
    }

    #[test]
    fn one_more_than_the_limit_is_too_many() {
        let long = "ñ".repeat(DISPLAY_NAME_CHARACTERS_MAX);
        assert!(binding(&long, "").is_ok());
        assert_eq!(code(&format!("{long}n"), ""), ("/name".into(), Code::TooLong));
        let json = |octets: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(octets - 8));
        assert!(binding("", &json(VARIABLES_OCTETS_MAX)).is_ok());
        let longer = json(VARIABLES_OCTETS_MAX + 1);
        assert_eq!(code("", &longer), ("/variables".into(), Code::TooLong));
        let deep = |n: usize| format!("{}{}{}", r#"{"a":"#.repeat(n), 1, "}".repeat(n));
        assert!(binding("", &deep(VARIABLES_DEPTH_MAX)).is_ok());
        assert_eq!(code("", &deep(VARIABLES_DEPTH_MAX + 1)), ("/variables".into(), Code::TooDeep));
        assert_eq!(code("", &"[".repeat(60_000)), ("/variables".into(), Code::TooDeep));
    }

    proptest! {
        #[test]
        fn any_octets_are_judged_without_a_panic(
            octets in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            if let Ok(binding) = Binding::decode(&octets) {
                prop_assert_eq!(Binding::decode(&binding.encode()), Ok(binding));
            }
        }
    }
}
