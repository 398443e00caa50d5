//! What went wrong in a plugin, for people and for programs: a code, the place in the script with
//! its line, which message, and what follows from it. A fault is a value that any room may keep.

use std::fmt;
use std::fmt::Write;

use serde::Serialize;

use crate::hook::Hook;

/// What kind of fault it is. The numbers are stable; they stand in HOOKS.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// P0001: the manifest cannot be used.
    Manifest,
    /// P0002: the folder cannot be used.
    Package,
    /// P0003: a setting does not fit its schema.
    Config,
    /// P0101: the script is not Rhai.
    Syntax,
    /// P0102: a function that does not exist.
    UnknownFunction,
    /// P0103: a property or an item that is not there.
    MissingProperty,
    /// P0104: a variable or a module that does not exist.
    UnknownName,
    /// P0105: a value of another type.
    Type,
    /// P0106: the script threw it.
    Thrown,
    /// P0107: arithmetic.
    Arithmetic,
    /// P0108: what is constant was to be changed.
    ReadOnly,
    /// P0109: the host itself failed.
    Host,
    /// P0201: the manifest does not permit it.
    NotPermitted,
    /// P0202: not in this hook.
    NotHere,
    /// P0203: an address that plugins do not reach.
    ForbiddenAddress,
    /// P0204: an import from outside the plugin.
    Import,
    /// P0301: the hook answered with something else.
    Answer,
    /// P0302: the answer has a key that nobody reads.
    UnknownKey,
    /// P0303: a header field that a plugin does not write.
    Header,
    /// P0401: it took too long.
    Time,
    /// P0402: it took too many operations.
    Operations,
    /// P0403: a value grew too large.
    Size,
    /// P0404: functions called each other too deep.
    Depth,
    /// P0405: too many variables or modules.
    Names,
    /// P0406: too many calls of the host, or too much kept.
    Quota,
    /// P0501: it failed too often and rests.
    Resting,
    /// P0601: a case of its own tests failed.
    Case,
}

impl Code {
    /// Its stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Manifest => "P0001",
            Self::Package => "P0002",
            Self::Config => "P0003",
            Self::Syntax => "P0101",
            Self::UnknownFunction => "P0102",
            Self::MissingProperty => "P0103",
            Self::UnknownName => "P0104",
            Self::Type => "P0105",
            Self::Thrown => "P0106",
            Self::Arithmetic => "P0107",
            Self::ReadOnly => "P0108",
            Self::Host => "P0109",
            Self::NotPermitted => "P0201",
            Self::NotHere => "P0202",
            Self::ForbiddenAddress => "P0203",
            Self::Import => "P0204",
            Self::Answer => "P0301",
            Self::UnknownKey => "P0302",
            Self::Header => "P0303",
            Self::Time => "P0401",
            Self::Operations => "P0402",
            Self::Size => "P0403",
            Self::Depth => "P0404",
            Self::Names => "P0405",
            Self::Quota => "P0406",
            Self::Resting => "P0501",
            Self::Case => "P0601",
        }
    }

    /// Whether a bound of a budget was hit.
    pub const fn is_limit(self) -> bool {
        matches!(
            self,
            Self::Time | Self::Operations | Self::Size | Self::Depth | Self::Names | Self::Quota
        )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A place in a file of a plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file, within the plugin's folder.
    pub file: String,
    /// Counted from 1; 0 if only the file is known.
    pub line: usize,
    /// Counted from 1; 0 if only the line is known.
    pub column: usize,
    /// The line itself.
    pub text: String,
    /// How many characters the caret marks.
    pub width: usize,
    /// What is known about what stands there.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// Something that went wrong in a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// What kind.
    pub code: Code,
    /// What happened, in one line.
    pub message: String,
    /// The plugin, with its version: `geo@1.2.0`.
    pub plugin: String,
    /// In which hook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hook: Option<Hook>,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// For which message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Operations used until then.
    #[serde(skip_serializing_if = "is_zero")]
    pub operations: u64,
    /// How often the plugin failed in this hook lately.
    #[serde(skip_serializing_if = "is_none_seen")]
    pub seen: u32,
    /// What follows: the breaker and the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follows: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_none_seen(number: &u32) -> bool {
    *number == 0
}

impl Fault {
    /// A fault of a plugin, of which no more is known yet.
    pub fn new(code: Code, plugin: &str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            plugin: plugin.to_owned(),
            hook: None,
            place: None,
            message_id: None,
            help: None,
            operations: 0,
            seen: 0,
            follows: None,
        }
    }

    /// With what to do about it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// At a place.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// In a hook.
    #[must_use]
    pub const fn within(mut self, hook: Hook) -> Self {
        self.hook = Some(hook);
        self
    }

    /// As JSON, in one line.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Place {
    /// A place in a text: its line is taken out of it. A long line is cut off.
    pub fn in_text(file: &str, source: &str, line: usize, column: usize) -> Self {
        const CHARACTERS_MAX: usize = 160;
        let whole = source.lines().nth(line.saturating_sub(1)).unwrap_or_default();
        let text: String = whole.chars().take(CHARACTERS_MAX).map(printable).collect();
        let width = word_width(&text, column);
        Self { file: file.to_owned(), line, column, text, width, note: String::new() }
    }

    /// A whole file.
    pub fn file(file: &str) -> Self {
        Self { file: file.to_owned(), ..Self::default() }
    }
}

/// Terminals are not steered by scripts, nor are lines written backwards.
fn printable(c: char) -> char {
    let steering = matches!(
        c,
        '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}'
            | '\u{feff}'
    );
    match c {
        '\t' => ' ',
        _ if c.is_control() || steering => '\u{fffd}',
        _ => c,
    }
}

/// Characters of the word that begins at a column; at least one.
fn word_width(text: &str, column: usize) -> usize {
    let rest = text.chars().skip(column.saturating_sub(1));
    rest.take_while(|c| c.is_alphanumeric() || *c == '_').count().max(1)
}

/// As in a compiler's report, several lines without the last line's end.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error[{}]: {}", self.code, self.message)?;
        let name = self.plugin.split('@').next().unwrap_or_default();
        if let Some(place) = &self.place {
            write!(f, "\n  ┌─ {name}/{}", place.file)?;
            if place.line > 0 {
                write!(f, ":{}", place.line)?;
            }
            if place.column > 0 {
                write!(f, ":{}", place.column)?;
            }
            if place.line > 0 {
                let number = place.line.to_string();
                write!(f, "\n{number:>2}│ {}", place.text)?;
                let before = " ".repeat(number.len().max(2));
                let (gap, caret) =
                    (" ".repeat(place.column.saturating_sub(1)), "^".repeat(place.width.max(1)));
                write!(f, "\n{before}│ {gap}{caret}")?;
                if !place.note.is_empty() {
                    write!(f, " {}", place.note)?;
                }
            }
        }
        let mut about = String::new();
        if let Some(hook) = self.hook {
            write!(about, "hook {hook}, ")?;
        }
        if let Some(id) = &self.message_id {
            write!(about, "message {id}, ")?;
        }
        write!(f, "\n  = {about}plugin {}", self.plugin)?;
        if self.operations > 0 {
            write!(f, ", after {} operations", self.operations)?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  = help: {help}")?;
        }
        match (&self.follows, self.seen) {
            (Some(follows), 0 | 1) => write!(f, "\n  = {follows}"),
            (Some(follows), seen) => write!(f, "\n  = seen {seen} times → {follows}"),
            (None, _) => Ok(()),
        }
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_reads_like_a_compiler_s() {
        let source = "fn on_enrich(input) {\n  let c = g.city;\n}";
        let mut place = Place::in_text("main.rhai", source, 2, 11);
        place.note = "`g` is ()".to_owned();
        let mut fault = Fault::new(Code::MissingProperty, "geo@1.2.0", "no property `city`")
            .at(place)
            .within(Hook::OnEnrich)
            .with_help("test for () first");
        fault.message_id = Some("01J9".to_owned());
        fault.seen = 20;
        fault.follows = Some("breaker open until 14:16".to_owned());
        let expected = "\
error[P0103]: no property `city`
  ┌─ geo/main.rhai:2:11
 2│   let c = g.city;
  │           ^ `g` is ()
  = hook on_enrich, message 01J9, plugin geo@1.2.0
  = help: test for () first
  = seen 20 times → breaker open until 14:16";
        assert_eq!(fault.to_string(), expected);
        let json: serde_json::Value = serde_json::from_str(&fault.to_json()).unwrap();
        assert_eq!(json["code"], "P0103");
        assert_eq!(json["place"]["line"], 2);
    }

    #[test]
    fn a_script_does_not_steer_the_terminal() {
        let place = Place::in_text("main.rhai", "a\u{1b}[31m\u{202e}b", 1, 1);
        assert_eq!(place.text, "a\u{fffd}[31m\u{fffd}b");
    }
}
