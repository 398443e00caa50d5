//! Views: windows on what the daemon knows, drawn up by the daemon: `GET /v1/views`,
//! `GET /v1/views/{view}`, and the same as a stream, `GET /v1/views/{view}/stream`.
//!
//! A view has named columns and rows with a cell for each. Whoever looks names a selector, a column
//! to sort by and how many rows are in sight, and gets these and no others.

use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use utoipa::IntoParams;
use utoipa::ToSchema;

/// Rows in sight if the request does not say.
pub const WINDOW_ROWS_DEFAULT: u16 = 50;
/// The most rows in sight.
pub const WINDOW_ROWS_MAX: u16 = 500;
/// The most rows above those in sight.
pub const WINDOW_OFFSET_MAX: u32 = 1_000_000;
/// The most octets of a selector.
pub const SELECTOR_OCTETS_MAX: usize = 2_048;

/// What the cells of a column hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    /// Words.
    #[default]
    Text,
    /// An address of a person: hidden where somebody else can see the screen.
    Address,
    /// How many.
    Count,
    /// How many in a second, as a fraction.
    Rate,
    /// Of a hundred, as a fraction.
    Percent,
    /// Octets.
    Octets,
    /// How long, in seconds, as a fraction.
    Seconds,
    /// When (RFC 3339).
    Time,
}

/// A column of a view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Column {
    /// Its name, in selectors and for sorting.
    pub name: String,
    /// What stands above it.
    pub title: String,
    /// What its cells hold.
    pub kind: ColumnKind,
    /// Where there is no room for all, the columns with the greatest number go first.
    pub rank: u8,
    /// What it means.
    pub about: String,
}

/// A view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ViewInfo {
    /// Its name.
    pub name: String,
    /// What it shows.
    pub about: String,
    /// Its columns; the first says what a row is.
    pub columns: Vec<Column>,
    /// The columns by which rows can be grouped.
    pub groups: Vec<String>,
    /// How it is sorted if the request does not say: a column, with `-` if the greatest come first.
    pub sort: String,
}

/// A row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ViewRow {
    /// What tells it from others of its view.
    pub key: String,
    /// A selector of the mail that it stands for, where it stands for mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// A cell for each column: a text, a number, or null.
    #[schema(value_type = Vec<Value>)]
    pub cells: Vec<Value>,
}

/// What is in sight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Window {
    /// The view's name.
    pub view: String,
    /// When the rows were as shown (RFC 3339).
    #[schema(format = "date-time")]
    pub at: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// How it is sorted.
    pub sort: String,
    /// Rows of the view.
    pub total: u64,
    /// Rows that the selector selects.
    pub selected: u64,
    /// Rows above those in sight.
    pub offset: u32,
    /// Those in sight.
    pub rows: Vec<ViewRow>,
}

/// What has changed in a window since what was sent before: an event `diff` of the stream, whose
/// first event, `window`, has the whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WindowDiff {
    /// When the rows were as shown (RFC 3339).
    #[schema(format = "date-time")]
    pub at: String,
    /// Rows of the view.
    pub total: u64,
    /// Rows that the selector selects.
    pub selected: u64,
    /// The keys of the rows in sight, if they are others or stand otherwise than before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Vec<String>>,
    /// Rows that are new in sight, or have changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<ViewRow>,
}

impl Window {
    /// Brings the window up to date. Rows that are out of sight are gone.
    pub fn apply(&mut self, diff: WindowDiff) {
        let WindowDiff { at, total, selected, order, rows } = diff;
        (self.at, self.total, self.selected) = (at, total, selected);
        let Some(order) = order else {
            for row in rows {
                if let Some(old) = self.rows.iter_mut().find(|old| old.key == row.key) {
                    *old = row;
                }
            }
            return;
        };
        let old = std::mem::take(&mut self.rows);
        let find = |key: &String| {
            let is = |row: &&ViewRow| row.key == *key;
            rows.iter().find(is).or_else(|| old.iter().find(is)).cloned()
        };
        self.rows = order.iter().filter_map(find).collect();
    }

    /// What leads from this window to a newer one.
    pub fn diff(&self, newer: &Self) -> WindowDiff {
        let same = |row: &ViewRow| self.rows.contains(row);
        let keys = |window: &Self| window.rows.iter().map(|row| row.key.clone()).collect();
        let (old, new): (Vec<String>, Vec<String>) = (keys(self), keys(newer));
        WindowDiff {
            at: newer.at.clone(),
            total: newer.total,
            selected: newer.selected,
            order: (old != new).then_some(new),
            rows: newer.rows.iter().filter(|row| !same(row)).cloned().collect(),
        }
    }
}

/// What of a view is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ViewQuery {
    /// A selector; all rows without.
    #[param(max_length = 2048)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// A column to sort by, with `-` in front if the greatest come first.
    #[param(max_length = 63)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort: Option<String>,
    /// A column by which to group.
    #[param(max_length = 63)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Rows above those in sight.
    #[param(minimum = 0, maximum = 1_000_000)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u32>,
    /// The most rows in sight.
    #[param(minimum = 1, maximum = 500)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u16>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(rows: &[(&str, u64)]) -> Window {
        let row = |(key, count): &(&str, u64)| ViewRow {
            key: (*key).to_owned(),
            selector: None,
            cells: vec![(*key).into(), (*count).into()],
        };
        Window {
            view: "queues".into(),
            at: "2026-11-27T08:00:00Z".into(),
            columns: Vec::new(),
            sort: "-waiting".into(),
            total: 9,
            selected: rows.len() as u64,
            offset: 0,
            rows: rows.iter().map(row).collect(),
        }
    }

    #[test]
    fn a_diff_says_what_changed_and_leads_to_the_newer_window() {
        type Rows = &'static [(&'static str, u64)];
        let cases: [(Rows, usize, bool); 5] = [
            (&[("a", 1), ("b", 2), ("c", 3)], 0, false),
            (&[("a", 1), ("b", 7), ("c", 3)], 1, false),
            (&[("c", 3), ("a", 1), ("b", 2)], 0, true),
            (&[("d", 4), ("a", 1), ("b", 3)], 2, true),
            (&[], 0, true),
        ];
        for (rows, changed, moved) in cases {
            let (mut old, new) = (window(&[("a", 1), ("b", 2), ("c", 3)]), window(rows));
            let diff = old.diff(&new);
            assert_eq!((diff.rows.len(), diff.order.is_some()), (changed, moved), "{rows:?}");
            old.apply(diff);
            assert_eq!(old, new);
        }
    }
}
