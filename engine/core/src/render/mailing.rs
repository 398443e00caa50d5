//! What all recipients of a mailing share: kept once, however many they are.
//!
//! Encoded, it begins with an octet that names the format; a format that was written once is read
//! for ever. Whether its texts can be sent is for [`check`](crate::render::check) to say.

use bytes::Bytes;
use serde::Deserialize;
use serde::Serialize;

use crate::mail::address::Mailbox;
use crate::mail::message::header_octets;

/// An encoded mailing has at most as many octets.
pub const MAILING_OCTETS_MAX: usize = 40 * 1024 * 1024;
/// The format that is written of a mailing without a segment.
const FORMAT: u8 = 1;
/// The same with the name of a segment behind it.
const FORMAT_WITH_SEGMENT: u8 = 2;

/// Why octets are no mailing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailingError {
    /// More than [`MAILING_OCTETS_MAX`] octets.
    #[error("too long")]
    TooLong,
    /// A format that we do not know: a newer version wrote it.
    #[error("of an unknown format")]
    UnknownFormat,
    /// Not what was written.
    #[error("damaged")]
    Damaged,
}

/// A mailbox with the name that is shown for it (RFC 5322 3.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedMailbox {
    /// The display name; empty for none.
    pub name: Box<str>,
    /// The address.
    pub mailbox: Mailbox,
}

/// A file that goes along.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The name it is saved under; empty for none.
    pub file_name: Box<str>,
    /// Its media type, such as `image/png`.
    pub content_type: Box<str>,
    /// What it is.
    pub content: Bytes,
    /// By what the HTML part shows it (`cid:`, RFC 2392); empty if it is not shown inside.
    pub content_id: Box<str>,
}

/// A message in parts, each a template.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// The subject.
    pub subject: Box<str>,
    /// The text; derived from the HTML if there is none.
    pub text: Option<Box<str>>,
    /// The HTML.
    pub html: Option<Box<str>>,
    /// What goes along.
    pub attachments: Vec<Attachment>,
}

/// What a mailing says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// These parts.
    Parts(Parts),
    /// The parts that are stored under this name when a message is sent: mending them reaches mail
    /// that is waiting.
    Named {
        /// The name of the stored template.
        name: Box<str>,
    },
    /// A whole message as it was handed in; it holds no templates.
    Raw(Bytes),
}

/// What is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Track {
    /// Whether a message was opened.
    pub opens: bool,
    /// Which links were followed.
    pub clicks: bool,
    /// Whether there is a link that nobody sees, to know machines by.
    pub honeypot: bool,
}

/// The list that a mailing goes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    /// Its name in its project.
    pub name: Box<str>,
    /// Where one unsubscribes by mail (RFC 2369 3.2).
    pub mailto: Option<Mailbox>,
}

/// What all recipients of a mailing share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailing {
    /// Whose it is.
    pub project: Box<str>,
    /// To which campaign it belongs; empty for none.
    pub campaign: Box<str>,
    /// Words to find it by.
    pub tags: Vec<Box<str>>,
    /// The author (RFC 5322 3.6.2).
    pub from: NamedMailbox,
    /// Where answers go, if not to the author.
    pub reply_to: Option<NamedMailbox>,
    /// What it says.
    pub content: Content,
    /// More header fields: names, and templates of their bodies.
    pub headers: Vec<(Box<str>, Box<str>)>,
    /// What is counted.
    pub track: Track,
    /// To which list it goes.
    pub list: Option<List>,
    /// What its sender wants to find in every event about it.
    pub meta: Vec<(Box<str>, Box<str>)>,
    /// Whom of its recipients it is for: those in this segment; all of them if it is empty.
    #[serde(skip)]
    pub segment: Box<str>,
}

impl Mailing {
    /// The octets that are kept.
    ///
    /// # Errors
    /// It is too long.
    pub fn encode(&self) -> Result<Bytes, MailingError> {
        let format = if self.segment.is_empty() { FORMAT } else { FORMAT_WITH_SEGMENT };
        let damaged = |_| MailingError::Damaged;
        let mut octets = postcard::to_extend(self, vec![format]).map_err(damaged)?;
        if format == FORMAT_WITH_SEGMENT {
            octets = postcard::to_extend(&self.segment, octets).map_err(damaged)?;
        }
        if octets.len() > MAILING_OCTETS_MAX {
            return Err(MailingError::TooLong);
        }
        Ok(octets.into())
    }

    /// The mailing that was encoded so.
    ///
    /// # Errors
    /// The octets are too many, of another format, or damaged.
    pub fn decode(octets: &[u8]) -> Result<Self, MailingError> {
        if octets.len() > MAILING_OCTETS_MAX {
            return Err(MailingError::TooLong);
        }
        let (format, fields) = octets.split_first().ok_or(MailingError::Damaged)?;
        if ![FORMAT, FORMAT_WITH_SEGMENT].contains(format) {
            return Err(MailingError::UnknownFormat);
        }
        let damaged = |_| MailingError::Damaged;
        let (mut mailing, mut rest): (Self, &[u8]) =
            postcard::take_from_bytes(fields).map_err(damaged)?;
        if *format == FORMAT_WITH_SEGMENT {
            (mailing.segment, rest) = postcard::take_from_bytes(rest).map_err(damaged)?;
            if mailing.segment.is_empty() {
                return Err(MailingError::Damaged);
            }
        }
        if rest.is_empty() { Ok(mailing) } else { Err(MailingError::Damaged) }
    }

    /// Whether its messages say how to unsubscribe: those to a list or of a campaign.
    pub fn can_be_unsubscribed(&self) -> bool {
        self.list.is_some() || !self.campaign.is_empty()
    }

    /// The name of its list; empty if it goes to none.
    pub fn list_name(&self) -> &str {
        self.list.as_ref().map_or("", |list| &list.name)
    }

    /// Whether a message of it needs SMTPUTF8 (RFC 6531), whoever gets it: an address in its header
    /// is not US-ASCII, or something else in the header of a message that was handed in whole.
    pub fn needs_smtputf8(&self) -> bool {
        if let Content::Raw(octets) = &self.content {
            let header = octets.get(..header_octets(octets)).unwrap_or_default();
            return !header.is_ascii();
        }
        let named = [Some(&self.from), self.reply_to.as_ref()];
        let mut named = named.into_iter().flatten();
        !named.all(|named| named.mailbox.is_ascii())
    }
}

/// Mailings for tests.
#[cfg(test)]
pub(crate) mod samples {
    use super::*;

    pub(crate) fn named(name: &str, mailbox: &str) -> NamedMailbox {
        NamedMailbox { name: name.into(), mailbox: Mailbox::parse(mailbox).unwrap() }
    }

    pub(crate) fn mailing(parts: Parts) -> Mailing {
        Mailing {
            project: "shop".into(),
            campaign: "".into(),
            tags: vec!["news".into()],
            from: named("The Shop", "shop@example.com"),
            reply_to: None,
            content: Content::Parts(parts),
            headers: vec![],
            track: Track::default(),
            list: None,
            meta: vec![("order".into(), "7".into())],
            segment: "".into(),
        }
    }

    pub(crate) fn parts(subject: &str, text: &str, html: &str) -> Parts {
        let some = |text: &str| (!text.is_empty()).then(|| Box::from(text));
        Parts {
            subject: subject.into(),
            text: some(text),
            html: some(html),
            attachments: Vec::new(),
        }
    }

    pub(crate) fn attachment(file_name: &str, content_type: &str, content_id: &str) -> Attachment {
        Attachment {
            file_name: file_name.into(),
            content_type: content_type.into(),
            content: Bytes::from_static(b"octets\r\n\0\xff"),
            content_id: content_id.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Mailing {
        let mut parts = samples::parts("Hello {{ name }}", "text", "<p>html</p>");
        parts.attachments.push(samples::attachment("a.png", "image/png", "logo"));
        let mailto = Mailbox::parse("off@example.com").ok();
        Mailing {
            campaign: "spring".into(),
            reply_to: Some(samples::named("", "help@example.com")),
            headers: vec![("X-Id".into(), "{{ id }}".into())],
            track: Track { opens: true, clicks: true, honeypot: false },
            list: Some(List { name: "news".into(), mailto }),
            ..samples::mailing(parts)
        }
    }

    #[test]
    fn what_is_kept_is_read_back() {
        let raw = Content::Raw(Bytes::from_static(b"From: a@example.net\r\n\r\n"));
        let named = Content::Named { name: "welcome".into() };
        for content in [sample().content, raw, named] {
            let mailing = Mailing { content, ..sample() };
            let octets = mailing.encode().unwrap();
            assert_eq!(octets.first(), Some(&FORMAT));
            assert_eq!(Mailing::decode(&octets).as_ref(), Ok(&mailing));
            let some = Mailing { segment: "vip".into(), ..mailing };
            let octets = some.encode().unwrap();
            assert_eq!(octets.first(), Some(&FORMAT_WITH_SEGMENT));
            assert_eq!(Mailing::decode(&octets), Ok(some));
        }
    }

    #[test]
    fn a_mailing_is_for_ever_what_it_was() {
        // Written by another program: whoever changes the format loses mail that waits.
        let whole = include_bytes!("../../../../fuzz/seeds/mailing/0");
        let mailing = Mailing::decode(whole).unwrap();
        assert_eq!(mailing.encode().unwrap(), whole.as_slice());
        assert_eq!(mailing.from, samples::named("The Shop", "shop@example.com"));
        assert_eq!(mailing.list_name(), "news");
        assert!(mailing.track.honeypot);
        let Content::Parts(parts) = mailing.content else { panic!("parts") };
        assert_eq!(parts.text.as_deref(), Some("text {{ email }}"));
        assert_eq!(&*parts.attachments[0].content_id, "logo");
        let named = Mailing::decode(include_bytes!("../../../../fuzz/seeds/mailing/1")).unwrap();
        assert_eq!(named.content.clone(), Content::Named { name: "welcome".into() });
        let raw = Mailing::decode(include_bytes!("../../../../fuzz/seeds/mailing/2")).unwrap();
        assert!(matches!(raw.content, Content::Raw(_)));
        let some = Mailing::decode(include_bytes!("../../../../fuzz/seeds/mailing/4")).unwrap();
        assert_eq!(some, Mailing { segment: "vip".into(), ..named });
    }

    #[test]
    fn what_is_cut_longer_or_of_another_format_is_refused() {
        let octets = sample().encode().unwrap();
        for end in 0..octets.len() {
            assert_eq!(Mailing::decode(&octets[..end]), Err(MailingError::Damaged), "{end}");
        }
        let longer = [&octets, b"x".as_slice()].concat();
        assert_eq!(Mailing::decode(&longer), Err(MailingError::Damaged));
        let other = [&[FORMAT_WITH_SEGMENT + 1], &octets[1..]].concat();
        assert_eq!(Mailing::decode(&other), Err(MailingError::UnknownFormat));
        let long = vec![FORMAT; MAILING_OCTETS_MAX + 1];
        assert_eq!(Mailing::decode(&long), Err(MailingError::TooLong));
    }

    #[test]
    fn one_octet_too_many_is_not_written() {
        let of = |octets: usize| Mailing {
            content: Content::Raw(vec![b'x'; octets].into()),
            ..samples::mailing(Parts::default())
        };
        let over = of(1_000_000).encode().unwrap().len() - 1_000_000;
        // The length itself takes an octet more.
        let fits = MAILING_OCTETS_MAX - over - 1;
        assert_eq!(of(fits).encode().unwrap().len(), MAILING_OCTETS_MAX);
        assert_eq!(of(fits + 1).encode(), Err(MailingError::TooLong));
    }

    #[test]
    fn lists_and_campaigns_can_be_unsubscribed_from() {
        let mailing = samples::mailing(Parts::default());
        assert!(!mailing.can_be_unsubscribed());
        assert_eq!(mailing.list_name(), "");
        assert!(Mailing { campaign: "c".into(), ..mailing }.can_be_unsubscribed());
        assert!(sample().can_be_unsubscribed());
        assert_eq!(sample().list_name(), "news");
    }

    #[test]
    fn an_address_beyond_ascii_needs_smtputf8() {
        assert!(!sample().needs_smtputf8());
        let from = samples::named("", "jürgen@example.com");
        assert!(Mailing { from, ..sample() }.needs_smtputf8());
        for (raw, needs) in [
            ("From: a@example.net\r\nSubject: gr\u{fc}n\r\n\r\n", true),
            ("From: a@example.net\r\n\r\ngr\u{fc}n\r\n", false),
        ] {
            let content = Content::Raw(raw.into());
            assert_eq!(Mailing { content, ..sample() }.needs_smtputf8(), needs, "{raw}");
        }
    }
}
