//! Parsers that take a text or some octets and give a value.

use bytes::BytesMut;

use maily_core::mail::address::Mailbox;
use maily_core::mail::message::body_of;
use maily_core::mail::message::header_fields;
use maily_core::queue::selection;
use maily_core::selector::Selector;
use maily_core::selector::completing::complete;
use maily_core::selector::limits::OCTETS_MAX;
use maily_core::smtp::command;
use maily_core::smtp::command::Command;
use maily_core::smtp::proxy;
use maily_core::smtp::reply_parser::ReplyParser;
use maily_core::smtp::server::trace::Header;
use maily_core::smtp::xtext;

/// Replies of servers.
pub fn reply(data: &[u8]) {
    let mut input = BytesMut::from(data);
    let mut parser = ReplyParser::default();
    while let Ok(Some(reply)) = parser.parse(&mut input) {
        assert!((200..600).contains(&reply.code) && !reply.lines.is_empty());
        assert!(reply.lines.iter().all(|line| !line.contains('\n')));
    }
}

/// Command lines.
pub fn command(data: &[u8]) {
    let _limit = (command::line_octets_max(data), command::is_http(data));
    match command::parse(data) {
        Ok(Command::Mail(mail)) => {
            mail.reverse_path.mailbox().into_iter().for_each(mailbox);
        }
        Ok(Command::Rcpt(rcpt)) => rcpt.mailbox.iter().for_each(mailbox),
        Ok(_) => {}
        Err(reply) => {
            assert!(reply.code >= 500);
            // What is answered goes over the wire as it is.
            assert!(!reply.text().contains(['\r', '\n', '\0']));
            let _octets = command::octets_behind(data);
        }
    }
}

/// Addresses.
pub fn address(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(parsed) = Mailbox::parse(text) {
        mailbox(&parsed);
    }
}

/// A mailbox that exists can be written, read again, and injects nothing.
fn mailbox(mailbox: &Mailbox) {
    let written = mailbox.to_string();
    assert!(!written.contains(|c: char| c.is_control()), "{written:?}");
    assert_eq!(Mailbox::parse(&written).as_ref(), Ok(mailbox), "{written:?}");
    assert_eq!(written.matches('\u{2028}').count(), 0);
}

/// Selectors: what is read is written out as the same, and what is wrong is shown where it is.
pub fn selector(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    complete(text, text.len() / 2, &selection::SCHEMA);
    match Selector::parse(text, &selection::SCHEMA) {
        Ok(selector) => {
            let written = selector.to_string();
            let again = Selector::parse(&written, &selection::SCHEMA);
            // Written out it may be longer than what may be typed.
            if written.len() <= OCTETS_MAX {
                assert_eq!(again.as_ref(), Ok(&selector), "{written:?}");
            }
            let mut asked = 0;
            selector.matches(&mut |test| {
                asked += 1;
                test.on_text(text) || test.on_number(1.0)
            });
            assert!(asked <= selector.tests().count());
            let _path = (selection::path(&selector), selection::is_lasting(&selector));
        }
        Err(error) => {
            assert!(text.get(error.at.clone()).is_some(), "{error:?}");
            assert!(error.shown(text).contains('^'));
        }
    }
}

/// Headers of load balancers.
pub fn proxy(data: &[u8]) {
    let Ok(Some((source, octets))) = proxy::parse(data) else { return };
    assert!(octets <= data.len());
    assert_eq!(proxy::header_octets(data), Some(octets));
    assert_eq!(proxy::parse(&data[..octets]), Ok(Some((source, octets))));
    assert_eq!(proxy::parse(&data[..octets - 1]), Ok(None));
}

/// xtext.
pub fn xtext(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(decoded) = xtext::decode(text) {
        assert!(decoded.bytes().all(|octet| (b' '..=b'~').contains(&octet)));
        assert_eq!(xtext::decode(&xtext::encode(&decoded)), Some(decoded));
    }
}

/// Header fields.
pub fn header(data: &[u8]) {
    let mut octets = Vec::new();
    for field in header_fields(data) {
        octets.extend_from_slice(field.raw);
        assert!(!field.name.is_empty() && field.unfolded().len() <= field.raw.len() * 3);
    }
    assert!(data.starts_with(&octets), "fields follow each other from the beginning");
    assert!(data.ends_with(body_of(data)));
    let header = Header::read(data);
    assert!(header.campaign.chars().count() <= 50);
}

/// Configuration files.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Err(errors) = maily_config::load::parse(text, "maily.toml") {
        assert!(!errors.to_string().is_empty());
    }
}
