//! A table of a plugin's `data/` folder: a TOML file, or a CSV file with names in its first line,
//! whose rows are found by their first column.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::fault::Place;
use crate::limits;

/// A table that scripts can read.
#[derive(Clone, Debug, PartialEq)]
pub struct Table(Value);

impl Table {
    /// Reads a table; tells where and what is wrong.
    pub fn parse(path: &str, text: &str) -> Result<Self, (Place, String)> {
        if path.ends_with(".csv") {
            return csv(path, text).map(Self);
        }
        let value: toml::Table = toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let line = text.get(..start).unwrap_or_default().matches('\n').count() + 1;
            (Place::in_text(path, text, line, 0), error.message().to_owned())
        })?;
        serde_json::to_value(value).map(Self).map_err(|e| (Place::file(path), e.to_string()))
    }

    /// As a value: a map.
    pub const fn value(&self) -> &Value {
        &self.0
    }
}

/// With one column, each key is `true`; with two, the second; with more, a map of them.
fn csv(path: &str, text: &str) -> Result<Value, (Place, String)> {
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let Some((_, first)) = lines.next() else {
        return Err((Place::file(path), "the table is empty".to_owned()));
    };
    let wrong = |index: usize, message: &str| {
        (Place::in_text(path, text, index + 1, 1), message.to_owned())
    };
    let names = cells(first).ok_or_else(|| wrong(0, "a quote is not closed"))?;
    let mut rows = BTreeMap::new();
    for (index, line) in lines {
        let cells = cells(line).ok_or_else(|| wrong(index, "a quote is not closed"))?;
        if cells.len() != names.len() {
            return Err(wrong(index, "the row has another number of columns"));
        }
        if rows.len() >= limits::TABLE_ROWS_MAX {
            return Err(wrong(index, "the table has too many rows"));
        }
        let mut cells = cells.into_iter();
        let key = cells.next().unwrap_or_default();
        let row = match names.len() {
            1 => Value::Bool(true),
            2 => Value::String(cells.next().unwrap_or_default()),
            _ => names.iter().skip(1).cloned().zip(cells.map(Value::String)).collect(),
        };
        rows.insert(key, row);
    }
    Ok(Value::Object(rows.into_iter().collect()))
}

/// The cells of a line (RFC 4180, but a cell has no line ends); none if a quote is not closed.
fn cells(line: &str) -> Option<Vec<String>> {
    let mut cells = Vec::new();
    let mut cell = String::new();
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(std::mem::take(&mut cell).trim().to_owned()),
            _ => cell.push(c),
        }
    }
    cells.push(cell.trim().to_owned());
    (!quoted).then_some(cells)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(path: &str, text: &str) -> Result<Value, String> {
        match Table::parse(path, text) {
            Ok(table) => Ok(table.0),
            Err((place, message)) => Err(format!("{}:{} {message}", place.file, place.line)),
        }
    }

    #[test]
    fn tables_are_found_by_their_first_column() {
        assert_eq!(
            check("a.csv", "domain\nx.test\n\ny.test\n"),
            Ok(json!({"x.test": true, "y.test": true}))
        );
        assert_eq!(check("a.csv", "tld,language\nde,de\n"), Ok(json!({"de": "de"})));
        let wide = "k,a,b\nx,1,\"2, \"\"or\"\" 3\"\n";
        assert_eq!(check("a.csv", wide), Ok(json!({"x": {"a": "1", "b": "2, \"or\" 3"}})));
        assert_eq!(check("a.toml", "[x]\nn = 1\n"), Ok(json!({"x": {"n": 1}})));
    }

    #[test]
    fn a_crooked_table_is_refused_where_it_is_crooked() {
        let text = "k,a\nx,1\ny\n";
        assert_eq!(
            check("a.csv", text),
            Err("a.csv:3 the row has another number of columns".into())
        );
        assert_eq!(check("a.csv", "k\n\"x\n"), Err("a.csv:2 a quote is not closed".into()));
        assert_eq!(check("a.csv", ""), Err("a.csv:0 the table is empty".into()));
        assert!(check("a.toml", "x = \n").unwrap_err().starts_with("a.toml:1 "));
    }
}
