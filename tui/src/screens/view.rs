//! A view: a table whose columns go, the least needed first, where there is no room.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::text::Span;
use ratatui::widgets::Paragraph;
use serde_json::Value;

use maily_api::view::Column;
use maily_api::view::ColumnKind;
use maily_api::view::Window;

use crate::model::Model;
use crate::text::cell;
use crate::text::grouped;
use crate::text::harmless;
use crate::text::lasting;
use crate::text::masked;
use crate::text::octets;
use crate::text::width;

/// The widest that a column gets, but for the first one.
const WIDTH_MAX: usize = 32;
/// The narrowest that the first column gets.
const FIRST_MIN: usize = 12;

/// A column that is drawn: its place, and how wide it is.
struct Drawn<'a> {
    place: usize,
    column: &'a Column,
    cells: usize,
}

/// Draws it.
pub fn draw(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let Some(window) = &model.known.window else {
        return frame.render_widget(Paragraph::new("asking the daemon"), area);
    };
    let rows: Vec<Vec<String>> = window
        .rows
        .iter()
        .map(|row| row.cells.iter().zip(&window.columns).map(|(v, c)| shown(model, v, c)).collect())
        .collect();
    let drawn = columns(window, &rows, usize::from(area.width));
    let mut lines = vec![summary(model, window), titles(model, window, &drawn)];
    let fit = usize::from(area.height).saturating_sub(lines.len());
    let first = (model.cursor + 1).saturating_sub(fit);
    for (place, row) in rows.iter().enumerate().skip(first).take(fit) {
        let key = window.rows.get(place).map(|row| row.key.as_str()).unwrap_or_default();
        let mark = if model.marks.contains(key) { model.look.mark() } else { " " };
        let mut text = mark.to_owned();
        for column in &drawn {
            let content = row.get(column.place).map(String::as_str).unwrap_or_default();
            text.push_str(&cell(content, column.cells, is_number(column.column.kind)));
            text.push(' ');
        }
        let style = if place == model.cursor { model.look.cursor() } else { Style::new() };
        let text = cell(&text, usize::from(area.width), false);
        lines.push(Line::from(Span::styled(text, style)));
    }
    if rows.is_empty() {
        lines.push(Line::from(" no row"));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn summary(model: &Model, window: &Window) -> Line<'static> {
    let filter = match model.screen() {
        crate::model::Screen::View { query, .. } => query.filter.clone().unwrap_or_default(),
        _ => String::new(),
    };
    let filter = match filter.is_empty() {
        true => String::new(),
        false => format!("filter: {}   ", harmless(&filter, model.look.ascii)),
    };
    let (selected, total) = (grouped(window.selected), grouped(window.total));
    let from = window.offset as usize + 1;
    let to = window.offset as usize + window.rows.len();
    let text = format!(" {filter}{selected} of {total}   rows {from}-{to}");
    Line::from(Span::styled(text, model.look.quiet()))
}

fn titles(model: &Model, window: &Window, drawn: &[Drawn<'_>]) -> Line<'static> {
    let sorted = window.sort.trim_start_matches('-');
    let mut text = " ".to_owned();
    for column in drawn {
        let mut title = harmless(&column.column.title, model.look.ascii);
        if column.column.name == sorted {
            title.push_str(model.look.order(window.sort.starts_with('-')));
        }
        text.push_str(&cell(&title, column.cells, is_number(column.column.kind)));
        text.push(' ');
    }
    Line::from(Span::styled(text, model.look.title()))
}

/// The columns that fit, the least needed left out first.
fn columns<'a>(window: &'a Window, rows: &[Vec<String>], room: usize) -> Vec<Drawn<'a>> {
    let wide = |place: usize, column: &Column| {
        let of = |row: &Vec<String>| row.get(place).map_or(0, |text| width(text));
        let widest = rows.iter().map(of).max().unwrap_or(0);
        // One more for the sign of the order.
        widest.max(width(&column.title) + 1).min(if place == 0 { room } else { WIDTH_MAX })
    };
    let mut drawn: Vec<_> = window
        .columns
        .iter()
        .enumerate()
        .map(|(place, column)| Drawn { place, column, cells: wide(place, column) })
        .collect();
    let taken = |drawn: &[Drawn<'_>]| 1 + drawn.iter().map(|d| d.cells + 1).sum::<usize>();
    while taken(&drawn) > room {
        let least = drawn.iter().enumerate().skip(1).max_by_key(|(n, d)| (d.column.rank, *n));
        match least.map(|(n, d)| (n, d.column.rank)) {
            Some((n, rank)) if rank > 0 => {
                drawn.remove(n);
            }
            _ => break,
        }
    }
    let over = taken(&drawn).saturating_sub(room);
    if let Some(first) = drawn.first_mut() {
        first.cells = first.cells.saturating_sub(over).max(FIRST_MIN.min(room));
    }
    drawn
}

const fn is_number(kind: ColumnKind) -> bool {
    !matches!(kind, ColumnKind::Text | ColumnKind::Address | ColumnKind::Time)
}

/// A cell as it is read.
fn shown(model: &Model, value: &Value, column: &Column) -> String {
    let ascii = model.look.ascii;
    let nothing = || if ascii { "-".to_owned() } else { "·".to_owned() };
    match (value, column.kind) {
        (Value::Null, _) => nothing(),
        (Value::String(text), ColumnKind::Time) => model.time(text),
        (Value::String(text), kind) => {
            let text = harmless(text, ascii);
            match kind {
                ColumnKind::Address if model.private => masked(&text, ascii),
                _ => text,
            }
        }
        (Value::Number(number), kind) => {
            let whole = number.as_f64().unwrap_or(0.0);
            match kind {
                ColumnKind::Count if whole == 0.0 => nothing(),
                ColumnKind::Seconds => lasting(whole as u64),
                ColumnKind::Octets => octets(whole as u64),
                ColumnKind::Rate | ColumnKind::Percent => format!("{whole:.1}"),
                _ => grouped(whole as u64),
            }
        }
        (other, _) => harmless(&other.to_string(), ascii),
    }
}
