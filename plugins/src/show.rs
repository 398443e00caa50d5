//! Shows an input to a script: a map of the fields that the script names, made anew for each call,
//! with shared views in it. What no script asks for is not made.

use std::sync::Arc;

use rhai::Dynamic;
use rhai::Identifier;
use rhai::ImmutableString;
use rhai::Map;

use crate::value::Lens;
use crate::value::View;

/// The names of fields that a script can ask for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// A bit for each mark that one of them has: most fields are known not to be among them by it.
    marks: u64,
    names: Vec<Identifier>,
}

/// Fills the map.
#[derive(Debug)]
pub struct Show<'a> {
    lens: &'a Arc<Lens>,
    /// None if the script could ask for any.
    wanted: Option<&'a Wanted>,
    map: Map,
}

impl Wanted {
    /// Of these names.
    pub fn new(names: Vec<String>) -> Self {
        let marks = names.iter().fold(0, |marks, name| marks | mark(name));
        Self { marks, names: names.into_iter().map(Identifier::from).collect() }
    }

    /// The name, if it is among them.
    #[inline]
    fn find(&self, name: &str) -> Option<Identifier> {
        if self.marks & mark(name) == 0 {
            return None;
        }
        self.names.iter().find(|wanted| *wanted == name).cloned()
    }
}

/// One bit, by the length of a name and its first letter.
#[inline]
fn mark(name: &str) -> u64 {
    let first = name.bytes().next().unwrap_or_default();
    1 << ((name.len() + 5 * usize::from(first)) % 64)
}

impl<'a> Show<'a> {
    /// An empty one.
    pub const fn new(lens: &'a Arc<Lens>, wanted: Option<&'a Wanted>) -> Self {
        Self { lens, wanted, map: Map::new() }
    }

    /// With a field.
    pub fn with(&mut self, key: &str, value: impl FnOnce() -> Dynamic) -> &mut Self {
        let name = match self.wanted {
            None => Some(key.into()),
            Some(wanted) => wanted.find(key),
        };
        if let Some(name) = name {
            self.map.insert(name, value());
        }
        self
    }

    /// With a text.
    pub fn text(&mut self, key: &str, text: &str) -> &mut Self {
        self.with(key, || Dynamic::from(ImmutableString::from(text)))
    }

    /// With a text, or `()`.
    pub fn text_option(&mut self, key: &str, text: Option<&str>) -> &mut Self {
        let value = |text: &str| Dynamic::from(ImmutableString::from(text));
        self.with(key, || text.map_or(Dynamic::UNIT, value))
    }

    /// With a number.
    pub fn number(&mut self, key: &str, number: u64) -> &mut Self {
        self.with(key, || Dynamic::from_int(i64::try_from(number).unwrap_or(i64::MAX)))
    }

    /// With a view.
    pub fn view(&mut self, key: &str, view: impl FnOnce() -> View) -> &mut Self {
        self.with(key, || Dynamic::from(view()))
    }

    /// With the contact, as much of it as the plugin may see.
    pub fn contact(&mut self, contact: &View) -> &mut Self {
        let lens = self.lens;
        self.view("contact", || contact.through(lens))
    }

    /// With texts.
    pub fn texts<'t>(&mut self, key: &str, texts: impl Iterator<Item = &'t str>) -> &mut Self {
        let texts = texts.map(|text| Dynamic::from(ImmutableString::from(text)));
        self.with(key, || Dynamic::from_array(texts.collect()))
    }

    /// The map.
    pub fn done(&mut self) -> Dynamic {
        Dynamic::from_map(std::mem::take(&mut self.map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_asked_for_is_not_made() {
        let lens = Arc::new(Lens::new(&[]));
        let named = ["domain", "tenant", "size"].map(str::to_owned).to_vec();
        let keys = |wanted: Option<&Wanted>| {
            let mut show = Show::new(&lens, wanted);
            show.text("domain", "x").text("tenant", "t");
            let shown = show.number("size", 1).text("queue", "q").text("", "-").done();
            let map = shown.cast::<Map>();
            map.keys().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(keys(None), ["", "domain", "queue", "size", "tenant"]);
        assert_eq!(keys(Some(&Wanted::new(named))), ["domain", "size", "tenant"]);
        assert!(keys(Some(&Wanted::new(Vec::new()))).is_empty());
    }
}
