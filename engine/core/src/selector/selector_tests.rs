//! The language of selectors: what is said, what is wrong, what can come next.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::selector::completing::complete;
use crate::selector::limits::DEPTH_MAX;
use crate::selector::limits::OCTETS_MAX;
use crate::selector::limits::TESTS_MAX;
use crate::selector::limits::VALUES_MAX;
use crate::selector::schema::FieldSpec;
use crate::selector::schema::Kind;

const FIELDS: &[FieldSpec<'static>] = &[
    FieldSpec::new("site", Kind::Text, "its hosts"),
    FieldSpec::new("campaign", Kind::Text, "its mailing"),
    FieldSpec::new("tenant", Kind::Text, "whose").or_else("project"),
    FieldSpec::new("last", Kind::Text, "what was said"),
    FieldSpec::new("age", Kind::Seconds, "how old"),
    FieldSpec::new("attempts", Kind::Count, "how often"),
    FieldSpec::new("defer", Kind::Percent, "put off"),
    FieldSpec::new("size", Kind::Octets, "how large"),
    FieldSpec::new("at", Kind::Time, "when"),
];
const SCHEMA: Schema<'static> = Schema::new(FIELDS);
const BARE: Schema<'static> = Schema::with_bare_words(FIELDS);

fn read(text: &str) -> Selector {
    Selector::parse(text, &SCHEMA).unwrap_or_else(|error| panic!("{}", error.shown(text)))
}

/// Whether a selector selects a row with these texts and numbers.
fn selects(selector: &Selector, row: &[(&str, &str)]) -> bool {
    let row: BTreeMap<_, _> = row.iter().copied().collect();
    selector.matches(&mut |test| {
        if test.is_bare() {
            return row.values().any(|text| test.on_text(text));
        }
        let spec = FIELDS[test.field()];
        let Some(text) = row.get(spec.name()) else { return false };
        match spec.kind() {
            Kind::Text => test.on_text(text),
            _ => test.on_number(text.parse().unwrap()),
        }
    })
}

const ROW: &[(&str, &str)] = &[
    ("site", "Google.com"),
    ("campaign", "spring 26"),
    ("last", "421 4.7.28 rate limited"),
    ("age", "3600"),
    ("attempts", "3"),
    ("defer", "31.4"),
    ("size", "2048"),
    ("at", "1795766400"),
];

#[test]
fn what_is_said_is_what_is_meant() {
    for (text, wanted) in [
        ("", true),
        ("all", true),
        ("not all", false),
        ("site=google.com", true),
        ("SITE = GOOGLE.COM AND age>=1h", true),
        ("site=goo*", true),
        ("site=*gle*om", true),
        ("site=*goo", false),
        ("site=*o*o*o*o*", false),
        ("site=google.com and age>1h", false),
        ("age>59m and last~\"4.7.28\"", true),
        ("last~RATE or site=x", true),
        ("last!~4.7.28", false),
        ("site=x or site=y and age>0", false),
        ("(site=x or site=goo*) and age>0", true),
        ("not site=x and !age<1h", true),
        ("site!=x", true),
        ("site!=(x, google.com)", false),
        ("campaign=(winter, \"spring 26\")", true),
        ("attempts=3 and attempts<=3 and attempts!=4", true),
        ("attempts>1k", false),
        ("defer>31% and defer<32", true),
        ("size=2KiB and size>2kB", true),
        ("at>2026-11-26T00:00:00Z and at<2026-11-28T00:00:00+01:00", true),
        ("project=\"\"", false),
    ] {
        assert_eq!(selects(&read(text), ROW), wanted, "{text}");
    }
    let bare = |text| Selector::parse(text, &BARE).unwrap();
    assert!(selects(&bare("goog"), ROW) && selects(&bare("\"rate limited\" and !nothing"), ROW));
    assert!(!selects(&bare("yahoo"), ROW));
}

#[test]
fn what_is_wrong_is_shown_with_what_would_be_right() {
    for (text, at, message, hint) in [
        ("sit=google", 0..3, "there is no field sit", "did you mean site?"),
        ("colour=red", 0..6, "there is no field colour", "fields: site, campaign"),
        ("google", 0..6, "google is not compared", "write FIELD=VALUE"),
        ("site", 0..4, "site is not compared", "write site=VALUE"),
        ("site>5", 4..5, "site is a text", "use = != ~ or !~"),
        ("age~5", 3..4, "age is a number", "use = != <"),
        ("age>5x", 4..6, "\"5x\" is no value for age", "90s, 5m"),
        ("age>", 4..4, "a value for age is missing", ""),
        ("age>)", 4..5, "a value for age is missing", ""),
        ("(site=a", 0..1, "this ( is not closed", "add a )"),
        ("site=a)", 6..7, "there is no ( for this )", ""),
        ("site=a age>1", 7..10, "a word is missing", "and, or"),
        ("site=a and", 10..10, "something is missing", ""),
        ("site=(a, b", 5..6, "this list is not closed", ""),
        ("site=\"ü", 5..8, "the quotes are not closed", ""),
        ("site=a;drop", 6..7, "means nothing", "into quotes"),
        ("at>yesterday", 3..12, "no value for at", "RFC 3339"),
    ] {
        let error = Selector::parse(text, &SCHEMA).unwrap_err();
        assert_eq!(error.at, at, "{text}: {error}");
        assert!(error.message.contains(message) && error.hint.contains(hint), "{error:?}");
    }
    let text = "ü=1 or site>5";
    let shown = Selector::parse("site=ü or site>5", &SCHEMA).unwrap_err().shown(text);
    assert!(shown.starts_with("ü=1 or site>5\n") && shown.contains('^'), "{shown}");
    let shown = Selector::parse("site=ü or sit=5", &SCHEMA).unwrap_err();
    assert!(shown.shown("site=ü or sit=5").contains("\n          ^^^\n"));
}

#[test]
fn one_above_each_limit_is_refused() {
    let fails = |text: &str| Selector::parse(text, &SCHEMA).unwrap_err().message;
    let sized = |octets: usize| format!("site={}", "a".repeat(octets - 5));
    read(&sized(OCTETS_MAX));
    assert!(fails(&sized(OCTETS_MAX + 1)).contains("octets"));
    let nested = |deep: usize| format!("{}site=a{}", "(".repeat(deep), ")".repeat(deep));
    read(&nested(DEPTH_MAX));
    assert!(fails(&nested(DEPTH_MAX + 1)).contains("deep"));
    assert!(fails(&"!".repeat(DEPTH_MAX + 1)).contains("deep"));
    let many = |tests: usize| vec!["site=a"; tests].join(" or ");
    read(&many(TESTS_MAX));
    assert!(fails(&many(TESTS_MAX + 1)).contains("tests"));
    let list = |values: usize| format!("site=({})", vec!["a"; values].join(","));
    read(&list(VALUES_MAX));
    assert!(fails(&list(VALUES_MAX + 1)).contains("values"));
}

#[test]
fn a_conjunction_is_seen_and_tests_have_their_places() {
    let selector = read("site=a and tenant=(b, c) and not age>1");
    let numbers: Vec<_> = selector.tests().map(Test::number).collect();
    assert_eq!(numbers, [0, 1, 2]);
    assert!(selector.as_conjunction().is_none());
    let selector = read("site=a and tenant=b");
    let tests = selector.as_conjunction().unwrap();
    assert_eq!(tests.iter().filter_map(|test| test.as_equal()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(read("site=a*").as_conjunction().unwrap()[0].as_equal(), None);
    assert!(read("").is_everything() && read("all") == Selector::all());
}

#[test]
fn what_can_come_next_is_offered() {
    let offered = |text: &str| {
        let all = complete(text, text.len(), &SCHEMA);
        let typed = all.into_iter().map(|c| text[..c.replace.start].to_owned() + &c.text);
        typed.collect::<Vec<_>>()
    };
    assert_eq!(offered("si"), ["site=", "size>"]);
    assert_eq!(offered("site"), ["site=", "site!=", "site~", "site!~"]);
    assert_eq!(offered("site="), [""; 0]);
    assert_eq!(offered("site=a "), ["site=a and", "site=a or"]);
    assert_eq!(offered("site=a and ag"), ["site=a and age>"]);
    assert_eq!(offered("(at"), ["(at=", "(at!=", "(at<", "(at<=", "(at>", "(at>="]);
    assert_eq!(offered("(att"), ["(attempts>"]);
}

proptest! {
    #[test]
    fn nothing_that_is_typed_makes_it_fall_over(text in "\\PC{0,60}", cursor in 0usize..80) {
        if let Err(error) = Selector::parse(&text, &SCHEMA) {
            error.shown(&text);
        }
        complete(&text, cursor, &SCHEMA);
    }

    #[test]
    fn what_is_written_out_is_read_as_the_same(
        text in "((not |\\()?(site|last|tenant)(=|!=|~)(\"[a-z *\\\\]{0,5}\"|[a-z*]{1,4})\\)? ?\
                 (and|or)? ?){1,5}"
    ) {
        if let Ok(selector) = Selector::parse(&text, &SCHEMA) {
            let written = selector.to_string();
            let again = Selector::parse(&written, &SCHEMA).unwrap();
            prop_assert_eq!(again, selector, "{}", written);
        }
    }
}
