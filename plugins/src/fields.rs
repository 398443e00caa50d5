//! Takes the fields of an answer out of the map that a script returned, and minds what may become
//! part of a header or of a reply.

use std::cell::Cell;
use std::collections::BTreeMap;

use rhai::Array;
use rhai::Dynamic;
use rhai::ImmutableString;
use rhai::Map;
use serde_json::Value;

use crate::fault::Code;
use crate::value;

/// Octets of one header field that a plugin writes.
pub const HEADER_OCTETS_MAX: usize = 998;
/// Header fields that one plugin writes.
pub const HEADERS_MAX: usize = 32;
/// Tags that one answer bears.
pub const TAGS_MAX: usize = 16;
/// Characters of a tag, a label or a name.
pub const NAME_CHARACTERS_MAX: usize = 128;

/// Header fields that are ours to write: what the way of a message and its signature say.
const OWN_HEADERS: &[&str] = &[
    "received",
    "return-path",
    "dkim-signature",
    "arc-seal",
    "arc-message-signature",
    "arc-authentication-results",
    "authentication-results",
    "bcc",
    "resent-bcc",
    "from",
    "sender",
    "message-id",
    "date",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
];

/// Why an answer is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// What kind of fault it is.
    pub code: Code,
    /// What is wrong.
    pub message: String,
}

/// A change of the header: a value, or no such field any more.
pub type HeaderEdits = BTreeMap<String, Option<String>>;

impl Wrong {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { code: Code::Answer, message: message.into() }
    }

    pub(crate) fn kind(what: &str, wanted: &str, found: &Dynamic) -> Self {
        Self::new(format!("{what} is {wanted}, not {}", value::kind_name(found)))
    }
}

/// The fields of an answer. Each is got once.
pub(crate) struct Fields {
    map: Map,
    /// How many there still are to get.
    left: Cell<usize>,
}

impl Fields {
    /// A map, or nothing. Keys that are not among those that are read are odd.
    pub(crate) fn of(
        value: Dynamic,
        wanted: &str,
        keys: &[&str],
        odd: &mut Vec<String>,
    ) -> Result<Self, Wrong> {
        if value.is_unit() {
            return Ok(Self { map: Map::new(), left: Cell::new(0) });
        }
        let map = value
            .try_cast_result::<Map>()
            .map_err(|other| Wrong::kind("the answer", wanted, &other))?;
        let unread = map.keys().filter(|key| !keys.contains(&key.as_str()));
        odd.extend(unread.map(|key| key.as_str().to_owned()));
        let left = Cell::new(map.len().saturating_sub(odd.len()));
        Ok(Self { map, left })
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Dynamic> {
        // Most answers are short: what was not said need not be looked for.
        let left = self.left.get().checked_sub(1)?;
        let value = self.map.get(key)?;
        self.left.set(left);
        Some(value).filter(|value| !value.is_unit())
    }

    pub(crate) fn text(&self, key: &str) -> Result<Option<String>, Wrong> {
        match self.get(key) {
            Some(value) => one_line(key, value).map(Some),
            None => Ok(None),
        }
    }

    pub(crate) fn one_of(&self, key: &str, known: &[&str]) -> Result<Option<String>, Wrong> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        if known.contains(&text.as_str()) {
            return Ok(Some(text));
        }
        Err(Wrong::new(format!("{key} is one of {}, not `{text}`", known.join(", "))))
    }

    pub(crate) fn number(&self, key: &str) -> Result<Option<u64>, Wrong> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let number = value.as_int().ok().and_then(|number| u64::try_from(number).ok());
        number.map(Some).ok_or_else(|| Wrong::kind(key, "an int from 0 on", value))
    }

    pub(crate) fn yes(&self, key: &str) -> Result<Option<bool>, Wrong> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value.as_bool().map(Some).map_err(|_| Wrong::kind(key, "a bool", value))
    }

    pub(crate) fn tags(&self) -> Result<Vec<String>, Wrong> {
        let Some(value) = self.get("tags") else { return Ok(Vec::new()) };
        let Some(items) = value.read_lock::<Array>() else {
            return Err(Wrong::kind("tags", "an array of texts", value));
        };
        if items.len() > TAGS_MAX {
            return Err(Wrong::new(format!("there are more than {TAGS_MAX} tags")));
        }
        items.iter().map(|item| name("a tag", item)).collect()
    }

    pub(crate) fn json(&self, key: &str) -> Result<serde_json::Map<String, Value>, Wrong> {
        let Some(value) = self.get(key) else { return Ok(serde_json::Map::new()) };
        match value::to_json(value, 1) {
            Ok(Value::Object(fields)) => Ok(fields),
            Ok(_) => Err(Wrong::kind(key, "a map", value)),
            Err(error) => Err(Wrong::new(format!("{key}: {error}"))),
        }
    }

    pub(crate) fn headers(&self) -> Result<HeaderEdits, Wrong> {
        let Some(value) = self.get("headers") else { return Ok(HeaderEdits::new()) };
        let Some(map) = value.read_lock::<Map>() else {
            return Err(Wrong::kind("headers", "a map of texts", value));
        };
        if map.len() > HEADERS_MAX {
            return Err(Wrong::new(format!("there are more than {HEADERS_MAX} header fields")));
        }
        map.iter().map(|(name, value)| header(name, value)).collect()
    }
}

fn text_of(what: &str, value: &Dynamic) -> Result<String, Wrong> {
    match value.read_lock::<ImmutableString>() {
        Some(text) => Ok(text.as_str().to_owned()),
        None => Err(Wrong::kind(what, "a text", value)),
    }
}

/// A text without line ends: it may become part of a reply or of a header field.
fn one_line(what: &str, value: &Dynamic) -> Result<String, Wrong> {
    let text = text_of(what, value)?;
    // Most texts are ASCII, where this is sooner said.
    let has_control = match text.is_ascii() {
        true => text.bytes().any(|octet| octet.is_ascii_control()),
        false => text.chars().any(char::is_control),
    };
    if has_control {
        return Err(Wrong::new(format!("{what} is one line, without control characters")));
    }
    if text.len() > HEADER_OCTETS_MAX {
        return Err(Wrong::new(format!("{what} has more than {HEADER_OCTETS_MAX} octets")));
    }
    Ok(text)
}

pub(crate) fn name(what: &str, value: &Dynamic) -> Result<String, Wrong> {
    let text = one_line(what, value)?;
    let is_long =
        |text: &str| text.len() > NAME_CHARACTERS_MAX && text.chars().count() > NAME_CHARACTERS_MAX;
    if text.is_empty() || is_long(&text) {
        return Err(Wrong::new(format!("{what} has 1 to {NAME_CHARACTERS_MAX} characters")));
    }
    Ok(text)
}

fn header(name: &str, value: &Dynamic) -> Result<(String, Option<String>), Wrong> {
    let wrong = |message: String| Wrong { code: Code::Header, message };
    // RFC 5322 3.6.8: printable ASCII without the colon.
    if name.is_empty() || !name.bytes().all(|octet| octet.is_ascii_graphic() && octet != b':') {
        return Err(wrong(format!("`{name}` is no name of a header field")));
    }
    if OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
        return Err(wrong(format!("{name} is not for plugins to write")));
    }
    if value.is_unit() {
        return Ok((name.to_owned(), None));
    }
    let text = one_line(name, value).map_err(|why| wrong(why.message))?;
    Ok((name.to_owned(), Some(text)))
}

pub(crate) fn is_status(status: &str, class: char) -> bool {
    let mut parts = status.split('.');
    let first = parts.next().is_some_and(|part| part.len() == 1 && part.starts_with(class));
    let rest: Vec<_> = parts.collect();
    let number = |part: &&str| (1..=3).contains(&part.len()) && part.parse::<u16>().is_ok();
    first && rest.len() == 2 && rest.iter().all(number)
}
