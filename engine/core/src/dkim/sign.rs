//! Makes DKIM-Signature header fields (RFC 6376 3.5 and 5), relaxed in both parts.
//!
//! All keys sign in one pass: body and header fields are hashed once. `l=` is never used: what is
//! added to a body must break the signature (RFC 6376 8.2). There is no `x=` either: mail that
//! waited long is still ours.
//!
//! Every instance of a header field is signed, and its name is listed once more than it occurs, so
//! that another one cannot be added later (RFC 6376 8.15). Names of [`SEALED`] are listed even if
//! they do not occur; those of [`SEALED_IF_PRESENT`] only if they do, because mailing lists and
//! gateways add them in good faith. The two fields of one-click unsubscription are sealed together
//! (RFC 8058 4 wants both signed).

use aws_lc_rs::digest::Context;
use aws_lc_rs::digest::SHA256;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::clock::Timestamp;
use crate::dkim::canon;
use crate::dkim::key::SignError;
use crate::dkim::keyring::Keyring;
use crate::dkim::keyring::Signer;
use crate::mail::author::author_domain;
use crate::mail::message::HeaderField;
use crate::mail::message::body_of;
use crate::mail::message::header_fields;
use crate::smtp::content::Content;

/// Signed and sealed in every message. RFC 6376 5.4: From must be.
pub const SEALED: &[&str] = &["From", "Reply-To", "To", "Cc", "Subject", "Date"];
/// Signed and sealed where they occur.
pub const SEALED_IF_PRESENT: &[&str] = &[
    "Sender",
    "Message-ID",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "Content-Disposition",
    "Content-ID",
    "Content-Description",
    "Content-Language",
    "Auto-Submitted",
    "List-ID",
    "List-Help",
    "List-Post",
    "List-Owner",
    "List-Archive",
    "List-Subscribe",
    "Feedback-ID",
    "CFBL-Address",
    "CFBL-Feedback-ID",
];
/// One-click unsubscription: both are sealed where one occurs.
pub const UNSUBSCRIPTION: &[&str] = &["List-Unsubscribe", "List-Unsubscribe-Post"];
/// Instances of one header field that are signed, counted from below; more are not sealed.
pub const INSTANCES_MAX: usize = 64;
/// Characters of a line of the signature, where it can be folded (RFC 5322 2.1.1).
const LINE_CHARACTERS_MAX: usize = 76;

/// The signatures of the message's author's domain, ready to be put in front of it. Empty if the
/// message has no author that can be told, or nobody signs for the author's domain.
///
/// # Errors
/// A signature could not be computed.
pub fn sign(keyring: &Keyring, content: &Content, now: Timestamp) -> Result<Bytes, SignError> {
    let signers = author(content).map(|author| keyring.of_author(&author).iter());
    let mut signers = signers.unwrap_or_default().peekable();
    if signers.peek().is_none() {
        return Ok(Bytes::new());
    }
    let signed = Signed::of(content);
    let mut out = String::new();
    for signer in signers {
        signed.sign(signer, now, &mut out)?;
    }
    Ok(out.into())
}

/// The domain of a message's author; none if it cannot be told.
pub fn author(content: &Content) -> Option<crate::mail::address::Domain> {
    author_domain(fields_of(content))
}

fn fields_of(content: &Content) -> impl Iterator<Item = HeaderField<'_>> {
    header_fields(&content.head).chain(header_fields(&content.message))
}

/// What all signatures of a message have in common.
struct Signed {
    /// The names in `h=`.
    names: Vec<&'static str>,
    /// The canonical form of the fields that they select.
    fields: Context,
    /// The `bh=`.
    body: String,
}

impl Signed {
    fn of(content: &Content) -> Self {
        let fields: Vec<_> = fields_of(content).collect();
        let occurs = |name: &&str| fields.iter().any(|field| field.is(name));
        let unsubscription: &[&str] =
            if UNSUBSCRIPTION.iter().any(occurs) { UNSUBSCRIPTION } else { &[] };
        let present = SEALED_IF_PRESENT.iter().filter(|name| occurs(name));
        let mut names = Vec::with_capacity(40);
        let mut canonical = Vec::with_capacity(2_048);
        for name in SEALED.iter().chain(present).chain(unsubscription) {
            // RFC 6376 5.4.2: instances are taken from the bottom up.
            let mut instances = fields.iter().rev().filter(|field| field.is(name));
            for field in instances.by_ref().take(INSTANCES_MAX) {
                names.push(*name);
                canon::header_field(field, &mut canonical);
            }
            // Listed once more, the name stands for an instance that must not be there.
            if instances.next().is_none() {
                names.push(name);
            }
        }
        let mut context = Context::new(&SHA256);
        context.update(&canonical);
        let body = STANDARD.encode(canon::body_hash(body_of(&content.message)));
        Self { names, fields: context, body }
    }

    /// Appends the header field with this one's signature.
    fn sign(&self, signer: &Signer, now: Timestamp, out: &mut String) -> Result<(), SignError> {
        let mut field = Folded::new(NAME);
        let algorithm = signer.key().algorithm();
        field.word(&format!(" v=1; a={algorithm}; c=relaxed/relaxed;"));
        field.word(&format!(" d={};", signer.domain()));
        field.word(&format!(" s={};", signer.selector()));
        field.word(&format!(" t={};", now.as_secs()));
        let last = self.names.len().saturating_sub(1);
        for (index, name) in self.names.iter().enumerate() {
            let begin = if index == 0 { " h=" } else { "" };
            let end = if index == last { ';' } else { ':' };
            field.word(&format!("{begin}{name}{end}"));
        }
        field.word(&format!(" bh={};", self.body));
        field.fold();
        field.word("b=");
        let mut hashed = self.fields.clone();
        hashed.update(&own_canonical(&field.text));
        let signature = STANDARD.encode(signer.key().sign(&hashed.finish())?);
        field.chop(&signature);
        out.push_str(&field.text);
        out.push_str("\r\n");
        Ok(())
    }
}

const NAME: &str = "DKIM-Signature:";

/// RFC 6376 3.7: the field itself is hashed last, with an empty `b=` and without its CRLF.
fn own_canonical(field: &str) -> Vec<u8> {
    let (name, body) = field.split_once(':').unwrap_or((field, ""));
    let mut out = Vec::with_capacity(field.len());
    canon::header_field_open(name.as_bytes(), body.as_bytes(), &mut out);
    out
}

/// A header field that is folded before it gets too long.
struct Folded {
    text: String,
    column: usize,
}

impl Folded {
    fn new(name: &str) -> Self {
        let mut text = String::with_capacity(1_024);
        text.push_str(name);
        Self { text, column: name.len() }
    }

    /// Appends what must not be torn; a space before it gives way to a fold.
    fn word(&mut self, word: &str) {
        let mut word = word;
        if self.column + word.len() > LINE_CHARACTERS_MAX {
            self.fold();
            word = word.trim_start();
        }
        self.text.push_str(word);
        self.column += word.len();
    }

    fn fold(&mut self) {
        self.text.push_str("\r\n\t");
        // A tab counts as one: what is meant is the wire, not a screen.
        self.column = 1;
    }

    /// Appends base64, torn wherever a line ends.
    fn chop(&mut self, base64: &str) {
        let mut rest = base64;
        loop {
            let room = LINE_CHARACTERS_MAX.saturating_sub(self.column);
            let Some((line, after)) = rest.split_at_checked(room) else { break };
            self.text.push_str(line);
            rest = after;
            if rest.is_empty() {
                return;
            }
            self.fold();
        }
        self.text.push_str(rest);
    }
}

#[cfg(test)]
#[path = "sign_tests.rs"]
mod tests;
