//! The typed settings of a plugin: a schema in its manifest, values of the site, checked once.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;
use toml::Value;

/// What a setting may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// Yes or no.
    Bool,
    /// A text.
    String,
    /// A list of texts.
    List,
}

/// One setting of a schema.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// What it may be.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// What it is if nothing is said; without a default, it must be said.
    pub default: Option<Value>,
    /// The smallest number.
    pub min: Option<f64>,
    /// The largest number.
    pub max: Option<f64>,
    /// All texts that are allowed.
    pub one_of: Option<Vec<String>>,
    /// What it is for.
    #[serde(default)]
    pub doc: String,
}

/// Settings that fit their schema.
pub type Values = BTreeMap<String, Value>;

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Int => "an int",
            Self::Float => "a float",
            Self::Bool => "a bool",
            Self::String => "a string",
            Self::List => "a list of strings",
        }
    }
}

impl Setting {
    /// Whether the schema itself makes sense.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Some(default) = &self.default else { return Ok(()) };
        self.take(default).map(drop).map_err(|why| format!("the default is {why}"))
    }

    /// A value in the form of its kind, or what is wrong with it.
    fn take(&self, value: &Value) -> Result<Value, String> {
        let value = match (self.kind, value) {
            (Kind::Float, Value::Integer(number)) => {
                #[expect(clippy::cast_precision_loss, reason = "as anyone writes 3 for 3.0")]
                let number = *number as f64;
                Value::Float(number)
            }
            (Kind::Int, Value::Integer(_))
            | (Kind::Float, Value::Float(_))
            | (Kind::Bool, Value::Boolean(_))
            | (Kind::String, Value::String(_)) => value.clone(),
            (Kind::List, Value::Array(items)) if items.iter().all(Value::is_str) => value.clone(),
            _ => return Err(format!("not {}", self.kind.name())),
        };
        #[expect(clippy::cast_precision_loss, reason = "bounds are small")]
        let number = match &value {
            Value::Integer(number) => Some(*number as f64),
            Value::Float(number) => Some(*number),
            _ => None,
        };
        if let (Some(number), Some(min)) = (number, self.min)
            && number < min
        {
            return Err(format!("less than {min}"));
        }
        if let (Some(number), Some(max)) = (number, self.max)
            && number > max
        {
            return Err(format!("more than {max}"));
        }
        if let (Value::String(text), Some(known)) = (&value, &self.one_of)
            && !known.contains(text)
        {
            return Err(format!("none of {}", known.join(", ")));
        }
        Ok(value)
    }
}

/// The settings of a plugin: what the site says, and else the defaults. Tells what does not fit.
pub fn resolve(
    schema: &BTreeMap<String, Setting>,
    said: &toml::Table,
) -> Result<Values, (String, String)> {
    if let Some(name) = said.keys().find(|name| !schema.contains_key(*name)) {
        return Err((name.clone(), format!("there is no setting `{name}`")));
    }
    let mut values = Values::new();
    for (name, setting) in schema {
        let Some(value) = said.get(name).or(setting.default.as_ref()) else {
            return Err((name.clone(), format!("the setting `{name}` must be given")));
        };
        let value =
            setting.take(value).map_err(|why| (name.clone(), format!("`{name}` is {why}")))?;
        values.insert(name.clone(), value);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schema: &str, said: &str) -> String {
        let schema: BTreeMap<String, Setting> = toml::from_str(schema).unwrap();
        match resolve(&schema, &toml::from_str(said).unwrap()) {
            Ok(values) => values.values().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            Err((_, message)) => message,
        }
    }

    #[test]
    fn settings_fit_their_schema() {
        let int = "n = { type = \"int\", default = 3, min = 1, max = 9 }";
        assert_eq!(check(int, ""), "3");
        assert_eq!(check(int, "n = 9"), "9");
        assert_eq!(check(int, "n = 10"), "`n` is more than 9");
        assert_eq!(check(int, "n = 0"), "`n` is less than 1");
        assert_eq!(check(int, "n = \"x\""), "`n` is not an int");
        assert_eq!(check(int, "m = 1"), "there is no setting `m`");
        assert_eq!(check("f = { type = \"float\" }", "f = 2"), "2.0");
        assert_eq!(check("f = { type = \"float\" }", ""), "the setting `f` must be given");
        let word = "w = { type = \"string\", one_of = [\"a\", \"b\"], default = \"a\" }";
        assert_eq!(check(word, "w = \"c\""), "`w` is none of a, b");
        assert_eq!(check("l = { type = \"list\" }", "l = [1]"), "`l` is not a list of strings");
    }
}
