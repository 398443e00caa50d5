//! What will probably be regretted: advice about parts that could be sent as they are.
//!
//! With a sample of a recipient's variables it renders them, so that what a template only asks for
//! in some case is not held against it.

use std::borrow::Cow;

use lol_html::ElementContentHandlers;
use lol_html::HandlerResult;
use lol_html::RewriteStrSettings;
use lol_html::Selector;
use lol_html::html_content::Element;
use serde_json::Map;
use serde_json::Value;

use crate::render::mailing::Parts;
use crate::render::template::HTML;
use crate::render::template::Kind;
use crate::render::template::PART_OCTETS_MAX;
use crate::render::template::Reserved;
use crate::render::template::TemplateError;
use crate::render::template::Templates;
use crate::render::template::Variables;

/// Gmail shows no more of a message's HTML: the rest, often with the link that unsubscribes, is
/// behind a click.
pub const CLIPPED_OCTETS: usize = 102 * 1024;
/// The code of what is no template at all: mail of it could not be sent.
pub const NO_TEMPLATE: &str = "template";
/// Findings of one kind that are told.
const SAME_MAX: usize = 20;
/// What the address of a recipient is in a sample without one.
const SAMPLE_EMAIL: &str = "ann@example.net";

/// One piece of advice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What, for programs; it does not change.
    pub code: &'static str,
    /// Where: `/subject`, `/text`, `/html` or `/variables`.
    pub part: Box<str>,
    /// What, for people.
    pub detail: Box<str>,
}

/// Advice about these parts; about variables only if there is a sample of them.
pub fn lint(parts: &Parts, sample: Option<&Map<String, Value>>) -> Vec<Finding> {
    let mut lint = Lint::default();
    let sources = sources(parts);
    let templates = lint.compiled(&sources);
    if parts.subject.trim().is_empty() {
        lint.push("empty_subject", "/subject", "there is no subject");
    }
    if !sources.iter().any(|(_, source)| source.contains("unsubscribe_url")) {
        let detail =
            "no part says {{ unsubscribe_url }}: a list's mail must (it is also in the header)";
        lint.push("missing_unsubscribe", "/html", detail);
    }
    if let Some(html) = &parts.html {
        if parts.text.is_none() {
            lint.push("missing_text", "/text", "the text will be derived from the HTML");
        }
        lint.images(html);
    }
    let rendered = sample.map(|sample| lint.rendered(&sources, &templates, sample));
    let html = rendered.flatten().or_else(|| parts.html.as_deref().map(str::to_owned));
    let octets = html.map_or(0, |html| html.len());
    if octets > CLIPPED_OCTETS {
        let detail = format!("{octets} octets: Gmail shows the first 104,448");
        lint.push("clipped", HTML, &detail);
    }
    lint.0
}

/// The parts that are templates.
fn sources(parts: &Parts) -> Vec<(&'static str, &str)> {
    let mut sources = vec![("/subject", &*parts.subject)];
    sources.extend(parts.text.as_deref().map(|text| ("/text", text)));
    sources.extend(parts.html.as_deref().map(|html| (HTML, html)));
    sources
}

#[derive(Default)]
struct Lint(Vec<Finding>);

impl Lint {
    fn push(&mut self, code: &'static str, part: &str, detail: &str) {
        if self.0.iter().filter(|finding| finding.code == code).count() < SAME_MAX {
            self.0.push(Finding { code, part: part.into(), detail: detail.into() });
        }
    }

    fn failed(&mut self, error: &TemplateError) {
        let TemplateError { part, line, column, message, .. } = error;
        let detail = format!("line {line}, column {column}: {message}");
        self.push(NO_TEMPLATE, part, &detail);
    }

    fn compiled(&mut self, sources: &[(&'static str, &str)]) -> Templates {
        let mut templates = Templates::default();
        for (part, source) in sources {
            if let Err(error) = templates.add(part, source) {
                self.failed(&error);
            }
        }
        templates
    }

    /// Renders all parts for the sample; gives the HTML.
    fn rendered(
        &mut self,
        sources: &[(&'static str, &str)],
        templates: &Templates,
        sample: &Map<String, Value>,
    ) -> Option<String> {
        let email = sample.get("email").and_then(Value::as_str).unwrap_or(SAMPLE_EMAIL);
        let reserved = [
            ("email", Reserved::Text(email)),
            ("message_id", Reserved::Text("0000000000000@mail.example")),
            ("unsubscribe_url", Reserved::Url("https://mail.example/u/token")),
        ];
        let variables = Variables::new(sample, &reserved);
        let is_reserved = |name: &str| reserved.iter().any(|(reserved, _)| *reserved == name);
        let (mut asked, mut html) = (Vec::new(), None);
        for (part, _) in sources {
            let wanted = templates.variables(part);
            match templates.render(part, &variables, PART_OCTETS_MAX) {
                Ok(octets) => html = (*part == HTML).then_some(octets).or(html),
                Err(error) if error.kind == Kind::Undefined => {
                    let missing = wanted.iter().filter(|name| !is_reserved(name));
                    let missing: Vec<_> = missing.filter(|name| !has(sample, name)).collect();
                    for name in &missing {
                        self.push("missing_variable", part, name);
                    }
                    if missing.is_empty() {
                        self.failed(&error);
                    }
                }
                // One that cannot be compiled was told of.
                Err(error) if wanted.is_empty() && error.kind == Kind::Other => {}
                Err(error) => self.failed(&error),
            }
            asked.extend(wanted);
        }
        let uses = |name: &str| {
            asked.iter().any(|asked| asked.split('.').next().is_some_and(|first| first == name))
        };
        for name in sample.keys().filter(|name| !is_reserved(name) && !uses(name)) {
            self.push("unused_variable", "/variables", name);
        }
        html
    }

    fn images(&mut self, html: &str) {
        let Ok(selector) = "img:not([alt])".parse::<Selector>() else { return };
        let on_image = |element: &mut Element<'_, '_>| -> HandlerResult {
            let image = element.get_attribute("src").unwrap_or_default();
            self.push("missing_alt", HTML, &format!("an image without alt: {image}"));
            Ok(())
        };
        let handlers = ElementContentHandlers::default().element(on_image);
        let settings = RewriteStrSettings::new()
            .append_element_content_handler((Cow::Borrowed(&selector), handlers))
            .with_strict(false);
        // HTML that cannot be read has no images that could be told of.
        let _rewritten = lol_html::rewrite_str(html, settings);
    }
}

/// Whether the sample has this variable; `a.b` is in the object `a`.
fn has(sample: &Map<String, Value>, name: &str) -> bool {
    let mut object = Some(sample);
    let mut found = true;
    for piece in name.split('.') {
        let value = object.and_then(|object| object.get(piece));
        found &= value.is_some();
        object = value.and_then(Value::as_object);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::mailing::samples::parts;

    fn found(parts: &Parts, sample: &str) -> Vec<String> {
        let sample = serde_json::from_str::<Map<String, Value>>(sample).ok();
        let findings = lint(parts, sample.as_ref());
        let told =
            |finding: &Finding| format!("{} {} {}", finding.code, finding.part, finding.detail);
        findings.iter().map(told).collect()
    }

    fn codes(parts: &Parts, sample: &str) -> Vec<String> {
        let found = found(parts, sample);
        found.iter().map(|told| told.split(' ').next().unwrap().to_owned()).collect()
    }

    #[test]
    fn nothing_is_said_of_what_is_good() {
        let good = parts(
            "Hi {{ name }}",
            "{{ unsubscribe_url }}",
            "<img alt=''>{{ name }} {% if nick is defined %}{{ nick }}{% endif %}{{ email }}",
        );
        assert_eq!(found(&good, r#"{"name": "Ann"}"#), Vec::<String>::new());
        assert_eq!(found(&good, ""), Vec::<String>::new());
    }

    #[test]
    fn what_will_be_regretted_is_told() {
        let bad = parts(" ", "", "<img src=\"a.png\"><IMG SRC='b.png' ALT=''>");
        let wanted = [
            "empty_subject /subject there is no subject",
            "missing_unsubscribe /html no part says {{ unsubscribe_url }}: a list's mail must (it \
             is also in the header)",
            "missing_text /text the text will be derived from the HTML",
            "missing_alt /html an image without alt: a.png",
        ];
        assert_eq!(found(&bad, ""), wanted);
    }

    #[test]
    fn variables_are_compared_with_a_sample() {
        let asks = parts("{{ name }}", "{{ unsubscribe_url }}{{ order.id }}{{ order.date }}", "");
        let sample = r#"{"order": {"id": 7}, "colour": "red", "email": "a@x.example"}"#;
        let wanted = [
            "missing_variable /subject name",
            "missing_variable /text order.date",
            "unused_variable /variables colour",
        ];
        assert_eq!(found(&asks, sample), wanted);
        assert!(found(&asks, "").is_empty());
    }

    #[test]
    fn what_is_no_template_is_told_once_and_with_its_place() {
        let broken = parts("S", "{{ unsubscribe_url }}\n{{ a", "");
        for sample in ["", "{}"] {
            let found = found(&broken, sample);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].starts_with("template /text line 2, column "), "{found:?}");
        }
        let failing = parts("S", "{{ unsubscribe_url }}{{ 1 + 'a' }}", "");
        assert_eq!(codes(&failing, "{}"), ["template"]);
        assert!(codes(&failing, "").is_empty());
    }

    #[test]
    fn one_octet_over_what_is_shown_is_told() {
        let of = |octets: usize| {
            let head = "<!--{{ unsubscribe_url }}-->";
            let html = format!("{head}{}", "x".repeat(octets - head.len()));
            codes(&parts("S", "t", &html), "")
        };
        assert!(of(CLIPPED_OCTETS).is_empty());
        assert_eq!(of(CLIPPED_OCTETS + 1), ["clipped"]);
        let grows = parts("S", "t", "{{ unsubscribe_url }}{{ 'x' * 110000 }}");
        assert_eq!(codes(&grows, "{}"), ["clipped"]);
    }

    #[test]
    fn of_many_the_first_are_told() {
        let html = "<img>".repeat(SAME_MAX + 1);
        let codes = codes(&parts("S", "{{ unsubscribe_url }}", &html), "");
        assert_eq!(codes.len(), SAME_MAX);
    }
}
