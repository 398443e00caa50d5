//! DKIM: one message of 10 KiB, signed.

use std::hint::black_box;

use bytes::Bytes;
use criterion::Criterion;
use criterion::Throughput;
use maily_core::clock::Timestamp;
use maily_core::dkim::canon;
use maily_core::dkim::key::SigningKey;
use maily_core::dkim::keyring::Keyring;
use maily_core::dkim::keyring::Signer;
use maily_core::dkim::sign;
use maily_core::mail::address::Domain;
use maily_core::mail::message::body_of;
use maily_core::smtp::content::Content;

const RSA: &[u8] = include_bytes!("../../engine/core/src/dkim/keys/rsa-2048.pem");
const ED25519: &[u8] = include_bytes!("../../engine/core/src/dkim/keys/ed25519.pem");
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

pub(crate) fn bench(criterion: &mut Criterion) {
    let content = Content { head: Bytes::new(), message: message(10_240) };
    let mut benches = criterion.benchmark_group("dkim");
    for (name, keys) in
        [("rsa_2048", [RSA].as_slice()), ("ed25519", &[ED25519]), ("both", &[RSA, ED25519])]
    {
        let keyring = keyring(keys);
        benches.throughput(Throughput::Elements(1));
        benches.bench_function(name, |bencher| {
            bencher.iter(|| sign::sign(&keyring, black_box(&content), NOW));
        });
    }
    benches.throughput(Throughput::Bytes(content.message.len() as u64));
    benches.bench_function("body_hash", |bencher| {
        bencher.iter(|| canon::body_hash(body_of(black_box(&content.message))));
    });
    benches.finish();
}

fn keyring(keys: &[&[u8]]) -> Keyring {
    let mut keyring = Keyring::default();
    let domain = Domain::parse("sender.example").ok();
    for (pem, domain) in keys.iter().zip(domain.iter().cycle()) {
        let signer = SigningKey::from_pem(pem)
            .ok()
            .and_then(|key| Signer::new(domain.clone(), "s1", key).ok());
        signer.into_iter().for_each(|signer| keyring.add(signer));
    }
    assert!(!keyring.is_empty(), "the keys for tests do not sign");
    keyring
}

/// A message as marketing writes it, about this long.
pub(crate) fn message(octets: usize) -> Bytes {
    let header = "Received: from source.example ([127.0.0.1])\r\n\tby mail.example with ESMTP\r\n\
        From: Sender <sender@sender.example>\r\nTo: user@d0001.test\r\nSubject: News of the day\r\n\
        Date: Sun, 22 Nov 2026 21:00:00 +0000\r\nMessage-ID: <1@sender.example>\r\n\
        MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\
        List-Unsubscribe: <https://sender.example/u/1>\r\n\
        List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\r\n";
    let line = "<p class=\"text\">The quick brown fox jumps over the lazy dog.</p>\r\n\r\n";
    Bytes::from(header.to_owned() + &*line.repeat(octets / line.len()))
}
