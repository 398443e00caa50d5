//! How a table of the configuration is declared: once, with its documentation and its defaults.
//!
//! [`section!`] writes the struct, its `Default` and the table from which the annotated reference
//! is generated. It is a macro because no function can declare a struct; three hand-kept copies
//! of each default and of each text would drift apart.

/// One table of the file, as the reference shows it.
#[derive(Debug)]
pub(crate) struct Section {
    /// `[retry]`, `[[route]]`, or nothing for the keys above all tables.
    pub(crate) header: &'static str,
    /// Its documentation, a line each.
    pub(crate) about: &'static [&'static str],
    /// Its keys, in order.
    pub(crate) keys: &'static [Key],
}

/// One key of a table.
#[derive(Debug)]
pub(crate) struct Key {
    /// The name, with `r#` where Rust wants it.
    pub(crate) name: &'static str,
    /// `default`: the value is the default. `example`: unset by default. `table`: not a value.
    /// `hidden`: not of a file.
    pub(crate) kind: &'static str,
    /// The value as TOML.
    pub(crate) shown: &'static str,
    /// Its documentation, a line each.
    pub(crate) about: &'static [&'static str],
}

impl Key {
    /// The name as it is written in the file.
    pub(crate) fn written(&self) -> &'static str {
        self.name.trim_start_matches("r#")
    }
}

/// Declares a table: `name: Type = default, default "as TOML";` or `…, example "as TOML";`.
macro_rules! section {
    (
        $(#[doc = $about:literal])*
        $(#[serde($($how:tt)*)])*
        pub struct $name:ident, $header:literal {
            $(
                $(#[doc = $doc:literal])*
                $(#[serde($($attr:tt)*)])*
                $field:ident: $type:ty = $value:expr, $kind:ident $shown:tt;
            )*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, PartialEq, serde::Deserialize)]
        $(#[serde($($how)*)])*
        pub struct $name {
            $(
                $(#[doc = $doc])*
                $(#[serde($($attr)*)])*
                pub $field: $type,
            )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $value,)* }
            }
        }

        impl $crate::compare::Compare for $name {
            fn compare(&self, new: &Self, at: &str, changes: &mut Vec<$crate::compare::Change>) {
                $(
                    let key = $crate::compare::join(at, stringify!($field));
                    $crate::compare::$kind(&self.$field, &new.$field, &key, changes);
                )*
            }
        }

        impl $name {
            /// This table in the annotated reference.
            pub(crate) const SECTION: $crate::section::Section = $crate::section::Section {
                header: $header,
                about: &[$($about),*],
                keys: &[$($crate::section::Key {
                    name: stringify!($field),
                    kind: stringify!($kind),
                    shown: stringify!($shown),
                    about: &[$($doc),*],
                }),*],
            };
        }
    };
}
pub(crate) use section;
