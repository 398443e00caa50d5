//! Mailings, compiled and rendered.

use proptest::prelude::*;

use super::*;
use crate::mail::message::body_of;
use crate::mail::message::header_fields;
use crate::render::mailing::List;
use crate::render::mailing::samples;
use crate::tracking::keys::Key;
use crate::tracking::keys::Keys;
use crate::tracking::token::Kind;
use crate::tracking::token::Payload;
use crate::tracking::token::verify;

const AT: Timestamp = Timestamp::from_secs(1_795_392_378);

fn links() -> Links {
    let keys = Keys::new(Key::new(1, &[7; 32]).unwrap(), vec![]).unwrap();
    Links::new("https://t.example", keys).unwrap()
}

fn rendering<'a>(links: Option<&'a Links>) -> Rendering<'a> {
    let (id, recipient) = (QueueId::from_u64(7), RecipientIndex(0));
    Rendering { id, recipient, at: AT, hostname: "mail.example", links }
}

fn ann() -> Mailbox {
    Mailbox::parse("ann@example.net").unwrap()
}

fn binding(name: &str, json: &str) -> Binding {
    Binding::new(name, Bytes::copy_from_slice(json.as_bytes())).unwrap()
}

fn render_with(
    mailing: &Mailing,
    json: &str,
    links: Option<&Links>,
) -> Result<String, RenderError> {
    let compiled = Compiled::new(mailing, None).unwrap();
    let octets = compiled.render(&ann(), &binding("Ann", json), &rendering(links))?;
    Ok(String::from_utf8(octets.into()).unwrap())
}

fn render(mailing: &Mailing, json: &str) -> Result<String, RenderError> {
    render_with(mailing, json, None)
}

fn mailing(subject: &str, text: &str, html: &str) -> Mailing {
    samples::mailing(samples::parts(subject, text, html))
}

fn to_list(mailing: Mailing) -> Mailing {
    let mailto = Mailbox::parse("off+x@example.com").ok();
    Mailing { list: Some(List { name: "news".into(), mailto }), ..mailing }
}

fn field(message: &str, name: &str) -> Option<String> {
    let mut fields = header_fields(message.as_bytes());
    fields.find(|field| field.is(name)).map(|field| field.unfolded())
}

/// The tokens behind a path, each up to what ends a URL; soft line breaks are taken out.
fn tokens(message: &str, path: &str) -> Vec<String> {
    let whole = message.replace("=\r\n", "").replace("=3D", "=");
    let base = format!("https://t.example{path}");
    let pieces = whole.split(&base).skip(1);
    pieces.map(|piece| piece.split(['"', '>', '\r', ')']).next().unwrap().to_owned()).collect()
}

#[test]
fn a_message_is_whole() {
    let mailing = mailing("Hello {{ name }}", "Your order is {{ order }}, {{ email }}.\n", "");
    let message = render(&mailing, r#"{"name": "Ann", "order": 7}"#).unwrap();
    assert_eq!(
        message,
        "Date: Mon, 23 Nov 2026 00:06:18 +0000\r\n\
         From: \"The Shop\" <shop@example.com>\r\n\
         To: \"Ann\" <ann@example.net>\r\n\
         Message-ID: <0000000000007@mail.example>\r\n\
         Subject: Hello Ann\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=\"utf-8\"\r\n\
         Content-Transfer-Encoding: 7bit\r\n\
         \r\n\
         Your order is 7, ann@example.net.\r\n"
    );
}

#[test]
fn the_same_arguments_give_the_same_octets_and_others_do_not() {
    let mut mailing = to_list(mailing("S", "", "<a href=\"https://x.example/\">x</a>"));
    mailing.track = Track { opens: true, clicks: true, honeypot: true };
    let links = links();
    let of = |change: fn(&mut Rendering<'_>)| {
        let compiled = Compiled::new(&mailing, None).unwrap();
        let mut rendering = rendering(Some(&links));
        change(&mut rendering);
        compiled.render(&ann(), &binding("", ""), &rendering).unwrap()
    };
    let first = of(|_| {});
    assert_eq!(of(|_| {}), first);
    assert_ne!(of(|rendering| rendering.id = QueueId::from_u64(8)), first);
    assert_ne!(of(|rendering| rendering.recipient = RecipientIndex(1)), first);
    assert_ne!(of(|rendering| rendering.at = Timestamp::from_secs(1)), first);
}

#[test]
fn threads_share_what_is_compiled() {
    fn shared<T: Send + Sync>() {}
    shared::<Compiled>();
}

#[test]
fn each_recipient_of_an_id_has_a_message_id_of_their_own() {
    let first = rendering(None);
    let second = Rendering { recipient: RecipientIndex(2), ..first };
    assert_eq!(first.message_id(), "0000000000007@mail.example");
    assert_eq!(second.message_id(), "0000000000007.2@mail.example");
}

#[test]
fn a_text_is_derived_from_html_and_keeps_the_links_that_were_meant() {
    let html = "<p>Hi {{ name }}</p><a href=\"https://x.example/?a=1&amp;b=2\">Buy</a>";
    let mut mailing = mailing("S", "", html);
    mailing.track = Track { opens: true, clicks: true, honeypot: false };
    let message = render_with(&mailing, r#"{"name": "A & B"}"#, Some(&links())).unwrap();
    assert!(
        message.contains("\r\nHi A & B\r\n\r\nBuy (https://x.example/?a=1&b=2)\r\n"),
        "{message}"
    );
    let [click] = &tokens(&message, "/c/")[..] else { panic!("one link") };
    let payload = verify(Kind::Click, click, links().keys()).unwrap();
    let Payload::Click { origin, link: 0, target } = payload else { panic!("the first link") };
    assert_eq!(target.as_str(), "https://x.example/?a=1&b=2");
    assert_eq!((origin.id, origin.minted_at()), (QueueId::from_u64(7), AT));
    assert_eq!(tokens(&message, "/o/").len(), 1);
    assert!(verify(Kind::Open, &tokens(&message, "/o/")[0], links().keys()).is_ok());
}

#[test]
fn nothing_is_counted_that_was_not_asked_for() {
    let html = "<a href=\"https://x.example/\">x</a>";
    let message = render_with(&mailing("S", "", html), "", Some(&links())).unwrap();
    assert!(!message.contains("t.example"), "{message}");
    let mut tracked = mailing("S", "", html);
    tracked.track = Track { opens: true, clicks: true, honeypot: true };
    assert_eq!(render(&tracked, "").unwrap(), render(&mailing("S", "", html), "").unwrap());
}

#[test]
fn mail_to_a_list_or_of_a_campaign_says_how_to_unsubscribe() {
    let campaign = Mailing { campaign: "spring".into(), ..mailing("S", "t", "") };
    let list = to_list(mailing("S", "off: {{ unsubscribe_url }}", ""));
    for (mailing, name, ways) in [(&campaign, "", 1), (&list, "news", 2)] {
        let message = render_with(mailing, "", Some(&links())).unwrap();
        let field = |name| field(&message, name).unwrap();
        assert_eq!(field("List-Unsubscribe-Post"), "List-Unsubscribe=One-Click");
        let given = field("List-Unsubscribe");
        let urls: Vec<_> = given.split(", ").collect();
        assert_eq!(urls.len(), ways, "{given}");
        let url = urls[0].strip_prefix("<https://t.example/u/").unwrap();
        let token = url.strip_suffix('>').unwrap();
        let payload = verify(Kind::Unsubscribe, token, links().keys()).unwrap();
        let Payload::Unsubscribe { project, list, mailbox, .. } = payload else { panic!() };
        assert_eq!((&*project, &*list, mailbox), ("shop", name, ann()));
        if let Some(mailto) = urls.get(1) {
            let wanted = format!("<mailto:off+x@example.com?subject=unsubscribe%20{token}>");
            assert_eq!(**mailto, wanted);
            assert!(tokens(&message, "/u/").iter().skip(1).any(|other| other == token));
        }
    }
    let plain = render_with(&mailing("S", "t", ""), "", Some(&links())).unwrap();
    assert_eq!(field(&plain, "List-Unsubscribe"), None);
    assert_eq!(
        field(&render(&to_list(mailing("S", "t", "")), "").unwrap(), "List-Unsubscribe"),
        None
    );
}

#[test]
fn the_link_that_unsubscribes_is_not_counted() {
    let mut mailing = to_list(mailing("S", "t", "<a href=\"{{ unsubscribe_url }}\">off</a>"));
    mailing.track = Track { opens: false, clicks: true, honeypot: false };
    let message = render_with(&mailing, "", Some(&links())).unwrap();
    assert!(tokens(&message, "/c/").is_empty(), "{message}");
    assert_eq!(tokens(&message, "/u/").len(), 2);
}

#[test]
fn where_no_links_are_served_a_template_that_needs_them_fails() {
    let error = render(&mailing("S", "{{ unsubscribe_url }}", ""), "").unwrap_err();
    let RenderError::Template(error) = error else { panic!("{error:?}") };
    assert!(error.message.contains("unsubscribe_url"));
}

#[test]
fn a_variable_cannot_add_a_header_field() {
    for value in [r"a\r\nBcc: x@example.com", r"a\nb", r"a\rb", r"a\u0000b", r"a\u0085b"] {
        let json = format!(r#"{{"v": "{value}"}}"#);
        let error = render(&mailing("Hi {{ v }}", "t", ""), &json).unwrap_err();
        assert_eq!(error, RenderError::Header("Subject".into()), "{value}");
        let mut mailing = mailing("Hi", "t", "");
        mailing.headers = vec![("X-Order".into(), "{{ v }}".into())];
        let error = render(&mailing, &json).unwrap_err();
        assert_eq!(error, RenderError::Header("X-Order".into()), "{value}");
        let safe = self::mailing("Hi", "{{ v }}", "");
        let message = render(&safe, &json).unwrap();
        assert!(!message.contains('\0') && field(&message, "Bcc").is_none());
        assert!(message.split("\r\n").all(|line| !line.contains(['\r', '\n'])));
    }
    let encoded = r#"{"v": "=?utf-8?q?=0D=0ABcc:_x?="}"#;
    let message = render(&mailing("{{ v }}", "t", ""), encoded).unwrap();
    assert!(!message.contains("=0D=0ABcc"), "{message}");
}

#[test]
fn a_hostname_with_a_line_end_does_not_get_in() {
    let compiled = Compiled::new(&mailing("S", "t", ""), None).unwrap();
    let rendering = Rendering { hostname: "a\r\nBcc: x", ..rendering(None) };
    let error = compiled.render(&ann(), &binding("", ""), &rendering).unwrap_err();
    assert_eq!(error, RenderError::Header("Message-ID".into()));
}

#[test]
fn what_is_wrong_is_told_before_anybody_is_sent_anything() {
    let new = |mailing: &Mailing| Compiled::new(mailing, None).map(|_| ());
    let CompileError::Template(error) = new(&mailing("S", "a\n{{ b", "")).unwrap_err() else {
        panic!("a template that is none")
    };
    assert_eq!((&*error.part, error.line), ("/text", 2));
    let faults = CompileError::Template(error).into_faults();
    assert_eq!((&*faults[0].pointer, faults[0].code), ("/text", Code::Template));
    assert!(faults[0].detail.starts_with("line 2, column "), "{}", faults[0].detail);
    let faults = CompileError::NoSuchTemplate.into_faults();
    assert_eq!((&*faults[0].pointer, faults[0].code), ("/template/name", Code::Missing));
    let mut headers = mailing("S", "t", "");
    headers.headers = vec![("A".into(), "ok".into()), ("B".into(), "{% if %}".into())];
    let CompileError::Template(error) = new(&headers).unwrap_err() else { panic!() };
    assert_eq!(&*error.part, "/headers/1/value");
    let CompileError::Faults(faults) = new(&mailing("a\r\nb", "t", "")).unwrap_err() else {
        panic!("a line end in the subject")
    };
    assert_eq!(&*faults[0].pointer, "/subject");
}

#[test]
fn a_stored_template_is_what_it_is_when_the_message_is_sent() {
    let named = Content::Named { name: "welcome".into() };
    let mailing = Mailing { content: named, ..mailing("", "", "") };
    assert_eq!(Compiled::new(&mailing, None).map(|_| ()), Err(CompileError::NoSuchTemplate));
    let render = |parts: &Parts| {
        let compiled = Compiled::new(&mailing, Some(parts)).unwrap();
        compiled.render(&ann(), &binding("", ""), &rendering(None)).unwrap()
    };
    let first = render(&samples::parts("S", "typpo", ""));
    assert!(first.ends_with(b"typpo\r\n"));
    assert!(render(&samples::parts("S", "typo", "")).ends_with(b"typo\r\n"));
    let bad = samples::parts("S", "", "");
    assert!(matches!(Compiled::new(&mailing, Some(&bad)), Err(CompileError::Faults(_))));
}

#[test]
fn files_go_where_they_are_seen() {
    let mut parts = samples::parts("S", "t", "<img src=\"cid:logo\" alt=\"Logo\">");
    parts.attachments = vec![
        samples::attachment("Übersicht.pdf", "application/pdf", ""),
        samples::attachment("l.png", "image/png", "logo"),
    ];
    let message = render(&samples::mailing(parts.clone()), "").unwrap();
    let at = |text: &str| message.find(text).unwrap_or_else(|| panic!("{text} in {message}"));
    assert!(at("multipart/mixed") < at("multipart/alternative"));
    assert!(at("multipart/related") < at("image/png"));
    assert!(at("image/png") < at("application/pdf"));
    assert!(at("Content-ID: <logo>") > 0);
    assert!(at("filename*=UTF-8''%C3%9Cbersicht.pdf") > 0);
    // Without HTML there is nothing to show it in.
    parts.html = None;
    let message = render(&samples::mailing(parts), "").unwrap();
    assert!(!message.contains("multipart/related"), "{message}");
}

#[test]
fn a_raw_message_gets_only_what_it_lacks() {
    let raw = |text: &str| {
        let content = Content::Raw(Bytes::copy_from_slice(text.as_bytes()));
        to_list(Mailing { content, ..mailing("", "", "") })
    };
    let message = "From: a@example.com\r\nTo: b@example.net\r\n\r\n{{ not a template }}\r\n";
    let rendered = render_with(&raw(message), "", Some(&links())).unwrap();
    assert!(rendered.ends_with(message));
    for name in ["Date", "Message-ID", "List-Unsubscribe", "List-Unsubscribe-Post"] {
        assert!(field(&rendered, name).is_some(), "{name} in {rendered}");
    }
    let whole = "Date: then\r\nMessage-ID: <1@x>\r\nList-Unsubscribe: <https://x/>\r\n".to_owned();
    let whole = whole + message;
    assert_eq!(render_with(&raw(&whole), "", Some(&links())).unwrap(), whole);
}

#[test]
fn what_templates_ask_for_is_known() {
    let mut mailing = mailing("{{ name }}", "{{ email }}", "{{ order.id }}{{ unsubscribe_url }}");
    mailing.headers = vec![("X-A".into(), "{{ id }}".into())];
    let compiled = Compiled::new(&mailing, None).unwrap();
    let wanted = [("/subject", "name"), ("/html", "order.id"), ("/headers/0/value", "id")];
    assert_eq!(compiled.asked(), wanted.map(|(part, name)| (part, name.to_owned())));
}

#[test]
fn the_longest_names_fit_into_a_line() {
    let (long, list) = ("n".repeat(63).into(), "\u{1f4ec}".repeat(63).into());
    let mailto = format!("{}@{}.example", "%".repeat(64), ["d".repeat(60).as_str(); 2].join("."));
    let list = List { name: list, mailto: Mailbox::parse(&mailto).ok() };
    let mailing = Mailing { project: long, list: Some(list), ..mailing("S", "t", "") };
    let base = format!("https://t.example/{}", "a".repeat(182));
    let keys = Keys::new(Key::new(u16::MAX, &[7; 32]).unwrap(), vec![]).unwrap();
    let links = Links::new(&base, keys).unwrap();
    let compiled = Compiled::new(&mailing, None).unwrap();
    let to = format!("{}@{}.example", "a".repeat(64), ["d".repeat(60).as_str(); 2].join("."));
    let to = Mailbox::parse(&to).unwrap();
    let rendering = Rendering {
        id: QueueId::from_u64(u64::MAX),
        recipient: RecipientIndex(u32::MAX),
        ..rendering(Some(&links))
    };
    let octets = compiled.render(&to, &binding(&"\u{1f4ec}".repeat(255), ""), &rendering).unwrap();
    let message = String::from_utf8(octets.into()).unwrap();
    assert!(message.split("\r\n").all(|line| line.len() <= 998), "{message}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_makes_a_message_that_any_server_takes(
        subject in "(\\PC|[ -~]){0,200}",
        text in "(\\PC|[ -~]|[\r\n\t]){0,300}",
        html in "(\\PC|[ -~]|[\r\n\t]|<p>|<a href=\"https://x.example/\">){0,300}",
        name in "(\\PC|[ -~]){0,60}",
    ) {
        let mut mailing = to_list(mailing("{{ s }}", "{{ t }}", "{{ h|safe }}"));
        mailing.from.name = name.as_str().into();
        mailing.headers = vec![("X-S".into(), "{{ s }}".into())];
        mailing.track = Track { opens: true, clicks: true, honeypot: true };
        let json = serde_json::json!({"s": subject, "t": text, "h": html}).to_string();
        let compiled = Compiled::new(&mailing, None).unwrap();
        let links = links();
        let octets =
            compiled.render(&ann(), &binding(&name, &json), &rendering(Some(&links))).unwrap();
        prop_assert!(octets.is_ascii() && !octets.contains(&0));
        prop_assert!(octets.ends_with(b"\r\n"));
        let message = std::str::from_utf8(&octets).unwrap();
        for line in message.split("\r\n") {
            prop_assert!(line.len() <= 998 && !line.contains(['\r', '\n']), "{line:?}");
        }
        let names: Vec<_> = header_fields(&octets).map(|field| field.name.to_vec()).collect();
        let wanted = ["Date", "From", "To", "Message-ID", "Subject", "X-S", "List-Unsubscribe",
            "List-Unsubscribe-Post", "MIME-Version", "Content-Type"];
        prop_assert_eq!(names, wanted.map(|name| name.as_bytes().to_vec()));
        prop_assert!(!body_of(&octets).is_empty());
    }
}
