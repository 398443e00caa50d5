//! What is typed behind `:`: the words of the command line.

use maily_api::directive::Verb;
use maily_api::view::ViewInfo;

use crate::tail::Tail;

/// What a command means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// All at a glance.
    Overview,
    /// A view, with a selector.
    View(String, String),
    /// Why the selected mail waits.
    Why(String),
    /// The life of a message.
    Trace(String),
    /// Something to be done with mail: what, with which, and the pool and reason if they were said.
    Do {
        /// What.
        verb: Verb,
        /// With which mail.
        selector: String,
        /// To which pool.
        pool: Option<String>,
        /// Why.
        reason: String,
    },
    /// Take a directive back.
    Undo(String),
    /// What is said as it is said.
    Tail(Tail),
    /// The keys.
    Help,
    /// Leave.
    Quit,
}

const VERBS: [(&str, Verb); 10] = [
    ("suspend", Verb::Suspend),
    ("pause", Verb::Suspend),
    ("resume", Verb::Resume),
    ("hold", Verb::Hold),
    ("release", Verb::Release),
    ("retry", Verb::Retry),
    ("bounce", Verb::Bounce),
    ("drop", Verb::Drop),
    ("move", Verb::Move),
    ("unpause", Verb::Resume),
];
const WORDS: [&str; 10] =
    ["overview", "why", "trace", "undo", "help", "quit", "top", "events", "failed", "session"];

/// Reads a command.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &str, views: &[ViewInfo]) -> Result<Command, String> {
    let text = text.trim();
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    let needed = |what: &str| match rest.is_empty() {
        true => Err(format!("{word} needs {what}")),
        false => Ok(rest.to_owned()),
    };
    if let Some((_, verb)) = VERBS.iter().find(|(name, _)| *name == word) {
        let (rest, pool) = option(rest, "--pool");
        let (selector, reason) = option(&rest, "--reason");
        if selector.is_empty() {
            return Err(format!("{word} needs a selector, such as domain=example.org"));
        }
        let reason = reason.unwrap_or_default();
        return Ok(Command::Do { verb: *verb, selector, pool, reason });
    }
    match word {
        "" => Err("type a command, such as queues or why".to_owned()),
        "overview" | "top" => Ok(Command::Overview),
        "why" => Ok(Command::Why(rest.to_owned())),
        "trace" => needed("the id of a message").map(Command::Trace),
        "undo" => needed("the name of a directive").map(Command::Undo),
        "events" => Ok(Command::Tail(Tail::Events(rest.to_owned()))),
        "failed" => Ok(Command::Tail(Tail::Failed)),
        "session" => needed("its name").map(|name| Command::Tail(Tail::Session(name))),
        "help" => Ok(Command::Help),
        "q" | "quit" => Ok(Command::Quit),
        _ => match views.iter().find(|view| view.name.starts_with(word)) {
            Some(view) => Ok(Command::View(view.name.clone(), rest.to_owned())),
            None => Err(format!("there is no command {word}: {}", words(views).join(", "))),
        },
    }
}

/// What stands behind an option, in quotes or as one word, and the text without it.
fn option(text: &str, name: &str) -> (String, Option<String>) {
    let Some((before, after)) = text.split_once(name) else {
        return (text.trim().to_owned(), None);
    };
    let after = after.trim_start_matches(['=', ' ']);
    let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''));
    let (value, rest) = match quote {
        Some(quote) => {
            let inner = after.strip_prefix(quote).unwrap_or(after);
            inner.split_once(quote).unwrap_or((inner, ""))
        }
        None => after.split_once(' ').unwrap_or((after, "")),
    };
    (format!("{} {}", before.trim(), rest.trim()).trim().to_owned(), Some(value.to_owned()))
}

fn words(views: &[ViewInfo]) -> Vec<String> {
    let verbs = VERBS.iter().map(|(name, _)| (*name).to_owned());
    let words = WORDS.iter().map(|word| (*word).to_owned());
    let mut all: Vec<_> =
        views.iter().map(|view| view.name.clone()).chain(words).chain(verbs).collect();
    all.sort();
    all.dedup();
    all
}

/// The words that what was typed can become.
pub fn completions(text: &str, views: &[ViewInfo]) -> Vec<String> {
    if text.contains(' ') {
        return Vec::new();
    }
    words(views).into_iter().filter(|word| word.starts_with(text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn views() -> Vec<ViewInfo> {
        let view = |name: &str| ViewInfo {
            name: name.into(),
            about: String::new(),
            columns: Vec::new(),
            groups: Vec::new(),
            sort: String::new(),
        };
        ["queues", "sites", "messages"].map(view).into()
    }

    #[test]
    fn each_word_of_the_palette_is_a_command() {
        let read = |text: &str| parse(text, &views());
        let of = |verb, selector: &str, pool: Option<&str>, reason: &str| Command::Do {
            verb,
            selector: selector.into(),
            pool: pool.map(Into::into),
            reason: reason.into(),
        };
        for (text, wanted) in [
            ("top", Command::Overview),
            (
                "que site=google and age>1h",
                Command::View("queues".into(), "site=google and age>1h".into()),
            ),
            ("why", Command::Why(String::new())),
            ("trace 6h19jz8580000", Command::Trace("6h19jz8580000".into())),
            ("undo d-1", Command::Undo("d-1".into())),
            ("q", Command::Quit),
            (
                "pause domain=x --reason 'they asked'",
                of(Verb::Suspend, "domain=x", None, "they asked"),
            ),
            ("move site=x --pool second", of(Verb::Move, "site=x", Some("second"), "")),
            ("retry all", of(Verb::Retry, "all", None, "")),
        ] {
            assert_eq!(read(text), Ok(wanted), "{text}");
        }
        for text in ["", "bounce", "trace", "undo ", "colour"] {
            assert!(read(text).is_err(), "{text}");
        }
        for word in words(&views()) {
            assert!(read(&format!("{word} x=1")).is_ok(), "{word}");
        }
        assert_eq!(completions("re", &views()), ["release", "resume", "retry"]);
        assert!(completions("retry ", &views()).is_empty());
    }
}
