//! The hooks that mail waits for: each asks all plugins that take it, one after the other, and puts
//! their answers together.

use serde_json::Map;
use serde_json::Value;

use crate::answer::AcceptAnswer;
use crate::answer::PersonalizeAnswer;
use crate::answer::ResponseAnswer;
use crate::answer::RouteAnswer;
use crate::answer::SegmentAnswer;
use crate::answer::SendAnswer;
use crate::answer::VariantAnswer;
use crate::answer::Verdict;
use crate::fault::Fault;
use crate::fields::HeaderEdits;
use crate::hashing;
use crate::hook::Hook;
use crate::hook::Policy;
use crate::input::AcceptInput;
use crate::input::Input;
use crate::input::PersonalizeInput;
use crate::input::ResponseInput;
use crate::input::RouteInput;
use crate::input::SegmentInput;
use crate::input::SendInput;
use crate::input::VariantInput;
use crate::set::Plugins;

/// The status when a plugin fails closed.
pub const FAILED_STATUS: &str = "4.3.0";
/// The text when a plugin fails closed: it tells nobody what runs here.
pub const FAILED_TEXT: &str = "temporary failure, try again later";

/// What all plugins said of a message that comes in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AcceptVerdict {
    /// What becomes of it.
    pub verdict: Verdict,
    /// Header fields that are changed.
    pub headers: HeaderEdits,
    /// The plugin that decided, with its version, if one did.
    pub by: Option<String>,
}

/// What all plugins made of one recipient's message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Personal {
    /// Variables for the template: those that were there, and the plugins' over them.
    pub vars: Map<String, Value>,
    /// Another subject.
    pub subject: Option<String>,
    /// Header fields that are changed.
    pub headers: HeaderEdits,
    /// What becomes of the message.
    pub fate: Fate,
}

/// What becomes of one recipient's message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// It goes.
    #[default]
    Go,
    /// This recipient gets nothing.
    Skip {
        /// Why.
        why: String,
        /// Which plugin.
        by: String,
    },
    /// The campaign stops until somebody looks.
    Pause {
        /// What happened.
        fault: Box<Fault>,
    },
}

/// What all plugins said of a message that is about to be signed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SendVerdict {
    /// Header fields that are changed.
    pub headers: HeaderEdits,
    /// What becomes of it.
    pub fate: SendFate,
    /// The plugin that decided, if one did.
    pub by: Option<String>,
}

/// What becomes of a message that is about to be signed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SendFate {
    /// It goes.
    #[default]
    Go,
    /// It waits for somebody.
    Hold(String),
    /// It is not sent.
    Skip(String),
    /// A plugin failed closed: it is tried again later.
    Defer(Box<Fault>),
}

/// A segment that cannot be built.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Aborted(pub Box<Fault>);

impl Plugins {
    /// A message comes in. The first plugin that does not accept it decides.
    pub fn on_accept(&self, input: &AcceptInput) -> AcceptVerdict {
        let mut all = AcceptVerdict::default();
        if !self.takes(Hook::OnAccept) {
            return all;
        }
        for plugin in self.loaded().order(Hook::OnAccept) {
            let label = plugin.program.label();
            match self.ask::<_, AcceptAnswer>(plugin, Hook::OnAccept, input) {
                Ok(answer) => {
                    all.headers.extend(answer.headers);
                    if answer.verdict != Verdict::Accept {
                        all.verdict = answer.verdict;
                        all.by = Some(label.to_owned());
                        return all;
                    }
                }
                Err(failure) if failure.policy == Policy::Open => {}
                Err(_closed) => {
                    let (status, text) = (FAILED_STATUS.to_owned(), FAILED_TEXT.to_owned());
                    all.verdict = Verdict::Defer { status, text };
                    all.by = Some(label.to_owned());
                    return all;
                }
            }
        }
        all
    }

    /// Whether a contact belongs to a segment; none if no plugin knows the segment.
    pub fn on_segment(&self, input: &SegmentInput) -> Result<Option<SegmentAnswer>, Aborted> {
        if !self.takes(Hook::OnSegment) {
            return Ok(None);
        }
        let mut known = None;
        for plugin in self.loaded().order(Hook::OnSegment) {
            if !plugin.takes(Hook::OnSegment, input.subject()) {
                continue;
            }
            match self.ask::<_, SegmentAnswer>(plugin, Hook::OnSegment, input) {
                Ok(answer) if answer.member => return Ok(Some(answer)),
                Ok(answer) => known = Some(answer),
                Err(failure) if failure.policy == Policy::Open => {}
                Err(failure) => return Err(Aborted(failure.fault)),
            }
        }
        Ok(known)
    }

    /// What one recipient reads. Each plugin sees the variables that those before it made.
    pub fn on_personalize(&self, mut input: PersonalizeInput) -> Personal {
        let mut all = Personal::default();
        if !self.takes(Hook::OnPersonalize) {
            all.vars = input.vars;
            return all;
        }
        for plugin in self.loaded().order(Hook::OnPersonalize) {
            if !plugin.takes(Hook::OnPersonalize, input.subject()) {
                continue;
            }
            let by = plugin.program.label().to_owned();
            match self.ask::<_, PersonalizeAnswer>(plugin, Hook::OnPersonalize, &input) {
                Ok(answer) => {
                    input.vars.extend(answer.vars);
                    all.headers.extend(answer.headers);
                    all.subject = answer.subject.or(all.subject);
                    if let Some(why) = answer.skip {
                        all.fate = Fate::Skip { why, by };
                        break;
                    }
                }
                Err(failure) => match failure.policy {
                    Policy::SkipRecipient => {
                        all.fate = Fate::Skip { why: failure.fault.message.clone(), by };
                        break;
                    }
                    Policy::PauseCampaign => {
                        all.fate = Fate::Pause { fault: failure.fault };
                        break;
                    }
                    _ => {}
                },
            }
        }
        all.vars = input.vars;
        all
    }

    /// Which variant of an experiment a contact sees; none if there are no variants.
    pub fn on_variant(&self, input: &VariantInput) -> Option<String> {
        if self.takes(Hook::OnVariant) {
            for plugin in self.loaded().order(Hook::OnVariant) {
                if !plugin.takes(Hook::OnVariant, input.subject()) {
                    continue;
                }
                let asked = self.ask::<_, VariantAnswer>(plugin, Hook::OnVariant, input);
                let named = asked.ok().and_then(|answer| answer.variant);
                if let Some(variant) = named.filter(|name| input.variants.contains(name)) {
                    return Some(variant);
                }
            }
        }
        let key = format!("{}\n{}", input.experiment, input.contact.email().unwrap_or_default());
        let buckets = u64::try_from(input.variants.len()).unwrap_or(0);
        let index = usize::try_from(hashing::bucket(&key, buckets)).unwrap_or(0);
        input.variants.get(index).cloned()
    }

    /// Where a message goes and when. Of what several plugins say, the last word counts.
    pub fn on_route(&self, input: &RouteInput) -> RouteAnswer {
        let mut all = RouteAnswer::default();
        if !self.takes(Hook::OnRoute) {
            return all;
        }
        for plugin in self.loaded().order(Hook::OnRoute) {
            if let Ok(answer) = self.ask::<_, RouteAnswer>(plugin, Hook::OnRoute, input) {
                all.pool = answer.pool.or(all.pool);
                all.priority = answer.priority.or(all.priority);
                all.not_before = answer.not_before.or(all.not_before);
            }
        }
        all
    }

    /// The last look at a message. The first plugin that does not let it go decides.
    pub fn on_send(&self, input: &SendInput) -> SendVerdict {
        let mut all = SendVerdict::default();
        if !self.takes(Hook::OnSend) {
            return all;
        }
        for plugin in self.loaded().order(Hook::OnSend) {
            let fate = match self.ask::<_, SendAnswer>(plugin, Hook::OnSend, input) {
                Ok(answer) => {
                    all.headers.extend(answer.headers);
                    match (answer.skip, answer.hold) {
                        (Some(why), _) => SendFate::Skip(why),
                        (None, Some(why)) => SendFate::Hold(why),
                        (None, None) => continue,
                    }
                }
                Err(failure) if failure.policy == Policy::Open => continue,
                Err(failure) => SendFate::Defer(failure.fault),
            };
            all.fate = fate;
            all.by = Some(plugin.program.label().to_owned());
            return all;
        }
        all
    }

    /// What a reply means. The first plugin that says something decides.
    pub fn on_response(&self, input: &ResponseInput) -> ResponseAnswer {
        if self.takes(Hook::OnResponse) {
            for plugin in self.loaded().order(Hook::OnResponse) {
                let asked = self.ask::<_, ResponseAnswer>(plugin, Hook::OnResponse, input);
                if let Ok(answer) = asked
                    && answer != ResponseAnswer::default()
                {
                    return answer;
                }
            }
        }
        ResponseAnswer::default()
    }
}
