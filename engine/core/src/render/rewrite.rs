//! Makes the links of an HTML part countable, and puts a pixel at its end.
//!
//! Only links that lead to a website are changed, and none that is marked `data-no-track`, nor one
//! that leads back to us, such as the one that unsubscribes. Whatever cannot be changed stays as it
//! was: a link that is not counted is better than one that does not work. Text is not touched.

use std::borrow::Cow;
use std::cell::Cell;
use std::rc::Rc;

use lol_html::DocumentContentHandlers;
use lol_html::ElementContentHandlers;
use lol_html::HandlerResult;
use lol_html::RewriteStrSettings;
use lol_html::Selector;
use lol_html::html_content::ContentType;
use lol_html::html_content::DocumentEnd;
use lol_html::html_content::Element;
use lol_html::html_content::EndTag;

use crate::render::mailing::Track;
use crate::tracking::links::Links;
use crate::tracking::target::Target;
use crate::tracking::token::Origin;

/// Links of a message that are counted; those behind them are left as they are.
pub const LINKS_MAX: u16 = 1_000;
/// Marks a link that is not to be counted. Readers do not see the mark.
const UNTRACKED: &str = "data-no-track";

/// HTML could not be rewritten.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the HTML cannot be rewritten: {0}")]
pub struct RewriteError(Box<str>);

/// With what links are replaced.
#[derive(Clone, Copy, Debug)]
pub struct Tracking<'a> {
    /// What is counted.
    pub track: Track,
    /// With what.
    pub links: &'a Links,
    /// In which message.
    pub origin: Origin,
}

/// What is to be changed: made once, used for all recipients.
#[derive(Clone, Debug)]
pub struct Rewriter {
    links: Selector,
    body: Selector,
}

impl Rewriter {
    /// The rewriter; there is only one kind.
    ///
    /// # Errors
    /// Our own selectors are not understood.
    pub fn new() -> Result<Self, RewriteError> {
        let selector = |text: &str| {
            text.parse::<Selector>().map_err(|error| RewriteError(error.to_string().into()))
        };
        Ok(Self { links: selector("a[href], area[href]")?, body: selector("body")? })
    }

    /// The HTML with countable links and a pixel.
    ///
    /// # Errors
    /// It cannot be rewritten.
    pub fn rewrite(&self, html: &str, tracking: Tracking<'_>) -> Result<String, RewriteError> {
        let mut counted = 0;
        let on_link = |element: &mut Element<'_, '_>| -> HandlerResult {
            counted = replace(element, tracking, counted)?;
            Ok(())
        };
        let end: Rc<str> = end_of(tracking).into();
        let ended = Rc::new(Cell::new(false));
        let (inner_end, inner_ended) = (Rc::clone(&end), Rc::clone(&ended));
        let on_body = move |element: &mut Element<'_, '_>| -> HandlerResult {
            let (end, ended) = (Rc::clone(&inner_end), Rc::clone(&inner_ended));
            element.on_end_tag(Box::new(move |tag: &mut EndTag<'_>| {
                if !ended.replace(true) {
                    tag.before(&end, ContentType::Html);
                }
                Ok(())
            }))
        };
        let mut settings = RewriteStrSettings::new();
        if tracking.track.clicks {
            let handlers = ElementContentHandlers::default().element(on_link);
            settings =
                settings.append_element_content_handler((Cow::Borrowed(&self.links), handlers));
        }
        if !end.is_empty() {
            let handlers = ElementContentHandlers::default().element(on_body);
            settings =
                settings.append_element_content_handler((Cow::Borrowed(&self.body), handlers));
            let on_end = move |document: &mut DocumentEnd<'_>| -> HandlerResult {
                if !ended.get() {
                    document.append(&end, ContentType::Html);
                }
                Ok(())
            };
            let handlers = DocumentContentHandlers::default().end(on_end);
            settings = settings.append_document_content_handler(handlers);
        }
        // An ambiguous document is rewritten as well as can be, not refused.
        let settings = settings.with_strict(false);
        let rewritten = lol_html::rewrite_str(html, settings);
        rewritten.map_err(|error| RewriteError(error.to_string().into()))
    }
}

/// Replaces a link that is to be counted; gives how many are.
fn replace(
    element: &mut Element<'_, '_>,
    tracking: Tracking<'_>,
    counted: u16,
) -> Result<u16, Box<dyn std::error::Error + Send + Sync>> {
    if element.has_attribute(UNTRACKED) {
        element.remove_attribute(UNTRACKED);
        return Ok(counted);
    }
    let href = element.get_attribute("href").unwrap_or_default();
    let url = htmlize::unescape_attribute(href.as_str());
    if counted >= LINKS_MAX || tracking.links.is_ours(url.trim()) {
        return Ok(counted);
    }
    let Some(target) = Target::of_link(&url) else { return Ok(counted) };
    element.set_attribute("href", &tracking.links.click(tracking.origin, counted, target))?;
    Ok(counted + 1)
}

/// What stands at the end of the body. An image says what it is not, so that it is not read aloud.
fn end_of(tracking: Tracking<'_>) -> String {
    let mut end = String::new();
    let Tracking { track, links, origin } = tracking;
    if let Some(url) = links.honeypot(origin).filter(|_| track.honeypot) {
        end += &format!(
            "<a href=\"{url}\" style=\"display:none\" tabindex=\"-1\" aria-hidden=\"true\" \
             rel=\"nofollow\"></a>"
        );
    }
    if track.opens {
        let url = links.open(origin);
        end += &format!("<img src=\"{url}\" width=\"1\" height=\"1\" alt=\"\" style=\"border:0\">");
    }
    end
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mail::envelope::RecipientIndex;
    use crate::mail::id::QueueId;
    use crate::tracking::keys::Key;
    use crate::tracking::keys::Keys;
    use crate::tracking::links::CLICK_PATH;
    use crate::tracking::links::HONEYPOT_LINK;
    use crate::tracking::token::Kind;
    use crate::tracking::token::Payload;
    use crate::tracking::token::verify;

    const ALL: Track = Track { opens: true, clicks: true, honeypot: false };
    const CLICKS: Track = Track { opens: false, clicks: true, honeypot: false };

    fn links() -> Links {
        let keys = Keys::new(Key::new(1, &[7; 32]).unwrap(), vec![]).unwrap();
        Links::new("https://t.example", keys).unwrap()
    }

    fn rewritten(html: &str, track: Track) -> String {
        let origin =
            Origin { id: QueueId::from_u64(7), recipient: RecipientIndex(0), minted_at_secs: 9 };
        let tracking = Tracking { track, links: &links(), origin };
        Rewriter::new().unwrap().rewrite(html, tracking).unwrap()
    }

    /// Numbers and targets of the counted links.
    fn targets(html: &str) -> Vec<(u16, String)> {
        let pieces = html.split("https://t.example").skip(1);
        let tokens = pieces.filter_map(|piece| piece.strip_prefix(CLICK_PATH));
        let read = |rest: &str| {
            let token = rest.split(['"', '\'', ' ', '>']).next().unwrap();
            match verify(Kind::Click, token, links().keys()).unwrap() {
                Payload::Click { link, target, .. } => (link, target.as_str().to_owned()),
                other => panic!("{other:?}"),
            }
        };
        tokens.map(read).collect()
    }

    #[test]
    fn links_to_websites_are_counted_in_their_order() {
        let html = rewritten(
            "<p><a href=\"https://a.example/?x=1&amp;y=2&copy=3\">A</a>\
             <A HREF=' http://b.example/ü '>B</A><map><area href=https://c.example></map>",
            CLICKS,
        );
        let wanted = [
            (0, "https://a.example/?x=1&y=2&copy=3".to_owned()),
            (1, "http://b.example/%C3%BC".to_owned()),
            (2, "https://c.example".to_owned()),
        ];
        assert_eq!(targets(&html), wanted);
        assert!(html.contains(">A</a>") && !html.contains("a.example/?x"));
    }

    #[test]
    fn other_links_and_those_that_are_marked_stay() {
        for html in [
            "<a href=\"mailto:a@x.example\">a</a>",
            "<a href=\"tel:+49\">a</a>",
            "<a href=\"#top\">a</a>",
            "<a href=\"cid:logo\">a</a>",
            "<a href=\"javascript:alert(1)\">a</a>",
            "<a href=\"/relative\">a</a>",
            "<a href=\"//x.example/\">a</a>",
            "<a href=\"https://user@x.example/\">a</a>",
            "<a href=\"https://t.example/u/token\">off</a>",
            "<a href=\" https:&#x2f;&#x2f;t.example/u/token\">off</a>",
            "<a name=\"x\">a</a>",
            "<link href=\"https://x.example/\"><img src=\"https://x.example/\">",
            "<!-- <a href=\"https://x.example/\"> --><style>a[href=\"https://x.example/\"]</style>",
            "https://x.example/ <p title='<a href=\"https://x.example/\">'>x</p>",
        ] {
            assert_eq!(rewritten(html, CLICKS), html);
        }
        let marked = rewritten("<a data-no-track href=\"https://x.example/\">a</a>", CLICKS);
        assert_eq!(marked, "<a href=\"https://x.example/\">a</a>");
    }

    #[test]
    fn the_pixel_stands_at_the_end_of_the_body() {
        for (html, before, behind) in [
            ("<html><body>a</body></html>", "<html><body>a", "</body></html>"),
            ("<BODY>a</BODY>", "<BODY>a", "</BODY>"),
            ("a", "a", ""),
            ("<body>a", "<body>a", ""),
            ("", "", ""),
        ] {
            let html = rewritten(html, ALL);
            let pixel = html.strip_prefix(before).unwrap().strip_suffix(behind).unwrap();
            assert!(pixel.starts_with("<img src=\"https://t.example/o/"), "{html}");
            assert_eq!(html.matches("<img").count(), 1, "{html}");
        }
        let twice = rewritten("<body>a</body><body>b</body>", ALL);
        assert_eq!(twice.matches("<img").count(), 1, "{twice}");
    }

    #[test]
    fn the_link_that_nobody_sees_leads_to_us() {
        let track = Track { opens: false, clicks: false, honeypot: true };
        let html = rewritten("<body>a</body>", track);
        assert_eq!(targets(&html), [(HONEYPOT_LINK, "https://t.example/".to_owned())]);
        assert!(html.contains("display:none") && html.ends_with("</a></body>"), "{html}");
    }

    #[test]
    fn one_link_too_many_stays_as_it_was() {
        let html = "<a href=\"https://x.example/\">a</a>".repeat(usize::from(LINKS_MAX) + 1);
        let html = rewritten(&html, CLICKS);
        assert_eq!(targets(&html).len(), usize::from(LINKS_MAX));
        assert!(html.ends_with("<a href=\"https://x.example/\">a</a>"));
    }

    proptest! {
        #[test]
        fn any_html_is_rewritten(html in "([<>/a \"'=h]|href|body|https://x.example|\\PC){0,80}") {
            let _html = rewritten(&html, ALL);
        }
    }
}
