//! Rendering: a template of 50 kB for one recipient, with counted links and a signature, and the
//! tokens of those links.

use std::hint::black_box;

use bytes::Bytes;
use criterion::Criterion;
use criterion::Throughput;
use maily_core::clock::Timestamp;
use maily_core::dkim::key::SigningKey;
use maily_core::dkim::keyring::Keyring;
use maily_core::dkim::keyring::Signer;
use maily_core::dkim::sign;
use maily_core::mail::address::Domain;
use maily_core::mail::address::Mailbox;
use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::id::QueueId;
use maily_core::render::binding::Binding;
use maily_core::render::compiled::Compiled;
use maily_core::render::compiled::Rendering;
use maily_core::render::mailing::Content;
use maily_core::render::mailing::List;
use maily_core::render::mailing::Mailing;
use maily_core::render::mailing::NamedMailbox;
use maily_core::render::mailing::Parts;
use maily_core::render::mailing::Track;
use maily_core::render::plain;
use maily_core::smtp::content::Content as Wire;
use maily_core::tracking::keys::Key;
use maily_core::tracking::keys::Keys;
use maily_core::tracking::links::Links;
use maily_core::tracking::target::Target;
use maily_core::tracking::token;
use maily_core::tracking::token::Kind;
use maily_core::tracking::token::Origin;
use maily_core::tracking::token::Payload;

const ED25519: &[u8] = include_bytes!("../../engine/core/src/dkim/keys/ed25519.pem");
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const HTML_OCTETS: usize = 50_000;

pub(crate) fn bench(criterion: &mut Criterion) {
    tokens(criterion);
    messages(criterion);
}

fn tokens(criterion: &mut Criterion) {
    let Some(keys) = keys() else { return };
    let target = Target::of_link("https://shop.example.com/spring/shoes?utm_campaign=spring&id=7");
    let Some(target) = target else { return };
    let origin = Origin {
        id: QueueId::from_u64(7_000_000_000_000_000_000),
        recipient: RecipientIndex(0),
        minted_at_secs: NOW.as_secs(),
    };
    let payload = Payload::Click { origin, link: 7, target };
    let minted = token::mint(&payload, &keys);
    assert_eq!(token::verify(Kind::Click, &minted, &keys).as_ref(), Ok(&payload));
    let mut benches = criterion.benchmark_group("token");
    benches.throughput(Throughput::Elements(1));
    benches.bench_function("mint_click", |bencher| {
        bencher.iter(|| token::mint(black_box(&payload), &keys));
    });
    benches.bench_function("verify_click", |bencher| {
        bencher.iter(|| token::verify(Kind::Click, black_box(&minted), &keys));
    });
    benches.finish();
}

fn messages(criterion: &mut Criterion) {
    let (Some(keys), Ok(to)) = (keys(), Mailbox::parse("ann@example.net")) else { return };
    let Ok(links) = Links::new("https://t.example.com", keys) else { return };
    let variables = Bytes::from_static(br#"{"name": "Ann", "order": 7, "city": "Ulm"}"#);
    let Ok(binding) = Binding::new("Ann", variables) else { return };
    let rendering = Rendering {
        id: QueueId::from_u64(7),
        recipient: RecipientIndex(0),
        at: NOW,
        hostname: "mail.example.com",
        links: Some(&links),
    };
    let keyring = keyring();
    let all = Track { opens: true, clicks: true, honeypot: false };
    let mut benches = criterion.benchmark_group("render_50kB");
    benches.throughput(Throughput::Elements(1));
    for (name, text, track, signs) in [
        ("render", true, Track::default(), false),
        ("render_track", true, all, false),
        ("render_track_sign", true, all, true),
        ("render_derive_track_sign", false, all, true),
    ] {
        let compiled = mailing(text, track).and_then(|mailing| Compiled::new(&mailing, None).ok());
        let Some(compiled) = compiled else { return };
        benches.bench_function(name, |bencher| {
            bencher.iter(|| {
                let message = compiled.render(black_box(&to), &binding, &rendering);
                let message = message.unwrap_or_default();
                assert!(message.len() > HTML_OCTETS, "it was rendered");
                let wire = Wire { head: Bytes::new(), message };
                signs.then(|| sign::sign(&keyring, &wire, NOW))
            });
        });
    }
    let html = html();
    benches.bench_function("text_of", |bencher| {
        bencher.iter(|| plain::text_of(black_box(&html)));
    });
    benches.finish();
}

/// A newsletter: tables, styles, 30 links.
fn html() -> String {
    let mut html = String::from(
        "<!doctype html><html><head><title>News</title><style>td { padding: 4px }</style></head>\
         <body><p>Dear {{ name }} of {{ city }},</p>",
    );
    let row = |number: usize| {
        let style = "font-family: sans-serif; font-size: 14px; line-height: 1.4; color: #333333";
        format!(
            "<table width=\"600\" cellpadding=\"0\"><tr><td style=\"{style}\">\
             <h2>Item {number}</h2>\
             <p style=\"{style}\">{} for {{{{ name }}}}</p>\r\n\
             <a href=\"https://shop.example.com/item/{number}?a=1&amp;b=2\">Buy it now</a>\
             </td></tr></table>\r\n",
            "The quick brown fox jumps over the lazy dog and wonders why. ".repeat(20)
        )
    };
    let mut number = 0;
    while html.len() < HTML_OCTETS - 200 {
        html += &row(number);
        number += 1;
    }
    html + "<p><a href=\"{{ unsubscribe_url }}\">Unsubscribe</a></p></body></html>"
}

fn mailing(text: bool, track: Track) -> Option<Mailing> {
    let parts = Parts {
        subject: "News for {{ name }}".into(),
        text: text.then(|| "Dear {{ name }},\r\n\r\nnews. {{ unsubscribe_url }}\r\n".into()),
        html: Some(html().into()),
        attachments: Vec::new(),
    };
    let mailbox = Mailbox::parse("shop@sender.example").ok()?;
    Some(Mailing {
        project: "shop".into(),
        campaign: "spring".into(),
        tags: Vec::new(),
        from: NamedMailbox { name: "The Shop".into(), mailbox },
        reply_to: None,
        content: Content::Parts(parts),
        headers: Vec::new(),
        track,
        list: Some(List { name: "news".into(), mailto: None }),
        meta: Vec::new(),
        segment: "".into(),
    })
}

fn keys() -> Option<Keys> {
    Keys::new(Key::new(1, &[7; 32]).ok()?, Vec::new()).ok()
}

fn keyring() -> Keyring {
    let mut keyring = Keyring::default();
    let signer = SigningKey::from_pem(ED25519).ok().zip(Domain::parse("sender.example").ok());
    let signer = signer.and_then(|(key, domain)| Signer::new(domain, "s1", key).ok());
    signer.into_iter().for_each(|signer| keyring.add(signer));
    assert!(!keyring.is_empty(), "the key for tests does not sign");
    keyring
}
