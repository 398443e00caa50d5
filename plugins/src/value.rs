//! Values on their way into a script and out of it. What the host shows is a [`View`]: read only,
//! shared by all calls, never copied. What a script answers becomes JSON, within bounds.

use std::collections::BTreeMap;
use std::sync::Arc;

use rhai::Array;
use rhai::Dynamic;
use rhai::ImmutableString;
use rhai::Map;
use serde_json::Number;
use serde_json::Value;

use crate::limits;

/// A map that a script can read and not change.
#[derive(Clone, Debug)]
pub struct View {
    body: Arc<Body>,
    lens: Option<Arc<Lens>>,
}

#[derive(Debug)]
struct Body {
    /// What it is called in messages.
    name: String,
    /// Whether a key that is not there is a mistake of the script.
    closed: bool,
    fields: BTreeMap<ImmutableString, Dynamic>,
}

/// Which fields of a contact a plugin sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lens {
    whole: bool,
    below: BTreeMap<String, Arc<Self>>,
}

/// Why a field is not shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotShown {
    /// There is none; named by the view.
    Missing(String),
    /// The plugin may not see it.
    Hidden(String),
}

/// Why a value cannot leave a script.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotPlain {
    /// It is nested too deep.
    #[error("it is nested deeper than {} levels", limits::VALUE_DEPTH_MAX)]
    Deep,
    /// It is no data.
    #[error("a {0} is no data")]
    Kind(String),
    /// It is no number that JSON has.
    #[error("{0} is no number")]
    Number(String),
}

impl Lens {
    /// Fields by their paths, such as `attrs.orders`; `*` is all.
    pub fn new(paths: &[String]) -> Self {
        let mut lens = Self::default();
        for path in paths {
            lens.open(path);
        }
        lens
    }

    fn open(&mut self, path: &str) {
        if path == "*" || path.is_empty() {
            self.whole = true;
            return;
        }
        let (first, rest) = path.split_once('.').unwrap_or((path, ""));
        let below = self.below.entry(first.to_owned()).or_default();
        Arc::make_mut(below).open(rest);
    }
}

impl View {
    /// A view whose keys are all known: another one is a mistake.
    pub fn closed(name: &str) -> ViewBuilder {
        ViewBuilder { name: name.to_owned(), closed: true, fields: BTreeMap::new() }
    }

    /// A view of anything: a key that is not there is `()`.
    pub fn open(name: &str) -> ViewBuilder {
        ViewBuilder { name: name.to_owned(), closed: false, fields: BTreeMap::new() }
    }

    /// A view of a JSON object; what is in it are views too.
    pub fn of_json(name: &str, value: &serde_json::Map<String, Value>) -> Self {
        let mut builder = Self::open(name);
        for (key, value) in value {
            builder = builder.with(key, shown(key, value, 1));
        }
        builder.done()
    }

    /// The same, seen by somebody who may see less.
    #[must_use]
    pub fn through(&self, lens: &Arc<Lens>) -> Self {
        let lens = (!lens.whole).then(|| Arc::clone(lens));
        Self { body: Arc::clone(&self.body), lens }
    }

    /// What it is called in messages.
    pub fn name(&self) -> &str {
        &self.body.name
    }

    /// A field. One that is not there is `()` if the view is open.
    pub fn get(&self, key: &str) -> Result<Dynamic, NotShown> {
        let mut below = None;
        if let Some(lens) = &self.lens {
            match lens.below.get(key) {
                Some(lens) => below = (!lens.whole).then_some(lens),
                None => return Err(NotShown::Hidden(self.path(key))),
            }
        }
        match self.body.fields.get(key) {
            Some(value) => match below {
                Some(lens) => Ok(narrowed(value, lens)),
                None => Ok(value.clone()),
            },
            None if self.body.closed => Err(NotShown::Missing(self.body.name.clone())),
            None => Ok(Dynamic::UNIT),
        }
    }

    /// Whether there is such a field that may be seen.
    pub fn has(&self, key: &str) -> bool {
        self.sees(key) && self.body.fields.get(key).is_some_and(|value| !value.is_unit())
    }

    /// The names of the fields that may be seen.
    pub fn keys(&self) -> impl Iterator<Item = &ImmutableString> {
        self.body.fields.keys().filter(|key| self.sees(key))
    }

    /// A copy that a script may change.
    pub fn to_map(&self) -> Map {
        let mut map = Map::new();
        for key in self.keys() {
            let value = self.get(key).unwrap_or(Dynamic::UNIT);
            let value = match value.read_lock::<Self>() {
                Some(view) => Dynamic::from_map(view.to_map()),
                None => value.clone(),
            };
            map.insert(key.as_str().into(), value);
        }
        map
    }

    fn sees(&self, key: &str) -> bool {
        self.lens.as_ref().is_none_or(|lens| lens.below.contains_key(key))
    }

    fn path(&self, key: &str) -> String {
        format!("{}.{key}", self.body.name)
    }
}

fn narrowed(value: &Dynamic, lens: &Arc<Lens>) -> Dynamic {
    match value.read_lock::<View>() {
        Some(view) => Dynamic::from(view.through(lens)),
        // A field of what is no map: nothing is below it.
        None => value.clone(),
    }
}

/// Fills a view.
#[derive(Debug)]
pub struct ViewBuilder {
    name: String,
    closed: bool,
    fields: BTreeMap<ImmutableString, Dynamic>,
}

impl ViewBuilder {
    /// With a field.
    #[must_use]
    pub fn with(mut self, key: &str, value: Dynamic) -> Self {
        self.fields.insert(key.into(), value);
        self
    }

    /// With a text.
    #[must_use]
    pub fn text(self, key: &str, text: &str) -> Self {
        self.with(key, Dynamic::from(ImmutableString::from(text)))
    }

    /// With a text, or `()`.
    #[must_use]
    pub fn text_option(self, key: &str, text: Option<&str>) -> Self {
        let value = text.map_or(Dynamic::UNIT, |text| Dynamic::from(ImmutableString::from(text)));
        self.with(key, value)
    }

    /// With a number.
    #[must_use]
    pub fn number(self, key: &str, number: u64) -> Self {
        self.with(key, Dynamic::from_int(i64::try_from(number).unwrap_or(i64::MAX)))
    }

    /// With another view.
    #[must_use]
    pub fn view(self, key: &str, view: View) -> Self {
        self.with(key, Dynamic::from(view))
    }

    /// With texts.
    #[must_use]
    pub fn texts<'a>(self, key: &str, texts: impl IntoIterator<Item = &'a str>) -> Self {
        let texts = texts.into_iter().map(|text| Dynamic::from(ImmutableString::from(text)));
        self.with(key, Dynamic::from_array(texts.collect()))
    }

    /// The view.
    pub fn done(self) -> View {
        let body = Body { name: self.name, closed: self.closed, fields: self.fields };
        View { body: Arc::new(body), lens: None }
    }
}

/// A JSON value as the host shows it: objects are views.
pub fn shown(name: &str, value: &Value, depth: usize) -> Dynamic {
    match value {
        Value::Object(fields) if depth < limits::VALUE_DEPTH_MAX => {
            let mut builder = View::open(name);
            for (key, value) in fields {
                builder = builder.with(key, shown(key, value, depth + 1));
            }
            Dynamic::from(builder.done())
        }
        Value::Array(items) if depth < limits::VALUE_DEPTH_MAX => {
            let items = items.iter().map(|item| shown(name, item, depth + 1));
            Dynamic::from_array(items.collect())
        }
        _ => scalar(value),
    }
}

/// A JSON value as a script's own: objects are maps that it may change.
pub fn owned(value: &Value, depth: usize) -> Dynamic {
    match value {
        Value::Object(fields) if depth < limits::VALUE_DEPTH_MAX => {
            let fields = fields.iter().map(|(key, value)| (key.into(), owned(value, depth + 1)));
            Dynamic::from_map(fields.collect())
        }
        Value::Array(items) if depth < limits::VALUE_DEPTH_MAX => {
            Dynamic::from_array(items.iter().map(|item| owned(item, depth + 1)).collect::<Array>())
        }
        _ => scalar(value),
    }
}

fn scalar(value: &Value) -> Dynamic {
    match value {
        Value::Bool(yes) => Dynamic::from_bool(*yes),
        Value::String(text) => Dynamic::from(ImmutableString::from(text.as_str())),
        Value::Number(number) => match number.as_i64() {
            Some(number) => Dynamic::from_int(number),
            None => Dynamic::from_float(number.as_f64().unwrap_or_default()),
        },
        _ => Dynamic::UNIT,
    }
}

/// What a script made, as JSON.
pub fn to_json(value: &Dynamic, depth: usize) -> Result<Value, NotPlain> {
    if depth > limits::VALUE_DEPTH_MAX {
        return Err(NotPlain::Deep);
    }
    if value.is_unit() {
        return Ok(Value::Null);
    }
    if let Ok(yes) = value.as_bool() {
        return Ok(Value::Bool(yes));
    }
    if let Ok(number) = value.as_int() {
        return Ok(Value::Number(number.into()));
    }
    if let Ok(number) = value.as_float() {
        let finite = Number::from_f64(number).map(Value::Number);
        return finite.ok_or_else(|| NotPlain::Number(number.to_string()));
    }
    if let Ok(c) = value.as_char() {
        return Ok(Value::String(c.to_string()));
    }
    if let Some(text) = value.read_lock::<ImmutableString>() {
        return Ok(Value::String(text.as_str().to_owned()));
    }
    if let Some(items) = value.read_lock::<Array>() {
        return items.iter().map(|item| to_json(item, depth + 1)).collect();
    }
    if let Some(map) = value.read_lock::<Map>() {
        let fields = map.iter().map(|(key, v)| Ok((key.to_string(), to_json(v, depth + 1)?)));
        return fields.collect();
    }
    if let Some(view) = value.read_lock::<View>() {
        let fields = view.keys().map(|key| {
            let value = view.get(key).unwrap_or(Dynamic::UNIT);
            Ok((key.to_string(), to_json(&value, depth + 1)?))
        });
        return fields.collect();
    }
    Err(NotPlain::Kind(kind_name(value).to_owned()))
}

/// The type of a value, in the words of scripts.
pub fn kind_name(value: &Dynamic) -> &str {
    match value.type_name() {
        "()" => "()",
        "i64" => "int",
        "f64" => "float",
        name if name.ends_with("View") => "view",
        name => name.rsplit("::").next().unwrap_or(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn contact() -> View {
        let json = json!({"email": "ann@x.test", "attrs": {"orders": 5, "city": "Ulm"}});
        View::of_json("contact", json.as_object().unwrap())
    }

    #[test]
    fn a_plugin_sees_only_what_its_lens_shows() {
        let lens = Arc::new(Lens::new(&["attrs.orders".to_owned()]));
        let seen = contact().through(&lens);
        assert_eq!(seen.get("email").unwrap_err(), NotShown::Hidden("contact.email".to_owned()));
        let attrs = seen.get("attrs").unwrap().cast::<View>();
        assert_eq!(attrs.get("orders").unwrap().as_int(), Ok(5));
        assert_eq!(attrs.get("city").unwrap_err(), NotShown::Hidden("attrs.city".to_owned()));
        assert_eq!(to_json(&Dynamic::from(seen), 0), Ok(json!({"attrs": {"orders": 5}})));
        let all = contact().through(&Arc::new(Lens::new(&["*".to_owned()])));
        assert!(all.has("email") && !all.has("phone"));
        assert!(all.get("phone").unwrap().is_unit());
    }

    #[test]
    fn only_data_leaves_a_script() {
        let deep = (0..20).fold(Dynamic::from_int(1), |inner, _| Dynamic::from_array(vec![inner]));
        assert_eq!(to_json(&deep, 0), Err(NotPlain::Deep));
        assert_eq!(to_json(&Dynamic::from_float(f64::NAN), 0), Err(NotPlain::Number("NaN".into())));
    }
}
