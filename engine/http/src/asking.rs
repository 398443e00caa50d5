//! Asks plugins whether a mailing is taken: once for each request, however many recipients it has.

use std::net::IpAddr;

use bytes::Bytes;
use hyper::StatusCode;

use maily_core::render::edit;
use maily_core::render::mailing::Content;
use maily_core::render::mailing::Mailing;
use maily_plugins::answer::Verdict;
use maily_plugins::fields::HeaderEdits;
use maily_plugins::input::AcceptInput;

use crate::drafting::Addressee;
use crate::fault::Fault;
use crate::mail::Mail;

/// What becomes of a mailing that was let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is sent.
    #[default]
    Sent,
    /// It waits until somebody has looked at it.
    Held,
    /// It is thrown away, for this reason.
    Discarded(Box<str>),
}

/// The mailing as plugins want it, and what becomes of it.
///
/// # Errors
/// They do not let it in.
pub(crate) async fn look(
    mail: &Mail,
    mailing: Mailing,
    addressees: &[Addressee],
    client: Option<IpAddr>,
    actor: &str,
) -> Result<(Mailing, Fate), Fault> {
    let (raw, subject) = match &mailing.content {
        Content::Raw(octets) => (octets.clone(), String::new()),
        Content::Parts(parts) => (Bytes::new(), parts.subject.to_string()),
        Content::Named { name } => (Bytes::new(), format!("template {name}")),
    };
    let headers = mailing.headers.iter();
    let mut headers: std::collections::BTreeMap<_, _> =
        headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_string())).collect();
    headers.insert("from".to_owned(), mailing.from.mailbox.to_string());
    let input = AcceptInput {
        queue_id: String::new(),
        reverse_path: mailing.from.mailbox.to_string(),
        recipients: addressees.iter().flatten().map(|(to, _)| to.to_string()).collect(),
        headers,
        subject,
        size: octets(&mailing),
        ip: client.map(|ip| ip.to_string()).unwrap_or_default(),
        hello: String::new(),
        auth: Some(actor.to_owned()),
        via: "http".to_owned(),
    };
    let Some(asked) = mail.door.hooks.ask(input, raw).await else {
        return Ok((mailing, Fate::Sent));
    };
    let by = asked.by.unwrap_or_default();
    let fate = match asked.verdict {
        Verdict::Accept => Fate::Sent,
        Verdict::Hold { why } => {
            tracing::info!(by, why, "a plugin holds a mailing");
            Fate::Held
        }
        Verdict::Discard { why } => {
            Fate::Discarded(format!("discarded by the plugin {by}: {why}").into())
        }
        Verdict::Reject { text, .. } => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            return Err(Fault::new(status, "refused-by-plugin", text));
        }
        Verdict::Defer { text, .. } => return Err(Fault::no_room(&text)),
    };
    Ok((edited(mailing, &asked.headers)?, fate))
}

/// Octets of the words and files.
fn octets(mailing: &Mailing) -> u64 {
    let octets = match &mailing.content {
        Content::Raw(octets) => octets.len(),
        Content::Named { .. } => 0,
        Content::Parts(parts) => {
            let words = [&parts.text, &parts.html].into_iter().flatten().map(|text| text.len());
            let files = parts.attachments.iter().map(|file| file.content.len());
            words.chain(files).sum()
        }
    };
    octets as u64
}

/// The mailing with other header fields of its sender. Those that we write stay as they are.
fn edited(mut mailing: Mailing, edits: &HeaderEdits) -> Result<Mailing, Fault> {
    if edits.is_empty() {
        return Ok(mailing);
    }
    if let Content::Raw(octets) = &mailing.content {
        let edits = edits.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
        mailing.content =
            Content::Raw(edit::apply(octets, edits).map_err(|error| Fault::ours(&error))?);
        return Ok(mailing);
    }
    mailing.headers.retain(|(name, _)| !edits.keys().any(|other| other.eq_ignore_ascii_case(name)));
    let set = edits.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
    mailing.headers.extend(set.map(|(name, value)| (name.as_str().into(), literal(value))));
    match mailing.validate().first() {
        None => Ok(mailing),
        Some(fault) => {
            tracing::warn!(%fault, "header fields of a plugin cannot be sent");
            Err(Fault::no_room("a plugin writes header fields that cannot be sent"))
        }
    }
}

/// A template that says this text and nothing else.
fn literal(text: &str) -> Box<str> {
    let quoted = serde_json::Value::from(text).to_string();
    format!("{{{{ {quoted} }}}}").into()
}

#[cfg(test)]
mod tests {
    use maily_core::render::binding::Binding;
    use maily_core::render::compiled::Compiled;

    use super::*;

    #[test]
    fn a_field_of_a_plugin_is_no_template() {
        for text in ["{{ email }}", "a \"b\" \\ {% x %}", "gr\u{fc}n", "plain"] {
            let template = literal(text);
            assert!(template.starts_with("{{ \"") && template.ends_with("\" }}"), "{template}");
            let value: String = serde_json::from_str(&template[3..template.len() - 3]).unwrap();
            assert_eq!(value, text);
        }
        let _names = (Binding::new("", Bytes::new()), std::any::type_name::<Compiled>());
    }
}
