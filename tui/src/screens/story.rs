//! The life of a message.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::text::Span;
use ratatui::widgets::Paragraph;

use crate::model::Model;
use crate::text::harmless;
use crate::text::masked;

/// Draws it.
pub fn draw(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let Some(story) = &model.known.story else {
        return frame.render_widget(Paragraph::new("reading the event log"), area);
    };
    let (look, ascii) = (model.look, model.look.ascii);
    let safe = |text: &str| {
        let text = harmless(text, ascii);
        if model.private { masked(&text, ascii) } else { text }
    };
    let head = format!("from <{}> to {}", story.reverse_path, story.recipients.join(", "));
    let mut lines = vec![Line::from(Span::styled(safe(&head), look.title()))];
    for step in &story.steps {
        let head = format!("{} {} {}", model.time(&step.at), step.kind, step.text);
        lines.push(Line::from(safe(&head)));
        for line in &step.lines {
            lines.push(Line::from(Span::styled(format!("    {}", safe(line)), look.quiet())));
        }
    }
    for waiting in &story.waiting {
        let next = waiting.next.as_ref().map(|at| format!(", next {}", model.time(at)));
        let text = format!(
            "now: waits for {} ({} attempts{}, given up {}): {}",
            waiting.domain,
            waiting.attempts,
            next.unwrap_or_default(),
            model.time(&waiting.expires),
            waiting.why
        );
        lines.push(Line::from(Span::styled(safe(&text), look.odd())));
    }
    let most = lines.len().saturating_sub(usize::from(area.height));
    let above = model.cursor.min(most) as u16;
    frame.render_widget(Paragraph::new(lines).scroll((above, 0)), area);
}
