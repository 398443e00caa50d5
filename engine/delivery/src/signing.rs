//! Writes and signs messages for the dispatcher on threads of its own: an RSA signature costs as
//! much as many deliveries, so neither the loop nor a connection waits for one.
//!
//! A message that is bound late, or that plugins look at once more, is made and signed anew at each
//! try.
//!
//! A message is signed once, however many domains it goes to: tries of a message that is being
//! signed wait for its signature. Signatures are kept while a message may be tried again, up to
//! [`SIGNATURES_MAX`]; beyond that the oldest message is signed again at its next try. Late header
//! fields must be in the content before it is signed, and a signature is only used again for the
//! same ones.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::io;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use maily_core::clock::Clock;
use maily_core::clock::Timestamp;
use maily_core::dkim::keyring::Keyring;
use maily_core::dkim::sign;
use maily_core::mail::envelope::ReversePath;
use maily_core::mail::id::QueueId;
use maily_core::mail::outcome::Blame;
use maily_core::mail::outcome::Diagnosis;
use maily_core::mail::outcome::EnhancedStatus;
use maily_core::mail::outcome::Outcome;
use maily_core::mail::outcome::Scope;
use maily_plugins::hook::Hook;
use maily_plugins::set::Plugins;

use crate::attempt::Job;
use crate::binding::Binder;
use crate::dropping::Dropped;
use crate::dropping::Unbound;
use crate::dropping::Veto;
use crate::hooks;
use crate::turns::Flow;
use crate::turns::Turns;
use crate::turns::WRITTEN_OCTETS_MAX;
use crate::turns::WRITTEN_OCTETS_MAX_EACH;

/// Signatures that are kept for another try, each about a kilobyte.
pub const SIGNATURES_MAX: usize = 8_192;

/// With what messages are written and signed.
#[derive(Clone, Debug)]
pub struct Tools {
    /// Writes those that are bound late.
    pub binder: Arc<Binder>,
    /// Signs.
    pub keyring: Arc<Keyring>,
    /// Have the last look.
    pub plugins: Arc<Plugins>,
}

/// Why there is nothing to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmade {
    /// It is not wanted any more.
    Dropped(Dropped),
    /// A plugin wants somebody to look at it first.
    Held(Outcome),
    /// It could not be written, or not signed.
    Failed(Outcome),
}

/// The stack of a thread: templates are rendered on it, which go deep.
const STACK_OCTETS: usize = 16 << 20;

/// A try that has been to the signers.
#[derive(Debug)]
pub struct Signed {
    /// The try.
    pub job: Box<Job>,
    /// The header fields to put in front; empty if nobody signs for its author.
    pub signature: Result<Bytes, Unmade>,
}

/// The pool of signers, and what they signed lately.
#[derive(Debug)]
pub struct Signing {
    tools: Tools,
    work: Arc<Turns<Work>>,
    /// Messages that are being signed, with further tries of them.
    underway: HashMap<QueueId, Vec<Job>>,
    kept: BTreeMap<QueueId, Kept>,
    kept_max: usize,
    /// Messages that plugins held and somebody let go; they are not held again.
    released: BTreeSet<QueueId>,
}

/// A message to be signed, and with what.
type Work = (Tools, Box<Job>);

/// A signature, and the late header fields that it covers.
#[derive(Debug)]
struct Kept {
    late: Bytes,
    signature: Bytes,
}

impl Signing {
    /// Starts so many threads. What they have signed comes out of the channel and goes to
    /// [`Self::on_signed`].
    ///
    /// # Errors
    /// A thread could not be started.
    pub fn start(
        tools: Tools,
        threads: usize,
        clock: &Arc<dyn Clock>,
    ) -> io::Result<(Self, mpsc::UnboundedReceiver<Signed>)> {
        // Neither channel holds more than the scheduler has handed out.
        let (tell, told) = mpsc::unbounded_channel();
        let work = pool(threads, clock, &tell)?;
        let this = Self {
            tools,
            work,
            underway: HashMap::new(),
            kept: BTreeMap::new(),
            kept_max: SIGNATURES_MAX,
            released: BTreeSet::new(),
        };
        Ok((this, told))
    }

    /// Writes and signs with other tools from now on; what is under way keeps the old ones.
    pub fn retool(&mut self, tools: Tools) {
        self.tools = tools;
        self.kept.clear();
    }

    /// Who may say no to it.
    pub fn veto(&self) -> &dyn Veto {
        self.tools.binder.veto()
    }

    /// The try at once, if it needs no signature or has one already.
    pub fn sign(&mut self, mut job: Job) -> Option<Job> {
        let id = job.attempt.id;
        if job.attempt.released {
            self.released.insert(id);
        }
        job.released = self.released.contains(&id);
        job.alone = job.is_bound_late() || self.tools.plugins.takes(Hook::OnSend);
        if job.alone {
            self.hand_out(job);
            return None;
        }
        if self.tools.keyring.is_empty() {
            return Some(job);
        }
        if let Some(kept) = self.kept.get(&id)
            && kept.late == job.delivery.content.head
        {
            put_in_front(&mut job, &kept.signature);
            return Some(job);
        }
        if let Some(waiting) = self.underway.get_mut(&id) {
            waiting.push(job);
            return None;
        }
        self.underway.insert(id, Vec::new());
        self.hand_out(job);
        None
    }

    fn hand_out(&self, job: Job) {
        self.work.push(flow(&job), (self.tools.clone(), Box::new(job)));
    }

    /// What became of a try at the signers, and of those that waited for the same signature.
    pub fn on_signed(&mut self, signed: Signed) -> Vec<(Job, Result<(), Unmade>)> {
        let Signed { mut job, signature } = signed;
        let id = job.attempt.id;
        let waiting = if job.alone { None } else { self.underway.remove(&id) };
        let waiting = waiting.unwrap_or_default();
        let signature = match signature {
            Ok(signature) => signature,
            Err(unmade) => {
                let all = std::iter::once(*job).chain(waiting);
                return all.map(|job| (job, Err(unmade.clone()))).collect();
            }
        };
        if job.alone {
            put_in_front(&mut job, &signature);
            return vec![(*job, Ok(()))];
        }
        self.kept.insert(
            id,
            Kept { late: job.delivery.content.head.clone(), signature: signature.clone() },
        );
        if self.kept.len() > self.kept_max {
            self.kept.pop_first();
        }
        put_in_front(&mut job, &signature);
        let mut ready = vec![(*job, Ok(()))];
        // With other late header fields one goes to the signers itself.
        ready.extend(waiting.into_iter().filter_map(|job| Some((self.sign(job)?, Ok(())))));
        ready
    }

    /// The message is not tried again.
    pub fn forget(&mut self, id: QueueId) {
        self.kept.remove(&id);
        self.released.remove(&id);
    }
}

impl Drop for Signing {
    fn drop(&mut self) {
        self.work.end();
    }
}

fn put_in_front(job: &mut Job, signature: &Bytes) {
    let head = &mut job.delivery.content.head;
    *head = if head.is_empty() {
        signature.clone()
    } else {
        [signature.as_ref(), head.as_ref()].concat().into()
    };
}

fn flow(job: &Job) -> Flow {
    Flow { late: job.alone, tenant: job.stored.submission.stream.tenant.clone() }
}

fn pool(
    threads: usize,
    clock: &Arc<dyn Clock>,
    tell: &mpsc::UnboundedSender<Signed>,
) -> io::Result<Arc<Turns<Work>>> {
    let work = Arc::new(Turns::new(WRITTEN_OCTETS_MAX, WRITTEN_OCTETS_MAX_EACH));
    for number in 0..threads {
        let clock = Arc::clone(clock);
        let (work, tell) = (Arc::clone(&work), tell.clone());
        std::thread::Builder::new()
            .name(format!("dkim-{number}"))
            .stack_size(STACK_OCTETS)
            .spawn(move || run(clock.as_ref(), &work, &tell))?;
    }
    Ok(work)
}

fn run(clock: &dyn Clock, work: &Arc<Turns<Work>>, tell: &mpsc::UnboundedSender<Signed>) {
    while let Some((tools, mut job)) = work.pop() {
        let now = clock.now();
        // A panic must not take the try with it: it would be in flight for ever.
        let made = catch_unwind(AssertUnwindSafe(|| make(&tools, &mut job, now)));
        let signature = made.unwrap_or_else(|_| Err(failed(4, 3, 0, "writing it panicked")));
        if job.alone {
            job.written =
                Some(Arc::new(work.written(flow(&job), job.delivery.content.message.len())));
        }
        if tell.send(Signed { job, signature }).is_err() {
            return;
        }
    }
}

/// Writes the message if it is bound late; gives its signatures.
fn make(tools: &Tools, job: &mut Job, now: Timestamp) -> Result<Bytes, Unmade> {
    if job.is_bound_late() {
        let [(index, recipient)] = job.delivery.recipients.as_slice() else {
            return Err(failed(5, 3, 5, "a message that is bound late has one recipient"));
        };
        let bound = tools.binder.bind(&job.stored, *index, &recipient.forward_path.0, &job.found);
        job.delivery.content.message = bound.map_err(unmade)?;
        if let Some(mailbox) = tools.binder.return_path(job.attempt.id, *index) {
            job.delivery.reverse_path = ReversePath::Mailbox(mailbox);
        }
    }
    hooks::last_look(&tools.plugins, tools.binder.labels(), job).map_err(unmade)?;
    // RFC 3463 3.8: X.7.5, cryptographic failure.
    sign::sign(&tools.keyring, &job.delivery.content, now)
        .map_err(|error| failed(4, 7, 5, &error.to_string()))
}

fn unmade(unbound: Unbound) -> Unmade {
    match unbound {
        Unbound::Dropped(dropped) => Unmade::Dropped(dropped),
        Unbound::Held(outcome) => Unmade::Held(outcome),
        Unbound::Failed(outcome) => Unmade::Failed(outcome),
    }
}

fn failed(class: u8, subject: u16, detail: u16, text: &str) -> Unmade {
    let status = EnhancedStatus::new(class, subject, detail);
    let diagnosis = Diagnosis::ours(status, Blame::Us, text);
    let scope = Scope::Message;
    Unmade::Failed(match class {
        5 => Outcome::Bounced { scope, diagnosis },
        _ => Outcome::Deferred { scope, diagnosis },
    })
}

#[cfg(test)]
#[path = "signing_tests.rs"]
mod tests;
