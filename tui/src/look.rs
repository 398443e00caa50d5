//! Colours and signs. Colour never says what a sign does not say too.

use ratatui::style::Color;
use ratatui::style::Modifier;
use ratatui::style::Style;
use ratatui::symbols::border;

/// Which colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// For dark terminals.
    #[default]
    Dark,
    /// For light ones.
    Light,
    /// None: bold, dim and reversed alone.
    Mono,
}

/// How it looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Which colours.
    pub theme: Theme,
    /// Whether nothing but ASCII is drawn.
    pub ascii: bool,
}

const ASCII_BORDER: border::Set<'static> = border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};

impl Look {
    /// What boxes are drawn with.
    pub const fn border(self) -> border::Set<'static> {
        if self.ascii { ASCII_BORDER } else { border::PLAIN }
    }

    const fn colour(self, dark: Color, light: Color) -> Style {
        match self.theme {
            Theme::Dark => Style::new().fg(dark),
            Theme::Light => Style::new().fg(light),
            Theme::Mono => Style::new(),
        }
    }

    /// What is as it should be.
    pub const fn good(self) -> Style {
        self.colour(Color::Green, Color::Green)
    }

    /// What somebody should look at.
    pub fn bad(self) -> Style {
        self.colour(Color::Red, Color::Red).add_modifier(Modifier::BOLD)
    }

    /// What may become bad, or is old.
    pub const fn odd(self) -> Style {
        self.colour(Color::Yellow, Color::Magenta)
    }

    /// What names things.
    pub fn title(self) -> Style {
        self.colour(Color::Cyan, Color::Blue).add_modifier(Modifier::BOLD)
    }

    /// What is of less weight.
    pub fn quiet(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// Where the cursor is.
    pub fn cursor(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// The sign between crumbs.
    pub const fn crumb(self) -> &'static str {
        if self.ascii { ">" } else { "▸" }
    }

    /// The sign of a row that is marked.
    pub const fn mark(self) -> &'static str {
        if self.ascii { "*" } else { "●" }
    }

    /// The sign of what falls or rises.
    pub const fn order(self, falls: bool) -> &'static str {
        match (self.ascii, falls) {
            (true, true) => "v",
            (true, false) => "^",
            (false, true) => "▼",
            (false, false) => "▲",
        }
    }
}
