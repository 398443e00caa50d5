//! `maily view`: what the console shows, as text or JSON: queues, sites, messages and so on.

use std::sync::Arc;

use serde_json::Value;

use maily_api::calls;
use maily_api::view::{Column, ColumnKind, ViewQuery, ViewRow, Window};
use maily_core::clock::Clock;

use crate::command::serve;
use crate::command::tracked::shown;
use crate::exit::{Exit, Failure};
use crate::office::Office;

/// The widest that a column gets.
const WIDTH_MAX: usize = 48;

/// Look at queues, sites, streams, sources, messages, sessions, plugins, bounces, suppressions,
/// jobs, audit or tokens.
///
/// It asks the running daemon by its admin socket (http.admin.listen).
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(
    after_help = "Examples:\n  maily view\n  maily view queues 'waiting>1k and oldest>1h'\n  \
    maily view queues --group site\n  maily view messages site=mx.example.org --sort -age\n\n\
    Without a name it lists the views and their columns, which are the fields of selectors.\n\
    Exit codes: 1 no row; 65 the selector is wrong; 75 no daemon answers."
)]
pub struct Arguments {
    /// Which view.
    name: Option<String>,
    /// Which rows; all of them without.
    selector: Option<String>,
    /// A column to sort by, with - in front if the greatest come first.
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true)]
    sort: Option<String>,
    /// A column by which to group.
    #[arg(long, value_name = "COLUMN")]
    group: Option<String>,
    /// The most rows.
    #[arg(long, value_name = "COUNT")]
    limit: Option<u16>,
    /// Rows to pass over.
    #[arg(long, value_name = "COUNT")]
    offset: Option<u32>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    serve: serve::Arguments,
}

/// Prints it.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub async fn run(arguments: Arguments, clock: Arc<dyn Clock>) -> Result<Exit, Failure> {
    let config = serve::read_only(&arguments.serve)?;
    let office = Office::find(&config, &clock).await?;
    let Some(name) = arguments.name else {
        for view in office.run(calls::views()).await? {
            println!("{}: {}", view.name, view.about);
            for column in view.columns {
                println!("    {:<12} {}", column.name, column.about);
            }
        }
        return Ok(Exit::Ok);
    };
    let query = ViewQuery {
        filter: arguments.selector,
        sort: arguments.sort,
        group: arguments.group,
        offset: arguments.offset,
        limit: arguments.limit,
    };
    let window = office.run(calls::view(&name, &query)).await?;
    if arguments.json {
        println!("{}", serde_json::to_string(&window).map_err(anyhow::Error::from)?);
    } else {
        print!("{}", text(&window));
    }
    Ok(if window.rows.is_empty() { Exit::Nothing } else { Exit::Ok })
}

fn text(window: &Window) -> String {
    let cells: Vec<Vec<String>> =
        window.rows.iter().map(|row| written(row, &window.columns)).collect();
    let width = |place: usize, column: &Column| {
        let of = |row: &Vec<String>| row.get(place).map_or(0, |cell| cell.chars().count());
        let widest = cells.iter().map(of).max().unwrap_or(0);
        widest.max(column.title.chars().count()).min(WIDTH_MAX)
    };
    let widths: Vec<_> = window.columns.iter().enumerate().map(|(n, c)| width(n, c)).collect();
    let titles: Vec<_> = window.columns.iter().map(|column| column.title.clone()).collect();
    let mut text = line(&titles, &widths, &window.columns);
    for row in &cells {
        text.push_str(&line(row, &widths, &window.columns));
    }
    let (rows, selected, total) = (window.rows.len(), window.selected, window.total);
    text.push_str(&format!("{rows} of {selected} of {total}\n"));
    text
}

fn line(cells: &[String], widths: &[usize], columns: &[Column]) -> String {
    let mut text = String::new();
    for ((cell, width), column) in cells.iter().zip(widths).zip(columns) {
        let cell: String = cell.chars().take(*width).collect();
        match is_number(column.kind) {
            true => text.push_str(&format!("{cell:>width$}  ")),
            false => text.push_str(&format!("{cell:<width$}  ")),
        }
    }
    format!("{}\n", text.trim_end())
}

const fn is_number(kind: ColumnKind) -> bool {
    !matches!(kind, ColumnKind::Text | ColumnKind::Address | ColumnKind::Time)
}

fn written(row: &ViewRow, columns: &[Column]) -> Vec<String> {
    row.cells.iter().zip(columns).map(|(cell, column)| cell_text(cell, column.kind)).collect()
}

/// A cell as people read it.
fn cell_text(cell: &Value, kind: ColumnKind) -> String {
    match (cell, kind) {
        (Value::Null, _) => "-".to_owned(),
        (Value::String(text), _) => shown(text),
        (Value::Number(number), ColumnKind::Seconds) => {
            duration(number.as_f64().unwrap_or(0.0) as u64)
        }
        (Value::Number(number), ColumnKind::Percent | ColumnKind::Rate) => {
            format!("{:.1}", number.as_f64().unwrap_or(0.0))
        }
        (other, _) => other.to_string(),
    }
}

/// How long, in two units at most: `3h12m`.
pub(crate) fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{minutes}m{:02}s", seconds % 60),
        3_600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_a_table_and_shows_nothing_that_moves_the_cursor() {
        let column = |name: &str, kind| Column {
            name: name.into(),
            title: name.to_uppercase(),
            kind,
            rank: 0,
            about: String::new(),
        };
        let row = |key: &str, count: u64| ViewRow {
            key: key.into(),
            selector: None,
            cells: vec![key.into(), count.into(), (count * 60).into(), Value::Null],
        };
        let window = Window {
            view: "test".into(),
            at: String::new(),
            columns: vec![
                column("domain", ColumnKind::Text),
                column("waiting", ColumnKind::Count),
                column("oldest", ColumnKind::Seconds),
                column("until", ColumnKind::Time),
            ],
            sort: "domain".into(),
            total: 9,
            selected: 2,
            offset: 0,
            rows: vec![row("a\u{1b}[2J", 7), row("long.example", 12_345)],
        };
        let wanted = "DOMAIN        WAITING  OLDEST  UNTIL\n\
                      a?[2J               7   7m00s  -\n\
                      long.example    12345   8d13h  -\n\
                      2 of 2 of 9\n";
        assert_eq!(text(&window), wanted);
    }
}
