//! What is said as it is said: in a session, in those that failed, or in the event log.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::text::Span;
use ratatui::widgets::Paragraph;

use crate::model::Model;
use crate::tail::Voice;
use crate::text::harmless;
use crate::text::masked;

/// Draws the last of it, or what stands above where the cursor has gone to.
pub fn draw(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let tail = &model.known.tail;
    if tail.is_empty() {
        return frame.render_widget(Paragraph::new("nothing was said yet"), area);
    }
    let (look, ascii) = (model.look, model.look.ascii);
    let height = usize::from(area.height).max(1);
    // The newest line is the cursor's until it is moved.
    let end = (model.cursor + 1).max(height).min(tail.len());
    let shown = tail.iter().take(end).skip(end.saturating_sub(height));
    let lines = shown.map(|said| {
        let text = harmless(&said.text, ascii);
        let text = if model.private { masked(&text, ascii) } else { text };
        let style = match said.voice {
            Voice::Head => look.title(),
            Voice::Note => look.quiet(),
            Voice::Bad => look.bad(),
            Voice::Plain => Style::default(),
        };
        let time = format!("{} ", model.time(&said.at));
        let time = if said.at.is_empty() { String::new() } else { time };
        Line::from(vec![
            Span::styled(harmless(&time, ascii), look.quiet()),
            Span::styled(format!("{} {text}", said.mark), style),
        ])
    });
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), area);
}
