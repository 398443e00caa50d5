//! Shows an input to a script: a map of the fields that the script names, made anew for each call,
//! with shared views in it. What no script asks for is not made.

use std::sync::Arc;

use rhai::Dynamic;
use rhai::ImmutableString;
use rhai::Map;

use crate::value::Lens;
use crate::value::View;

/// Fills the map.
#[derive(Debug)]
pub struct Show<'a> {
    lens: &'a Arc<Lens>,
    /// The names of fields that the script can ask for; none if it could ask for any.
    wanted: Option<&'a [String]>,
    map: Map,
}

impl<'a> Show<'a> {
    /// An empty one.
    pub const fn new(lens: &'a Arc<Lens>, wanted: Option<&'a [String]>) -> Self {
        Self { lens, wanted, map: Map::new() }
    }

    /// With a field.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl FnOnce() -> Dynamic) -> Self {
        if self.wanted.is_none_or(|wanted| wanted.iter().any(|name| name == key)) {
            self.map.insert(key.into(), value());
        }
        self
    }

    /// With a text.
    #[must_use]
    pub fn text(self, key: &str, text: &str) -> Self {
        self.with(key, || Dynamic::from(ImmutableString::from(text)))
    }

    /// With a text, or `()`.
    #[must_use]
    pub fn text_option(self, key: &str, text: Option<&str>) -> Self {
        let value = |text: &str| Dynamic::from(ImmutableString::from(text));
        self.with(key, || text.map_or(Dynamic::UNIT, value))
    }

    /// With a number.
    #[must_use]
    pub fn number(self, key: &str, number: u64) -> Self {
        self.with(key, || Dynamic::from_int(i64::try_from(number).unwrap_or(i64::MAX)))
    }

    /// With a view.
    #[must_use]
    pub fn view(self, key: &str, view: impl FnOnce() -> View) -> Self {
        self.with(key, || Dynamic::from(view()))
    }

    /// With the contact, as much of it as the plugin may see.
    #[must_use]
    pub fn contact(self, contact: &View) -> Self {
        let lens = self.lens;
        self.view("contact", || contact.through(lens))
    }

    /// With texts.
    #[must_use]
    pub fn texts<'t>(self, key: &str, texts: impl Iterator<Item = &'t str>) -> Self {
        let texts = texts.map(|text| Dynamic::from(ImmutableString::from(text)));
        self.with(key, || Dynamic::from_array(texts.collect()))
    }

    /// The map.
    pub fn done(self) -> Dynamic {
        Dynamic::from_map(self.map)
    }
}
