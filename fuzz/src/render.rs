//! What is read back before mail is rendered, what a recipient's browser sends us, and the way from
//! a template to a message.

use bytes::Bytes;

use maily_core::clock::Timestamp;
use maily_core::mail::address::Mailbox;
use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::id::QueueId;
use maily_core::mail::message::header_fields;
use maily_core::render::binding::Binding;
use maily_core::render::compiled::Compiled;
use maily_core::render::compiled::Rendering;
use maily_core::render::lint::lint;
use maily_core::render::mailing::Content;
use maily_core::render::mailing::Mailing;
use maily_core::render::mailing::NamedMailbox;
use maily_core::render::mailing::Parts;
use maily_core::render::mailing::Track;
use maily_core::tracking::keys::Key;
use maily_core::tracking::keys::Keys;
use maily_core::tracking::links::Links;
use maily_core::tracking::target::Target;
use maily_core::tracking::token;
use maily_core::tracking::token::Kind;
use maily_core::tracking::token::Origin;
use maily_core::tracking::token::Payload;

/// Mailings and bindings as they lie in the spool; what can be sent is rendered.
pub fn mailing(data: &[u8]) {
    if let Ok(binding) = Binding::decode(data) {
        assert_eq!(Binding::decode(&binding.encode()), Ok(binding));
    }
    let Ok(mailing) = Mailing::decode(data) else { return };
    let octets = mailing.encode().expect("no longer than it was");
    assert_eq!(Mailing::decode(&octets).as_ref(), Ok(&mailing));
    rendered(&mailing);
}

/// Tokens: any text, and ours with one character changed.
pub fn token(data: &[u8]) {
    let keys = keys();
    let text = String::from_utf8_lossy(data);
    for kind in [Kind::Open, Kind::Click, Kind::Unsubscribe] {
        assert!(token::verify(kind, &text, &keys).is_err(), "{text} was taken");
    }
    let origin = Origin {
        id: QueueId::from_u64(7),
        recipient: RecipientIndex(data.len() as u32),
        minted_at_secs: 9,
    };
    let Some(target) = Target::of_link(&text) else { return };
    let payload = Payload::Click { origin, link: 1, target };
    let minted = token::mint(&payload, &keys);
    assert_eq!(token::verify(Kind::Click, &minted, &keys).as_ref(), Ok(&payload));
    let place = data.iter().fold(0, |sum, octet| sum + usize::from(*octet)) % minted.len();
    let mut changed = minted.into_bytes();
    changed[place] ^= 1;
    let changed = String::from_utf8(changed).expect("one bit of ASCII");
    assert!(token::verify(Kind::Click, &changed, &keys).is_err());
}

/// Templates of HTML, up to the message.
pub fn html(data: &[u8]) {
    let Ok(html) = std::str::from_utf8(data) else { return };
    let parts = Parts { subject: "S".into(), html: Some(html.into()), ..Parts::default() };
    let _findings = lint(&parts, None);
    rendered(&Mailing {
        project: "p".into(),
        campaign: "c".into(),
        tags: Vec::new(),
        from: NamedMailbox { name: "".into(), mailbox: mailbox() },
        reply_to: None,
        content: Content::Parts(parts),
        headers: Vec::new(),
        track: Track { opens: true, clicks: true, honeypot: true },
        list: None,
        meta: Vec::new(),
        segment: "".into(),
    });
}

/// Renders what can be rendered: it must be a message that any server takes.
fn rendered(mailing: &Mailing) {
    let Ok(compiled) = Compiled::new(mailing, None) else { return };
    let links = Links::new("https://t.example", keys()).expect("a base URL");
    let rendering = Rendering {
        id: QueueId::from_u64(7),
        recipient: RecipientIndex(0),
        at: Timestamp::from_secs(9),
        hostname: "mail.example",
        links: Some(&links),
    };
    let binding = Binding::new("Ann", Bytes::from_static(br#"{"a": {"b": [1, "<x>"]}}"#));
    let binding = binding.expect("a binding");
    let Ok(message) = compiled.render(&mailbox(), &binding, &rendering) else { return };
    for line in message.split(|octet| *octet == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        assert!(line.len() <= 998 && !line.contains(&b'\r') && !line.contains(&0));
    }
    let from = header_fields(&message).filter(|field| field.is("From")).count();
    assert_eq!(from, 1);
    assert_eq!(header_fields(&message).filter(|field| field.is("Bcc")).count(), 0);
    let again = compiled.render(&mailbox(), &binding, &rendering);
    assert_eq!(again.as_ref(), Ok(&message), "the same arguments give the same octets");
}

fn mailbox() -> Mailbox {
    Mailbox::parse("ann@example.net").expect("an address")
}

fn keys() -> Keys {
    let key = Key::new(1, &[7; 32]).expect("a secret that is long enough");
    Keys::new(key, Vec::new()).expect("one key")
}
