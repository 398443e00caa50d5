//! Text out of HTML, for a message whose sender wrote none: what a reader would see, line by line.
//!
//! It reads tags as a stream and keeps no tree, so any input takes linear time and little memory.
//! It knows no style sheets: what a style hides is shown. Links follow their words in round
//! brackets, images are their `alt`.

use std::borrow::Cow;

use memchr::memchr;
use memchr::memchr3;
use memchr::memmem;

/// RFC 5322 2.1.1: what a line should have at most, less two for who quotes it.
const LINE_OCTETS_WANTED: usize = 76;
/// The longest name of a tag that means something to us.
const TAG_NAME_OCTETS_MAX: usize = 10;

/// The text that this HTML shows, with `\n` line ends.
pub fn text_of(html: &str) -> String {
    let mut writer = Writer::with_capacity(html.len() / 3);
    let mut rest = html;
    while let Some(at) = memchr(b'<', rest.as_bytes()) {
        let (before, from) = rest.split_at_checked(at).unwrap_or((rest, ""));
        writer.text(before);
        rest = markup(from, &mut writer);
    }
    writer.text(rest);
    writer.finish()
}

/// Reads what a `<` begins; gives what follows it.
fn markup<'a>(from: &'a str, writer: &mut Writer) -> &'a str {
    if let Some(comment) = from.strip_prefix("<!--") {
        return behind(comment, "-->");
    }
    let mut inside = from.get(1..).unwrap_or_default();
    match inside.as_bytes().first() {
        Some(b'!' | b'?') => return behind(inside, ">"),
        Some(b'/') => inside = inside.get(1..).unwrap_or_default(),
        Some(octet) if octet.is_ascii_alphabetic() => {}
        // A `<` that begins no tag is text (HTML 13.2.5.6).
        _ => {
            writer.text("<");
            return inside;
        }
    }
    let closes = from.starts_with("</");
    let end = tag_octets(inside);
    let (tag, rest) = inside.split_at_checked(end).unwrap_or((inside, ""));
    let rest = rest.strip_prefix('>').unwrap_or(rest);
    let name_octets = tag.bytes().take_while(u8::is_ascii_alphanumeric).count();
    let (name, attributes) = tag.split_at_checked(name_octets).unwrap_or((tag, ""));
    if name.len() > TAG_NAME_OCTETS_MAX {
        return rest;
    }
    let name = name.to_ascii_lowercase();
    if !closes && ["style", "script", "title", "template", "noscript"].contains(&name.as_str()) {
        return behind_closing(rest, &name);
    }
    writer.tag(&name, closes, attributes);
    rest
}

/// What follows this mark; nothing if it is not there.
fn behind<'a>(text: &'a str, mark: &str) -> &'a str {
    let at = memmem::find(text.as_bytes(), mark.as_bytes());
    at.and_then(|at| text.get(at + mark.len()..)).unwrap_or_default()
}

/// What follows the closing tag of this name; nothing if it is not there.
fn behind_closing<'a>(text: &'a str, name: &str) -> &'a str {
    let mut rest = text;
    while let Some(at) = memmem::find(rest.as_bytes(), b"</") {
        rest = rest.get(at + 2..).unwrap_or_default();
        let found = rest.get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name));
        if found {
            return behind(rest, ">");
        }
    }
    ""
}

/// Octets of a tag up to its `>`; one in a quoted value does not end it.
fn tag_octets(tag: &str) -> usize {
    let octets = tag.as_bytes();
    let mut at = 0;
    while let Some(found) = memchr3(b'>', b'"', b'\'', octets.get(at..).unwrap_or_default()) {
        at += found;
        match octets.get(at) {
            Some(b'>') | None => return at,
            Some(quote) => {
                let inside = octets.get(at + 1..).unwrap_or_default();
                let Some(end) = memchr(*quote, inside) else { break };
                at += end + 2;
            }
        }
    }
    tag.len()
}

/// The value of an attribute, decoded.
pub(crate) fn attribute<'a>(attributes: &'a str, wanted: &str) -> Option<Cow<'a, str>> {
    let white = |c: char| c.is_ascii_whitespace() || c == '/';
    let mut rest = attributes.trim_start_matches(white);
    while !rest.is_empty() {
        let end = rest.find(|c: char| white(c) || c == '=').unwrap_or(rest.len());
        // A name may begin with `=` (HTML 13.2.5.32).
        let end = if end == 0 { rest.chars().next().map_or(0, char::len_utf8) } else { end };
        let (name, behind) = rest.split_at_checked(end)?;
        let behind = behind.trim_start();
        let (value, behind) = match behind.strip_prefix('=') {
            Some(value) => split_value(value.trim_start()),
            None => ("", behind),
        };
        if name.eq_ignore_ascii_case(wanted) {
            return Some(htmlize::unescape_attribute(value));
        }
        rest = behind.trim_start_matches(white);
    }
    None
}

fn split_value(text: &str) -> (&str, &str) {
    for quote in ['"', '\''] {
        if let Some(inside) = text.strip_prefix(quote) {
            return inside.split_once(quote).unwrap_or((inside, ""));
        }
    }
    let end = text.find(|c: char| c.is_ascii_whitespace()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// The text so far. White space is written when something follows it.
struct Writer {
    out: String,
    /// Octets of the last line.
    column: usize,
    /// Line ends that are due before the next word.
    breaks: u8,
    /// A space is due before the next word.
    space: bool,
    /// Elements of `pre` that are open: white space counts in them.
    pre: u32,
    /// Where the open link leads, and where its words begin.
    link: Option<(String, usize)>,
}

impl Writer {
    fn with_capacity(octets: usize) -> Self {
        let out = String::with_capacity(octets);
        Self { out, column: 0, breaks: 0, space: false, pre: 0, link: None }
    }

    fn text(&mut self, text: &str) {
        // Character references (HTML 13.2.5.72).
        self.words(&htmlize::unescape(text));
    }

    fn words(&mut self, text: &str) {
        if self.pre > 0 {
            self.flush();
            self.out.push_str(text);
            self.column = text.rsplit('\n').next().map_or(0, str::len);
            return;
        }
        let white = |octet: Option<&u8>| octet.is_some_and(u8::is_ascii_whitespace);
        self.space |= white(text.as_bytes().first());
        for word in text.split_ascii_whitespace() {
            if self.space && self.column + 1 + word.len() > LINE_OCTETS_WANTED {
                self.breaks(1);
            }
            self.flush();
            if word.contains('\u{a0}') {
                // In mail it only aligns.
                self.out.push_str(&word.replace('\u{a0}', " "));
            } else {
                self.out.push_str(word);
            }
            self.column += word.len();
            self.space = true;
        }
        self.space &= white(text.as_bytes().last());
    }

    /// Writes the white space that is due.
    fn flush(&mut self) {
        if self.out.is_empty() {
            self.breaks = 0;
            self.space = false;
        }
        if self.breaks > 0 {
            let kept = self.out.trim_end_matches([' ', '\t']).len();
            self.out.truncate(kept);
            for _ in 0..self.breaks {
                self.out.push('\n');
            }
            self.column = 0;
        } else if self.space && !self.out.ends_with([' ', '\n']) {
            self.out.push(' ');
            self.column += 1;
        }
        (self.breaks, self.space) = (0, false);
    }

    fn breaks(&mut self, wanted: u8) {
        self.breaks = self.breaks.max(wanted);
    }

    fn tag(&mut self, name: &str, closes: bool, attributes: &str) {
        match name {
            "br" => self.breaks = (self.breaks + 1).min(2),
            "p" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "ul" | "ol" | "blockquote"
            | "table" | "dl" => self.breaks(2),
            "pre" => {
                self.breaks(2);
                let opened = self.pre.saturating_add(1);
                self.pre = if closes { self.pre.saturating_sub(1) } else { opened };
            }
            "div" | "tr" | "section" | "article" | "header" | "footer" | "main" | "center"
            | "body" | "head" | "address" | "form" | "dt" | "dd" | "figure" | "caption" => {
                self.breaks(1);
            }
            "li" => {
                self.breaks(1);
                if !closes {
                    self.flush();
                    self.out.push_str("- ");
                    self.column += 2;
                }
            }
            "hr" => {
                self.breaks(1);
                self.flush();
                self.out.push_str("---");
                self.breaks(1);
            }
            "td" | "th" => self.space = true,
            "img" => {
                let alt = attribute(attributes, "alt").unwrap_or_default();
                self.words(&alt);
            }
            "a" => self.link(closes, attributes),
            _ => {}
        }
    }

    fn link(&mut self, closes: bool, attributes: &str) {
        // A link that opens closes the one before it.
        if let Some((url, begin)) = self.link.take() {
            let shown = self.out.get(begin..).unwrap_or_default().trim();
            let bare = url.strip_prefix("mailto:").unwrap_or(&url);
            if shown.is_empty() || shown == url || shown == bare {
                // Its words say it already, or nothing can be followed.
            } else {
                let fits = self.column + url.len() + 3 <= LINE_OCTETS_WANTED;
                self.out.push_str(if fits { " (" } else { "\n(" });
                self.out.push_str(&url);
                self.out.push(')');
                self.column = if fits { self.column } else { 0 } + url.len() + 3;
            }
        }
        if closes {
            return;
        }
        let url = attribute(attributes, "href").unwrap_or_default();
        let url = url.trim();
        let told = ["http://", "https://", "mailto:", "tel:"].iter().any(|scheme| {
            url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        });
        if told && !url.contains(char::is_control) {
            self.link = Some((url.to_owned(), self.out.len()));
        }
    }

    fn finish(mut self) -> String {
        let end = self.out.trim_end().len();
        self.out.truncate(end);
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        self.out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_seen_is_told() {
        for (html, text) in [
            ("", ""),
            ("plain", "plain\n"),
            ("<p>One</p><p>Two</p>", "One\n\nTwo\n"),
            ("<p>One<br>Two<br/><br>Three", "One\nTwo\n\nThree\n"),
            ("a  \n\t b<b> c</b>d", "a b cd\n"),
            ("<div>a</div>\n<div>b</div>", "a\nb\n"),
            ("<ul><li>a</li>\n<li>b</li></ul>c", "- a\n- b\n\nc\n"),
            ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</table>", "a b\nc\n"),
            ("Fish &amp; chips &lt;b&gt; &#8364;&nbsp;3 &eacute;", "Fish & chips <b> € 3 é\n"),
            (
                "<a href=\"https://x.example/?a=1&amp;b=2\">Buy</a> now",
                "Buy (https://x.example/?a=1&b=2) now\n",
            ),
            ("<a href='https://x.example/'>https://x.example/</a>", "https://x.example/\n"),
            ("<a href=mailto:a@x.example>a@x.example</a>", "a@x.example\n"),
            ("<a href='#top'>Up</a> <a href='javascript:x'>J</a>", "Up J\n"),
            (
                "<a href='https://x.example/'><img src=x alt='Logo &amp; name'></a>",
                "Logo & name (https://x.example/)\n",
            ),
            ("<img src=x>", ""),
            ("<style>p > a { color: red }</style><script>a < b</script>x", "x\n"),
            ("<!-- <p>no</p> -->x<!doctype html><?xml ?>", "x\n"),
            ("<head><title>No</title></head><body>x</body>", "x\n"),
            ("1 < 2 and <3", "1 < 2 and <3\n"),
            ("<pre>a\n  b</pre>", "a\n  b\n"),
            ("<a title=\"a > b\" href=\"https://x.example/\">x</a>", "x (https://x.example/)\n"),
            ("a<hr>b", "a\n---\nb\n"),
            ("<H1>Big</H1>small", "Big\n\nsmall\n"),
        ] {
            assert_eq!(text_of(html), text, "{html}");
        }
    }

    #[test]
    fn lines_are_as_long_as_readers_like_them() {
        let words = "some words and others ".repeat(40);
        let url = format!("https://x.example/{}", "a".repeat(100));
        let text = text_of(&format!("<p>{words}<a href='{url}'>go</a></p><li>{words}</li>"));
        assert!(text.lines().all(|line| line.len() <= LINE_OCTETS_WANTED || line.contains(&url)));
        assert!(text.lines().filter(|line| line.len() > LINE_OCTETS_WANTED - 12).count() > 20);
        let told: Vec<_> = text.split_whitespace().collect();
        assert_eq!(told.join(" "), format!("{words}go ({url}) - {}", words.trim()));
    }

    #[test]
    fn what_is_broken_is_read_to_its_end() {
        for html in [
            "<",
            "</",
            "<!",
            "<!--",
            "<a",
            "<a href",
            "<a href=",
            "<a href=\"",
            "<style>",
            "<style></",
            "</a></pre></li>",
            "<a =>",
            "<a = = href==x>y",
            "&",
            "&#",
            "&#x",
            "&#xffffffff;",
        ] {
            let _text = text_of(html);
        }
    }

    #[test]
    fn attributes_are_found_however_they_are_written() {
        for attributes in [
            " href=x",
            " HREF = 'x'",
            " a b=c href=\"x\"",
            "/href=x",
            " =a href=x",
            " data-href=y href=x",
        ] {
            assert_eq!(attribute(attributes, "href").as_deref(), Some("x"), "{attributes}");
        }
        assert_eq!(attribute(" data-href=y title='href=x'", "href"), None);
    }

    proptest! {
        #[test]
        fn any_text_becomes_one_without_tags(html in "([<>/a-z \"'=&#;!-]|\\PC){0,200}") {
            let text = text_of(&html);
            prop_assert!(text.is_empty() || text.ends_with('\n'));
        }
    }
}
