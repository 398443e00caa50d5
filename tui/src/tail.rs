//! Lines that come one behind the other: what is said in a session, and what happens to mail.

use std::collections::VecDeque;

use maily_api::event::Event;
use maily_api::event::EventType;
use maily_api::live;
use maily_api::live::Speaker;
use maily_api::live::Transcript;

/// Lines that are kept.
pub const LINES_MAX: usize = 1_000;

/// What is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tail {
    /// What is said in this session.
    Session(String),
    /// What was said in sessions that failed.
    Failed,
    /// What happens to mail; of these types, with commas between them, or all.
    Events(String),
}

/// How a line is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voice {
    /// What comes below it.
    Head,
    /// What nobody said.
    Note,
    /// Something failed.
    Bad,
    /// All else.
    Plain,
}

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// When (RFC 3339); empty if that is not shown.
    pub at: String,
    /// Who: `<` from them, `>` from us, or nothing.
    pub mark: &'static str,
    /// What, as it came.
    pub text: String,
    /// How it is shown.
    pub voice: Voice,
}

impl Tail {
    /// Its name among the crumbs.
    pub fn crumb(&self) -> String {
        match self {
            Self::Session(session) => format!("session {session}"),
            Self::Failed => "failed".to_owned(),
            Self::Events(types) if types.is_empty() => "events".to_owned(),
            Self::Events(types) => format!("events {types}"),
        }
    }

    /// The same by the command line.
    pub fn command(&self) -> String {
        match self {
            Self::Session(session) => format!("maily sessions --follow {session}"),
            Self::Failed => "maily sessions --failed".to_owned(),
            Self::Events(types) => {
                let asked = if types.is_empty() { String::new() } else { format!("?type={types}") };
                format!("curl -N --unix-socket ADMIN.SOCK http://maily/v1/events/stream{asked}")
            }
        }
    }
}

/// Puts lines behind those that are there, and forgets the oldest beyond what is kept.
pub fn push(lines: &mut VecDeque<Said>, more: Vec<Said>) {
    lines.extend(more);
    let beyond = lines.len().saturating_sub(LINES_MAX);
    lines.drain(..beyond);
}

/// A line of a session.
pub fn line(line: live::Line) -> Said {
    let (mark, plain) = match line.by {
        Speaker::Client => (">", Voice::Plain),
        Speaker::Server => ("<", Voice::Plain),
        Speaker::Note => ("-", Voice::Note),
    };
    let refused = line.by == Speaker::Server && line.text.starts_with(['4', '5']);
    Said { at: line.at, mark, text: line.text, voice: if refused { Voice::Bad } else { plain } }
}

/// That nothing more is said.
pub fn over() -> Said {
    let text = "the session is over".to_owned();
    Said { at: String::new(), mark: "-", text, voice: Voice::Note }
}

/// Transcripts, each below its head, the newest last.
pub fn transcripts(mut all: Vec<Transcript>) -> Vec<Said> {
    all.sort_by(|one, other| one.began_at.cmp(&other.began_at));
    let each = all.into_iter().flat_map(|one| {
        let by = if one.source.is_empty() { String::new() } else { format!(" by {}", one.source) };
        let way = one.direction.word();
        let text = format!("{way} {}{by}, session {}", one.peer, one.session);
        let head = Said { at: one.began_at, mark: "=", text, voice: Voice::Head };
        std::iter::once(head).chain(one.lines.into_iter().map(line))
    });
    each.collect()
}

/// What happened to mail.
pub fn event(event: &Event) -> Said {
    let text = |name: &str| event.data.get(name).and_then(|value| value.as_str()).unwrap_or("");
    let kind = event.kind.name().trim_start_matches("message.");
    let about = [text("recipient"), text("site"), text("status"), text("text"), text("reason")];
    let words = about.into_iter().filter(|word| !word.is_empty());
    let words: Vec<_> = std::iter::once(kind).chain(words).chain([text("message")]).collect();
    let voice = match event.kind {
        EventType::Bounced | EventType::Expired | EventType::Complained => Voice::Bad,
        EventType::Deferred | EventType::Suppressed | EventType::Removed => Voice::Note,
        _ => Voice::Plain,
    };
    Said { at: event.time.clone(), mark: "", text: words.join(" "), voice }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_kept_than_there_is_room_for_and_the_newest_stays() {
        let said = |n: usize| Said { text: n.to_string(), ..over() };
        let mut lines = VecDeque::new();
        push(&mut lines, (0..LINES_MAX).map(said).collect());
        push(&mut lines, vec![said(LINES_MAX)]);
        assert_eq!(lines.len(), LINES_MAX);
        assert_eq!((&*lines[0].text, &*lines[LINES_MAX - 1].text), ("1", "1000"));
    }

    #[test]
    fn a_refusal_is_told_from_what_we_say() {
        let said = |by, text: &str| {
            line(live::Line { at: String::new(), by, text: text.to_owned() }).voice
        };
        assert_eq!(said(Speaker::Server, "550 no"), Voice::Bad);
        assert_eq!(said(Speaker::Server, "250 ok"), Voice::Plain);
        assert_eq!(said(Speaker::Client, "5"), Voice::Plain);
    }
}
