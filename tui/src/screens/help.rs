//! The keys, from the one map of them.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

use crate::keys::KEYS;
use crate::model::Model;
use crate::text::cell;

/// Draws it.
pub fn draw(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let high = usize::from(area.height);
    let first = model.cursor.min(KEYS.len().saturating_sub(high));
    let lines: Vec<_> = KEYS
        .iter()
        .skip(first)
        .take(high)
        .map(|binding| Line::from(format!(" {} {}", cell(binding.shown, 8, false), binding.about)))
        .collect();
    frame.render_widget(Paragraph::new(lines), area);
}
