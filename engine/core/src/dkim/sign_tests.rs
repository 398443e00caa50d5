//! Tests of [`super`]: the vectors of RFC 8463, and a verifier that follows RFC 6376 6.1.

use std::collections::HashMap;

use aws_lc_rs::signature::ED25519;
use aws_lc_rs::signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY;
use aws_lc_rs::signature::UnparsedPublicKey;
use aws_lc_rs::signature::VerificationAlgorithm;
use proptest::prelude::*;

use super::*;
use crate::dkim::key::InvalidKey;
use crate::dkim::key::SigningKey;
use crate::mail::address::Domain;

const RSA: &[u8] = include_bytes!("keys/rsa-2048.pem");
const ED25519_KEY: &[u8] = include_bytes!("keys/ed25519.pem");
const NOW: Timestamp = Timestamp::from_secs(1_528_637_909);

/// RFC 8463 A.3, without the signatures.
const MESSAGE: &str = "From: Joe SixPack <joe@football.example.com>\r\n\
    To: Suzie Q <suzie@shopping.example.net>\r\n\
    Subject: Is dinner ready?\r\n\
    Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n\
    Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n\
    \r\n\
    Hi.\r\n\
    \r\n\
    We lost the game.  Are you hungry yet?\r\n\
    \r\n\
    Joe.\r\n";

fn keyring(domain: &str) -> Keyring {
    let mut keyring = Keyring::default();
    for (selector, pem) in [("rsa", RSA), ("ed", ED25519_KEY)] {
        let key = SigningKey::from_pem(pem).unwrap();
        keyring.add(Signer::new(Domain::parse(domain).unwrap(), selector, key).unwrap());
    }
    keyring
}

fn content(message: &[u8]) -> Content {
    Content { head: Bytes::new(), message: Bytes::copy_from_slice(message) }
}

/// The message as a next hop gets it, with its signatures in front.
fn signed(domain: &str, message: &[u8]) -> Vec<u8> {
    let content = content(message);
    let head = sign(&keyring(domain), &content, NOW).unwrap();
    let end: &[u8] = if message.ends_with(b"\r\n") { b"" } else { b"\r\n" };
    [&head, message, end].concat()
}

fn tags(field: &HeaderField<'_>) -> HashMap<String, String> {
    let text = String::from_utf8(field.body.to_vec()).unwrap();
    let tag = |tag: &str| {
        let (name, value) = tag.split_once('=').unwrap();
        (name.trim().to_owned(), value.split_whitespace().collect())
    };
    text.split(';').map(tag).collect()
}

/// What a signature is a signature of: RFC 6376 3.7, for any `h=`.
fn hashed(message: &[u8], field: &HeaderField<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let fields: Vec<_> = header_fields(message).collect();
    let mut used = vec![false; fields.len()];
    for name in tags(field)["h"].split(':') {
        let at = (0..fields.len()).rev().find(|&at| !used[at] && fields[at].is(name));
        if let Some(at) = at {
            used[at] = true;
            canon::header_field(&fields[at], &mut out);
        }
    }
    let body = String::from_utf8(field.body.to_vec()).unwrap();
    let b = body.rfind("b=").unwrap() + 2;
    canon::header_field_open(field.name, &body.as_bytes()[..b], &mut out);
    out
}

/// Whether each signature of the message holds, from the top.
fn verify(message: &[u8], keyring: &Keyring, domain: &str) -> Vec<bool> {
    let body = STANDARD.encode(canon::body_hash(body_of(message)));
    let one = |field: HeaderField<'_>| {
        let tags = tags(&field);
        let signers = keyring.of_author(&Domain::parse(domain).unwrap());
        let signer = signers.iter().find(|signer| signer.selector() == tags["s"]).unwrap();
        let record = signer.key().record().unwrap();
        let public = STANDARD.decode(record.split_once("p=").unwrap().1).unwrap();
        let signature = STANDARD.decode(&tags["b"]).unwrap();
        let data = hashed(message, &field);
        tags["bh"] == body && holds(&tags["a"], &public, &data, &signature)
    };
    let ours = |field: &HeaderField<'_>| field.is("DKIM-Signature");
    header_fields(message).filter(ours).map(one).collect()
}

fn holds(algorithm: &str, public: &[u8], data: &[u8], signature: &[u8]) -> bool {
    let sha256 = aws_lc_rs::digest::digest(&SHA256, data);
    let (scheme, data): (&'static dyn VerificationAlgorithm, &[u8]) = match algorithm {
        "rsa-sha256" => (&RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, data),
        "ed25519-sha256" => (&ED25519, sha256.as_ref()),
        other => panic!("{other}"),
    };
    UnparsedPublicKey::new(scheme, public).verify(data, signature).is_ok()
}

#[test]
fn the_ed25519_vector_of_rfc_8463_appendix_a() {
    let field = "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n \
        d=football.example.com; i=@football.example.com;\r\n \
        q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n \
        subject : date : message-id : from : subject : date;\r\n \
        bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n \
        b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\r\n \
        Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\r\n";
    // RFC 8463 A.1: the seed, in the frame that PKCS#8 puts around it.
    let seed = STANDARD.decode("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=").unwrap();
    let frame = [48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32];
    let der = STANDARD.encode([frame.as_slice(), &seed].concat());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n");
    let key = SigningKey::from_pem(pem.as_bytes()).unwrap();
    let public = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    assert_eq!(key.record().unwrap(), format!("v=DKIM1; k=ed25519; p={public}"));

    let message = [field, MESSAGE].concat();
    let parsed = header_fields(message.as_bytes()).next().unwrap();
    let tags = tags(&parsed);
    assert_eq!(STANDARD.encode(canon::body_hash(body_of(message.as_bytes()))), tags["bh"]);
    let digest = aws_lc_rs::digest::digest(&SHA256, &hashed(message.as_bytes(), &parsed));
    assert_eq!(STANDARD.encode(key.sign(&digest).unwrap()), tags["b"]);
}

#[test]
fn the_rsa_vector_of_rfc_8463_appendix_a() {
    let field = "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n \
        d=football.example.com; i=@football.example.com;\r\n \
        q=dns/txt; s=test; t=1528637909; h=from : to : subject :\r\n \
        date : message-id : from : subject : date;\r\n \
        bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n \
        b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3\r\n \
        DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz\r\n \
        dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=\r\n";
    let public = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qh\
        dR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4h\
        stT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB";
    let message = [field, MESSAGE].concat();
    let parsed = header_fields(message.as_bytes()).next().unwrap();
    let signature = STANDARD.decode(&tags(&parsed)["b"]).unwrap();
    let data = hashed(message.as_bytes(), &parsed);
    assert!(holds("rsa-sha256", &STANDARD.decode(public).unwrap(), &data, &signature));
}

#[test]
fn both_keys_sign_in_lines_that_fit_and_b_is_last() {
    let message = signed("football.example.com", MESSAGE.as_bytes());
    let text = String::from_utf8(message.clone()).unwrap();
    let header = text.split_once("From: Joe").unwrap().0;
    assert!(header.lines().all(|line| line.len() <= 78), "{header}");
    let fields: Vec<_> = header_fields(&message).take(2).collect();
    for (field, algorithm) in fields.iter().zip(["rsa-sha256", "ed25519-sha256"]) {
        let tags = tags(field);
        assert_eq!(tags["a"], algorithm);
        assert_eq!((tags["v"].as_str(), tags["c"].as_str()), ("1", "relaxed/relaxed"));
        assert_eq!(tags["d"], "football.example.com");
        assert_eq!(tags["t"], "1528637909");
        assert_eq!(tags["bh"], "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=");
        assert_eq!(
            tags["h"],
            "From:From:Reply-To:To:To:Cc:Subject:Subject:Date:Date:Message-ID:Message-ID"
        );
        assert!(!tags.contains_key("l") && !tags.contains_key("x"));
        assert!(String::from_utf8_lossy(field.body).split("; ").last().unwrap().contains("\tb="));
    }
    let keyring = keyring("football.example.com");
    assert_eq!(verify(&message, &keyring, "football.example.com"), [true, true]);
}

#[test]
fn what_is_signed_cannot_be_changed_nor_added_to() {
    let unsubscribe = "List-Unsubscribe: <https://example.com/u>\r\n";
    let message = [unsubscribe, MESSAGE].concat();
    let whole = String::from_utf8(signed("football.example.com", message.as_bytes())).unwrap();
    let keyring = keyring("football.example.com");
    let verified = |text: &str| verify(text.as_bytes(), &keyring, "football.example.com");
    assert_eq!(verified(&whole), [true, true]);
    for (old, new) in [
        ("From: Joe", "From: Joey"),
        ("Subject: Is", "Subject: was"),
        ("lost", "won"),
        ("https://example.com/u", "https://example.com/v"),
        ("Joe.\r\n", "Joe.\r\nPS: call me\r\n"),
        ("From: Joe", "From: x@y.example\r\nFrom: Joe"),
        ("Subject: Is", "Subject: x\r\nSubject: Is"),
        ("Subject: Is", "Reply-To: x@y.example\r\nSubject: Is"),
        ("Subject: Is", "Cc: x@y.example\r\nSubject: Is"),
        ("Subject: Is", "List-Unsubscribe: <https://y.example>\r\nSubject: Is"),
        ("Subject: Is", "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nSubject: Is"),
    ] {
        let changed = whole.replacen(old, new, 1);
        assert_ne!(changed, whole);
        assert_eq!(verified(&changed), [false, false], "{new}");
    }
    // What the relaxed forms allow, and fields that nobody signed.
    for (old, new) in [
        ("Subject: Is dinner", "SUBJECT:  Is\r\n dinner"),
        ("Joe.\r\n", "Joe. \t\r\n\r\n"),
        ("From: Joe", "X-Seen: yes\r\nFrom: Joe"),
    ] {
        let changed = whole.replacen(old, new, 1);
        assert_eq!(verified(&changed), [true, true], "{new}");
    }
}

#[test]
fn fields_put_in_front_late_are_signed_too() {
    let head = Bytes::from_static(b"Feedback-ID: 1:2:3:me\r\n");
    let late = Content { head, message: Bytes::from_static(MESSAGE.as_bytes()) };
    let keyring = keyring("football.example.com");
    let signature = sign(&keyring, &late, NOW).unwrap();
    let message = [signature.as_ref(), &late.head, &late.message].concat();
    assert_eq!(verify(&message, &keyring, "football.example.com"), [true, true]);
    let changed = String::from_utf8(message).unwrap().replacen("1:2:3", "1:2:4", 1);
    assert_eq!(verify(changed.as_bytes(), &keyring, "football.example.com"), [false, false]);
}

#[test]
fn nobody_signs_for_strangers_or_for_two_authors() {
    let keyring = keyring("example.net");
    for message in [
        MESSAGE,
        "Subject: no author\r\n\r\nx\r\n",
        "From: a@example.net\r\nFrom: b@example.net\r\n\r\nx\r\n",
        "From: \"a@example.net\" <b@example.com>\r\n\r\nx\r\n",
    ] {
        assert!(sign(&keyring, &content(message.as_bytes()), NOW).unwrap().is_empty());
    }
    let below = content(b"From: a@news.example.net\r\n\r\nx\r\n");
    let head = sign(&keyring, &below, NOW).unwrap();
    assert!(String::from_utf8_lossy(&head).contains(" d=example.net;"));
}

#[test]
fn a_flood_of_one_field_is_signed_up_to_the_bound() {
    for (count, listed) in
        [(INSTANCES_MAX - 1, INSTANCES_MAX), (INSTANCES_MAX, INSTANCES_MAX + 1), (65, 64)]
    {
        let message = ["From: a@example.net\r\n", &"To: b@example.net\r\n".repeat(count), "\r\nx"];
        let whole = signed("example.net", message.concat().as_bytes());
        let names = tags(&header_fields(&whole).next().unwrap())["h"].clone();
        assert_eq!(names.split(':').filter(|name| *name == "To").count(), listed, "{count}");
        assert_eq!(verify(&whole, &keyring("example.net"), "example.net"), [true, true]);
    }
}

#[test]
fn only_rsa_of_fit_length_and_ed25519_are_taken() {
    let read = |pem: &[u8]| SigningKey::from_pem(pem).map(|key| key.algorithm());
    assert_eq!(read(RSA), Ok("rsa-sha256"));
    assert_eq!(read(include_bytes!("keys/rsa-2048-pkcs1.pem")), Ok("rsa-sha256"));
    assert_eq!(read(ED25519_KEY), Ok("ed25519-sha256"));
    assert_eq!(read(include_bytes!("keys/rsa-1024.pem")), Err(InvalidKey::TooShort));
    assert_eq!(read(include_bytes!("keys/rsa-5120.pem")), Err(InvalidKey::TooLong));
    assert_eq!(read(include_bytes!("keys/ec.pem")), Err(InvalidKey::Kind));
    assert_eq!(read(include_bytes!("keys/ec-sec1.pem")), Err(InvalidKey::Kind));
    assert_eq!(read(include_bytes!("keys/encrypted.pem")), Err(InvalidKey::Encrypted));
    let torn = RSA.get(..600).unwrap();
    for pem in [b"".as_slice(), b"no key", torn] {
        assert_eq!(read(pem), Err(InvalidKey::NotPem));
    }
    let emptied = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert_eq!(read(emptied.as_bytes()), Err(InvalidKey::Kind));
    let shown = format!("{:?}", SigningKey::from_pem(ED25519_KEY).unwrap());
    assert_eq!(shown, "SigningKey(ed25519-sha256)");
}

/// Header fields and bodies as odd as SMTP lets them through.
fn odd_message() -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof![Just("Subject"), Just("to"), Just("X-Odd"), Just("References")];
    let value = "([ \t]|\r\n[ \t]|[!-~]|é){0,30}";
    let field = (name, value).prop_map(|(name, value)| format!("{name}:{value}x\r\n"));
    let piece = prop_oneof![
        Just("\r\n".to_owned()),
        Just(" ".to_owned()),
        Just("\t".to_owned()),
        Just(".".to_owned()),
        "[ -~é]{0,20}",
    ];
    let body = prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat());
    (prop::collection::vec(field, 0..12), body).prop_map(|(fields, body)| {
        let from = "From: \"Odd\"\r\n\t<o@example.net>\r\n";
        [from, &fields.concat(), "\r\n", &body].concat().into_bytes()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn odd_messages_verify_after_the_wire(message in odd_message()) {
        let whole = signed("example.net", &message);
        prop_assert_eq!(verify(&whole, &keyring("example.net"), "example.net"), [true, true]);
    }

    #[test]
    fn any_octets_are_signed_or_not_without_a_panic(
        octets in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let message = [b"From: a@example.net\r\n".as_slice(), &octets].concat();
        let _made = sign(&keyring("example.net"), &content(&message), NOW).unwrap();
        let _made = sign(&keyring("example.net"), &content(&octets), NOW).unwrap();
    }
}
