//! What holds the selected mail.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::text::Span;
use ratatui::widgets::Paragraph;

use crate::model::Model;
use crate::text::cell;
use crate::text::grouped;
use crate::text::harmless;
use crate::text::masked;

/// Lines of a cause.
const LINES: usize = 3;

/// Draws it.
pub fn draw(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let Some(why) = &model.known.why else {
        return frame.render_widget(Paragraph::new("asking why it waits"), area);
    };
    let (look, ascii) = (model.look, model.look.ascii);
    let head = format!(
        "WHY IS MAIL WAITING?  {} waiting, {} under way",
        grouped(why.waiting),
        grouped(why.in_flight)
    );
    let mut lines = vec![Line::from(Span::styled(head, look.title()))];
    let fit = (usize::from(area.height).saturating_sub(1) / LINES).max(1);
    let first = (model.cursor + 1).saturating_sub(fit);
    for (place, cause) in why.causes.iter().enumerate().skip(first).take(fit) {
        let percent = cause.count as f64 * 100.0 / why.waiting.max(1) as f64;
        let style = if place == model.cursor { look.cursor() } else { Style::new() };
        let line = format!(
            "{:>3} {} {percent:>4.0} %  {}",
            place + 1,
            cell(&grouped(cause.count), 10, true),
            harmless(&cause.cause, ascii)
        );
        lines.push(Line::from(Span::styled(cell(&line, usize::from(area.width), false), style)));
        let detail = harmless(&cause.detail, ascii);
        let detail = if model.private { masked(&detail, ascii) } else { detail };
        lines.push(Line::from(format!("       {detail}")));
        let mut more = vec![harmless(&cause.place, ascii)];
        more.extend(cause.since.as_ref().map(|at| format!("since {}", model.time(at))));
        more.extend(cause.until.as_ref().map(|at| format!("until {}", model.time(at))));
        more.push(harmless(&cause.remedy, ascii));
        more.retain(|part| !part.is_empty());
        let text = format!("       -> {}", more.join("; "));
        lines.push(Line::from(Span::styled(text, look.quiet())));
    }
    if why.causes.is_empty() {
        lines.push(Line::from("nothing waits"));
    }
    frame.render_widget(Paragraph::new(lines), area);
}
