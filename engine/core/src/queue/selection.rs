//! What selectors can say of mail that waits.

use crate::selector::Selector;
use crate::selector::schema::FieldSpec;
use crate::selector::schema::Kind;
use crate::selector::schema::Schema;
use crate::selector::test::Test;

/// The fields, in the order of [`FIELDS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Domain,
    Site,
    Tenant,
    Campaign,
    Class,
    Pool,
    Source,
    Last,
    Cause,
    State,
    Id,
    Age,
    Attempts,
    Next,
    Expires,
}

const ALL: [Field; 15] = [
    Field::Domain,
    Field::Site,
    Field::Tenant,
    Field::Campaign,
    Field::Class,
    Field::Pool,
    Field::Source,
    Field::Last,
    Field::Cause,
    Field::State,
    Field::Id,
    Field::Age,
    Field::Attempts,
    Field::Next,
    Field::Expires,
];

/// What a selector of waiting mail can say.
pub const FIELDS: &[FieldSpec<'static>] = &[
    FieldSpec::new("domain", Kind::Text, "the recipients' domain"),
    FieldSpec::new("site", Kind::Text, "the mail hosts that the domain shares with others"),
    FieldSpec::new("tenant", Kind::Text, "whose mail it is").or_else("project"),
    FieldSpec::new("campaign", Kind::Text, "the mailing that it is of"),
    FieldSpec::new("class", Kind::Text, "transactional or bulk"),
    FieldSpec::new("pool", Kind::Text, "the pool of egress sources that it goes by"),
    FieldSpec::new("source", Kind::Text, "an egress source that it may go by"),
    FieldSpec::new("last", Kind::Text, "what was answered last"),
    FieldSpec::new("cause", Kind::Text, "what holds it, as maily why names it"),
    FieldSpec::new("state", Kind::Text, "ready, timed, held, routing or flying"),
    FieldSpec::new("id", Kind::Text, "the id of the message").or_else("message"),
    FieldSpec::new("age", Kind::Seconds, "for how long it has been here"),
    FieldSpec::new("attempts", Kind::Count, "how often it was tried"),
    FieldSpec::new("next", Kind::Seconds, "how long until it is tried"),
    FieldSpec::new("expires", Kind::Seconds, "how long until it is given up"),
];

/// The same, for reading selectors.
pub const SCHEMA: Schema<'static> = Schema::new(FIELDS);

impl Field {
    pub(crate) fn of(test: &Test) -> Option<Self> {
        ALL.get(test.field()).copied()
    }

    /// Whether only entries know it, and not what is counted of them.
    pub(crate) const fn is_of_entry(self) -> bool {
        matches!(self, Self::Id | Self::Age | Self::Attempts | Self::Next | Self::Expires)
    }

    /// Whether it is another from one moment to the next, and is forgotten at a restart.
    const fn is_fleeting(self) -> bool {
        matches!(
            self,
            Self::Last | Self::Cause | Self::State | Self::Attempts | Self::Next | Self::Expires
        )
    }
}

/// Whether what a selector says of a message holds for as long as the message waits. Ages are meant
/// as of one moment.
pub fn is_lasting(selector: &Selector) -> bool {
    !selector.tests().any(|test| Field::of(test).is_none_or(Field::is_fleeting))
}

/// Whether a selector can be meant of mail that is yet to come.
pub fn is_of_future(selector: &Selector) -> bool {
    let of_past = |test| Field::of(test).is_none_or(|f| f.is_fleeting() || f.is_of_entry());
    !selector.tests().any(of_past)
}

/// The single path that a selector is about, if it is: then all of it can be held back at once.
pub fn path(selector: &Selector) -> Option<Path<'_>> {
    if selector.is_everything() {
        return Some(Path::All);
    }
    let tests = selector.as_conjunction()?;
    let named = tests.into_iter().map(|test| Some((Field::of(test)?, test.as_equal()?)));
    let named: Vec<_> = named.collect::<Option<_>>()?;
    match *named {
        [(Field::Domain, domain)] => Some(Path::Domain(domain)),
        [(Field::Site, site)] => Some(Path::Site(site)),
        [(Field::Source, source)] => Some(Path::Source(source)),
        [(Field::Tenant, tenant)] => Some(Path::Tenant(tenant)),
        [(Field::Tenant, tenant), (Field::Campaign, campaign)]
        | [(Field::Campaign, campaign), (Field::Tenant, tenant)] => {
            Some(Path::Campaign { tenant, campaign })
        }
        _ => None,
    }
}

/// A single path of mail, as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path<'a> {
    /// All of it.
    All,
    /// To this domain.
    Domain(&'a str),
    /// To these hosts.
    Site(&'a str),
    /// From this egress source.
    Source(&'a str),
    /// A tenant's.
    Tenant(&'a str),
    /// A mailing.
    Campaign {
        /// Whose.
        tenant: &'a str,
        /// Which.
        campaign: &'a str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_has_its_words_and_paths_are_recognised() {
        let fields: Vec<_> = ALL.iter().map(|field| format!("{field:?}").to_lowercase()).collect();
        let names: Vec<_> = FIELDS.iter().map(|spec| spec.name().to_owned()).collect();
        assert_eq!(fields, names);
        let read = |text: &str| Selector::parse(text, &SCHEMA).unwrap();
        for (text, wanted) in [
            ("all", Some(Path::All)),
            ("domain=a.example", Some(Path::Domain("a.example"))),
            ("site=mx.example", Some(Path::Site("mx.example"))),
            ("source=s1", Some(Path::Source("s1"))),
            ("project=acme", Some(Path::Tenant("acme"))),
            ("campaign=c and tenant=t", Some(Path::Campaign { tenant: "t", campaign: "c" })),
            ("domain=*.example", None),
            ("domain=a.example or site=x", None),
            ("domain!=a.example", None),
            ("domain=(a.example, b.example)", None),
            ("campaign=c", None),
            ("age>1h", None),
        ] {
            assert_eq!(path(&read(text)), wanted, "{text}");
        }
        assert!(is_of_future(&read("site=a and not campaign~x")) && !is_of_future(&read("age>1h")));
        assert!(is_lasting(&read("age>1h and id=6h19jz8580000")));
        assert!(!is_lasting(&read("last~x")) && !is_lasting(&read("attempts>2")));
    }
}
