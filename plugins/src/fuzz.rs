//! Made-up inputs: odd values for the fields that a plugin may see. The same seed makes the same.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::case::Fuzz;
use crate::hashing;

/// The input of one case: what is given, with made-up values in it.
pub fn input(
    fuzz: &Fuzz,
    round: u32,
    given: &Map<String, Value>,
    fields: &[String],
) -> Map<String, Value> {
    let mut input = given.clone();
    let draw = Draw { seed: fuzz.seed, round };
    match fuzz.from.as_str() {
        "contact.schema" => {
            let contact = input.entry("contact").or_insert_with(|| json!({}));
            let named = fields.iter().filter(|field| *field != "*");
            for path in named {
                place(contact, path, draw.value(path));
            }
        }
        "vars" => {
            let known = given.get("vars").and_then(Value::as_object).cloned().unwrap_or_default();
            let made = known.keys().map(|key| (key.clone(), draw.value(key).unwrap_or_default()));
            input.insert("vars".to_owned(), Value::Object(made.collect()));
        }
        _ => {
            for (key, value) in &mut input {
                // The types of an input are known: only texts in it can be odd.
                if let (Value::String(text), Some(Value::String(odd))) = (value, draw.value(key)) {
                    *text = odd;
                }
            }
        }
    }
    input
}

struct Draw {
    seed: u64,
    round: u32,
}

impl Draw {
    fn number(&self, what: &str) -> u64 {
        hashing::hash(&format!("{} {} {what}", self.seed, self.round))
    }

    /// A value, or none if the field is not there.
    fn value(&self, what: &str) -> Option<Value> {
        let number = self.number(what);
        let kind = hashing::bucket(&format!("{number}"), 14);
        Some(match kind {
            0 => return None,
            1 => Value::Null,
            2 => json!(""),
            3 => json!("x".repeat(usize::try_from(number % 3_000).unwrap_or(0))),
            4 => json!("\u{202e}Ünï\u{0}cödé\r\n\"'<>&${}`"),
            5 => json!(-1),
            6 => json!(i64::MAX),
            7 => json!(0.5),
            8 => json!(number.is_multiple_of(2)),
            9 => json!([]),
            10 => json!({}),
            11 => json!([1, "two", {"three": 3}]),
            12 => json!(number % 100),
            _ => json!(format!("value {}", number % 1_000)),
        })
    }
}

/// Puts a value under a path; what is on the way becomes a map.
fn place(at: &mut Value, path: &str, value: Option<Value>) {
    if !at.is_object() {
        *at = json!({});
    }
    let Value::Object(fields) = at else { return };
    match path.split_once('.') {
        Some((first, rest)) => {
            let below = fields.entry(first).or_insert_with(|| json!({}));
            place(below, rest, value);
        }
        None => match value {
            Some(value) => drop(fields.insert(path.to_owned(), value)),
            None => drop(fields.remove(path)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_odd_contacts() {
        let fuzz = Fuzz { cases: 1, seed: 7, from: "contact.schema".to_owned() };
        let fields = ["first_name".to_owned(), "attrs.orders".to_owned()];
        let make = |round| input(&fuzz, round, &Map::new(), &fields);
        assert_eq!(make(3), make(3));
        let kinds: std::collections::BTreeSet<_> =
            (0..200).map(|round| make(round)["contact"].to_string()).collect();
        assert!(kinds.len() > 100, "{}", kinds.len());
    }
}
