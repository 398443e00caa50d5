//! The hand of whoever has the connection: what it tells, and what it is asked.

use std::fmt;
use std::sync::Arc;

use maily_core::clock::Timestamp;
use maily_core::live::Phase;
use maily_core::live::record::Record;
use maily_core::live::said::Said;
use maily_core::mail::id::QueueId;

use crate::register::Register;
use crate::talk::Talk;

/// A session that goes on until this is dropped.
#[derive(Default)]
pub struct Live {
    /// None: there is no room to see one more.
    seen: Option<(Arc<Register>, Arc<Talk>)>,
}

impl Live {
    /// A session that nobody sees.
    pub const fn unseen() -> Self {
        Self { seen: None }
    }

    pub(crate) const fn new(register: Arc<Register>, talk: Arc<Talk>) -> Self {
        Self { seen: Some((register, talk)) }
    }

    fn change(&self, how: impl FnOnce(&mut Record, Timestamp) -> bool) {
        let Some((register, talk)) = &self.seen else { return };
        let now = register.clock.now();
        let mut record = talk.record.lock();
        let said = how(&mut record, now);
        let failure = if record.is_due() { record.copy_failure(now) } else { None };
        drop(record);
        if said {
            talk.changed.notify_waiters();
        }
        if let Some(failure) = failure {
            register.keep_failure(talk, failure);
        }
    }

    /// Takes what the session has to tell, how far it is, and how many more octets the client has
    /// sent.
    pub fn tell(&self, said: &mut Said, phase: Phase, octets: u64) {
        if self.seen.is_none() {
            return said.forget();
        }
        self.change(|record, now| {
            record.octets += octets;
            record.take(said, phase, now)
        });
    }

    /// It is so far now.
    pub fn enter(&self, phase: Phase) {
        self.change(|record, now| {
            record.enter(phase, now);
            false
        });
    }

    /// It tries this host now, in clear.
    pub fn connect(&self, peer: String) {
        self.change(|record, now| {
            record.enter(Phase::Connecting, now);
            record.note(format_args!("connecting to {peer}"), now);
            record.peer = peer;
            record.tls.clear();
            true
        });
    }

    /// It is under TLS.
    pub fn tls(&self, version: &str) {
        self.change(|record, now| {
            record.note(format_args!("{version}"), now);
            version.clone_into(&mut record.tls);
            true
        });
    }

    /// The client is this user.
    pub fn user(&self, name: &str) {
        self.change(|record, _| {
            name.clone_into(&mut record.user);
            false
        });
    }

    /// This message is under way, for this domain.
    pub fn carry(&self, message: QueueId, domain: &str) {
        self.change(|record, _| {
            record.message = Some(message);
            domain.clone_into(&mut record.domain);
            false
        });
    }

    /// The message is off its hands; whether it was taken.
    pub fn put_down(&self, taken: bool) {
        let Some((register, talk)) = &self.seen else { return };
        let mut record = talk.record.lock();
        // With the message that it is about.
        let failure = record.copy_failure(register.clock.now());
        record.messages += u64::from(taken);
        record.message = None;
        record.domain.clear();
        drop(record);
        if let Some(failure) = failure {
            register.keep_failure(talk, failure);
        }
    }

    /// Something happened.
    pub fn note(&self, words: fmt::Arguments<'_>) {
        self.change(|record, now| {
            record.note(words, now);
            true
        });
    }

    /// Something failed.
    pub fn fail(&self, words: fmt::Arguments<'_>) {
        self.change(|record, now| {
            record.fail();
            record.note(words, now);
            true
        });
    }

    /// Whether an operator wants it to end.
    pub fn is_asked_to_leave(&self) -> bool {
        self.seen.as_ref().is_some_and(|(_, talk)| talk.is_asked_to_leave())
    }

    /// Waits until an operator wants it to end.
    pub async fn asked_to_leave(&self) {
        match &self.seen {
            Some((_, talk)) => talk.asked_to_leave().await,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some((register, talk)) = self.seen.take() {
            register.leave(talk);
        }
    }
}
