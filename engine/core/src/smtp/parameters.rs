//! The parameters of MAIL and RCPT (RFC 5321 4.1.1.11): SIZE, BODY, SMTPUTF8 and those of DSN.

use crate::mail::envelope::BodyType;
use crate::mail::envelope::Notify;
use crate::mail::envelope::OriginalRecipient;
use crate::mail::envelope::Ret;
use crate::mail::outcome::EnhancedStatus;
use crate::smtp::reply::Reply;
use crate::smtp::xtext;

/// RFC 3461 4.4: an envelope id has at most 100 characters.
pub const ENVELOPE_ID_OCTETS_MAX: usize = 100;
/// RFC 3461 4.2: an ORCPT parameter has at most 500 characters.
pub const ORCPT_OCTETS_MAX: usize = 500;

/// A number of more digits is none that we could mean (RFC 1870 4: at most 20).
const NUMBER_DIGITS_MAX: usize = 20;

/// What the parameters of MAIL say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailParameters {
    /// `SIZE=` (RFC 1870).
    pub size: Option<u64>,
    /// `BODY=` (RFC 6152).
    pub body_type: BodyType,
    /// `SMTPUTF8` (RFC 6531).
    pub smtputf8: bool,
    /// `RET=` (RFC 3461).
    pub ret: Option<Ret>,
    /// `ENVID=` (RFC 3461), decoded.
    pub envelope_id: Option<Box<str>>,
}

/// What the parameters of RCPT say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RcptParameters {
    /// `NOTIFY=` (RFC 3461).
    pub notify: Notify,
    /// `ORCPT=` (RFC 3461), decoded.
    pub original: Option<OriginalRecipient>,
}

/// A decimal number without sign; none if it has too many digits or does not fit.
pub fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    if !digits || text.len() > NUMBER_DIGITS_MAX {
        return None;
    }
    text.parse().ok()
}

fn wrong(keyword: &str) -> Reply {
    let text = format!("the value of {keyword} is not valid");
    Reply::new(501, EnhancedStatus::new(5, 5, 4), &text)
}

fn unknown(keyword: &str) -> Reply {
    let text = format!("parameter {keyword} not recognized");
    Reply::new(555, EnhancedStatus::new(5, 5, 4), &text)
}

/// Keyword in upper case and value of each parameter; a keyword given twice is an error.
fn pairs(given: &str) -> Result<Vec<(String, &str)>, Reply> {
    let mut pairs: Vec<(String, &str)> = Vec::new();
    for word in given.split_ascii_whitespace() {
        let (keyword, value) = word.split_once('=').unwrap_or((word, ""));
        let keyword = keyword.to_ascii_uppercase();
        if pairs.iter().any(|(known, _)| *known == keyword) {
            return Err(wrong(&keyword));
        }
        pairs.push((keyword, value));
    }
    Ok(pairs)
}

/// Reads the parameters of MAIL.
pub fn of_mail(given: &str) -> Result<MailParameters, Reply> {
    let mut mail = MailParameters::default();
    for (keyword, value) in pairs(given)? {
        match keyword.as_str() {
            "SIZE" => mail.size = Some(number(value).ok_or_else(|| wrong(&keyword))?),
            "BODY" if value.eq_ignore_ascii_case("7BIT") => mail.body_type = BodyType::SevenBit,
            "BODY" if value.eq_ignore_ascii_case("8BITMIME") => {
                mail.body_type = BodyType::EightBitMime;
            }
            "SMTPUTF8" if value.is_empty() => mail.smtputf8 = true,
            "RET" if value.eq_ignore_ascii_case("FULL") => mail.ret = Some(Ret::Full),
            "RET" if value.eq_ignore_ascii_case("HDRS") => mail.ret = Some(Ret::Headers),
            "ENVID" if !value.is_empty() && value.len() <= ENVELOPE_ID_OCTETS_MAX => {
                let decoded = xtext::decode(value).ok_or_else(|| wrong(&keyword))?;
                mail.envelope_id = Some(decoded.into());
            }
            // RFC 4954 5: whom the client says it speaks for; we do not pass it on.
            "AUTH" if !value.is_empty() => {}
            "BODY" | "SMTPUTF8" | "RET" | "ENVID" | "AUTH" => return Err(wrong(&keyword)),
            _ => return Err(unknown(&keyword)),
        }
    }
    Ok(mail)
}

/// Reads the parameters of RCPT.
pub fn of_rcpt(given: &str) -> Result<RcptParameters, Reply> {
    let mut rcpt = RcptParameters { notify: Notify::Unspecified, original: None };
    for (keyword, value) in pairs(given)? {
        match keyword.as_str() {
            "NOTIFY" => rcpt.notify = notify(value).ok_or_else(|| wrong(&keyword))?,
            "ORCPT" if value.len() <= ORCPT_OCTETS_MAX => {
                rcpt.original = Some(original(value).ok_or_else(|| wrong(&keyword))?);
            }
            "ORCPT" => return Err(wrong(&keyword)),
            _ => return Err(unknown(&keyword)),
        }
    }
    Ok(rcpt)
}

/// RFC 3461 4.1: NEVER stands alone.
fn notify(value: &str) -> Option<Notify> {
    if value.eq_ignore_ascii_case("NEVER") {
        return Some(Notify::Never);
    }
    let (mut success, mut failure, mut delay) = (false, false, false);
    for word in value.split(',') {
        match word.to_ascii_uppercase().as_str() {
            "SUCCESS" => success = true,
            "FAILURE" => failure = true,
            "DELAY" => delay = true,
            _ => return None,
        }
    }
    Some(Notify::On { success, failure, delay })
}

fn original(value: &str) -> Option<OriginalRecipient> {
    let (address_type, address) = value.split_once(';')?;
    let atom = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-';
    if address_type.is_empty() || !address_type.bytes().all(atom) {
        return None;
    }
    // RFC 6533 3: `\x{E4}` stands for a letter that xtext could not hold; with SMTPUTF8 it may come
    // as itself. We keep the first form, which can go to any next hop.
    let utf8 = address_type.eq_ignore_ascii_case("utf-8") && !address.is_ascii();
    let seven_bit = if utf8 { xtext::embedded(address) } else { address.to_owned() };
    let address = xtext::decode(&seven_bit).filter(|address| !address.is_empty())?;
    Some(OriginalRecipient { address_type: address_type.into(), address: address.into() })
}
