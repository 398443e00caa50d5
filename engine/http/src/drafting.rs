//! From a request to hand in mail to a mailing, and to each recipient's part in it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use maily_api::message::Address;
use maily_api::message::Bind;
use maily_api::message::InjectRequest;
use maily_api::message::Recipient;
use maily_api::message::TemplateUse;
use maily_api::problem::FieldError;
use maily_core::dkim::sign;
use maily_core::mail::address::Domain;
use maily_core::mail::address::Mailbox;
use maily_core::render::binding::Binding;
use maily_core::render::compiled::CompileError;
use maily_core::render::compiled::Compiled;
use maily_core::render::fault;
use maily_core::render::mailing::Attachment;
use maily_core::render::mailing::Content;
use maily_core::render::mailing::List;
use maily_core::render::mailing::Mailing;
use maily_core::render::mailing::NamedMailbox;
use maily_core::render::mailing::Parts;
use maily_core::render::mailing::Track;
use maily_core::smtp::content;
use maily_registry::name::Name;
use maily_registry::registry::Registry;

use crate::fault::Fault;
use crate::limits;
use crate::templates::parts;

/// One recipient, or why there is no mail for them.
pub(crate) type Addressee = Result<(Mailbox, Binding), FieldError>;

/// The recipients of a request, in its order. It depends on nothing else, so that a request that
/// comes again has the same ones.
///
/// # Errors
/// It has more or less of something than may be, or nobody can be sent it.
pub(crate) fn addressees(request: &InjectRequest) -> Result<Vec<Addressee>, Fault> {
    let errors = limits::exceeded(request);
    if !errors.is_empty() {
        return Err(Fault::invalid(errors));
    }
    let all: Vec<_> = request.recipients.iter().enumerate().map(|(n, r)| addressee(n, r)).collect();
    if all.iter().all(Result::is_err) {
        return Err(Fault::invalid(all.into_iter().filter_map(Result::err).collect()));
    }
    Ok(all)
}

/// What a request of this project asks to send.
///
/// # Errors
/// It cannot be sent to anybody.
pub(crate) fn draft(
    request: &mut InjectRequest,
    project: &Name,
    registry: &Registry,
    unsubscribe: Option<&Mailbox>,
) -> Result<Mailing, Fault> {
    let mut errors = Vec::new();
    let from = named(&request.from, "/from", &mut errors);
    let reply_to = request.reply_to.as_ref();
    let reply_to = reply_to.map(|address| named(address, "/reply_to", &mut errors));
    let (content, late) = match content(request, project, registry) {
        Ok(content) => {
            errors.extend(foreign(from.as_ref(), &content.0, project, registry));
            content
        }
        Err(more) => {
            errors.extend(more);
            return Err(Fault::invalid(errors));
        }
    };
    let (Some(from), true) = (from, errors.is_empty()) else {
        return Err(Fault::invalid(errors));
    };
    let text = |text: &Option<String>| text.as_deref().unwrap_or_default().into();
    let mailing = Mailing {
        project: project.as_str().into(),
        campaign: text(&request.campaign),
        tags: request.tags.iter().map(|tag| tag.as_str().into()).collect(),
        from,
        reply_to: reply_to.flatten(),
        content,
        headers: request
            .headers
            .iter()
            .map(|field| (field.name.as_str().into(), field.value.as_str().into()))
            .collect(),
        track: Track {
            opens: request.track.opens,
            clicks: request.track.clicks,
            honeypot: request.track.clicks,
        },
        list: request
            .list
            .as_deref()
            .map(|name| List { name: name.into(), mailto: unsubscribe.cloned() }),
        segment: text(&request.segment),
        meta: request.meta.iter().map(|(k, v)| (k.as_str().into(), v.as_str().into())).collect(),
    };
    // What cannot be compiled now is refused now, not at the attempt.
    Compiled::new(&mailing, late.as_ref()).map_err(uncompiled)?;
    Ok(mailing)
}

/// What is wrong with the domains in whose name it is sent.
fn foreign(
    from: Option<&NamedMailbox>,
    content: &Content,
    project: &Name,
    registry: &Registry,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let may = |domain: &Domain| registry.may_send_as(project, domain);
    let wrong = |pointer: &str, domain: &str| {
        let detail = format!("the project {} may not send as {domain}", project.as_str());
        error(pointer, "sender_domain", detail)
    };
    if let Some(from) = from.filter(|from| !may(from.mailbox.domain())) {
        errors.push(wrong("/from/email", from.mailbox.domain().as_str()));
    }
    // A raw message says for itself whose it is.
    if let Content::Raw(message) = content {
        let (head, message) = (Bytes::new(), message.clone());
        match sign::author(&content::Content { head, message }) {
            Some(author) if may(&author) => {}
            Some(author) => errors.push(wrong("/raw", author.as_str())),
            None if registry.senders(project).is_none() => {}
            None => errors.push(wrong("/raw", "somebody whose domain cannot be told")),
        }
    }
    errors
}

/// What is sent, and for what is bound late the words that it has now.
fn content(
    request: &mut InjectRequest,
    project: &Name,
    registry: &Registry,
) -> Result<(Content, Option<Parts>), Vec<FieldError>> {
    let words = request.subject.is_some() || request.text.is_some() || request.html.is_some();
    let ways = [request.raw.is_some(), request.template.is_some(), words];
    if ways.iter().filter(|way| **way).count() != 1 {
        let detail = "there must be one of: raw; template; subject with text, html or both";
        return Err(vec![error("", "content", detail.to_owned())]);
    }
    if let Some(raw) = request.raw.take() {
        if !request.attachments.is_empty() {
            let detail = "a raw message has its attachments inside".to_owned();
            return Err(vec![error("/attachments", "conflict", detail)]);
        }
        return Ok((Content::Raw(with_crlf(&raw)), None));
    }
    let attachments = attachments(request)?;
    if let Some(wanted) = request.template.take() {
        return stored(&wanted, attachments, project, registry);
    }
    let parts = Parts {
        subject: request.subject.take().unwrap_or_default().into(),
        text: request.text.take().map(Into::into),
        html: request.html.take().map(Into::into),
        attachments,
    };
    Ok((Content::Parts(parts), None))
}

fn stored(
    wanted: &TemplateUse,
    attachments: Vec<Attachment>,
    project: &Name,
    registry: &Registry,
) -> Result<(Content, Option<Parts>), Vec<FieldError>> {
    let none = || vec![error("/template/name", "not_found", "there is no such template".into())];
    let name: Name = wanted.name.parse().map_err(|_| none())?;
    if wanted.bind == Bind::Late && wanted.version.is_some() {
        let detail = "what is bound late is sent in its newest version".to_owned();
        return Err(vec![error("/template/version", "conflict", detail)]);
    }
    let found = registry.template(project, &name, wanted.version).ok_or_else(none)?;
    let parts = parts(found.content, attachments);
    match wanted.bind {
        Bind::Pinned => Ok((Content::Parts(parts), None)),
        Bind::Late if !parts.attachments.is_empty() => {
            let detail = "what is bound late has no attachments".to_owned();
            Err(vec![error("/attachments", "conflict", detail)])
        }
        Bind::Late => Ok((Content::Named { name: name.as_str().into() }, Some(parts))),
    }
}

fn attachments(request: &mut InjectRequest) -> Result<Vec<Attachment>, Vec<FieldError>> {
    let mut errors = Vec::new();
    let mut read = Vec::new();
    for (number, file) in std::mem::take(&mut request.attachments).into_iter().enumerate() {
        match STANDARD.decode(&file.content) {
            Ok(content) => read.push(Attachment {
                file_name: file.file_name.into(),
                content_type: file.content_type.into(),
                content: content.into(),
                content_id: file.content_id.unwrap_or_default().into(),
            }),
            Err(why) => {
                let pointer = format!("/attachments/{number}/content");
                errors.push(error(&pointer, "base64", format!("this is no base64: {why}")));
            }
        }
    }
    if errors.is_empty() { Ok(read) } else { Err(errors) }
}

/// A message with the line ends of RFC 5322 2.1: JSON is mostly written with LF alone.
fn with_crlf(raw: &str) -> Bytes {
    let mut out = Vec::with_capacity(raw.len() + raw.len() / 32);
    let mut before = 0;
    for octet in raw.bytes() {
        if octet == b'\n' && before != b'\r' {
            out.push(b'\r');
        }
        out.push(octet);
        before = octet;
    }
    out.into()
}

fn named(address: &Address, at: &str, errors: &mut Vec<FieldError>) -> Option<NamedMailbox> {
    match Mailbox::parse(&address.email) {
        Ok(mailbox) => {
            let name = address.name.as_deref().unwrap_or_default().into();
            Some(NamedMailbox { name, mailbox })
        }
        Err(why) => {
            errors.push(error(&format!("{at}/email"), "address", why.to_string()));
            None
        }
    }
}

fn addressee(number: usize, recipient: &Recipient) -> Addressee {
    let at = |rest: &str| format!("/recipients/{number}{rest}");
    let mailbox = Mailbox::parse(&recipient.email)
        .map_err(|why| error(&at("/email"), "address", why.to_string()))?;
    let variables = recipient.variables.as_ref();
    let variables = variables.map(|json| Bytes::copy_from_slice(json.get().as_bytes()));
    let name = recipient.name.as_deref().unwrap_or_default();
    let binding = Binding::new(name, variables.unwrap_or_default());
    let binding = binding.map_err(|fault| {
        let pointed = at(&fault.pointer);
        FieldError { pointer: pointed, ..field_error(fault) }
    })?;
    Ok((mailbox, binding))
}

fn uncompiled(why: CompileError) -> Fault {
    match why {
        CompileError::Faults(faults) => {
            Fault::invalid(faults.into_iter().map(field_error).collect())
        }
        CompileError::Template(at) => Fault::invalid_at(&at.part, "template", at.to_string()),
        CompileError::NoSuchTemplate => {
            Fault::invalid_at("/template/name", "not_found", "there is no such template")
        }
    }
}

fn field_error(fault: fault::Fault) -> FieldError {
    FieldError {
        pointer: fault.pointer.into(),
        code: fault.code.as_str().to_owned(),
        detail: fault.detail.into(),
    }
}

fn error(pointer: &str, code: &str, detail: String) -> FieldError {
    FieldError { pointer: pointer.to_owned(), code: code.to_owned(), detail }
}
