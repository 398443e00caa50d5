//! Templates: MiniJinja, held within bounds.
//!
//! A variable that is not there is an error, not nothing: a letter that begins with "Dear ," is not
//! sent. What goes into HTML is escaped. A template reaches nothing but its variables: there is no
//! include and no import. Every octet and every step costs fuel, so that none can take the time or
//! the memory of others, and what it writes is bounded too.

use std::fmt;
use std::io;

use minijinja::AutoEscape;
use minijinja::Environment;
use minijinja::Error;
use minijinja::ErrorKind;
use minijinja::UndefinedBehavior;
use minijinja::Value;
use minijinja::escape_formatter;
use minijinja::value::Serde;
use minijinja::value::ValueKind;
use serde_json::Map;

use crate::render::bounds;

/// Fuel of one template for one recipient: a step costs 1, 64 octets of text cost 1. So no template
/// makes more than 32 MiB of text on its way.
pub const FUEL_MAX: u64 = 500_000;
/// Octets that a text or HTML part may become.
pub const PART_OCTETS_MAX: usize = 4 * 1024 * 1024;
/// Octets that the body of a header field may become.
pub const HEADER_OCTETS_MAX: usize = 4 * 1024;
/// Calls and blocks that lie in each other.
pub const RECURSION_MAX: usize = 100;

/// What is wrong with a template, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// In which part: a JSON pointer, such as `/html`.
    pub part: Box<str>,
    /// In which line, from 1; 0 if that cannot be said.
    pub line: u32,
    /// At which character of the line, from 1; 0 if that cannot be said.
    pub column: u32,
    /// What it is.
    pub kind: Kind,
    /// In words.
    pub message: Box<str>,
}

/// What can be wrong with a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It cannot be compiled.
    Syntax,
    /// A variable is not there.
    Undefined,
    /// It would go on for too long, or need too much memory.
    OutOfFuel,
    /// It writes more than it may.
    TooLong,
    /// Something else.
    Other,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { part, line, column, message, .. } = self;
        write!(f, "{part}, line {line}, column {column}: {message}")
    }
}

impl std::error::Error for TemplateError {}

/// Variables, ready to be rendered with.
#[derive(Clone, Debug)]
pub struct Variables(Value);

/// A variable that we give ourselves; one of the recipient's by the same name is not seen.
#[derive(Clone, Copy, Debug)]
pub enum Reserved<'a> {
    /// A text, escaped in HTML.
    Text(&'a str),
    /// A URL of ours, in which nothing is to be escaped.
    Url(&'a str),
}

impl Variables {
    /// The variables of a JSON object, and ours.
    pub fn new(
        object: &Map<String, serde_json::Value>,
        reserved: &[(&'static str, Reserved<'_>)],
    ) -> Self {
        let given = object.iter().map(|(name, value)| (name.as_str(), Value::from(Serde(value))));
        let ours = reserved.iter().map(|(name, value)| {
            let value = match value {
                Reserved::Text(text) => Value::from(*text),
                Reserved::Url(url) => Value::from_safe_string((*url).to_owned()),
            };
            (*name, value)
        });
        Self(Value::from_pairs(given.chain(ours)))
    }
}

/// Templates by the part that they are for; one is HTML if its name is `/html`.
#[derive(Debug)]
pub struct Templates {
    environment: Environment<'static>,
}

/// The name of the only template whose variables are escaped.
pub const HTML: &str = "/html";

impl Default for Templates {
    fn default() -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|name| {
            if name == HTML { AutoEscape::Html } else { AutoEscape::None }
        });
        environment.set_fuel(Some(FUEL_MAX));
        environment.set_recursion_limit(RECURSION_MAX);
        environment.set_debug(true);
        // It would tell all variables.
        environment.remove_global("debug");
        // What it holds grows deeper with each turn of a loop.
        environment.remove_global("namespace");
        // A list or map may hold another many times over: who writes one loops over it.
        environment.set_formatter(|out, state, value| match value.kind() {
            ValueKind::Seq | ValueKind::Map | ValueKind::Iterable => {
                let what = "a list or object is written item by item, by a loop";
                Err(Error::new(ErrorKind::InvalidOperation, what))
            }
            _ => escape_formatter(out, state, value),
        });
        for filter in ["string", "pprint"] {
            environment.remove_filter(filter);
        }
        Self { environment }
    }
}

impl Templates {
    /// Compiles a template for a part.
    ///
    /// # Errors
    /// It is no template.
    pub fn add(&mut self, part: &str, source: &str) -> Result<(), TemplateError> {
        bounds::check(source).map_err(|(at, why)| flawed(part, source, at, why))?;
        self.environment
            .add_template_owned(part.to_owned(), source.to_owned())
            .map_err(|error| told(part, &error))
    }

    /// What the template of a part becomes with these variables.
    ///
    /// # Errors
    /// It fails, or becomes longer than `octets_max`.
    pub fn render(
        &self,
        part: &str,
        variables: &Variables,
        octets_max: usize,
    ) -> Result<String, TemplateError> {
        let template = self.environment.get_template(part).map_err(|error| told(part, &error))?;
        let mut out = Bounded { octets: Vec::with_capacity(template.source().len()), octets_max };
        template
            .render_captured_to(variables.0.clone(), &mut out)
            .map_err(|error| told(part, &error))?;
        String::from_utf8(out.octets).map_err(|_| TemplateError {
            part: part.into(),
            line: 0,
            column: 0,
            kind: Kind::Other,
            message: "not UTF-8".into(),
        })
    }

    /// The variables that a template asks for, in order; with what follows a dot.
    pub fn variables(&self, part: &str) -> Vec<String> {
        let template = self.environment.get_template(part).ok();
        let asked = template.map(|template| template.undeclared_variables(true));
        let mut asked: Vec<_> = asked.into_iter().flatten().collect();
        asked.sort_unstable();
        asked
    }
}

/// A flaw of the source, with its place.
fn flawed(part: &str, source: &str, at: usize, why: &str) -> TemplateError {
    let before = source.get(..at).unwrap_or_default();
    let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    TemplateError {
        part: part.into(),
        line: small(before.matches('\n').count() + 1),
        column: small(before.rsplit('\n').next().unwrap_or_default().chars().count() + 1),
        kind: Kind::Syntax,
        message: why.into(),
    }
}

/// The error in our words and with its place.
fn told(part: &str, error: &Error) -> TemplateError {
    let kind = match error.kind() {
        ErrorKind::SyntaxError | ErrorKind::BadEscape => Kind::Syntax,
        ErrorKind::UndefinedError => Kind::Undefined,
        ErrorKind::OutOfFuel => Kind::OutOfFuel,
        ErrorKind::WriteFailure => Kind::TooLong,
        _ => Kind::Other,
    };
    let source = error.template_source().unwrap_or_default();
    let place = error.range();
    let line_of = |before: &str| before.matches('\n').count() + 1;
    let before = place.as_ref().and_then(|range| source.get(..range.start));
    let column = before
        .map_or(0, |before| before.rsplit('\n').next().unwrap_or_default().chars().count() + 1);
    let line = before.map(line_of).or_else(|| error.line()).unwrap_or(0);
    let mut message = error.kind().to_string();
    if let Some(detail) = error.detail() {
        message = format!("{message}: {detail}");
    }
    let asked = place.filter(|_| kind == Kind::Undefined).and_then(|range| source.get(range));
    if let Some(asked) = asked {
        message = format!("{message}: {asked}");
    }
    let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    TemplateError {
        part: part.into(),
        line: small(line),
        column: small(column),
        kind,
        message: message.into(),
    }
}

/// What is written, up to a limit.
struct Bounded {
    octets: Vec<u8>,
    octets_max: usize,
}

impl io::Write for Bounded {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if self.octets.len() + octets.len() > self.octets_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.octets.extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(part: &str, source: &str, json: &str) -> Result<String, TemplateError> {
        let mut templates = Templates::default();
        templates.add(part, source)?;
        let variables = Variables::new(&serde_json::from_str(json).unwrap(), &[]);
        templates.render(part, &variables, PART_OCTETS_MAX)
    }

    fn text(source: &str, json: &str) -> String {
        render("/text", source, json).unwrap()
    }

    fn fails(source: &str) -> TemplateError {
        render("/text", source, r#"{"name": "Ann", "n": 7, "items": [1, 2]}"#).unwrap_err()
    }

    #[test]
    fn variables_are_filled_in_and_escaped_in_html_only() {
        let json = r#"{"name": "<Ann & \"Bob\">", "items": [{"n": 1}, {"n": 2}]}"#;
        assert_eq!(text("Hi {{ name }}!", json), "Hi <Ann & \"Bob\">!");
        let html = render(HTML, "<p>{{ name }}</p>{{ name|safe }}", json).unwrap();
        assert_eq!(html, "<p>&lt;Ann &amp; &quot;Bob&quot;&gt;</p><Ann & \"Bob\">");
        let list = "{% for item in items %}{{ loop.index }}: {{ item.n }}{% endfor %}";
        assert_eq!(text(list, json), "1: 12: 2");
        assert_eq!(text("{{ nick|default('friend') }}", json), "friend");
        assert_eq!(text("{% if nick is defined %}a{% else %}b{% endif %}", json), "b");
        assert_eq!(text("{{ 'a b&c'|urlencode }} {{ [1]|tojson }}", json), "a%20b%26c [1]");
        assert_eq!(text("a\r\n b\n", "{}"), "a\r\n b");
    }

    #[test]
    fn our_variables_go_before_the_recipients() {
        let mut templates = Templates::default();
        templates.add(HTML, "{{ email }} {{ url }} {{ x }}").unwrap();
        let json = r#"{"email": "theirs", "x": "a/b"}"#;
        let reserved =
            [("email", Reserved::Text("a&b@x")), ("url", Reserved::Url("https://t/u/x"))];
        let variables = Variables::new(&serde_json::from_str(json).unwrap(), &reserved);
        let html = templates.render(HTML, &variables, PART_OCTETS_MAX).unwrap();
        assert_eq!(html, "a&amp;b@x https://t/u/x a&#x2f;b");
    }

    #[test]
    fn what_is_not_there_is_an_error_with_its_place() {
        let error = fails("line\n  {{ nick }}");
        assert_eq!((error.kind, error.line, error.column), (Kind::Undefined, 2, 6));
        assert!(error.message.contains("nick"), "{error}");
        assert_eq!(&*error.part, "/text");
        for source in
            ["{% if nick %}x{% endif %}", "{{ name.first }}", "{% for a in nick %}{% endfor %}"]
        {
            assert_eq!(fails(source).kind, Kind::Undefined, "{source}");
        }
    }

    #[test]
    fn what_is_no_template_is_told_with_its_place() {
        let error = fails("a\nb {{ name");
        assert_eq!((error.kind, error.line), (Kind::Syntax, 2));
        for source in ["{% if %}", "{{ }}", "{% endif %}", "{{ name | }}", "{% for %}"] {
            assert_eq!(fails(source).kind, Kind::Syntax, "{source}");
        }
    }

    #[test]
    fn nothing_is_included_and_nothing_tells_more_than_it_was_given() {
        for source in ["{% include 'x' %}", "{% import 'x' as x %}", "{% extends 'x' %}"] {
            assert_eq!(fails(source).kind, Kind::Syntax, "{source}");
        }
        assert!(fails("{{ debug() }}").message.contains("debug"));
    }

    #[test]
    fn bombs_run_out_of_fuel() {
        for source in [
            "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
            "{{ ('x' * 1000000) * 90 }}",
            "{% set a = 'xxxxxxxxxxxxxxxx' * 65536 %}{% set a = a ~ a %}{% set a = a ~ a %}\
             {% set a = a ~ a %}{% set a = a ~ a %}{% set a = a ~ a %}{% set a = a ~ a %}{{ a }}",
            "{% set a = 'x' * 100000 %}{{ a|replace('x', a) }}",
        ] {
            let kind = fails(source).kind;
            assert!([Kind::OutOfFuel, Kind::Other].contains(&kind), "{source}: {kind:?}");
        }
        assert_eq!(
            fails("{% for a in range(99999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}")
                .kind,
            Kind::OutOfFuel
        );
    }

    #[test]
    fn nothing_overflows_a_stack_or_doubles_without_end() {
        let chain = |link: &str| format!("{{{{ 1{} }}}}", link.repeat(10_000));
        let nested = "{% set ns = namespace(a=[]) %}{% for i in range(30000) %}\
                      {% set ns.a = [ns.a] %}{% endfor %}x";
        let doubled = |end: &str| format!("{}{end}", "{% set a = [a,a,a,a,a,a,a,a] %}".repeat(15));
        for source in [
            chain("+1"),
            chain("|abs"),
            chain(".a"),
            chain("[0]"),
            chain(" and 1"),
            format!("{{{{ {} 1 }}}}", "not ".repeat(10_000)),
            format!("{{{{ {}1 }}}}", "-".repeat(10_000)),
            format!("{{% if n %}}{}{{% endif %}}", "{% elif n %}".repeat(10_000)),
            "{% macro m(x) %}{{ m(x ~ x) }}{% endmacro %}{{ m('x') }}".to_owned(),
            doubled("{{ a|string|length }}"),
            doubled("{{ a == a }}"),
        ] {
            assert_eq!(fails(&source).kind, Kind::Syntax, "{source:.60}");
        }
        assert_eq!(fails(nested).kind, Kind::Syntax);
        assert_eq!(fails("{{ namespace() }}").kind, Kind::Other, "there is none");
        assert_ne!(fails("{{ items }}").kind, Kind::Syntax, "a list is looped over");
        let longest = "{% if n %}".repeat(250) + &"{% endif %}".repeat(250);
        let mut templates = Templates::default();
        // It may nest too deep for the engine, which says so.
        let _said = templates.add("/text", &longest);
    }

    #[test]
    fn one_octet_too_many_is_too_long() {
        let mut templates = Templates::default();
        templates.add("/subject", "{{ 'x' * n }}").unwrap();
        let render = |n: usize| {
            let json = format!(r#"{{"n": {n}}}"#);
            let variables = Variables::new(&serde_json::from_str(&json).unwrap(), &[]);
            templates.render("/subject", &variables, HEADER_OCTETS_MAX)
        };
        assert_eq!(render(HEADER_OCTETS_MAX).unwrap().len(), HEADER_OCTETS_MAX);
        assert_eq!(render(HEADER_OCTETS_MAX + 1).unwrap_err().kind, Kind::TooLong);
    }

    #[test]
    fn a_template_says_what_it_asks_for() {
        let mut templates = Templates::default();
        let source = "{{ name }}{{ order.id }}{% for item in items %}{{ item.n }}{% endfor %}";
        templates.add("/text", source).unwrap();
        assert_eq!(templates.variables("/text"), ["items", "name", "order.id"]);
        assert!(templates.variables("/html").is_empty());
    }
}
