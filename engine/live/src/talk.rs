//! One session as those see it who look at it, and as it is kept when it is over.

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use tokio::sync::Notify;

use maily_core::clock::Timestamp;
use maily_core::live::Direction;
use maily_core::live::Phase;
use maily_core::live::lines::Line;
use maily_core::live::record::Record;
use maily_core::mail::id::QueueId;

/// The name of a session: no two of a process have the same, nor, but for a clock that was set
/// back, two of different processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub(crate) u64);

impl SessionId {
    /// Digits of its text.
    const DIGITS: usize = 16;

    /// Reads what `Display` writes, and nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |octet: u8| octet.is_ascii_digit() || (b'a'..=b'f').contains(&octet);
        if text.len() != Self::DIGITS || !text.bytes().all(digit) {
            return None;
        }
        u64::from_str_radix(text, 16).ok().map(Self)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0width$x}", self.0, width = Self::DIGITS)
    }
}

/// What a session is from its beginning on.
#[derive(Clone, Debug)]
pub struct About {
    /// Its name.
    pub id: SessionId,
    /// Who opened it.
    pub direction: Direction,
    /// The address of the client, of a session in.
    pub client: Box<str>,
    /// The site, of a session out.
    pub site: Box<str>,
    /// The egress source, of a session out.
    pub source: Box<str>,
    /// Since when it goes on.
    pub began: Timestamp,
}

impl About {
    /// Whether both are with the same client, or with the same site by the same source.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        (&self.client, &self.site, &self.source) == (&other.client, &other.site, &other.source)
    }
}

/// One session, or a copy of one that was made when something had failed.
#[derive(Debug)]
pub struct Talk {
    /// What it is.
    pub about: About,
    pub(crate) record: Mutex<Record>,
    /// Somebody said something, or it is over.
    pub(crate) changed: Notify,
    leaving: AtomicBool,
    leave: Notify,
}

/// How a session stands.
#[derive(Clone, Debug)]
pub struct SessionRow {
    /// What it is.
    pub about: About,
    /// The other end.
    pub peer: String,
    /// How far it is.
    pub phase: Phase,
    /// Since when.
    pub since: Timestamp,
    /// The version and cipher of TLS; empty in clear.
    pub tls: String,
    /// As whom the client authenticated; empty if it did not.
    pub user: String,
    /// How many messages were taken.
    pub messages: u64,
    /// Octets that the client sent.
    pub octets: u64,
    /// The last command.
    pub command: String,
    /// The last line of the last reply.
    pub reply: String,
    /// The message under way, where that is known.
    pub message: Option<QueueId>,
    /// The domain that it is for.
    pub domain: String,
    /// Whether something failed in it.
    pub failed: bool,
    /// When it was over; none while it goes on.
    pub over: Option<Timestamp>,
}

/// What was said in a session.
#[derive(Clone, Debug)]
pub struct Transcript {
    /// How the session stands.
    pub session: SessionRow,
    /// Lines that were cut away before the first.
    pub cut: u64,
    /// How many lines there have been.
    pub count: u64,
    /// The lines.
    pub lines: Vec<Line>,
}

impl Talk {
    pub(crate) fn new(about: About, record: Record) -> Self {
        let record = Mutex::new(record);
        let (leaving, changed, leave) = (AtomicBool::new(false), Notify::new(), Notify::new());
        Self { about, record, changed, leaving, leave }
    }

    /// How it stands.
    pub fn row(&self) -> SessionRow {
        self.row_of(&self.record.lock())
    }

    /// What was said behind the first so many lines, as far as it is kept.
    pub fn transcript(&self, behind: u64) -> Transcript {
        let record = self.record.lock();
        Transcript {
            session: self.row_of(&record),
            cut: record.lines.cut(),
            count: record.lines.count(),
            lines: record.lines.behind(behind),
        }
    }

    /// Waits until there are more lines than so many, or it is over.
    pub async fn more_than(&self, count: u64) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // From here on nothing is missed.
            changed.as_mut().enable();
            {
                let record = self.record.lock();
                if record.over.is_some() || record.lines.count() > count {
                    return;
                }
            }
            changed.await;
        }
    }

    /// Asks it to end.
    pub(crate) fn ask_to_leave(&self) {
        self.leaving.store(true, Ordering::Release);
        self.leave.notify_waiters();
    }

    pub(crate) fn is_asked_to_leave(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    pub(crate) async fn asked_to_leave(&self) {
        let mut leave = std::pin::pin!(self.leave.notified());
        leave.as_mut().enable();
        if !self.is_asked_to_leave() {
            leave.await;
        }
    }

    fn row_of(&self, record: &Record) -> SessionRow {
        SessionRow {
            about: self.about.clone(),
            peer: record.peer.clone(),
            phase: record.phase,
            since: record.since,
            tls: record.tls.clone(),
            user: record.user.clone(),
            messages: record.messages,
            octets: record.octets,
            command: record.command(),
            reply: record.reply(),
            message: record.message,
            domain: record.domain.clone(),
            failed: record.failed,
            over: record.over,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written_and_in_no_other_way() {
        for id in [0, 17, u64::MAX].map(SessionId) {
            assert_eq!(SessionId::parse(&id.to_string()), Some(id));
        }
        for bad in ["", "17", "hello", "+000000000000017", "000000000000001F", "0000000000000001f"]
        {
            assert_eq!(SessionId::parse(bad), None, "{bad}");
        }
    }
}
