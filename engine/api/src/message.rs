//! Handing in mail: `POST /v1/messages`.
//!
//! A request is one message for up to [`RECIPIENTS_MAX`] recipients, each of whom gets a mail of
//! their own. What it says is one of: `raw`; a stored `template`; or `subject` with `text`, `html`
//! or both.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::number;
use crate::object;
use crate::problem::FieldError;
use crate::suppression::SuppressionReason;

/// The most recipients of one request.
pub const RECIPIENTS_MAX: usize = 10_000;
/// The most tags of one request.
pub const TAGS_MAX: usize = 10;
/// The most pairs of `meta`.
pub const META_MAX: usize = 20;
/// The most attachments.
pub const ATTACHMENTS_MAX: usize = 50;
/// The most header fields of one's own.
pub const HEADERS_MAX: usize = 50;
/// The most characters of the field Idempotency-Key.
pub const IDEMPOTENCY_KEY_CHARACTERS_MAX: usize = 256;

/// A mailbox, perhaps with the name to display.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// The mailbox: `ann@example.net`.
    #[schema(format = "email", min_length = 3, max_length = 320)]
    pub email: String,
    /// The name to display.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 255)]
    pub name: Option<String>,
}

/// One recipient.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Recipient {
    /// The mailbox.
    #[schema(format = "email", min_length = 3, max_length = 320)]
    pub email: String,
    /// The name to display.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 255)]
    pub name: Option<String>,
    /// What templates may use: one JSON object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub variables: Option<Box<RawValue>>,
}

/// A header field of one's own. What we write ourselves is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderField {
    /// Its name (RFC 5322 2.2).
    #[schema(min_length = 1, max_length = 76, pattern = "^[!-9;-~]+$")]
    pub name: String,
    /// Its value; a template.
    #[schema(max_length = 998)]
    pub value: String,
}

/// A file that goes along.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Attachment {
    /// The name of the file.
    #[schema(min_length = 1, max_length = 255)]
    pub file_name: String,
    /// Its media type: `image/png`.
    #[schema(min_length = 3, max_length = 127)]
    pub content_type: String,
    /// What is in it, in base64 (RFC 4648 4).
    pub content: String,
    /// By what name the HTML shows it (`<img src="cid:…">`); it is inline then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 127)]
    pub content_id: Option<String>,
}

/// Which words of a stored template are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Bind {
    /// Those it has when the request is taken, whatever becomes of it later.
    #[default]
    Pinned,
    /// Those it has when the mail is sent: mending it reaches mail that still waits.
    Late,
}

/// A stored template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplateUse {
    /// Its name.
    #[schema(min_length = 1, max_length = 63, pattern = "^[a-z0-9][a-z0-9._-]{0,62}$")]
    pub name: String,
    /// Which version; the newest if none is said. Not with `"bind": "late"`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "number::maybe")]
    #[schema(minimum = 1)]
    pub version: Option<u32>,
    /// Which words are sent.
    #[serde(default)]
    pub bind: Bind,
}

/// What is watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Track {
    /// Whether the mail was opened: an image in the HTML.
    pub opens: bool,
    /// Which links were followed: links of the HTML lead through us.
    pub clicks: bool,
}

/// How urgent it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// One person waits for it.
    Transactional,
    /// A mailing.
    Bulk,
}

/// Mail to hand in.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InjectRequest {
    /// Whom it comes from.
    #[serde(deserialize_with = "object::one")]
    pub from: Address,
    /// Whom answers go to.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "object::maybe")]
    pub reply_to: Option<Address>,
    /// The subject; a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 998)]
    pub subject: Option<String>,
    /// The text; a template. Made from the HTML if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The HTML; a template whose values are escaped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
    /// A whole message (RFC 5322) in place of subject, text, html, headers and attachments. It is
    /// sent to each recipient as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// A stored template in place of subject, text and html.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "object::maybe")]
    pub template: Option<TemplateUse>,
    /// Header fields of one's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "object::all")]
    #[schema(max_items = 50)]
    pub headers: Vec<HeaderField>,
    /// Files that go along, and images that the HTML shows.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "object::all")]
    #[schema(max_items = 50)]
    pub attachments: Vec<Attachment>,
    /// Whom it goes to: a mail for each.
    #[serde(deserialize_with = "object::all")]
    #[schema(min_items = 1, max_items = 10000)]
    pub recipients: Vec<Recipient>,
    /// The mailing that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 63)]
    pub campaign: Option<String>,
    /// Only for those of its recipients of whom a plugin says that they are in this segment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 63)]
    pub segment: Option<String>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 10)]
    pub tags: Vec<String>,
    /// The list that recipients may unsubscribe from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 63)]
    pub list: Option<String>,
    /// What events about it carry.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub meta: BTreeMap<String, String>,
    /// What is watched.
    #[serde(default, deserialize_with = "object::one")]
    pub track: Track,
    /// Not before this time (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time")]
    pub send_at: Option<String>,
    /// Given up after so many seconds; what the configuration says if not set.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "number::maybe")]
    #[schema(minimum = 1)]
    pub expire_after_secs: Option<u32>,
    /// How urgent it is; a mailing if it has a campaign or a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
}

/// What became of one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Acceptance {
    /// Their mail is on disk.
    Accepted,
    /// There is none for them: see `error`.
    Refused,
}

/// One recipient of the request, in its order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InjectResult {
    /// The id of their mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The mailbox as it was given.
    pub email: String,
    /// What became of it.
    pub status: Acceptance,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<FieldError>,
    /// It is taken and will not be sent, for they are not written to: why. That is looked at again
    /// when its time comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<SuppressionReason>,
}

/// What became of all recipients; said once their mail is on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InjectResponse {
    /// One for each recipient, in the order of the request.
    pub results: Vec<InjectResult>,
}

/// What became of mail that was to be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cancelled {
    /// Messages that waited and are gone.
    pub cancelled: u64,
    /// Messages that are being sent, and go on.
    pub under_way: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_stay_the_octets_that_were_given() {
        let text = r#"{"from":{"email":"a@b.example"},"subject":"s","text":"t",
            "recipients":[{"email":"c@d.example","variables":{"n": 1.50, "deep":[[{}]]}}]}"#;
        let request: InjectRequest = serde_json::from_str(text).unwrap();
        let variables = request.recipients[0].variables.as_ref().unwrap();
        assert_eq!(variables.get(), r#"{"n": 1.50, "deep":[[{}]]}"#);
    }

    #[test]
    fn a_member_that_is_not_known_is_refused() {
        let text = r#"{"from":{"email":"a@b.example"},"recipients":[],"subjct":"typo"}"#;
        let error = serde_json::from_str::<InjectRequest>(text).unwrap_err().to_string();
        assert!(error.contains("subjct"), "{error}");
    }
}
