//! What a case expects beside what it found. A map may hold more than is expected, unless none is.

use serde_json::Map;
use serde_json::Value;

use crate::host::Effects;
use crate::kv::Change;

/// Tells each difference under a path.
pub fn differences(path: &str, wanted: &Value, found: &Value, problems: &mut Vec<String>) {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) if !wanted.is_empty() => {
            for (key, wanted) in wanted {
                let below = found.get(key).unwrap_or(&Value::Null);
                differences(&format!("{path}.{key}"), wanted, below, problems);
            }
        }
        // TOML has no null: `"()"` stands for what is not there.
        (Value::String(wanted), Value::Null) if wanted == "()" => {}
        _ if same(wanted, found) => {}
        _ => problems.push(format!("{path} is {found}, not {wanted}")),
    }
}

/// 3 and 3.0 are the same: TOML and scripts write them differently.
fn same(wanted: &Value, found: &Value) -> bool {
    match (wanted, found) {
        (Value::Number(wanted), Value::Number(found)) => {
            wanted == found || wanted.as_f64() == found.as_f64()
        }
        (Value::Array(wanted), Value::Array(found)) => {
            wanted.len() == found.len() && wanted.iter().zip(found).all(|(a, b)| same(a, b))
        }
        _ => wanted == found,
    }
}

/// The lines of a run: `warn: shop api 503`.
pub fn log(effects: &Effects) -> Value {
    let line = |line: &crate::host::LogLine| {
        Value::String(format!("{}: {}", line.level.name(), line.text))
    };
    effects.log.iter().map(line).collect()
}

/// The sums of a run's metrics by name.
pub fn metrics(effects: &Effects) -> Value {
    let mut sums: Map<String, Value> = Map::new();
    for metric in &effects.metrics {
        let before = sums.get(&metric.name).and_then(Value::as_f64).unwrap_or(0.0);
        sums.insert(metric.name.clone(), Value::from(before + metric.value));
    }
    Value::Object(sums)
}

/// What a run changed in its store: values by key, additions as numbers, what is gone as null.
pub fn kv(effects: &Effects) -> Value {
    let mut changes: Map<String, Value> = Map::new();
    for write in &effects.kv {
        let value = match &write.change {
            Change::Set(text) => serde_json::from_str(text).unwrap_or_default(),
            Change::Remove => Value::Null,
            Change::Add(more) => {
                let before = changes.get(&write.key).and_then(Value::as_i64).unwrap_or(0);
                Value::from(before.saturating_add(*more))
            }
        };
        changes.insert(write.key.clone(), value);
    }
    Value::Object(changes)
}
