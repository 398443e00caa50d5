//! Whether a person or a machine fetched the pixel or followed a link.
//!
//! It is a table: each rule that fits says a reason. One reason for a machine outweighs all for a
//! person; without any, nobody knows. The facts are kept with the verdict, so that a better table
//! can judge again. Nobody is kept from unsubscribing by it.

use std::time::Duration;

use crate::event::Verdict;
use crate::tracking::links::HONEYPOT_LINK;
use crate::tracking::token::Kind;

/// Different links of one message that nobody follows so quickly.
pub const LINKS_AT_ONCE: u32 = 3;
/// How quickly.
pub const AT_ONCE: Duration = Duration::from_secs(10);
/// Nobody gets, opens and reads a message in less.
pub const TOO_SOON: Duration = Duration::from_secs(2);

/// What is known about a hit.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// What was fetched.
    pub kind: Kind,
    /// The method of HTTP.
    pub method: &'a str,
    /// The User-Agent field; empty if there was none.
    pub user_agent: &'a str,
    /// How long after the link was made.
    pub since_minted: Duration,
    /// Whether the next hop had not yet taken the message.
    pub before_delivered: bool,
    /// Which link, for a click.
    pub link: Option<u16>,
    /// What else was fetched of the same message.
    pub recent: Recent,
}

/// Hits on one message for one recipient, this one among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recent {
    /// How many.
    pub hits: u32,
    /// On how many different links.
    pub links: u32,
    /// In how long.
    pub within: Duration,
}

/// A verdict and what speaks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Who it was.
    pub verdict: Verdict,
    /// Why: words for programs, which do not change.
    pub reasons: Vec<&'static str>,
}

type Rule = (Verdict, &'static str, fn(&Facts<'_>) -> bool);

/// What speaks for whom.
const RULES: &[Rule] = &[
    (Verdict::Machine, "honeypot", |facts| facts.link == Some(HONEYPOT_LINK)),
    (Verdict::Machine, "method", |facts| facts.method != "GET"),
    (Verdict::Machine, "before_delivered", |facts| facts.before_delivered),
    (Verdict::Machine, "too_soon", |facts| facts.since_minted < TOO_SOON),
    (Verdict::Machine, "links_at_once", |facts| {
        facts.recent.links >= LINKS_AT_ONCE && facts.recent.within <= AT_ONCE
    }),
    (Verdict::Machine, "no_user_agent", |facts| facts.user_agent.trim().is_empty()),
    // Apple's proxy fetches all that arrives, whether it is read or not, and says no more.
    (Verdict::Machine, "apple_mpp", |facts| {
        is_open(facts) && facts.user_agent.trim() == "Mozilla/5.0"
    }),
    // Gmail fetches for who is logged in before anything is shown.
    (Verdict::Machine, "gmail_prefetch", |facts| {
        is_open(facts) && facts.user_agent.ends_with("Edge/12.246 Mozilla/5.0")
    }),
    (Verdict::Machine, "scanner", |facts| names_any(facts, SCANNERS)),
    // These fetch when somebody opens the message, on their behalf.
    (Verdict::Human, "google_image_proxy", |facts| {
        is_open(facts) && names_any(facts, &["googleimageproxy"])
    }),
    (Verdict::Human, "yahoo_mail_proxy", |facts| {
        is_open(facts) && names_any(facts, &["yahoomailproxy"])
    }),
    (Verdict::Human, "browser", |facts| {
        facts.user_agent.starts_with("Mozilla/5.0 (") || facts.user_agent.starts_with("Opera/")
    }),
    (Verdict::Human, "mail_reader", |facts| names_any(facts, READERS)),
];

/// Programs without a person in front of them, in lower case.
const SCANNERS: &[&str] = &[
    "bot/",
    "bot;",
    "bot)",
    "crawler",
    "spider",
    "scanner",
    "headless",
    "phantomjs",
    "barracuda",
    "mimecast",
    "proofpoint",
    "symantec",
    "trendmicro",
    "curl/",
    "wget/",
    "python-",
    "aiohttp",
    "go-http-client",
    "java/",
    "libwww-perl",
    "apache-httpclient",
    "facebookexternalhit",
    "slackbot",
];

/// Programs that read mail, in lower case.
const READERS: &[&str] = &["thunderbird/", "outlook", "ms-office", "airmail", "mailmate"];

/// The verdict on a hit.
pub fn judge(facts: &Facts<'_>) -> Judgement {
    let fitting: Vec<_> = RULES.iter().filter(|(_, _, fits)| fits(facts)).collect();
    let says = |wanted| fitting.iter().any(|(verdict, _, _)| *verdict == wanted);
    let verdict = if says(Verdict::Machine) {
        Verdict::Machine
    } else if says(Verdict::Human) {
        Verdict::Human
    } else {
        Verdict::Unknown
    };
    Judgement { verdict, reasons: fitting.iter().map(|(_, reason, _)| *reason).collect() }
}

fn is_open(facts: &Facts<'_>) -> bool {
    facts.kind == Kind::Open
}

fn names_any(facts: &Facts<'_>, names: &[&str]) -> bool {
    let user_agent = facts.user_agent.to_ascii_lowercase();
    names.iter().any(|name| user_agent.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    const GOOGLE: &str =
        "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)";

    fn click() -> Facts<'static> {
        Facts {
            kind: Kind::Click,
            method: "GET",
            user_agent: FIREFOX,
            since_minted: Duration::from_secs(3_600),
            before_delivered: false,
            link: Some(0),
            recent: Recent { hits: 1, links: 1, within: Duration::ZERO },
        }
    }

    fn open(user_agent: &'static str) -> Facts<'static> {
        Facts { kind: Kind::Open, user_agent, link: None, ..click() }
    }

    fn check(facts: Facts<'_>, verdict: Verdict, reasons: &[&str]) {
        let judgement = judge(&facts);
        assert_eq!(judgement.verdict, verdict, "{facts:?}: {:?}", judgement.reasons);
        assert_eq!(judgement.reasons, reasons, "{facts:?}");
    }

    #[test]
    fn people_are_taken_for_people() {
        check(click(), Verdict::Human, &["browser"]);
        check(open(FIREFOX), Verdict::Human, &["browser"]);
        check(open(GOOGLE), Verdict::Human, &["google_image_proxy", "browser"]);
        let yahoo = "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html";
        check(open(yahoo), Verdict::Human, &["yahoo_mail_proxy"]);
        let outlook = "Microsoft Office/16.0 (Microsoft Outlook 16.0.5134; Pro)";
        check(open(outlook), Verdict::Human, &["mail_reader"]);
        let cubot = "Mozilla/5.0 (Linux; Android 13; CUBOT P60) AppleWebKit/537.36 Safari/537.36";
        check(Facts { user_agent: cubot, ..click() }, Verdict::Human, &["browser"]);
        check(Facts { user_agent: "Foo/1.0", ..click() }, Verdict::Unknown, &[]);
    }

    #[test]
    fn machines_are_known_by_what_they_do() {
        for (facts, reason) in [
            (Facts { link: Some(HONEYPOT_LINK), ..click() }, "honeypot"),
            (Facts { method: "HEAD", ..click() }, "method"),
            (Facts { method: "OPTIONS", ..click() }, "method"),
            (Facts { before_delivered: true, ..click() }, "before_delivered"),
            (Facts { since_minted: Duration::from_millis(1_999), ..click() }, "too_soon"),
            (
                Facts { recent: Recent { hits: 3, links: 3, within: AT_ONCE }, ..click() },
                "links_at_once",
            ),
        ] {
            check(facts, Verdict::Machine, &[reason, "browser"]);
        }
        check(Facts { since_minted: TOO_SOON, ..click() }, Verdict::Human, &["browser"]);
        let slowly = Recent { hits: 3, links: 3, within: AT_ONCE + Duration::from_nanos(1) };
        check(Facts { recent: slowly, ..click() }, Verdict::Human, &["browser"]);
        let again = Recent { hits: 9, links: LINKS_AT_ONCE - 1, within: Duration::ZERO };
        check(Facts { recent: again, ..click() }, Verdict::Human, &["browser"]);
    }

    #[test]
    fn machines_are_known_by_what_they_say() {
        check(open("Mozilla/5.0"), Verdict::Machine, &["apple_mpp"]);
        check(Facts { user_agent: "Mozilla/5.0", ..click() }, Verdict::Unknown, &[]);
        check(Facts { user_agent: " ", ..click() }, Verdict::Machine, &["no_user_agent"]);
        let prefetch = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like \
                        Gecko) Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0";
        check(open(prefetch), Verdict::Machine, &["gmail_prefetch", "browser"]);
        for user_agent in [
            "curl/8.5.0",
            "python-requests/2.31",
            "Go-http-client/1.1",
            "BarracudaCentral/1.0",
            "Googlebot/2.1",
        ] {
            check(Facts { user_agent, ..click() }, Verdict::Machine, &["scanner"]);
        }
        let headless = "Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/140.0 Safari/537.36";
        check(Facts { user_agent: headless, ..click() }, Verdict::Machine, &["scanner", "browser"]);
    }

    #[test]
    fn a_proxy_that_comes_before_delivery_opened_nothing() {
        let facts = Facts { before_delivered: true, ..open(GOOGLE) };
        let reasons = ["before_delivered", "google_image_proxy", "browser"];
        check(facts, Verdict::Machine, &reasons);
    }
}
