//! What selectors can be about: fields, what they hold, and how they are compared.

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Words.
    Text,
    /// How many: `1200`, `1.2k`, `3M`.
    Count,
    /// Of a hundred: `3%` or `3`.
    Percent,
    /// How many in a second.
    Rate,
    /// Octets: `10kB`, `2MiB`.
    Octets,
    /// How long: `90s`, `5m`, `2h`, `3d`, `1w`.
    Seconds,
    /// When: RFC 3339.
    Time,
}

/// A field.
#[derive(Clone, Copy, Debug)]
pub struct FieldSpec<'a> {
    name: &'a str,
    alias: &'a str,
    kind: Kind,
    about: &'a str,
}

impl<'a> FieldSpec<'a> {
    /// A field of this name.
    pub const fn new(name: &'a str, kind: Kind, about: &'a str) -> Self {
        Self { name, alias: "", kind, about }
    }

    /// The same, which has another name too.
    #[must_use]
    pub const fn or_else(self, alias: &'a str) -> Self {
        Self { alias, ..self }
    }

    /// Its name.
    pub const fn name(&self) -> &'a str {
        self.name
    }

    /// What it holds.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// What it means.
    pub const fn about(&self) -> &'a str {
        self.about
    }

    fn is(&self, name: &str) -> bool {
        let same = |own: &str| !own.is_empty() && own.eq_ignore_ascii_case(name);
        same(self.name) || same(self.alias)
    }
}

/// The fields that there are.
#[derive(Clone, Copy, Debug)]
pub struct Schema<'a> {
    fields: &'a [FieldSpec<'a>],
    pub(crate) bare: bool,
}

impl<'a> Schema<'a> {
    /// These fields, each of which must be named.
    pub const fn new(fields: &'a [FieldSpec<'a>]) -> Self {
        Self { fields, bare: false }
    }

    /// These fields; a value without a field is looked for in all texts.
    pub const fn with_bare_words(fields: &'a [FieldSpec<'a>]) -> Self {
        Self { fields, bare: true }
    }

    /// The fields.
    pub const fn fields(&self) -> &'a [FieldSpec<'a>] {
        self.fields
    }

    pub(crate) fn find(&self, name: &str) -> Option<(usize, FieldSpec<'a>)> {
        self.fields.iter().copied().enumerate().find(|(_, field)| field.is(name))
    }
}

/// How a test compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `=`
    Equal,
    /// `!=`
    Unequal,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
    /// `~`
    Contains,
    /// `!~`
    Lacks,
}

impl Op {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Equal,
        Self::Unequal,
        Self::Less,
        Self::AtMost,
        Self::Greater,
        Self::AtLeast,
        Self::Contains,
        Self::Lacks,
    ];

    /// As it is written.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::Unequal => "!=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
            Self::Contains => "~",
            Self::Lacks => "!~",
        }
    }

    pub(crate) const fn fits(self, kind: Kind) -> bool {
        match self {
            Self::Equal | Self::Unequal => true,
            Self::Contains | Self::Lacks => matches!(kind, Kind::Text),
            _ => !matches!(kind, Kind::Text),
        }
    }
}
