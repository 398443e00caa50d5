//! Late binding: writes one recipient's message out of the mailing that all recipients of a request
//! share and the part that is theirs. Done at the attempt, so that a mended template, an
//! unsubscription or a cancellation reaches mail that is waiting.
//!
//! It runs in the signers' threads: it may read the disk, and costs more than a delivery.

use std::num::NonZeroUsize;
use std::sync::Arc;

use bytes::Bytes;
use lru::LruCache;
use parking_lot::Mutex;
use serde_json::Map;
use serde_json::Value;

use maily_core::mail::address::Mailbox;
use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::id::QueueId;
use maily_core::mail::outcome::Blame;
use maily_core::mail::outcome::Diagnosis;
use maily_core::mail::outcome::EnhancedStatus;
use maily_core::mail::outcome::Outcome;
use maily_core::mail::outcome::Scope;
use maily_core::render::binding::Binding;
use maily_core::render::compiled::CompileError;
use maily_core::render::compiled::Compiled;
use maily_core::render::compiled::RenderError;
use maily_core::render::compiled::Rendering;
use maily_core::render::mailing::Content;
use maily_core::render::mailing::Mailing;
use maily_core::render::mailing::Parts;
use maily_core::tracking::links::Links;
use maily_plugins::set::Plugins;
use maily_spool::body::Body;
use maily_spool::error::GetError;
use maily_spool::spool::Spool;
use maily_spool::submission::Stored;

use crate::dropping::Addressed;
use crate::dropping::Unbound;
use crate::dropping::Veto;
use crate::hooks;
use crate::labels::LabelCache;

/// Mailings that are kept compiled; the one that was not used for the longest time goes first.
pub const COMPILED_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(255);

/// A stored template as it is now.
#[derive(Clone, Debug)]
pub struct Named {
    /// Which version it is: another one has another number.
    pub version: u64,
    /// What it says.
    pub parts: Arc<Parts>,
}

/// Where stored templates are found by name.
pub trait Shelf: Send + Sync {
    /// The version that the template of this name in this project has now; asked for each message.
    fn version(&self, project: &str, name: &str) -> Option<u64>;
    /// The template of this name in this project, as it is now.
    fn find(&self, project: &str, name: &str) -> Option<Named>;
}

/// Whom a binder asks.
#[derive(Clone)]
pub struct Asked {
    /// For stored templates.
    pub shelf: Arc<dyn Shelf>,
    /// Whether it is still wanted.
    pub veto: Arc<dyn Veto>,
    /// What else its recipient reads.
    pub plugins: Arc<Plugins>,
}

/// What messages are written with.
pub struct Binder {
    spool: Spool,
    shelf: Arc<dyn Shelf>,
    veto: Arc<dyn Veto>,
    hostname: Arc<str>,
    links: Option<Arc<Links>>,
    plugins: Arc<Plugins>,
    labels: LabelCache,
    compiled: Mutex<LruCache<[u8; 32], Arc<Ready>>>,
}

impl std::fmt::Debug for Binder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Binder").field("hostname", &self.hostname).finish_non_exhaustive()
    }
}

/// A mailing that was read and compiled.
struct Ready {
    /// Without its parts, which are compiled.
    mailing: Mailing,
    /// The stored template that it names, and of which version it was compiled.
    named: Option<(Box<str>, u64)>,
    compiled: Compiled,
}

impl Binder {
    /// Messages out of this spool, said to come from a host of this name.
    pub fn new(spool: Spool, asked: Asked, hostname: Arc<str>, links: Option<Arc<Links>>) -> Self {
        let Asked { shelf, veto, plugins } = asked;
        let compiled = Mutex::new(LruCache::new(COMPILED_MAX));
        let labels = LabelCache::new(spool.clone());
        Self { spool, shelf, veto, hostname, links, plugins, labels, compiled }
    }

    /// The message for this recipient, with what was found out about them; blocks. The same each
    /// time, unless a stored template that is bound late has changed, or a plugin says otherwise.
    ///
    /// # Errors
    /// It is not to be sent.
    pub fn bind(
        &self,
        stored: &Stored,
        index: RecipientIndex,
        to: &Mailbox,
        found: &Map<String, Value>,
    ) -> Result<Bytes, Unbound> {
        let submission = &stored.submission;
        let (template, variables) = match &submission.body {
            Body::Stored(message) => return Ok(message.clone()),
            Body::Template { template, variables } => (template, variables),
        };
        let ready = self.ready(template)?;
        let addressed = Addressed { mailing: &ready.mailing, stored, to };
        if let Some(dropped) = self.veto.why_not(addressed) {
            return Err(Unbound::Dropped(dropped));
        }
        let binding = Binding::decode(variables)
            .map_err(|_| never("what is this recipient's own cannot be read"))?;
        hooks::segment(&self.plugins, addressed, &binding, found)?;
        let (binding, edits) = hooks::personalize(&self.plugins, addressed, binding, found)?;
        let rendering = Rendering {
            id: submission.id,
            recipient: index,
            at: submission.accepted_at,
            hostname: &self.hostname,
            links: self.links.as_deref(),
        };
        let message = ready.compiled.render(to, &binding, &rendering);
        let message = message.map_err(|error| ready.unrendered(&error))?;
        hooks::edited(&message, &edits)
    }

    /// What was said beside messages.
    pub const fn labels(&self) -> &LabelCache {
        &self.labels
    }

    /// Who may say no to a message that is written already.
    pub fn veto(&self) -> &dyn Veto {
        self.veto.as_ref()
    }

    /// Where reports about this recipient's message come back to, if they come back to us.
    pub fn return_path(&self, id: QueueId, recipient: RecipientIndex) -> Option<Mailbox> {
        self.links.as_ref()?.return_path(id, recipient)
    }

    fn ready(&self, template: &[u8; 32]) -> Result<Arc<Ready>, Unbound> {
        let known = self.compiled.lock().get(template).cloned();
        if let Some(ready) = known.filter(|ready| self.is_current(ready)) {
            return Ok(ready);
        }
        let octets = self.spool.template(template).map_err(unreadable)?;
        let mailing = Mailing::decode(&octets)
            .map_err(|error| never(&format!("the mailing cannot be read: {error}")))?;
        let ready = Arc::new(self.compile(mailing)?);
        self.compiled.lock().put(*template, Arc::clone(&ready));
        Ok(ready)
    }

    fn is_current(&self, ready: &Ready) -> bool {
        let Some((name, version)) = &ready.named else { return true };
        self.shelf.version(&ready.mailing.project, name) == Some(*version)
    }

    fn compile(&self, mut mailing: Mailing) -> Result<Ready, Unbound> {
        let named = match &mailing.content {
            Content::Named { name } => {
                let found = self.shelf.find(&mailing.project, name);
                let why = || for_now(&CompileError::NoSuchTemplate.to_string());
                Some((name.clone(), found.ok_or_else(why)?))
            }
            Content::Parts(_) | Content::Raw(_) => None,
        };
        let parts = named.as_ref().map(|(_, named)| named.parts.as_ref());
        let compiled = Compiled::new(&mailing, parts).map_err(|error| {
            let text = format!("the mailing cannot be compiled: {error}");
            if named.is_some() { for_now(&text) } else { never(&text) }
        })?;
        // It has been compiled: the words need not be kept twice.
        mailing.content = Content::Raw(Bytes::new());
        let named = named.map(|(name, named)| (name, named.version));
        Ok(Ready { mailing, named, compiled })
    }
}

impl Ready {
    /// A stored template can be mended while its mail waits; what was handed in cannot.
    fn unrendered(&self, error: &RenderError) -> Unbound {
        let text = format!("the message cannot be written: {error}");
        if self.named.is_some() { for_now(&text) } else { never(&text) }
    }
}

fn unreadable(error: GetError) -> Unbound {
    match error {
        GetError::Failed(why) => {
            let diagnosis = Diagnosis::ours(EnhancedStatus::new(4, 3, 0), Blame::Us, &why);
            Unbound::Failed(Outcome::Deferred { scope: Scope::Message, diagnosis })
        }
        lost @ (GetError::Unknown | GetError::Damaged(_)) => never(&lost.to_string()),
    }
}

/// RFC 3463 3.7: X.6.0, something is wrong with what is to be sent.
fn never(text: &str) -> Unbound {
    let diagnosis = Diagnosis::ours(EnhancedStatus::new(5, 6, 0), Blame::Config, text);
    Unbound::Failed(Outcome::Bounced { scope: Scope::Message, diagnosis })
}

fn for_now(text: &str) -> Unbound {
    let diagnosis = Diagnosis::ours(EnhancedStatus::new(4, 6, 0), Blame::Config, text);
    Unbound::Failed(Outcome::Deferred { scope: Scope::Message, diagnosis })
}
