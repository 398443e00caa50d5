//! Rows with named columns, of which a window is shown: selected, grouped, sorted and cut.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::Value;

use maily_api::view::Column;
use maily_api::view::ColumnKind;
use maily_api::view::SELECTOR_OCTETS_MAX;
use maily_api::view::ViewInfo;
use maily_api::view::ViewQuery;
use maily_api::view::ViewRow;
use maily_api::view::WINDOW_OFFSET_MAX;
use maily_api::view::WINDOW_ROWS_DEFAULT;
use maily_api::view::WINDOW_ROWS_MAX;
use maily_api::view::Window;
use maily_core::clock::Timestamp;
use maily_core::selector::Selector;
use maily_core::selector::schema::FieldSpec;
use maily_core::selector::schema::Kind;
use maily_core::selector::schema::Schema;
use maily_core::selector::test::Test;
use maily_core::selector::value::quoted;

use crate::fault::Fault;

/// A column of a view.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ColumnSpec {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) kind: ColumnKind,
    pub(crate) rank: u8,
    pub(crate) about: &'static str,
}

/// A view.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ViewSpec {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) columns: &'static [ColumnSpec],
    pub(crate) groups: &'static [&'static str],
    pub(crate) sort: &'static str,
}

/// What stands in a cell.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Text(String),
    Number(f64),
    Nothing,
}

impl Cell {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn count(count: impl Into<u64>) -> Self {
        Self::Number(count.into() as f64)
    }

    /// A number with two places.
    pub(crate) fn fraction(number: f64) -> Self {
        Self::Number((number * 100.0).round() / 100.0)
    }

    pub(crate) fn maybe(text: Option<String>) -> Self {
        text.map_or(Self::Nothing, Self::Text)
    }

    /// For how long it has been so.
    pub(crate) fn since(now: Timestamp, at: Option<Timestamp>) -> Self {
        at.map_or(Self::Nothing, |at| Self::Number(now.since(at).as_secs() as f64))
    }

    fn value(&self) -> Value {
        match self {
            Self::Text(text) => text.as_str().into(),
            Self::Number(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
                (*number as i64).into()
            }
            Self::Number(number) => (*number).into(),
            Self::Nothing => Value::Null,
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Nothing, Self::Nothing) => Ordering::Equal,
            (Self::Nothing, _) | (Self::Number(_), Self::Text(_)) => Ordering::Less,
            _ => Ordering::Greater,
        }
    }
}

/// A row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) key: String,
    /// A selector of the mail that it stands for; empty if it stands for none.
    pub(crate) selector: String,
    pub(crate) cells: Vec<Cell>,
}

impl ViewSpec {
    pub(crate) fn info(&self) -> ViewInfo {
        ViewInfo {
            name: self.name.to_owned(),
            about: self.about.to_owned(),
            columns: self.columns(),
            groups: self.groups.iter().map(|name| (*name).to_owned()).collect(),
            sort: self.sort.to_owned(),
        }
    }

    pub(crate) fn columns(&self) -> Vec<Column> {
        let column = |spec: &ColumnSpec| Column {
            name: spec.name.to_owned(),
            title: spec.title.to_owned(),
            kind: spec.kind,
            rank: spec.rank,
            about: spec.about.to_owned(),
        };
        self.columns.iter().map(column).collect()
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }
}

/// What of a view is wanted, within its bounds.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) filter: Selector,
    /// The text of the filter, for views that read it themselves.
    pub(crate) text: String,
    pub(crate) sort: String,
    group: Option<usize>,
    pub(crate) offset: usize,
    pub(crate) limit: usize,
}

/// Reads what is wanted of a view.
pub(crate) fn wish(spec: &ViewSpec, query: &ViewQuery) -> Result<Wish, Fault> {
    let limit = query.limit.unwrap_or(WINDOW_ROWS_DEFAULT);
    if limit == 0 || limit > WINDOW_ROWS_MAX {
        return Err(Fault::malformed(format!("limit must be from 1 to {WINDOW_ROWS_MAX}")));
    }
    let offset = query.offset.unwrap_or(0);
    if offset > WINDOW_OFFSET_MAX {
        return Err(Fault::malformed(format!("offset must be at most {WINDOW_OFFSET_MAX}")));
    }
    let text = query.filter.clone().unwrap_or_default();
    if text.len() > SELECTOR_OCTETS_MAX {
        let detail = format!("filter must have at most {SELECTOR_OCTETS_MAX} octets");
        return Err(Fault::malformed(detail));
    }
    let fields: Vec<_> = spec.columns.iter().map(field).collect();
    let filter = Selector::parse(&text, &Schema::with_bare_words(&fields))
        .map_err(|error| Fault::invalid_at("/filter", "selector", error.shown(&text)))?;
    let sort = query.sort.clone().unwrap_or_else(|| spec.sort.to_owned());
    let names = || spec.columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ");
    if spec.place(sort.trim_start_matches('-')).is_none() {
        return Err(Fault::malformed(format!("sort must be one of {}", names())));
    }
    let group = match query.group.as_deref() {
        None => None,
        Some(name) if spec.groups.contains(&name) => spec.place(name),
        Some(_) => {
            let detail = format!("group must be one of {}", spec.groups.join(", "));
            return Err(Fault::malformed(detail));
        }
    };
    Ok(Wish { filter, text, sort, group, offset: offset as usize, limit: limit.into() })
}

fn field(column: &ColumnSpec) -> FieldSpec<'static> {
    let kind = match column.kind {
        ColumnKind::Text | ColumnKind::Address => Kind::Text,
        ColumnKind::Count => Kind::Count,
        ColumnKind::Rate => Kind::Rate,
        ColumnKind::Percent => Kind::Percent,
        ColumnKind::Octets => Kind::Octets,
        ColumnKind::Seconds => Kind::Seconds,
        // They are texts that sort as they should; in selectors they are compared as such.
        ColumnKind::Time => Kind::Text,
    };
    FieldSpec::new(column.name, kind, column.about)
}

/// The window that is wanted.
pub(crate) fn window(spec: &ViewSpec, rows: &[Row], wish: &Wish, now: Timestamp) -> Window {
    let total = rows.len() as u64;
    let mut selected: Vec<&Row> = rows.iter().filter(|row| selects(&wish.filter, row)).collect();
    let grouped;
    if let Some(column) = wish.group {
        grouped = group(spec, &selected, column);
        selected = grouped.iter().collect();
    }
    let place = spec.place(wish.sort.trim_start_matches('-')).unwrap_or(0);
    let falls = wish.sort.starts_with('-');
    let compare = |a: &&Row, b: &&Row| {
        let order = match (a.cells.get(place), b.cells.get(place)) {
            (Some(a), Some(b)) => a.compare(b),
            _ => Ordering::Equal,
        };
        let order = if falls { order.reverse() } else { order };
        order.then_with(|| a.key.cmp(&b.key))
    };
    let count = selected.len();
    let end = (wish.offset + wish.limit).min(count);
    if end < count && end > 0 {
        selected.select_nth_unstable_by(end - 1, compare);
        selected.truncate(end);
    }
    selected.sort_unstable_by(compare);
    let in_sight = selected.into_iter().skip(wish.offset).take(wish.limit);
    shown(spec, wish, now, (total, count as u64), in_sight.map(written).collect())
}

/// A window with these rows, of so many and of so many that are selected.
pub(crate) fn shown(
    spec: &ViewSpec,
    wish: &Wish,
    now: Timestamp,
    (total, selected): (u64, u64),
    rows: Vec<ViewRow>,
) -> Window {
    Window {
        view: spec.name.to_owned(),
        at: now.to_string(),
        columns: spec.columns(),
        sort: wish.sort.clone(),
        total,
        selected,
        offset: wish.offset as u32,
        rows,
    }
}

pub(crate) fn written(row: &Row) -> ViewRow {
    ViewRow {
        key: row.key.clone(),
        selector: (!row.selector.is_empty()).then(|| row.selector.clone()),
        cells: row.cells.iter().map(Cell::value).collect(),
    }
}

fn selects(filter: &Selector, row: &Row) -> bool {
    filter.matches(&mut |test: &Test| match row.cells.get(test.field()) {
        _ if test.is_bare() => row.cells.iter().any(|cell| match cell {
            Cell::Text(text) => test.on_text(text),
            Cell::Number(_) | Cell::Nothing => false,
        }),
        Some(Cell::Text(text)) => test.on_text(text),
        Some(Cell::Number(number)) => test.on_number(*number),
        Some(Cell::Nothing) | None => test.on_text(""),
    })
}

/// One row for each value of a column: counts and rates are added, of times the longest is taken,
/// of texts the one that all have.
fn group(spec: &ViewSpec, rows: &[&Row], column: usize) -> Vec<Row> {
    let mut groups: BTreeMap<String, (usize, Row)> = BTreeMap::new();
    let name = spec.columns.get(column).map_or("", |column| column.name);
    for row in rows {
        let value = match row.cells.get(column) {
            Some(Cell::Text(text)) => text.clone(),
            _ => String::new(),
        };
        match groups.get_mut(&value) {
            None => {
                let selector = match row.selector.is_empty() {
                    true => String::new(),
                    false => format!("{name}={}", quoted(&value)),
                };
                let cells = row.cells.clone();
                groups.insert(value.clone(), (1, Row { key: value, selector, cells }));
            }
            Some((count, into)) => {
                *count += 1;
                for ((cell, more), spec) in into.cells.iter_mut().zip(&row.cells).zip(spec.columns)
                {
                    merge(cell, more, spec.kind);
                }
            }
        }
    }
    groups.into_values().map(|(_, row)| row).collect()
}

fn merge(cell: &mut Cell, more: &Cell, kind: ColumnKind) {
    *cell = match (&*cell, more, kind) {
        (Cell::Number(a), Cell::Number(b), ColumnKind::Count) => Cell::Number(a + b),
        (Cell::Number(a), Cell::Number(b), ColumnKind::Rate | ColumnKind::Octets) => {
            Cell::Number(a + b)
        }
        (Cell::Number(a), Cell::Number(b), ColumnKind::Seconds) => Cell::Number(a.max(*b)),
        (Cell::Nothing, other, ColumnKind::Seconds) => other.clone(),
        (same, Cell::Nothing, ColumnKind::Seconds) => same.clone(),
        (a, b, _) if a == b => return,
        _ => Cell::Nothing,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: ViewSpec = ViewSpec {
        name: "test",
        about: "a test",
        columns: &[
            ColumnSpec {
                name: "domain",
                title: "DOMAIN",
                kind: ColumnKind::Text,
                rank: 0,
                about: "",
            },
            ColumnSpec { name: "site", title: "SITE", kind: ColumnKind::Text, rank: 1, about: "" },
            ColumnSpec {
                name: "waiting",
                title: "WAIT",
                kind: ColumnKind::Count,
                rank: 0,
                about: "",
            },
            ColumnSpec {
                name: "oldest",
                title: "OLDEST",
                kind: ColumnKind::Seconds,
                rank: 2,
                about: "",
            },
        ],
        groups: &["site"],
        sort: "-waiting",
    };

    fn rows(count: u64) -> Vec<Row> {
        let row = |n: u64| Row {
            key: format!("d{n:04}"),
            selector: format!("domain=d{n:04}"),
            cells: vec![
                Cell::text(format!("d{n:04}")),
                Cell::text(format!("mx{}", n % 3)),
                Cell::count(n),
                if n.is_multiple_of(2) { Cell::Nothing } else { Cell::count(n * 10) },
            ],
        };
        (0..count).map(row).collect()
    }

    fn ask(query: ViewQuery) -> Result<Window, Fault> {
        let wish = wish(&SPEC, &query)?;
        Ok(window(&SPEC, &rows(1_000), &wish, Timestamp::from_secs(1)))
    }

    fn keys(window: &Window) -> Vec<&str> {
        window.rows.iter().map(|row| &*row.key).collect()
    }

    #[test]
    fn a_window_is_selected_sorted_and_cut() {
        let some = |filter: &str, sort: &str, offset, limit| {
            ask(ViewQuery {
                filter: Some(filter.into()),
                sort: Some(sort.into()),
                group: None,
                offset: Some(offset),
                limit: Some(limit),
            })
            .unwrap()
        };
        let first = ask(ViewQuery::default()).unwrap();
        assert_eq!((first.total, first.selected, first.rows.len()), (1_000, 1_000, 50));
        assert_eq!(keys(&first)[..2], ["d0999", "d0998"]);
        let window = some("waiting<10 and site=mx1", "waiting", 1, 2);
        assert_eq!((keys(&window), window.selected), (vec!["d0004", "d0007"], 3));
        assert_eq!(keys(&some("d099", "-domain", 0, 2)), ["d0999", "d0998"]);
        assert_eq!(keys(&some("oldest>9980s", "oldest", 0, 9)), ["d0999"]);
        assert_eq!(keys(&some("", "-waiting", 999, 9)), ["d0000"]);
        assert!(keys(&some("", "-waiting", 1_000, 9)).is_empty());
        assert_eq!(first.rows[0].cells[2], 999);
    }

    #[test]
    fn groups_add_up() {
        let query = ViewQuery {
            filter: Some("waiting<6".into()),
            group: Some("site".into()),
            ..ViewQuery::default()
        };
        let window = ask(query).unwrap();
        let counts: Vec<_> = window.rows.iter().map(|row| (&*row.key, &row.cells[2])).collect();
        assert_eq!(counts, [("mx2", &7.into()), ("mx1", &5.into()), ("mx0", &3.into())]);
        assert_eq!(window.rows[0].selector.as_deref(), Some("site=mx2"));
        assert_eq!(
            (&window.rows[0].cells[0], &window.rows[0].cells[3]),
            (&Value::Null, &50.into())
        );
    }

    #[test]
    fn one_above_each_limit_and_whatever_is_not_there_is_refused() {
        for query in [
            ViewQuery { limit: Some(WINDOW_ROWS_MAX + 1), ..ViewQuery::default() },
            ViewQuery { limit: Some(0), ..ViewQuery::default() },
            ViewQuery { offset: Some(WINDOW_OFFSET_MAX + 1), ..ViewQuery::default() },
            ViewQuery { filter: Some("a".repeat(2_049)), ..ViewQuery::default() },
            ViewQuery { filter: Some("colour=red".into()), ..ViewQuery::default() },
            ViewQuery { sort: Some("-colour".into()), ..ViewQuery::default() },
            ViewQuery { group: Some("domain".into()), ..ViewQuery::default() },
        ] {
            assert!(ask(query.clone()).is_err(), "{query:?}");
        }
    }
}
