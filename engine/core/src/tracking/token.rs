//! Tokens: what a link of a message says of itself, signed.
//!
//! ```text
//! base64url( number of the key, 2 | fields | HMAC-SHA-256, cut to 16 )
//! ```
//!
//! A token is of one kind, which its signature covers: an open is no unsubscription. It holds all
//! that is needed to act on it, so that it is followed without a look-up and still works when the
//! message has long been forgotten. It does not expire. It cannot be guessed: 128 bits of the HMAC
//! stay (RFC 2104 5). Who cannot verify it is told no more than that.

use aws_lc_rs::constant_time;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::clock::Timestamp;
use crate::mail::address::Mailbox;
use crate::mail::envelope::RecipientIndex;
use crate::mail::id::QueueId;
use crate::tracking::keys::Key;
use crate::tracking::keys::Keys;
use crate::tracking::target::Target;

/// A longer text is no token; it is not looked at.
pub const TOKEN_OCTETS_MAX: usize = 2_800;
/// Names that an unsubscription carries, such as that of a list, have at most as many characters,
/// of four octets each at most.
pub const NAME_CHARACTERS_MAX: usize = 63;
/// Octets of the HMAC that are kept.
const SIGNATURE_OCTETS: usize = 16;
/// Octets of a key's number.
const NUMBER_OCTETS: usize = 2;

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The pixel.
    Open,
    /// A counted link.
    Click,
    /// The link that unsubscribes.
    Unsubscribe,
}

impl Kind {
    /// What the signature covers beside the octets; it names the format too.
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Open => b"maily token 1 open\0",
            Self::Click => b"maily token 1 click\0",
            Self::Unsubscribe => b"maily token 1 unsubscribe\0",
        }
    }
}

/// Which message, for whom, and since when the token exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The message.
    pub id: QueueId,
    /// Which of its recipients.
    pub recipient: RecipientIndex,
    /// When it was signed, in seconds since the Unix epoch.
    pub minted_at_secs: u64,
}

impl Origin {
    /// When it was signed, to the second.
    pub const fn minted_at(&self) -> Timestamp {
        Timestamp::from_secs(self.minted_at_secs)
    }
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// The message was opened.
    Open(Origin),
    /// A link was followed.
    Click {
        /// In which message.
        origin: Origin,
        /// Which of its counted links, or [`HONEYPOT_LINK`](crate::tracking::links::HONEYPOT_LINK).
        link: u16,
        /// Where it leads.
        target: Target,
    },
    /// Somebody wants no more of it.
    Unsubscribe {
        /// By which message.
        origin: Origin,
        /// Of which project.
        project: Box<str>,
        /// Of which list; empty for all mail of the project.
        list: Box<str>,
        /// Who.
        mailbox: Mailbox,
    },
}

impl Payload {
    /// What the token is for.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Open(_) => Kind::Open,
            Self::Click { .. } => Kind::Click,
            Self::Unsubscribe { .. } => Kind::Unsubscribe,
        }
    }

    /// Which message it speaks of.
    pub const fn origin(&self) -> &Origin {
        match self {
            Self::Open(origin) | Self::Click { origin, .. } | Self::Unsubscribe { origin, .. } => {
                origin
            }
        }
    }
}

/// Why a text is no token of ours. None of it is for whoever sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is longer than [`TOKEN_OCTETS_MAX`].
    #[error("too long")]
    TooLong,
    /// It is no base64url, or too short.
    #[error("not a token")]
    Malformed,
    /// It was signed with a key that we do not know, or no longer.
    #[error("signed with an unknown key")]
    UnknownKey,
    /// It was not signed by us, or not for this.
    #[error("the signature is wrong")]
    Signature,
    /// We signed it, and cannot read it: another version did.
    #[error("of another format")]
    Format,
}

#[derive(Serialize, Deserialize)]
struct ClickFields<'a> {
    origin: Origin,
    link: u16,
    target: &'a str,
}

#[derive(Serialize, Deserialize)]
struct UnsubscribeFields<'a> {
    origin: Origin,
    project: &'a str,
    list: &'a str,
    local_part: &'a str,
    domain: &'a str,
}

/// The token that says this, signed with the current key.
pub fn mint(payload: &Payload, keys: &Keys) -> String {
    let number = keys.current().number().to_be_bytes().to_vec();
    let octets = match payload {
        Payload::Open(origin) => postcard::to_extend(origin, number),
        Payload::Click { origin, link, target } => {
            let fields = ClickFields { origin: *origin, link: *link, target: target.as_str() };
            postcard::to_extend(&fields, number)
        }
        Payload::Unsubscribe { origin, project, list, mailbox } => {
            let fields = UnsubscribeFields {
                origin: *origin,
                project,
                list,
                local_part: mailbox.local_part(),
                domain: mailbox.domain().as_str(),
            };
            postcard::to_extend(&fields, number)
        }
    };
    // Writing numbers and texts into memory cannot fail; an empty token would verify nowhere.
    let mut octets = octets.unwrap_or_default();
    let signature = signature(payload.kind().label(), &octets, keys.current());
    octets.extend_from_slice(signature.as_ref().get(..SIGNATURE_OCTETS).unwrap_or_default());
    URL_SAFE_NO_PAD.encode(octets)
}

/// What this token says, if we signed it for this.
///
/// # Errors
/// We did not, or its key is gone.
pub fn verify(kind: Kind, token: &str, keys: &Keys) -> Result<Payload, TokenError> {
    if token.len() > TOKEN_OCTETS_MAX {
        return Err(TokenError::TooLong);
    }
    let octets = URL_SAFE_NO_PAD.decode(token).map_err(|_| TokenError::Malformed)?;
    let (signed, given) =
        octets.split_last_chunk::<SIGNATURE_OCTETS>().ok_or(TokenError::Malformed)?;
    let (number, fields) =
        signed.split_first_chunk::<NUMBER_OCTETS>().ok_or(TokenError::Malformed)?;
    let key = keys.numbered(u16::from_be_bytes(*number)).ok_or(TokenError::UnknownKey)?;
    let signature = signature(kind.label(), signed, key);
    let wanted = signature.as_ref().get(..SIGNATURE_OCTETS).unwrap_or_default();
    constant_time::verify_slices_are_equal(wanted, given).map_err(|_| TokenError::Signature)?;
    read(kind, fields).ok_or(TokenError::Format)
}

/// What signs these octets, for the use that the label names and for no other.
pub(crate) fn signature(label: &[u8], octets: &[u8], key: &Key) -> hmac::Tag {
    let mut context = hmac::Context::with_key(&key.secret);
    context.update(label);
    context.update(octets);
    context.sign()
}

fn read(kind: Kind, octets: &[u8]) -> Option<Payload> {
    Some(match kind {
        Kind::Open => Payload::Open(whole(octets)?),
        Kind::Click => {
            let fields: ClickFields<'_> = borrowed(octets)?;
            let target = Target::parse(fields.target)?;
            Payload::Click { origin: fields.origin, link: fields.link, target }
        }
        Kind::Unsubscribe => {
            let fields: UnsubscribeFields<'_> = borrowed(octets)?;
            let mailbox = format!("{}@{}", fields.local_part, fields.domain);
            Payload::Unsubscribe {
                origin: fields.origin,
                project: fields.project.into(),
                list: fields.list.into(),
                mailbox: Mailbox::parse(&mailbox).ok()?,
            }
        }
    })
}

/// The value that these octets are, and nothing behind it.
fn whole<T: DeserializeOwned>(octets: &[u8]) -> Option<T> {
    borrowed(octets)
}

fn borrowed<'a, T: Deserialize<'a>>(octets: &'a [u8]) -> Option<T> {
    let (value, rest) = postcard::take_from_bytes(octets).ok()?;
    rest.is_empty().then_some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tracking::target::TARGET_OCTETS_MAX;

    const ALL: [Kind; 3] = [Kind::Open, Kind::Click, Kind::Unsubscribe];

    fn keys(current: u16, old: &[u16]) -> Keys {
        let key = |number: u16| Key::new(number, &[number as u8; 32]).unwrap();
        Keys::new(key(current), old.iter().copied().map(key).collect()).unwrap()
    }

    fn origin() -> Origin {
        Origin {
            id: QueueId::from_u64(7_000_000_000_000),
            recipient: RecipientIndex(3),
            minted_at_secs: 1_795_392_378,
        }
    }

    fn click(link: u16, url: &str) -> Payload {
        Payload::Click { origin: origin(), link, target: Target::of_link(url).unwrap() }
    }

    fn payloads() -> [Payload; 3] {
        let mailbox = Mailbox::parse("jürgen@example.net").unwrap();
        [
            Payload::Open(origin()),
            click(2, "https://example.net/a?b=c&d=ü"),
            Payload::Unsubscribe {
                origin: origin(),
                project: "shop".into(),
                list: "news".into(),
                mailbox,
            },
        ]
    }

    #[test]
    fn what_was_signed_is_read_back_and_only_as_what_it_is() {
        let keys = keys(1, &[]);
        for payload in payloads() {
            let token = mint(&payload, &keys);
            for kind in ALL {
                let read = verify(kind, &token, &keys);
                if kind == payload.kind() {
                    assert_eq!(read, Ok(payload.clone()));
                } else {
                    assert_eq!(read, Err(TokenError::Signature));
                }
            }
            assert_eq!(payload.origin().minted_at(), Timestamp::from_secs(1_795_392_378));
        }
    }

    #[test]
    fn a_token_is_for_ever_what_it_was() {
        // Computed by another program: whoever changes the format leaves old mail without links.
        let tokens = [
            "AAGA4I2E3csBA_qGjtgGm0mLxX48fWJ0l6s6_uRrRQ",
            "AAGA4I2E3csBA_qGjtgGAiJodHRwczovL2V4YW1wbGUubmV0L2E_Yj1jJmQ9JUMzJUJDiBHHM5i0SRxC1L1m\
             LZUxwQ",
            "AAGA4I2E3csBA_qGjtgGBHNob3AEbmV3cwdqw7xyZ2VuC2V4YW1wbGUubmV0yWX_GFLTAf_ogJ7Eu7EcBw",
        ];
        for (payload, token) in payloads().into_iter().zip(tokens) {
            assert_eq!(mint(&payload, &keys(1, &[])), token);
            assert_eq!(verify(payload.kind(), token, &keys(2, &[1])), Ok(payload));
        }
    }

    #[test]
    fn an_old_key_still_verifies_and_another_secret_or_number_does_not() {
        for payload in payloads() {
            let token = mint(&payload, &keys(1, &[]));
            let read = |keys| verify(payload.kind(), &token, &keys);
            assert_eq!(read(keys(2, &[1])), Ok(payload.clone()));
            assert_eq!(read(keys(2, &[3])), Err(TokenError::UnknownKey));
            let secret = Key::new(1, &[9; 32]).unwrap();
            assert_eq!(read(Keys::new(secret, vec![]).unwrap()), Err(TokenError::Signature));
        }
    }

    #[test]
    fn a_token_that_is_cut_or_changed_anywhere_says_nothing() {
        let keys = keys(1, &[2]);
        for payload in payloads() {
            let token = mint(&payload, &keys);
            let octets = URL_SAFE_NO_PAD.decode(&token).unwrap();
            for end in 0..token.len() {
                assert!(verify(payload.kind(), &token[..end], &keys).is_err(), "cut at {end}");
            }
            for bit in 0..octets.len() * 8 {
                let mut changed = octets.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                let read = verify(payload.kind(), &URL_SAFE_NO_PAD.encode(changed), &keys);
                assert!(read.is_err(), "bit {bit}");
            }
            for place in 0..token.len() {
                for other in ['A', '-', '=', '.', ' ', '+', '\0'] {
                    let mut changed: Vec<char> = token.chars().collect();
                    let before = std::mem::replace(&mut changed[place], other);
                    let changed: String = changed.into_iter().collect();
                    assert_eq!(verify(payload.kind(), &changed, &keys).is_ok(), before == other);
                }
            }
            assert!(verify(payload.kind(), &format!("{token}="), &keys).is_err());
            assert!(verify(payload.kind(), &format!("{token}A"), &keys).is_err());
        }
    }

    #[test]
    fn the_signature_of_one_link_does_not_carry_another() {
        let keys = keys(1, &[]);
        let signed = |payload| URL_SAFE_NO_PAD.decode(mint(payload, &keys)).unwrap();
        let (ours, theirs) =
            (signed(&click(1, "https://a.example/")), signed(&click(1, "https://b.example/")));
        let (_, signature) = ours.split_last_chunk::<SIGNATURE_OCTETS>().unwrap();
        let (fields, _) = theirs.split_last_chunk::<SIGNATURE_OCTETS>().unwrap();
        let forged = URL_SAFE_NO_PAD.encode([fields, signature].concat());
        assert_eq!(verify(Kind::Click, &forged, &keys), Err(TokenError::Signature));
        assert_ne!(mint(&click(1, "https://a.example/"), &keys), URL_SAFE_NO_PAD.encode(theirs));
    }

    #[test]
    fn even_what_we_signed_must_lead_to_a_website() {
        let keys = keys(1, &[]);
        for url in ["javascript:alert(1)", "//evil.example", "https://a@b.example/", "https://ü/"]
        {
            let octets = keys.current().number().to_be_bytes().to_vec();
            let fields = ClickFields { origin: origin(), link: 0, target: url };
            let mut octets = postcard::to_extend(&fields, octets).unwrap();
            let signature = signature(Kind::Click.label(), &octets, keys.current());
            octets.extend_from_slice(&signature.as_ref()[..SIGNATURE_OCTETS]);
            let token = URL_SAFE_NO_PAD.encode(octets);
            assert_eq!(verify(Kind::Click, &token, &keys), Err(TokenError::Format), "{url}");
        }
    }

    #[test]
    fn the_longest_of_each_kind_fits_and_a_longer_text_is_not_looked_at() {
        let keys = keys(u16::MAX, &[]);
        let origin = Origin {
            id: QueueId::from_u64(u64::MAX),
            recipient: RecipientIndex(u32::MAX),
            minted_at_secs: u64::MAX,
        };
        let name: Box<str> = "\u{1f4ec}".repeat(NAME_CHARACTERS_MAX).into();
        let url = format!("https://example.net/{}", "a".repeat(TARGET_OCTETS_MAX - 20));
        let mailbox =
            format!("{}@{}.example", "a".repeat(64), ["d".repeat(60).as_str(); 2].join("."));
        for payload in [
            Payload::Click { origin, link: u16::MAX, target: Target::of_link(&url).unwrap() },
            Payload::Unsubscribe {
                origin,
                project: name.clone(),
                list: name.clone(),
                mailbox: Mailbox::parse(&mailbox).unwrap(),
            },
        ] {
            let token = mint(&payload, &keys);
            assert_eq!(verify(payload.kind(), &token, &keys), Ok(payload));
        }
        let long = "A".repeat(TOKEN_OCTETS_MAX);
        assert_eq!(verify(Kind::Open, &long, &keys), Err(TokenError::UnknownKey));
        assert_eq!(verify(Kind::Open, &format!("{long}A"), &keys), Err(TokenError::TooLong));
    }

    proptest! {
        #[test]
        fn any_text_is_judged_without_a_panic(text in "[A-Za-z0-9_=\\-]{0,120}") {
            for kind in ALL {
                prop_assert!(verify(kind, &text, &keys(1, &[])).is_err());
            }
        }
    }
}
