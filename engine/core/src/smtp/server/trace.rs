//! What a message that came in is given before it is stored: the trace field (RFC 5321 4.4), and
//! Date and Message-ID if it had none (RFC 6409 8). Our own fields, `X-Maily-…`, are read and taken
//! out.

use std::fmt::Write;
use std::net::IpAddr;
use std::ops::Range;

use bytes::BufMut;
use bytes::Bytes;
use bytes::BytesMut;

use crate::clock::Timestamp;
use crate::mail::address::Domain;
use crate::mail::envelope::Class;
use crate::mail::id::QueueId;
use crate::mail::message::header_fields;
use crate::smtp::server::Transaction;

/// RFC 5321 6.3: a message that has passed so many servers runs in a circle.
pub const RECEIVED_MAX: usize = 100;
/// Characters of the name of a campaign.
pub const CAMPAIGN_CHARACTERS_MAX: usize = 50;
/// Octets of a Message-ID that is kept apart; a longer one stands in the message only.
pub const MESSAGE_ID_OCTETS_MAX: usize = 998;
/// What the names of our own fields begin with.
const OWN_PREFIX: &[u8] = b"X-Maily-";

/// What the header says that matters to us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Trace fields.
    pub received: usize,
    /// Whether there is a Date.
    pub date: bool,
    /// The Message-ID without its angle brackets; empty if there is none.
    pub message_id: Box<str>,
    /// `X-Maily-Campaign`.
    pub campaign: Box<str>,
    /// `X-Maily-Class`.
    pub class: Option<Class>,
    /// Octets of our own fields, which do not go out.
    own: Vec<Range<usize>>,
    /// Where the fields end.
    end: usize,
}

impl Header {
    /// Reads the header fields, up to the first line that is none.
    pub fn read(message: &[u8]) -> Self {
        let mut seen = Self::default();
        for field in header_fields(message) {
            let begin = seen.end;
            seen.end += field.raw.len();
            if field.is("Received") {
                seen.received += 1;
            } else if field.is("Date") {
                seen.date = true;
            } else if field.is("Message-ID") {
                let id = field.unfolded();
                let id = id.trim_start_matches('<').trim_end_matches('>');
                let end = id.floor_char_boundary(MESSAGE_ID_OCTETS_MAX);
                seen.message_id = id.get(..end).unwrap_or_default().into();
            } else if is_own(field.name) {
                seen.own.push(begin..seen.end);
                if field.is("X-Maily-Campaign") {
                    let name = field.unfolded();
                    seen.campaign = name.chars().take(CAMPAIGN_CHARACTERS_MAX).collect();
                } else if field.is("X-Maily-Class") {
                    seen.class = class(&field.unfolded());
                }
            }
        }
        seen
    }

    /// Whether it has been through so many servers that it must run in a circle.
    pub const fn is_loop(&self) -> bool {
        self.received >= RECEIVED_MAX
    }
}

/// The class of this name.
fn class(name: &str) -> Option<Class> {
    match name {
        name if name.eq_ignore_ascii_case("bulk") => Some(Class::Bulk),
        name if name.eq_ignore_ascii_case("transactional") => Some(Class::Transactional),
        _ => None,
    }
}

fn is_own(name: &[u8]) -> bool {
    name.get(..OWN_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(OWN_PREFIX))
}

/// Who took the message, from whom, when, and under what name.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// Our own name.
    pub host: &'a str,
    /// The client's address.
    pub client: IpAddr,
    /// The message's name.
    pub id: QueueId,
    /// The time.
    pub now: Timestamp,
}

impl Stamp<'_> {
    /// The message of this transaction as it is stored. `header` is that of its message.
    pub fn apply(&self, transaction: &Transaction, header: &Header) -> Bytes {
        let message = &transaction.message;
        let head = self.head(transaction, header);
        let mut out = BytesMut::with_capacity(head.len() + message.len() + 2);
        out.put_slice(head.as_bytes());
        let mut from = 0;
        for own in &header.own {
            out.put_slice(message.get(from..own.start).unwrap_or_default());
            from = own.end;
        }
        out.put_slice(message.get(from..header.end).unwrap_or_default());
        let body = message.get(header.end..).unwrap_or_default();
        if !body.starts_with(b"\r\n") {
            // No empty line behind the header: what is no header field is text.
            out.put_slice(b"\r\n");
        }
        out.put_slice(body);
        out.freeze()
    }

    /// The fields that are put in front.
    fn head(&self, transaction: &Transaction, header: &Header) -> String {
        let mut head = String::with_capacity(400);
        let (host, id) = (self.host, self.id);
        let (from, with) = (from(&transaction.helo, self.client), with(transaction));
        let date = self.now.to_utc().to_rfc5322();
        // Writing to a string cannot fail.
        let _infallible = write!(
            head,
            "Received: from {from}\r\n\tby {host} with {with} id {id};\r\n\t{date}\r\n"
        );
        if !header.date {
            let _infallible = write!(head, "Date: {date}\r\n");
        }
        if header.message_id.is_empty() {
            let _infallible = write!(head, "Message-ID: <{id}@{host}>\r\n");
        }
        head
    }
}

/// `Extended-Domain` of RFC 5321 4.4: the name that the client gave, and its address. A name that
/// is no domain stands in a comment.
fn from(helo: &str, client: IpAddr) -> String {
    let literal = match client {
        IpAddr::V4(address) => format!("[{address}]"),
        IpAddr::V6(address) => format!("[IPv6:{address}]"),
    };
    if helo.is_ascii() && Domain::parse(helo).is_ok() {
        return format!("{helo} ({literal})");
    }
    let helo: String = helo.chars().map(harmless).collect();
    format!("{literal} ({literal})\r\n\t(it calls itself {helo})")
}

/// What a client calls itself is shown, so it may hold nothing that means something there.
const fn harmless(c: char) -> char {
    match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '-' | '_' | ':' | '[' | ']' => c,
        _ => '?',
    }
}

/// The protocol's name (RFC 3848, RFC 6531 4.3).
const fn with(transaction: &Transaction) -> &'static str {
    let authenticated = transaction.user.is_some();
    match (transaction.envelope.smtputf8, transaction.extended) {
        (true, _) => match (transaction.tls, authenticated) {
            (false, false) => "UTF8SMTP",
            (true, false) => "UTF8SMTPS",
            (false, true) => "UTF8SMTPA",
            (true, true) => "UTF8SMTPSA",
        },
        (false, false) => "SMTP",
        (false, true) => match (transaction.tls, authenticated) {
            (false, false) => "ESMTP",
            (true, false) => "ESMTPS",
            (false, true) => "ESMTPA",
            (true, true) => "ESMTPSA",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::envelope::Envelope;
    use crate::mail::envelope::ReversePath;
    use crate::mail::id::QueueIdSource;

    fn transaction(helo: &str, message: &[u8]) -> Transaction {
        Transaction {
            envelope: Envelope::plain(ReversePath::Null, Vec::new()),
            message: Bytes::copy_from_slice(message),
            user: None,
            helo: helo.into(),
            extended: true,
            tls: false,
            trusted: true,
        }
    }

    fn stamped(transaction: &Transaction, client: &str) -> String {
        let now = Timestamp::from_secs(1_795_392_378);
        let id = QueueIdSource::new(0).next(now);
        let stamp = Stamp { host: "mx.example", client: client.parse().unwrap(), id, now };
        let header = Header::read(&transaction.message);
        let text = String::from_utf8(stamp.apply(transaction, &header).to_vec()).unwrap();
        text.replace(&id.to_string(), "ID")
    }

    #[test]
    fn a_message_gets_one_trace_field_rfc_5321_4_4() {
        let plain = transaction("client.example", b"Date: x\r\nMessage-ID: <a@b>\r\n\r\nhi\r\n");
        assert_eq!(
            stamped(&plain, "192.0.2.7"),
            "Received: from client.example ([192.0.2.7])\r\n\tby mx.example with ESMTP id ID;\r\n\
             \tMon, 23 Nov 2026 00:06:18 +0000\r\nDate: x\r\nMessage-ID: <a@b>\r\n\r\nhi\r\n"
        );
        let six = stamped(&transaction("[IPv6:2001:db8::7]", b"\r\n"), "2001:db8::7");
        assert!(six.starts_with("Received: from [IPv6:2001:db8::7] ([IPv6:2001:db8::7])\r\n"));
    }

    #[test]
    fn the_protocol_is_named_rfc_3848() {
        let mut plain = transaction("c.example", b"\r\n");
        let mut check = |change: &dyn Fn(&mut Transaction), name: &str| {
            change(&mut plain);
            let text = stamped(&plain, "192.0.2.7");
            assert!(text.contains(&format!(" with {name} id")), "{name}: {text}");
        };
        check(&|t| t.extended = false, "SMTP");
        check(&|t| t.extended = true, "ESMTP");
        check(&|t| t.tls = true, "ESMTPS");
        check(&|t| t.user = Some("ann".into()), "ESMTPSA");
        check(&|t| t.tls = false, "ESMTPA");
        check(&|t| t.envelope.smtputf8 = true, "UTF8SMTPA");
        check(&|t| t.tls = true, "UTF8SMTPSA");
    }

    #[test]
    fn what_a_client_calls_itself_injects_nothing() {
        for helo in ["a)\u{1}(b", "x;\u{2028}Bcc:", "<script>", "a(b", "jürgen.example"] {
            let text = stamped(&transaction(helo, b"\r\n"), "192.0.2.7");
            let line = text.lines().nth(1).unwrap();
            assert_eq!(text.lines().next(), Some("Received: from [192.0.2.7] ([192.0.2.7])"));
            assert!(line.starts_with("\t(it calls itself ") && line.ends_with(')'), "{line:?}");
            assert_eq!(line.matches(['(', ')']).count(), 2, "{line:?}");
        }
    }

    #[test]
    fn date_and_message_id_are_added_where_they_lack_rfc_6409_8() {
        let text = stamped(&transaction("c.example", b"Subject: x\r\n\r\nhi\r\n"), "192.0.2.7");
        let end = "Date: Mon, 23 Nov 2026 00:06:18 +0000\r\nMessage-ID: <ID@mx.example>\r\n\
                   Subject: x\r\n\r\nhi\r\n";
        assert!(text.ends_with(end), "{text}");
    }

    #[test]
    fn our_own_fields_are_read_and_taken_out() {
        let message = b"X-Maily-Class: Bulk\r\nSubject: x\r\nx-maily-campaign: sp\r\n ring\r\n\
                        Date: x\r\nX-Maily-Anything: y\r\nMessage-ID: <a@b>\r\n\r\nbody";
        let header = Header::read(message);
        assert_eq!((&*header.campaign, &*header.message_id), ("sp ring", "a@b"));
        assert_eq!((header.class, header.date), (Some(Class::Bulk), true));
        let text = stamped(&transaction("c.example", message), "192.0.2.7");
        assert!(text.ends_with("\r\nSubject: x\r\nDate: x\r\nMessage-ID: <a@b>\r\n\r\nbody"));
        let long = format!("X-Maily-Campaign: {}\r\n\r\n", "ä".repeat(CAMPAIGN_CHARACTERS_MAX + 1));
        assert_eq!(Header::read(long.as_bytes()).campaign.chars().count(), CAMPAIGN_CHARACTERS_MAX);
        let long = format!("Message-ID: <a{}\r\n\r\n", "é".repeat(MESSAGE_ID_OCTETS_MAX / 2));
        assert_eq!(Header::read(long.as_bytes()).message_id.len(), MESSAGE_ID_OCTETS_MAX - 1);
    }

    #[test]
    fn text_without_a_header_is_text() {
        for (message, end) in [
            (&b"hi\r\n"[..], ">\r\n\r\nhi\r\n"),
            (b"", ">\r\n\r\n"),
            (b"Date: x\r\nhi\r\n", "Date: x\r\n\r\nhi\r\n"),
            (b"Date: x\r\n", "Date: x\r\n\r\n"),
            (b"\r\nhi", ">\r\n\r\nhi"),
        ] {
            let text = stamped(&transaction("c.example", message), "192.0.2.7");
            assert!(text.ends_with(end), "{text:?}");
        }
    }

    #[test]
    fn a_hundred_trace_fields_are_a_loop_rfc_5321_6_3() {
        let message = |n: usize| "Received: from a by b; x\r\n".repeat(n) + "\r\n";
        assert!(!Header::read(message(RECEIVED_MAX - 1).as_bytes()).is_loop());
        assert!(Header::read(message(RECEIVED_MAX).as_bytes()).is_loop());
    }
}
