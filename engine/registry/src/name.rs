//! [`Name`]: what projects and templates are called.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

/// The most characters of a name: those of a label of DNS (RFC 1035 2.3.4).
pub const NAME_CHARACTERS_MAX: usize = 63;

/// A name: 1 to [`NAME_CHARACTERS_MAX`] of `a-z`, `0-9`, `.`, `_` and `-`, the first a letter or a
/// digit. It is at home in a path, a file name and a header field, and is never empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Box<str>);

/// The text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to 63 of a-z, 0-9, '.', '_' and '-', the first a letter or a digit")]
pub struct InvalidName;

impl Name {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let plain = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit();
        let first = text.bytes().next().is_some_and(plain);
        let all = text.bytes().all(|octet| plain(octet) || b"._-".contains(&octet));
        if !first || !all || text.len() > NAME_CHARACTERS_MAX {
            return Err(InvalidName);
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for Name {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_plain_and_has_its_limit() {
        let longest = "a".repeat(NAME_CHARACTERS_MAX);
        for good in ["a", "0", "spring-2026", "a.b_c", &longest] {
            assert_eq!(good.parse::<Name>().unwrap().as_str(), good);
        }
        let above = "a".repeat(NAME_CHARACTERS_MAX + 1);
        for bad in ["", "-a", ".", "..", "A", "a b", "a/b", "a\0", "a\r\n", "ä", &above] {
            assert_eq!(bad.parse::<Name>(), Err(InvalidName), "{bad:?}");
        }
    }
}
