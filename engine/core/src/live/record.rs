//! All that is known of one session.
//!
//! A session may go on for long after something failed in it, until its lines are cut away. So a
//! copy is made when that is settled: as soon as the message under way is, or when so much was said
//! since that what came before would soon be gone.

use crate::clock::Timestamp;
use crate::live::Phase;
use crate::live::lines::LINES_MAX;
use crate::live::lines::Lines;
use crate::live::lines::Speaker;
use crate::live::said::Said;
use crate::mail::id::QueueId;

/// Lines behind a failure after which a copy is made of it: as many are before it.
const LINES_BEHIND: u64 = LINES_MAX as u64 / 2;

/// What is known of a session.
#[derive(Debug)]
pub struct Record {
    /// How far it is.
    pub phase: Phase,
    /// Since when.
    pub since: Timestamp,
    /// The other end: its address, or its name and address.
    pub peer: String,
    /// The version and cipher of TLS; empty in clear.
    pub tls: String,
    /// As whom the client authenticated; empty if it did not.
    pub user: String,
    /// The message under way, where that is known.
    pub message: Option<QueueId>,
    /// The domain that it is for.
    pub domain: String,
    /// How many messages were taken.
    pub messages: u64,
    /// Octets that the client sent.
    pub octets: u64,
    /// Whether something failed.
    pub failed: bool,
    /// When it was over.
    pub over: Option<Timestamp>,
    /// When it was copied, or over: nothing changes any more.
    pub kept: Option<Timestamp>,
    /// The last lines.
    pub lines: Lines,
    command: Vec<u8>,
    reply: Vec<u8>,
    /// How many lines there had been when something failed of which there is no copy.
    failure: Option<u64>,
}

impl Record {
    /// A session that begins.
    pub fn new(now: Timestamp, phase: Phase, peer: String) -> Self {
        Self {
            phase,
            since: now,
            peer,
            tls: String::new(),
            user: String::new(),
            message: None,
            domain: String::new(),
            messages: 0,
            octets: 0,
            failed: false,
            over: None,
            kept: None,
            lines: Lines::default(),
            command: Vec::new(),
            reply: Vec::new(),
            failure: None,
        }
    }

    /// Takes what the session has to tell; true if it said something.
    pub fn take(&mut self, said: &mut Said, phase: Phase, now: Timestamp) -> bool {
        self.enter(phase, now);
        if std::mem::take(&mut said.failed) {
            self.fail();
        }
        if said.lines.is_empty() {
            return false;
        }
        for (by, last) in [(Speaker::Client, &mut self.command), (Speaker::Server, &mut self.reply)]
        {
            said.lines.copy_last(by, last);
        }
        self.lines.take(&mut said.lines, now);
        true
    }

    /// It is so far now.
    pub fn enter(&mut self, phase: Phase, now: Timestamp) {
        if phase != self.phase {
            (self.phase, self.since) = (phase, now);
        }
    }

    /// Something happened.
    pub fn note(&mut self, words: std::fmt::Arguments<'_>, now: Timestamp) {
        self.lines.push_words(now, Speaker::Note, words);
    }

    /// Something failed.
    pub fn fail(&mut self) {
        self.failed = true;
        self.failure.get_or_insert_with(|| self.lines.count());
    }

    /// Whether something failed of which there is no copy.
    pub const fn has_news(&self) -> bool {
        self.failure.is_some()
    }

    /// Whether what failed would soon be cut away.
    pub fn is_due(&self) -> bool {
        self.failure.is_some_and(|at| self.lines.count() >= at + LINES_BEHIND)
    }

    /// A copy, if something failed of which there is none.
    pub fn copy_failure(&mut self, now: Timestamp) -> Option<Self> {
        self.failure.take()?;
        Some(Self {
            peer: self.peer.clone(),
            tls: self.tls.clone(),
            user: self.user.clone(),
            domain: self.domain.clone(),
            failed: true,
            kept: Some(now),
            lines: self.lines.clone(),
            command: self.command.clone(),
            reply: self.reply.clone(),
            ..*self
        })
    }

    /// Octets of its texts.
    pub fn octets_kept(&self) -> usize {
        let texts = [&self.peer, &self.tls, &self.user, &self.domain];
        let texts = texts.iter().map(|text| text.len()).sum::<usize>();
        texts + self.command.len() + self.reply.len() + self.lines.octets()
    }

    /// It is over.
    pub fn close(&mut self, now: Timestamp) {
        self.enter(Phase::Closing, now);
        (self.over, self.kept) = (Some(now), Some(now));
        self.lines.close();
    }

    /// The last command.
    pub fn command(&self) -> String {
        String::from_utf8_lossy(&self.command).into_owned()
    }

    /// The last line of the last reply.
    pub fn reply(&self) -> String {
        String::from_utf8_lossy(&self.reply).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn the_time_in_a_phase_begins_with_it() {
        let mut record = Record::new(at(1), Phase::Greeting, "192.0.2.7".into());
        let mut said = Said::default();
        said.replies(220, b"220 hi\r\n");
        assert!(record.take(&mut said, Phase::Greeting, at(2)));
        assert!(!record.take(&mut said, Phase::Greeting, at(3)));
        assert_eq!((record.since, record.failed), (at(1), false));
        said.commands(b"EHLO x\r\n");
        said.replies(500, b"500-no\r\n500 what?\r\n");
        assert!(record.take(&mut said, Phase::Idle, at(4)));
        assert_eq!((record.since, record.failed, said.failed), (at(4), true, false));
        assert_eq!((&*record.command(), &*record.reply()), ("EHLO x", "500 what?"));
        record.close(at(5));
        assert_eq!((record.phase, record.since, record.over), (Phase::Closing, at(5), Some(at(5))));
    }

    #[test]
    fn a_copy_is_made_of_each_failure_before_its_lines_are_cut_away() {
        let mut record = Record::new(at(1), Phase::Idle, "192.0.2.7".into());
        assert!(record.copy_failure(at(1)).is_none());
        record.note(format_args!("before"), at(1));
        record.fail();
        record.note(format_args!("no"), at(2));
        record.fail();
        while !record.is_due() {
            record.note(format_args!("on"), at(3));
        }
        assert_eq!(record.lines.count(), 1 + LINES_BEHIND);
        let copy = record.copy_failure(at(4)).unwrap();
        assert_eq!((copy.kept, copy.over, copy.failed), (Some(at(4)), None, true));
        assert_eq!(copy.lines.behind(0), record.lines.behind(0));
        assert!(record.failed && !record.has_news() && !record.is_due());
        assert!(record.copy_failure(at(5)).is_none());
        record.fail();
        assert!(record.has_news() && !record.is_due());
    }

    #[test]
    fn the_last_command_is_known_though_its_line_is_cut_away() {
        let mut record = Record::new(at(1), Phase::Idle, String::new());
        let mut said = Said::default();
        said.commands(b"EHLO x\r\n");
        record.take(&mut said, Phase::Idle, at(2));
        for _ in 0..2 * LINES_MAX {
            said.replies(250, b"250-on and on\r\n");
        }
        record.take(&mut said, Phase::Idle, at(3));
        assert_eq!((&*record.command(), &*record.reply()), ("EHLO x", "250-on and on"));
    }
}
