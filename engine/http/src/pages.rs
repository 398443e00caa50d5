//! The pages that recipients see: plain, without scripts, in the language that their browser asks
//! for, readable by a screen reader and with styles switched off.

use axum::response::IntoResponse;
use axum::response::Response;
use hyper::HeaderMap;
use hyper::StatusCode;
use hyper::header;
use hyper::header::HeaderName;
use hyper::header::HeaderValue;

/// How all pages look.
pub(crate) const STYLE: &str = include_str!("pages.css");
/// Languages of an Accept-Language field that are looked at.
const LANGUAGES_MAX: usize = 32;
/// A page loads nothing but its style, is in no frame, and sends its form to nobody but us.
const POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// A language that there are words in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Language {
    /// English.
    #[default]
    En,
    /// German.
    De,
    /// French.
    Fr,
    /// Spanish.
    Es,
}

/// What a page says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Page<'a> {
    /// Asks whether to unsubscribe this mailbox from a list, or from all mail if it has no name.
    Ask(&'a str, &'a str),
    /// It is done.
    Done(&'a str, &'a str),
    /// The link is none of ours.
    NoSuchLink,
    /// It could not be done now.
    NotNow,
}

impl Language {
    /// The best of an Accept-Language field (RFC 9110 12.5.4).
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let field = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        let mut best = (Self::default(), 0.0);
        for range in field.unwrap_or_default().split(',').take(LANGUAGES_MAX) {
            let (tag, quality) = range.split_once(";q=").unwrap_or((range, "1"));
            let quality: f32 = quality.trim().parse().unwrap_or(0.0);
            let language = match tag.trim().split('-').next().unwrap_or_default() {
                tag if tag.eq_ignore_ascii_case("en") => Self::En,
                tag if tag.eq_ignore_ascii_case("de") => Self::De,
                tag if tag.eq_ignore_ascii_case("fr") => Self::Fr,
                tag if tag.eq_ignore_ascii_case("es") => Self::Es,
                _ => continue,
            };
            if quality > best.1 {
                best = (language, quality);
            }
        }
        best.0
    }

    const fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::De => "de",
            Self::Fr => "fr",
            Self::Es => "es",
        }
    }
}

/// The words of a language. `{who}` and `{what}` stand for the mailbox and the list.
struct Words {
    unsubscribe: &'static str,
    ask_about_all: &'static str,
    ask_about_list: &'static str,
    done: (&'static str, &'static str),
    no_such_link: (&'static str, &'static str),
    not_now: (&'static str, &'static str),
    again: &'static str,
}

const EN: Words = Words {
    unsubscribe: "Unsubscribe",
    ask_about_all: "Do you want no more mail from this sender to {who}?",
    ask_about_list: "Do you want no more mail of the list “{what}” to {who}?",
    done: ("You are unsubscribed", "No more of this mail will be sent to {who}."),
    no_such_link: (
        "This link does not work",
        "Perhaps it was cut in two. Please open it from the mail again, whole.",
    ),
    not_now: ("Please try again", "It could not be saved just now."),
    again: "Try again",
};

const DE: Words = Words {
    unsubscribe: "Abmelden",
    ask_about_all: "Möchten Sie an {who} keine E-Mails mehr von diesem Absender?",
    ask_about_list: "Möchten Sie an {who} keine E-Mails der Liste „{what}“ mehr?",
    done: ("Sie sind abgemeldet", "An {who} wird keine dieser E-Mails mehr gesendet."),
    no_such_link: (
        "Dieser Link funktioniert nicht",
        "Vielleicht wurde er zerteilt. Bitte öffnen Sie ihn noch einmal ganz aus der E-Mail.",
    ),
    not_now: ("Bitte noch einmal versuchen", "Es konnte gerade nicht gespeichert werden."),
    again: "Noch einmal",
};

const FR: Words = Words {
    unsubscribe: "Se désabonner",
    ask_about_all: "Ne plus recevoir d’e-mails de cet expéditeur à {who} ?",
    ask_about_list: "Ne plus recevoir les e-mails de la liste « {what} » à {who} ?",
    done: ("Vous êtes désabonné", "Ces e-mails ne seront plus envoyés à {who}."),
    no_such_link: (
        "Ce lien ne fonctionne pas",
        "Il a peut-être été coupé. Veuillez l’ouvrir de nouveau depuis l’e-mail, en entier.",
    ),
    not_now: ("Veuillez réessayer", "L’enregistrement n’a pas été possible pour l’instant."),
    again: "Réessayer",
};

const ES: Words = Words {
    unsubscribe: "Darse de baja",
    ask_about_all: "¿No desea recibir más correos de este remitente en {who}?",
    ask_about_list: "¿No desea recibir más correos de la lista «{what}» en {who}?",
    done: ("Se ha dado de baja", "Ya no se enviarán estos correos a {who}."),
    no_such_link: (
        "Este enlace no funciona",
        "Quizá se cortó. Ábralo de nuevo, completo, desde el correo.",
    ),
    not_now: ("Inténtelo de nuevo", "No se pudo guardar en este momento."),
    again: "Reintentar",
};

/// A page's title, its sentence, and what stands on its button if it has one.
fn words(page: Page<'_>, language: Language) -> (&'static str, &'static str, Option<&'static str>) {
    let words = match language {
        Language::En => &EN,
        Language::De => &DE,
        Language::Fr => &FR,
        Language::Es => &ES,
    };
    match page {
        Page::Ask(_, "") => (words.unsubscribe, words.ask_about_all, Some(words.unsubscribe)),
        Page::Ask(..) => (words.unsubscribe, words.ask_about_list, Some(words.unsubscribe)),
        Page::Done(..) => (words.done.0, words.done.1, None),
        Page::NoSuchLink => (words.no_such_link.0, words.no_such_link.1, None),
        Page::NotNow => (words.not_now.0, words.not_now.1, Some(words.again)),
    }
}

impl Page<'_> {
    const fn status(self) -> StatusCode {
        match self {
            Self::Ask(..) | Self::Done(..) => StatusCode::OK,
            Self::NoSuchLink => StatusCode::NOT_FOUND,
            Self::NotNow => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The page as HTML.
    pub(crate) fn html(self, language: Language) -> String {
        let (title, sentence, button) = words(self, language);
        let (who, what) = match self {
            Self::Ask(who, what) | Self::Done(who, what) => (who, what),
            Self::NoSuchLink | Self::NotNow => ("", ""),
        };
        let mut text = String::with_capacity(sentence.len() + who.len() + what.len());
        let mut rest = sentence;
        while let Some((before, after)) = rest.split_once('{') {
            text.push_str(before);
            let (name, after) = after.split_once('}').unwrap_or((after, ""));
            text.push_str(&escaped(if name == "who" { who } else { what }));
            rest = after;
        }
        text.push_str(rest);
        let form = button.map_or_else(String::new, |button| {
            // The field of RFC 8058 3.1, so that a person and a mail program send the same.
            format!(
                "<form method=\"post\">\
                 <input type=\"hidden\" name=\"List-Unsubscribe\" value=\"One-Click\">\
                 <button type=\"submit\">{button}</button></form>"
            )
        });
        format!(
            "<!DOCTYPE html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"robots\" content=\"noindex\">\n<title>{title}</title>\n\
             <link rel=\"stylesheet\" href=\"../style.css\">\n</head>\n\
             <body>\n<main>\n<h1>{title}</h1>\n<p>{text}</p>\n{form}\n</main>\n</body>\n</html>\n",
            language.tag()
        )
    }

    /// The page as an answer.
    pub(crate) fn answer(self, language: Language) -> Response {
        let html = self.html(language);
        let fields = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CONTENT_LANGUAGE, language.tag()),
            (header::VARY, "Accept-Language"),
        ];
        sealed((self.status(), fields, html).into_response())
    }
}

/// The answer to whatever is none of ours.
pub(crate) fn no_such_link(headers: &HeaderMap) -> Response {
    Page::NoSuchLink.answer(Language::of(headers))
}

/// An answer of the public listener, with the fields that all of them have.
pub(crate) fn sealed(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
        (HeaderName::from_static("x-robots-tag"), "noindex"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Text as it may stand in HTML.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(field: &'static str) -> Language {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_LANGUAGE, HeaderValue::from_static(field));
        Language::of(&headers)
    }

    #[test]
    fn the_language_is_the_one_that_is_wanted_most_among_ours() {
        assert_eq!(Language::of(&HeaderMap::new()), Language::En);
        for (field, language) in [
            ("de", Language::De),
            ("de-AT,de;q=0.9,en;q=0.5", Language::De),
            ("ja, fr;q=0.3, en;q=0.2", Language::Fr),
            ("en;q=0, ES", Language::Es),
            ("ja", Language::En),
            ("de;q=nonsense", Language::En),
            (";;,,q=", Language::En),
        ] {
            assert_eq!(asked(field), language, "{field}");
        }
    }

    #[test]
    fn nothing_that_is_put_into_a_page_becomes_markup() {
        let page = Page::Ask("\"<script>\"@a.example", "<b>&'{who}").html(Language::En);
        assert!(page.contains("&quot;&lt;script&gt;&quot;@a.example"));
        assert!(page.contains("“&lt;b&gt;&amp;&#39;{who}”"), "{page}");
        assert!(!page.contains("<script") && !page.contains("<b>"));
    }

    #[test]
    fn every_page_says_what_it_is_in_every_language() {
        for language in [Language::En, Language::De, Language::Fr, Language::Es] {
            for page in [
                Page::Ask("a@b.example", "news"),
                Page::Ask("a@b.example", ""),
                Page::Done("a@b.example", "news"),
                Page::NoSuchLink,
                Page::NotNow,
            ] {
                let html = page.html(language);
                assert!(html.contains(&format!("<html lang=\"{}\">", language.tag())));
                assert!(!html.contains("{who}") && !html.contains("{what}"), "{html}");
                assert_eq!(html.matches("<h1>").count(), 1);
                let asks = matches!(page, Page::Ask(..) | Page::NotNow);
                assert_eq!(html.contains("<form method=\"post\">"), asks);
            }
        }
        assert!(!Page::Ask("a@b.example", "news").html(Language::En).contains("http"));
    }
}
