//! A mailing, ready to be rendered for one recipient after another.

use std::fmt;

use bytes::Bytes;
use serde_json::Map;

use crate::clock::Timestamp;
use crate::mail::address::Mailbox;
use crate::mail::envelope::RecipientIndex;
use crate::mail::id::QueueId;
use crate::render::binding::Binding;
use crate::render::body;
use crate::render::body::Body;
use crate::render::fault::Code;
use crate::render::fault::Fault;
use crate::render::field::Fields;
use crate::render::field::Unsound;
use crate::render::mailing::Content;
use crate::render::mailing::Mailing;
use crate::render::mailing::NamedMailbox;
use crate::render::mailing::Parts;
use crate::render::mailing::Track;
use crate::render::plain;
use crate::render::raw;
use crate::render::rewrite::RewriteError;
use crate::render::rewrite::Rewriter;
use crate::render::rewrite::Tracking;
use crate::render::template::HEADER_OCTETS_MAX;
use crate::render::template::HTML;
use crate::render::template::PART_OCTETS_MAX;
use crate::render::template::Reserved;
use crate::render::template::TemplateError;
use crate::render::template::Templates;
use crate::render::template::Variables;
use crate::tracking::links::Links;
use crate::tracking::token::Origin;

/// Variables that we give ourselves: the recipient's address, the message's identifier, and where
/// one unsubscribes, if that can be said.
pub const RESERVED_VARIABLES: &[&str] = &["email", "message_id", "unsubscribe_url"];

/// A longer URI for unsubscribing by mail is left out: a line must not get too long
/// (RFC 5322 2.1.1).
const MAILTO_OCTETS_MAX: usize = 900;

const SUBJECT: &str = "/subject";
const TEXT: &str = "/text";

/// Why a mailing cannot be rendered for anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompileError {
    /// These things are wrong with it; at least one.
    Faults(Vec<Fault>),
    /// A part is no template.
    Template(TemplateError),
    /// The stored template that it names is not there.
    NoSuchTemplate,
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Faults(faults) => match faults.first() {
                Some(fault) => fault.fmt(f),
                None => f.write_str("invalid"),
            },
            Self::Template(error) => error.fmt(f),
            Self::NoSuchTemplate => f.write_str("the template that it names is not there"),
        }
    }
}

impl std::error::Error for CompileError {}

impl CompileError {
    /// All that is wrong, each with its place.
    pub fn into_faults(self) -> Vec<Fault> {
        match self {
            Self::Faults(faults) => faults,
            Self::Template(error) => {
                let TemplateError { part, line, column, message, .. } = error;
                let detail = format!("line {line}, column {column}: {message}");
                vec![Fault::new(part, Code::Template, detail)]
            }
            Self::NoSuchTemplate => {
                vec![Fault::new("/template/name", Code::Missing, "no such template")]
            }
        }
    }
}

/// Why a mailing cannot be rendered for one recipient.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// A template fails with the recipient's variables.
    #[error("{0}")]
    Template(TemplateError),
    /// A header field would hold a line end or another control character.
    #[error("{0} would hold a line end or another control character")]
    Header(Box<str>),
    /// The variables are no JSON object.
    #[error("the variables are no JSON object")]
    Variables,
    /// The HTML cannot be made countable.
    #[error("{0}")]
    Rewrite(RewriteError),
}

/// What a message has of its own beside its recipient.
#[derive(Clone, Copy, Debug)]
pub struct Rendering<'a> {
    /// Its id.
    pub id: QueueId,
    /// Which of the recipients of that id.
    pub recipient: RecipientIndex,
    /// Its date, and since when its links exist. The same for each attempt, so that a retry repeats
    /// the message.
    pub at: Timestamp,
    /// Our name, for the Message-ID.
    pub hostname: &'a str,
    /// With what links that lead back to us are made; none if we serve none.
    pub links: Option<&'a Links>,
}

impl Rendering<'_> {
    /// The Message-ID without its angle brackets (RFC 5322 3.6.4).
    pub fn message_id(&self) -> String {
        match self.recipient {
            RecipientIndex(0) => format!("{}@{}", self.id, self.hostname),
            RecipientIndex(index) => format!("{}.{index}@{}", self.id, self.hostname),
        }
    }

    const fn origin(&self) -> Origin {
        let (id, recipient) = (self.id, self.recipient);
        Origin { id, recipient, minted_at_secs: self.at.as_secs() }
    }
}

/// A mailing, ready to be rendered.
#[derive(Debug)]
pub struct Compiled {
    project: Box<str>,
    list: Box<str>,
    mailto: Option<Mailbox>,
    can_be_unsubscribed: bool,
    from: NamedMailbox,
    reply_to: Option<NamedMailbox>,
    track: Track,
    content: Prepared,
}

#[derive(Debug)]
enum Prepared {
    Raw(Bytes),
    Parts(Box<PreparedParts>),
}

#[derive(Debug)]
struct PreparedParts {
    templates: Templates,
    /// Names of header fields, and of their templates.
    headers: Vec<(Box<str>, Box<str>)>,
    has_text: bool,
    has_html: bool,
    shown: Vec<Vec<u8>>,
    saved: Vec<Vec<u8>>,
    rewriter: Rewriter,
}

/// The URL by which a recipient unsubscribes, if there is one.
type Unsubscribe = Option<String>;

impl Compiled {
    /// Compiles a mailing. One that names a stored template is given its parts in `named`.
    ///
    /// # Errors
    /// Nobody could be sent it.
    pub fn new(mailing: &Mailing, named: Option<&Parts>) -> Result<Self, CompileError> {
        let mut faults = mailing.validate();
        let parts = match &mailing.content {
            Content::Parts(parts) => Some(parts),
            Content::Named { .. } => {
                let parts = named.ok_or(CompileError::NoSuchTemplate)?;
                faults.extend(parts.validate());
                Some(parts)
            }
            Content::Raw(_) => None,
        };
        if !faults.is_empty() {
            return Err(CompileError::Faults(faults));
        }
        let content = match (&mailing.content, parts) {
            (Content::Raw(octets), _) => Prepared::Raw(octets.clone()),
            (_, Some(parts)) => Prepared::Parts(Box::new(PreparedParts::new(mailing, parts)?)),
            (_, None) => return Err(CompileError::NoSuchTemplate),
        };
        Ok(Self {
            project: mailing.project.clone(),
            list: mailing.list_name().into(),
            mailto: mailing.list.as_ref().and_then(|list| list.mailto.clone()),
            can_be_unsubscribed: mailing.can_be_unsubscribed(),
            from: mailing.from.clone(),
            reply_to: mailing.reply_to.clone(),
            track: mailing.track,
            content,
        })
    }

    /// The message for one recipient: header and body with CRLF line ends (RFC 5322). The same
    /// arguments give the same octets.
    ///
    /// # Errors
    /// It cannot be written for this recipient.
    pub fn render(
        &self,
        to: &Mailbox,
        binding: &Binding,
        rendering: &Rendering<'_>,
    ) -> Result<Bytes, RenderError> {
        let origin = rendering.origin();
        let unsubscribe =
            rendering.links.map(|links| links.unsubscribe(origin, &self.project, &self.list, to));
        match &self.content {
            Prepared::Raw(octets) => self.complete(octets, rendering, &unsubscribe),
            Prepared::Parts(parts) => {
                let variables = variables(to, binding, rendering, &unsubscribe)?;
                let mut fields = self.header(to, binding, rendering)?;
                parts.header(&mut fields, &variables)?;
                self.unsubscription(&mut fields, &unsubscribe)?;
                fields.plain("MIME-Version", "1.0").map_err(in_field("MIME-Version"))?;
                let mut octets = fields.into_octets();
                let tracking = rendering.links.filter(|_| self.track != Track::default());
                let tracking = tracking.map(|links| Tracking { track: self.track, links, origin });
                parts.body(&variables, tracking, &rendering.message_id(), &mut octets)?;
                Ok(octets.into())
            }
        }
    }

    /// The variables that the templates ask for and that a recipient must bring along, by the part
    /// that asks.
    pub fn asked(&self) -> Vec<(&str, String)> {
        let Prepared::Parts(parts) = &self.content else { return Vec::new() };
        let mut asked = Vec::new();
        let headers = parts.headers.iter().map(|(_, part)| &**part);
        for part in [SUBJECT, TEXT, HTML].into_iter().chain(headers) {
            let variables = parts.templates.variables(part).into_iter();
            let theirs = variables.filter(|name| !RESERVED_VARIABLES.contains(&name.as_str()));
            asked.extend(theirs.map(|name| (part, name)));
        }
        asked
    }

    /// The header fields that every message has (RFC 5322 3.6).
    fn header(
        &self,
        to: &Mailbox,
        binding: &Binding,
        rendering: &Rendering<'_>,
    ) -> Result<Fields, RenderError> {
        let mut fields = Fields::new();
        let date = rendering.at.to_utc().to_rfc5322();
        fields.plain("Date", &date).map_err(in_field("Date"))?;
        let from = &self.from;
        fields.mailbox("From", &from.name, &from.mailbox).map_err(in_field("From"))?;
        if let Some(reply_to) = &self.reply_to {
            let NamedMailbox { name, mailbox } = reply_to;
            fields.mailbox("Reply-To", name, mailbox).map_err(in_field("Reply-To"))?;
        }
        fields.mailbox("To", binding.name(), to).map_err(in_field("To"))?;
        let message_id = format!("<{}>", rendering.message_id());
        fields.plain("Message-ID", &message_id).map_err(in_field("Message-ID"))?;
        Ok(fields)
    }

    /// How to unsubscribe (RFC 2369 3.2), also with one click (RFC 8058 3.1).
    fn unsubscription(
        &self,
        fields: &mut Fields,
        unsubscribe: &Unsubscribe,
    ) -> Result<(), RenderError> {
        let Some(url) = unsubscribe.as_ref().filter(|_| self.can_be_unsubscribed) else {
            return Ok(());
        };
        let mut urls = vec![url.clone()];
        urls.extend(self.mailto.as_ref().and_then(|mailbox| mailto(mailbox, url)));
        fields.urls("List-Unsubscribe", urls).map_err(in_field("List-Unsubscribe"))?;
        let name = "List-Unsubscribe-Post";
        fields.plain(name, "List-Unsubscribe=One-Click").map_err(in_field(name))
    }

    /// A raw message with what it lacks.
    fn complete(
        &self,
        octets: &Bytes,
        rendering: &Rendering<'_>,
        unsubscribe: &Unsubscribe,
    ) -> Result<Bytes, RenderError> {
        let date = rendering.at.to_utc().to_rfc5322();
        let message_id = format!("<{}>", rendering.message_id());
        let mut head = Fields::new();
        let given = |name: &str| raw::has_field(octets, name);
        if !given("Date") {
            head.plain("Date", &date).map_err(in_field("Date"))?;
        }
        if !given("Message-ID") {
            head.plain("Message-ID", &message_id).map_err(in_field("Message-ID"))?;
        }
        if !given("List-Unsubscribe") && !given("List-Unsubscribe-Post") {
            self.unsubscription(&mut head, unsubscribe)?;
        }
        let head = head.into_octets();
        let whole = || Bytes::from([&head, octets.as_ref()].concat());
        Ok(if head.is_empty() { octets.clone() } else { whole() })
    }
}

impl PreparedParts {
    fn new(mailing: &Mailing, parts: &Parts) -> Result<Self, CompileError> {
        let mut templates = Templates::default();
        let mut add =
            |part: &str, source: &str| templates.add(part, source).map_err(CompileError::Template);
        add(SUBJECT, &parts.subject)?;
        for (part, source) in [(TEXT, &parts.text), (HTML, &parts.html)] {
            if let Some(source) = source {
                add(part, source)?;
            }
        }
        let mut headers = Vec::new();
        for (index, (name, value)) in mailing.headers.iter().enumerate() {
            let part = format!("/headers/{index}/value");
            add(&part, value)?;
            headers.push((name.clone(), part.into()));
        }
        let (mut shown, mut saved) = (Vec::new(), Vec::new());
        for attachment in &parts.attachments {
            let file = body::file(attachment).map_err(|unsound| {
                let detail = unsound.to_string();
                one_fault("/attachments", Code::ControlCharacter, detail)
            })?;
            let is_shown = !attachment.content_id.is_empty() && parts.html.is_some();
            if is_shown { shown.push(file) } else { saved.push(file) }
        }
        let rewriter =
            Rewriter::new().map_err(|error| one_fault(HTML, Code::Template, error.to_string()))?;
        let (has_text, has_html) = (parts.text.is_some(), parts.html.is_some());
        Ok(Self { templates, headers, has_text, has_html, shown, saved, rewriter })
    }

    /// The header fields that are templates.
    fn header(&self, fields: &mut Fields, variables: &Variables) -> Result<(), RenderError> {
        let subject = [("Subject", SUBJECT)];
        let others = self.headers.iter().map(|(name, part)| (&**name, &**part));
        for (name, part) in subject.into_iter().chain(others) {
            let value = self.templates.render(part, variables, HEADER_OCTETS_MAX);
            let value = value.map_err(RenderError::Template)?;
            fields.text(name, &value).map_err(in_field(name))?;
        }
        Ok(())
    }

    fn body(
        &self,
        variables: &Variables,
        tracking: Option<Tracking<'_>>,
        name: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), RenderError> {
        let render = |part, is_there: bool| {
            let render = || self.templates.render(part, variables, PART_OCTETS_MAX);
            is_there.then(render).transpose().map_err(RenderError::Template)
        };
        let html = render(HTML, self.has_html)?;
        // The text of what was not made countable: its links are those that were meant.
        let text = render(TEXT, self.has_text)?;
        let text = text.or_else(|| html.as_deref().map(plain::text_of));
        let html = match (html, tracking) {
            (Some(html), Some(tracking)) => {
                let rewritten = self.rewriter.rewrite(&html, tracking);
                Some(rewritten.map_err(RenderError::Rewrite)?)
            }
            (html, _) => html,
        };
        let (text, html) = (text.as_deref(), html.as_deref());
        let body = Body { text, html, shown: &self.shown, saved: &self.saved };
        body::write(&body, name, out);
        Ok(())
    }
}

/// The recipient's variables and ours.
fn variables(
    to: &Mailbox,
    binding: &Binding,
    rendering: &Rendering<'_>,
    unsubscribe: &Unsubscribe,
) -> Result<Variables, RenderError> {
    let given: Map<String, serde_json::Value> = if binding.variables().is_empty() {
        Map::new()
    } else {
        serde_json::from_slice(binding.variables()).map_err(|_| RenderError::Variables)?
    };
    let (email, message_id) = (to.to_string(), rendering.message_id());
    let mut reserved =
        vec![("email", Reserved::Text(&email)), ("message_id", Reserved::Text(&message_id))];
    if let Some(url) = unsubscribe {
        reserved.push(("unsubscribe_url", Reserved::Url(url)));
    }
    Ok(Variables::new(&given, &reserved))
}

/// The URI that unsubscribes by mail (RFC 6068 2): its subject carries the token.
fn mailto(mailbox: &Mailbox, url: &str) -> Option<String> {
    let token = url.rsplit('/').next()?;
    let address = mailbox.to_string();
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"@.-_+~'*[]:".contains(&octet);
    let mut uri = String::from("mailto:");
    for octet in address.bytes() {
        if plain(octet) {
            uri.push(char::from(octet));
        } else {
            uri.push_str(&format!("%{octet:02X}"));
        }
    }
    uri.push_str("?subject=unsubscribe%20");
    uri.push_str(token);
    (uri.len() <= MAILTO_OCTETS_MAX).then_some(uri)
}

fn one_fault(pointer: &str, code: Code, detail: String) -> CompileError {
    CompileError::Faults(vec![Fault::new(pointer, code, detail)])
}

fn in_field(name: &str) -> impl FnOnce(Unsound) -> RenderError {
    move |Unsound| RenderError::Header(name.into())
}

#[cfg(test)]
#[path = "compiled_tests.rs"]
mod tests;
