//! What the console knows: a value, from which all is drawn.

use std::collections::BTreeSet;
use std::collections::VecDeque;

use maily_api::directive::Directive;
use maily_api::overview::Overview;
use maily_api::session::Whoami;
use maily_api::story::Story;
use maily_api::view::ViewInfo;
use maily_api::view::ViewQuery;
use maily_api::view::Window;
use maily_api::why::Why;

use crate::dialog::Dialog;
use crate::look::Look;
use crate::tail::Said;
use crate::tail::Tail;
use crate::text::lasting;

/// Screens that are remembered.
pub const SCREENS_MAX: usize = 32;
/// So many seconds after the last word of the daemon what is shown is called stale.
pub const STALE_SECS: u64 = 4;

/// A screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Screen {
    /// All at a glance.
    Overview,
    /// A view, with what of it is asked for.
    View {
        /// Which.
        name: String,
        /// What of it.
        query: ViewQuery,
    },
    /// Why the selected mail waits.
    Why {
        /// Which mail.
        selector: String,
    },
    /// The life of a message.
    Story {
        /// Its id.
        message: String,
    },
    /// What is said as it is said.
    Tail(Tail),
    /// The keys.
    Help,
}

impl Screen {
    /// A view with nothing said of it.
    pub fn view(name: &str) -> Self {
        Self::View { name: name.to_owned(), query: ViewQuery::default() }
    }

    /// Its name among the crumbs.
    pub fn crumb(&self) -> String {
        match self {
            Self::Overview => "overview".to_owned(),
            Self::View { name, .. } => name.clone(),
            Self::Why { selector } if selector.is_empty() => "why".to_owned(),
            Self::Why { selector } => format!("why {selector}"),
            Self::Story { message } => format!("trace {message}"),
            Self::Tail(tail) => tail.crumb(),
            Self::Help => "help".to_owned(),
        }
    }
}

/// What is typed, and into what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typing {
    /// Nothing.
    Nothing,
    /// A command.
    Command(String),
    /// A selector.
    Filter(String),
}

/// What the daemon said of what was asked for.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// All at a glance.
    pub overview: Option<Box<Overview>>,
    /// What is in sight of the view on the screen.
    pub window: Option<Box<Window>>,
    /// Why mail waits.
    pub why: Option<Why>,
    /// The life of a message.
    pub story: Option<Box<Story>>,
    /// What was said.
    pub tail: VecDeque<Said>,
    /// The views that there are.
    pub views: Vec<ViewInfo>,
    /// Who we are.
    pub whoami: Option<Whoami>,
    /// The last directive that we gave.
    pub given: Option<Box<Directive>>,
}

/// How the daemon can be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// The last word of it, in seconds since 1970; none if there was none.
    pub heard: Option<u64>,
    /// Whether it can be reached.
    pub up: bool,
}

/// What the console knows.
#[derive(Clone, Debug)]
pub struct Model {
    /// How it looks.
    pub look: Look,
    /// Whether anything may be changed.
    pub writable: bool,
    /// The screens on top of each other; never none.
    pub screens: Vec<Screen>,
    /// The screen that was left last.
    pub left: Option<Screen>,
    /// What the daemon said.
    pub known: Known,
    /// The row of the cursor.
    pub cursor: usize,
    /// Rows that are marked, by their keys.
    pub marks: BTreeSet<String>,
    /// What is typed.
    pub typing: Typing,
    /// Commands that were typed.
    pub history: Vec<String>,
    /// What is asked before something is done.
    pub dialog: Option<Dialog>,
    /// What there is to say: an error, or what was done.
    pub notice: Option<(bool, String)>,
    /// Whether what is shown stays as it is.
    pub frozen: bool,
    /// Whether people are hidden.
    pub private: bool,
    /// Whether times are shown as how long ago.
    pub relative: bool,
    /// What time it is, in seconds since 1970.
    pub now: u64,
    /// How the daemon can be reached.
    pub link: Link,
    /// Rows that fit on the screen.
    pub height: u16,
}

impl Model {
    /// At the start.
    pub fn new(look: Look, writable: bool, height: u16) -> Self {
        Self {
            look,
            writable,
            screens: vec![Screen::Overview],
            left: None,
            known: Known::default(),
            cursor: 0,
            marks: BTreeSet::new(),
            typing: Typing::Nothing,
            history: Vec::new(),
            dialog: None,
            notice: None,
            frozen: false,
            private: false,
            relative: false,
            now: 0,
            link: Link::default(),
            height,
        }
    }

    /// The screen on top.
    pub fn screen(&self) -> &Screen {
        self.screens.last().unwrap_or(&Screen::Overview)
    }

    /// Rows of a view that are asked for.
    pub fn rows_wanted(&self) -> u16 {
        self.height.saturating_sub(5).clamp(1, 500)
    }

    /// Whether what is shown is old.
    pub fn is_stale(&self) -> bool {
        self.link.heard.is_none_or(|heard| self.now.saturating_sub(heard) >= STALE_SECS)
    }

    /// Rows that the cursor can be at.
    pub fn rows(&self) -> usize {
        match self.screen() {
            Screen::Overview => self.known.overview.as_ref().map_or(0, |o| o.attention.len()),
            Screen::View { .. } => self.known.window.as_ref().map_or(0, |w| w.rows.len()),
            Screen::Why { .. } => self.known.why.as_ref().map_or(0, |why| why.causes.len()),
            Screen::Story { .. } => self.known.story.as_ref().map_or(0, |s| s.steps.len()),
            Screen::Tail(_) => self.known.tail.len(),
            Screen::Help => crate::keys::KEYS.len(),
        }
    }

    /// A selector of the mail that the cursor is at, or that is marked; none if it is at none.
    pub fn selected(&self) -> Option<String> {
        let chosen = match self.screen() {
            Screen::Overview => {
                let overview = self.known.overview.as_ref()?;
                Some(overview.attention.get(self.cursor)?.selector.clone())
            }
            Screen::View { .. } => {
                let window = self.known.window.as_ref()?;
                let marked = window.rows.iter().filter(|row| self.marks.contains(&row.key));
                let marked: Vec<_> =
                    marked.filter_map(|row| row.selector.as_deref()).map(bracketed).collect();
                match marked.is_empty() {
                    true => window.rows.get(self.cursor)?.selector.clone(),
                    false => Some(marked.join(" or ")),
                }
            }
            Screen::Why { selector } => {
                let cause = self.known.why.as_ref()?.causes.get(self.cursor)?;
                Some(match selector.is_empty() {
                    true => cause.selector.clone(),
                    false => format!("{} and {}", bracketed(selector), bracketed(&cause.selector)),
                })
            }
            Screen::Story { message } => Some(format!("id={message}")),
            Screen::Tail(_) | Screen::Help => None,
        };
        chosen.filter(|selector| !selector.is_empty())
    }
}

fn bracketed(selector: &str) -> String {
    match selector.contains(' ') {
        true => format!("({selector})"),
        false => selector.to_owned(),
    }
}

/// Times are shown in UTC, or as how long ago.
impl Model {
    /// A time of RFC 3339 as it is shown.
    pub fn time(&self, at: &str) -> String {
        let plain: String = at.chars().filter(|c| c.is_ascii_graphic()).collect();
        let seconds = if self.relative { seconds(&plain) } else { None };
        match seconds {
            Some(then) if then <= self.now => format!("{} ago", lasting(self.now - then)),
            Some(then) => format!("in {}", lasting(then - self.now)),
            None => match (plain.get(..10), plain.get(11..19)) {
                (Some(day), Some(time)) => format!("{day} {time}Z"),
                _ => plain,
            },
        }
    }
}

/// The seconds since 1970 of a time in UTC, as the daemon writes it: `2026-11-27T08:00:00.123Z`.
fn seconds(at: &str) -> Option<u64> {
    let number = |from: usize, to: usize| at.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    // Days from the civil calendar (Howard Hinnant): the year begins in March.
    let (y, m) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let era = y.div_euclid(400);
    let of_era = y.rem_euclid(400);
    let of_year = (153 * m + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    u64::try_from(days * 86_400 + hour * 3_600 + minute * 60 + second).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_shown_both_ways() {
        let mut model = Model::new(Look::default(), false, 24);
        assert_eq!(seconds("2026-11-27T08:00:00.123Z"), Some(1_795_766_400));
        assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(model.time("2026-11-27T08:00:00.123Z"), "2026-11-27 08:00:00Z");
        (model.relative, model.now) = (true, 1_795_766_460);
        assert_eq!(model.time("2026-11-27T08:00:00.123Z"), "1m00s ago");
        assert_eq!(model.time("2026-11-27T09:01:00Z"), "in 1h00m");
        assert_eq!(model.time("soon\x1b[2J"), "soon[2J");
    }
}
