//! Draws what there is.

use ratatui::Frame;
use ratatui::layout::Alignment;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::text::Span;
use ratatui::widgets::Block;
use ratatui::widgets::Clear;
use ratatui::widgets::Paragraph;

use crate::dialog::Dialog;
use crate::dialog::Focus;
use crate::keys::KEYS;
use crate::model::Model;
use crate::model::Screen;
use crate::model::Typing;
use crate::screens::help;
use crate::screens::overview;
use crate::screens::story;
use crate::screens::tail;
use crate::screens::view;
use crate::screens::why;
use crate::text::cell;
use crate::text::grouped;
use crate::text::harmless;
use crate::text::lasting;
use crate::text::width;

/// The narrowest and lowest screen on which there is something to see.
pub const SIZE_MIN: (u16, u16) = (20, 5);

/// Draws it.
pub fn draw(model: &Model, frame: &mut Frame<'_>) {
    let area = frame.area();
    if area.width < SIZE_MIN.0 || area.height < SIZE_MIN.1 {
        return frame.render_widget(Paragraph::new("too small"), area);
    }
    let block = Block::bordered().border_set(model.look.border());
    let inner = block.inner(area);
    frame.render_widget(block, area);
    head(model, frame, area);
    let body = Rect { height: inner.height.saturating_sub(1), ..inner };
    match model.screen() {
        Screen::Overview => overview::draw(model, frame, body),
        Screen::View { .. } => view::draw(model, frame, body),
        Screen::Why { .. } => why::draw(model, frame, body),
        Screen::Story { .. } => story::draw(model, frame, body),
        Screen::Tail(_) => tail::draw(model, frame, body),
        Screen::Help => help::draw(model, frame, body),
    }
    let last = Rect { y: inner.bottom().saturating_sub(1), height: 1, ..inner };
    frame.render_widget(Paragraph::new(foot(model, usize::from(inner.width))), last);
    hints(model, frame, area);
    if let Some(dialog) = &model.dialog {
        ask(model, dialog, frame, area);
    }
}

/// Where we are, who we are, and how old what is shown is.
fn head(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let ascii = model.look.ascii;
    let crumbs: Vec<_> =
        model.screens.iter().map(|screen| harmless(&screen.crumb(), ascii)).collect();
    let mark = model.look.crumb();
    let (badge, style) = badge(model);
    let right = format!(" {} - {badge} ", if model.writable { "rw" } else { "read-only" });
    let room = usize::from(area.width).saturating_sub(width(&right) + 4);
    let mut left = format!(" maily {mark} {} ", crumbs.join(&format!(" {mark} ")));
    if width(&left) > room {
        let last = crumbs.last().cloned().unwrap_or_default();
        left = format!(" {mark} {} ", cell(&last, room.saturating_sub(4), false).trim_end());
    }
    let line = Rect { x: area.x + 1, width: area.width.saturating_sub(2), height: 1, ..area };
    let title = Line::from(Span::styled(left, model.look.title()));
    let place =
        Rect { width: width(&title.to_string()).min(usize::from(line.width)) as u16, ..line };
    frame.render_widget(Paragraph::new(title), place);
    let taken = (width(&right) as u16).min(line.width);
    let place = Rect { x: line.right().saturating_sub(taken), width: taken, ..line };
    frame.render_widget(Paragraph::new(Line::from(Span::styled(right, style))), place);
}

fn badge(model: &Model) -> (String, Style) {
    let look = model.look;
    let age = model.link.heard.map(|heard| model.now.saturating_sub(heard));
    match (model.frozen, model.is_stale(), age) {
        (true, ..) => ("frozen".to_owned(), look.odd()),
        (_, true, Some(age)) => (format!("stale {}", lasting(age)), look.odd()),
        (_, true, None) => ("not connected".to_owned(), look.bad()),
        (_, false, _) => ("live".to_owned(), look.good()),
    }
}

/// What is typed, or what there is to say.
fn foot(model: &Model, cells: usize) -> Line<'static> {
    let ascii = model.look.ascii;
    match (&model.typing, &model.notice) {
        (Typing::Command(text), _) => Line::from(format!(":{}_", harmless(text, ascii))),
        (Typing::Filter(text), _) => Line::from(format!("/{}_", harmless(text, ascii))),
        (_, Some((good, text))) => {
            let style = if *good { model.look.good() } else { model.look.bad() };
            // An error with a caret has several lines: what is wrong stands behind it.
            let line = text.lines().filter(|l| !l.trim_matches([' ', '^']).is_empty());
            let line = line.collect::<Vec<_>>().join(" | ");
            let sign = if *good { "" } else { "! " };
            let line = cell(&format!("{sign}{}", harmless(&line, ascii)), cells, false);
            Line::from(Span::styled(line, style))
        }
        _ => Line::from(""),
    }
}

fn hints(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let room = usize::from(area.width).saturating_sub(4);
    let mut text = String::new();
    for binding in KEYS.iter().filter(|binding| binding.hinted) {
        let about = binding.about.split([';', ',']).next().unwrap_or_default();
        let hint = format!(" {} {about} ", binding.shown);
        if width(&text) + width(&hint) > room {
            break;
        }
        text.push_str(&hint);
    }
    let (x, y) = (area.x + 2, area.bottom().saturating_sub(1));
    let place = Rect { x, y, width: (width(&text) as u16).min(area.width - 4), height: 1 };
    frame.render_widget(Paragraph::new(Line::from(text)).style(model.look.quiet()), place);
}

/// A dialog, in the middle.
fn ask(model: &Model, dialog: &Dialog, frame: &mut Frame<'_>, area: Rect) {
    let lines = asked(model, dialog);
    let wide = 76.min(area.width.saturating_sub(2));
    let high = (lines.len() as u16 + 2).min(area.height.saturating_sub(2));
    let place = Rect {
        x: area.x + (area.width - wide) / 2,
        y: area.y + (area.height - high) / 2,
        width: wide,
        height: high,
    };
    let verb = dialog.request.verb.word();
    let title = match &dialog.would {
        Some(would) => format!(" {verb} {} messages? ", grouped(would.matched)),
        None => format!(" {verb}? "),
    };
    let block = Block::bordered()
        .border_set(model.look.border())
        .title(Line::from(Span::styled(title, model.look.title())))
        .title_alignment(Alignment::Left);
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(lines).block(block), place);
}

fn asked(model: &Model, dialog: &Dialog) -> Vec<Line<'static>> {
    let (ascii, look) = (model.look.ascii, model.look);
    let named = |name: &str, text: &str| {
        Line::from(format!("{} {}", cell(name, 10, false), harmless(text, ascii)))
    };
    let mut lines = vec![named("selector", &dialog.request.selector)];
    match &dialog.would {
        None => lines.push(Line::from("asking the daemon what would happen")),
        Some(would) => {
            for (place, effect) in would.effect.iter().enumerate() {
                lines.push(named(if place == 0 { "effect" } else { "" }, effect));
            }
            let sites: Vec<_> = would
                .sites
                .iter()
                .take(4)
                .map(|part| format!("{} {}", part.name, grouped(part.count)))
                .collect();
            if !sites.is_empty() {
                lines.push(named("by site", &sites.join(", ")));
            }
        }
    }
    let field = |name: &str, text: &str, focus: Focus| {
        let cursor = if dialog.focus == focus { "_" } else { "" };
        let line = format!("{} {}{cursor}", cell(name, 10, false), harmless(text, ascii));
        let style = if dialog.focus == focus { look.title() } else { Style::new() };
        Line::from(Span::styled(line, style))
    };
    lines.push(Line::from(""));
    if dialog.needs_reason() {
        lines.push(field("reason", &dialog.request.reason, Focus::Reason));
    }
    if dialog.needs_typing() {
        lines.push(Line::from("type the selector once more:"));
        lines.push(field("", &dialog.typed, Focus::Typed));
    }
    let button = |text: &str, focus: Focus| {
        let style = if dialog.focus == focus { look.cursor() } else { Style::new() };
        Span::styled(format!("[ {text} ]"), style)
    };
    let verb = dialog.request.verb.word();
    lines.push(Line::from(vec![
        button("Cancel", Focus::Cancel),
        Span::raw("  "),
        button(verb, Focus::Do),
        Span::styled("   tab: next   C: command", look.quiet()),
    ]));
    lines
}
