//! The one map of keys, from which help and hints are made.

use crossterm::event::KeyCode;
use crossterm::event::KeyEvent;
use crossterm::event::KeyModifiers;

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// One row down.
    Down,
    /// One row up.
    Up,
    /// One page down.
    PageDown,
    /// One page up.
    PageUp,
    /// To the first row.
    Top,
    /// To the last row in sight.
    Bottom,
    /// Open what is at the cursor.
    Open,
    /// One screen up.
    Back,
    /// The screen from before.
    Last,
    /// Type a command.
    Command,
    /// Type a selector.
    Filter,
    /// Help.
    Help,
    /// The screen of this number.
    Screen(u8),
    /// Mark the row.
    Mark,
    /// Another column to sort by.
    Sort,
    /// The other way round.
    Reverse,
    /// Group by another column.
    Group,
    /// Keep what is shown as it is.
    Freeze,
    /// Why it waits.
    Why,
    /// Suspend or resume.
    Pause,
    /// Try now.
    Retry,
    /// Give up or remove.
    Bounce,
    /// By another pool.
    Move,
    /// Hold messages.
    Hold,
    /// Let go what is held.
    Release,
    /// Take the last directive back.
    Undo,
    /// Directives.
    Jobs,
    /// What happens to mail.
    Log,
    /// What is said in a session, or was in those that failed.
    Talk,
    /// Copy.
    Copy,
    /// The same by the command line.
    Show,
    /// Hide who people are.
    Privacy,
    /// How times are shown.
    Time,
    /// Ask anew.
    Refresh,
    /// Leave, and leave the screen as it is.
    QuitKeeping,
    /// Leave.
    Quit,
}

/// A key with what it does.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// What is pressed.
    pub code: KeyCode,
    /// As it is shown.
    pub shown: &'static str,
    /// What it does.
    pub action: Action,
    /// The same in words.
    pub about: &'static str,
    /// Whether the line at the bottom names it.
    pub hinted: bool,
}

const fn bind(
    code: KeyCode,
    shown: &'static str,
    action: Action,
    about: &'static str,
    hinted: bool,
) -> Binding {
    Binding { code, shown, action, about, hinted }
}

use KeyCode::Char;

/// All keys. Those with control are read in [`action`].
pub const KEYS: &[Binding] = &[
    bind(Char('?'), "?", Action::Help, "help", true),
    bind(Char(':'), ":", Action::Command, "command", true),
    bind(Char('/'), "/", Action::Filter, "selector", true),
    bind(KeyCode::Enter, "enter", Action::Open, "open", true),
    bind(KeyCode::Esc, "esc", Action::Back, "up", false),
    bind(Char('q'), "q", Action::Back, "back", true),
    bind(Char('Q'), "Q", Action::QuitKeeping, "quit, keep the screen", false),
    bind(Char('-'), "-", Action::Last, "the screen from before", false),
    bind(Char('j'), "j", Action::Down, "down", false),
    bind(KeyCode::Down, "down", Action::Down, "down", false),
    bind(Char('k'), "k", Action::Up, "up", false),
    bind(KeyCode::Up, "up", Action::Up, "up", false),
    bind(Char('g'), "g", Action::Top, "first row", false),
    bind(KeyCode::Home, "home", Action::Top, "first row", false),
    bind(Char('G'), "G", Action::Bottom, "last row in sight", false),
    bind(KeyCode::End, "end", Action::Bottom, "last row in sight", false),
    bind(KeyCode::PageDown, "pgdn", Action::PageDown, "next page", false),
    bind(KeyCode::PageUp, "pgup", Action::PageUp, "page before", false),
    bind(Char(' '), "space", Action::Mark, "mark the row", false),
    bind(Char('s'), "s", Action::Sort, "sort by the next column", false),
    bind(Char('S'), "S", Action::Reverse, "sort the other way round", false),
    bind(Char('o'), "o", Action::Group, "group by the next column", false),
    bind(Char('f'), "f", Action::Freeze, "freeze what is shown", false),
    bind(Char('w'), "w", Action::Why, "why it waits", true),
    bind(Char('p'), "p", Action::Pause, "suspend; resume what is suspended", true),
    bind(Char('r'), "r", Action::Retry, "retry now", true),
    bind(Char('b'), "b", Action::Bounce, "bounce", true),
    bind(Char('m'), "m", Action::Move, "move to another pool", false),
    bind(Char('h'), "h", Action::Hold, "hold", false),
    bind(Char('l'), "l", Action::Release, "release", false),
    bind(Char('u'), "u", Action::Undo, "undo the last directive", false),
    bind(Char('J'), "J", Action::Jobs, "jobs", false),
    bind(Char('L'), "L", Action::Log, "what happens to mail", false),
    bind(Char('t'), "t", Action::Talk, "what is said in a session; what failed", false),
    bind(Char('y'), "y", Action::Copy, "copy what the cursor is at", false),
    bind(Char('C'), "C", Action::Show, "the same by the command line", false),
    bind(Char('P'), "P", Action::Privacy, "hide who people are", false),
    bind(Char('T'), "T", Action::Time, "times: UTC or how long ago", false),
    bind(Char('R'), "R", Action::Refresh, "ask anew", false),
    bind(Char('1'), "1", Action::Screen(1), "overview", false),
    bind(Char('2'), "2", Action::Screen(2), "queues", false),
    bind(Char('3'), "3", Action::Screen(3), "sites", false),
    bind(Char('4'), "4", Action::Screen(4), "messages", false),
    bind(Char('5'), "5", Action::Screen(5), "sessions", false),
    bind(Char('6'), "6", Action::Screen(6), "sources", false),
    bind(Char('7'), "7", Action::Screen(7), "streams", false),
    bind(Char('8'), "8", Action::Screen(8), "plugins", false),
    bind(Char('9'), "9", Action::Screen(9), "bounces", false),
];

/// The views behind the numbers from 2 on.
pub const NUMBERED: [&str; 8] =
    ["queues", "sites", "messages", "sessions", "sources", "streams", "plugins", "bounces"];

/// What a key does where nothing is typed.
pub fn action(key: KeyEvent) -> Option<Action> {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            Char('c') => Some(Action::Quit),
            Char('d') | Char('f') => Some(Action::PageDown),
            Char('u') | Char('b') => Some(Action::PageUp),
            _ => None,
        };
    }
    KEYS.iter().find(|binding| binding.code == key.code).map(|binding| binding.action)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_does_two_things_and_each_says_what_it_does() {
        for (place, binding) in KEYS.iter().enumerate() {
            let same = KEYS.iter().skip(place + 1).any(|other| other.code == binding.code);
            assert!(!same, "{} is bound twice", binding.shown);
            assert!(!binding.about.is_empty() && binding.shown.is_ascii());
        }
        let key = KeyEvent::new(Char('c'), KeyModifiers::CONTROL);
        assert_eq!(action(key), Some(Action::Quit));
        assert_eq!(action(KeyEvent::new(Char('z'), KeyModifiers::NONE)), None);
    }
}
