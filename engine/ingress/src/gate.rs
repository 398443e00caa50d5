//! Whether there is room for another message: memory, disk and queue (back-pressure).
//!
//! Asked at MAIL, so that a client learns it before it sends. The free disk is looked at on a timer
//! by [`Gate::watch`], the rest with each question. What was accepted is never touched.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::RwLock;

use maily_core::smtp::server::admission::Admission;
use maily_spool::spool::Spool;

/// How often the free disk is looked at. At full speed a second writes some 100 MB: the reserve
/// must be larger.
const DISK_PAUSE: Duration = Duration::from_secs(1);

/// How full the house may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Messages that may wait.
    pub waiting_max: u64,
    /// Octets of disk that must stay free.
    pub disk_reserve: u64,
    /// Octets of messages that may be in memory while they are received, over all sessions.
    pub receiving_octets_max: u64,
}

/// The one who knows how full the house is; all sessions share it.
pub struct Gate {
    spool: Spool,
    limits: RwLock<Limits>,
    disk_low: AtomicBool,
    receiving: AtomicU64,
}

impl Gate {
    /// A gate in front of this spool, that knows the free disk already.
    pub fn new(spool: Spool, limits: Limits) -> Self {
        let limits = RwLock::new(limits);
        let gate =
            Self { spool, limits, disk_low: AtomicBool::new(false), receiving: AtomicU64::new(0) };
        gate.look_at_disk();
        gate
    }

    /// Other limits from now on.
    pub fn limit(&self, limits: Limits) {
        *self.limits.write() = limits;
    }

    /// Whether the free disk is below the reserve.
    pub fn disk_is_low(&self) -> bool {
        self.disk_low.load(Ordering::Relaxed)
    }

    /// Whether a message may come now.
    pub fn admission(&self, octets: Option<u64>) -> Admission {
        let limits = *self.limits.read();
        // The other half is for the messages that are under way.
        let half = limits.receiving_octets_max / 2;
        if self.disk_low.load(Ordering::Relaxed) {
            Admission::Disk
        } else if self.spool.waiting() >= limits.waiting_max {
            Admission::Queue
        } else if self.receiving().saturating_add(octets.unwrap_or(0)) > half {
            Admission::Memory
        } else {
            Admission::Open
        }
    }

    /// Octets of messages that are being received now.
    pub fn receiving(&self) -> u64 {
        self.receiving.load(Ordering::Relaxed)
    }

    fn look_at_disk(&self) {
        let low = match self.spool.free_octets() {
            Ok(free) => free < self.limits.read().disk_reserve,
            Err(error) => {
                tracing::error!(%error, "the free disk is not known: no mail is taken");
                true
            }
        };
        if low != self.disk_low.swap(low, Ordering::Relaxed) {
            tracing::warn!(low, "free disk against spool.disk_reserve");
        }
    }

    /// Looks at the disk from time to time, for ever.
    pub async fn watch(self: Arc<Self>) {
        let mut tick = tokio::time::interval(DISK_PAUSE);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let this = Arc::clone(&self);
            // A disk that hangs must not hold up those who talk.
            if tokio::task::spawn_blocking(move || this.look_at_disk()).await.is_err() {
                return;
            }
        }
    }
}

/// A session's part of the memory for messages; given back when it ends.
pub struct Held {
    gate: Arc<Gate>,
    octets: u64,
}

impl Held {
    /// Nothing yet.
    pub const fn none(gate: Arc<Gate>) -> Self {
        Self { gate, octets: 0 }
    }

    /// The session keeps so many octets now. False if all sessions together keep too many.
    pub fn set(&mut self, octets: usize) -> bool {
        let octets = octets as u64;
        let receiving = &self.gate.receiving;
        if octets < self.octets {
            receiving.fetch_sub(self.octets - octets, Ordering::Relaxed);
        } else {
            receiving.fetch_add(octets - self.octets, Ordering::Relaxed);
        }
        let grown = octets > self.octets;
        self.octets = octets;
        !grown || self.gate.receiving() <= self.gate.limits.read().receiving_octets_max
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.gate.receiving.fetch_sub(self.octets, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use maily_core::clock::Timestamp;
    use maily_core::mail::envelope::Envelope;
    use maily_core::mail::envelope::Recipient;
    use maily_core::mail::envelope::ReversePath;
    use maily_core::mail::envelope::Stream;
    use maily_core::mail::id::QueueIdSource;
    use maily_spool::body::Body;
    use maily_spool::spool::Options;
    use maily_spool::submission::Submission;
    use tokio::sync::mpsc;

    use super::*;

    const ROOM: Limits = Limits { waiting_max: 10, disk_reserve: 0, receiving_octets_max: 100 };

    /// A gate over a spool with one message, and what keeps it there.
    async fn gate(limits: Limits) -> (Arc<Gate>, tempfile::TempDir, mpsc::Receiver<impl Send>) {
        let folder = tempfile::tempdir().unwrap();
        let (queue, queued) = mpsc::channel(10);
        let spool = Spool::open(folder.path(), &Options::default(), queue).unwrap();
        let to = Recipient::plain("bob@example.org".parse().unwrap());
        let submission = Submission {
            id: QueueIdSource::new(0).next(Timestamp::EPOCH),
            accepted_at: Timestamp::EPOCH,
            expires_at: Timestamp::MAX,
            due: None,
            envelope: Envelope::plain(ReversePath::Null, vec![to]),
            stream: Stream::default(),
            body: Body::Stored("hi\r\n".into()),
        };
        spool.put(submission).await.unwrap();
        (Arc::new(Gate::new(spool, limits)), folder, queued)
    }

    #[tokio::test]
    async fn a_full_queue_is_full_at_its_limit() {
        let (open, _folder, _queued) = gate(Limits { waiting_max: 2, ..ROOM }).await;
        assert_eq!(open.admission(None), Admission::Open);
        let (full, _folder, _queued) = gate(Limits { waiting_max: 1, ..ROOM }).await;
        assert_eq!(full.admission(None), Admission::Queue);
    }

    #[tokio::test]
    async fn a_disk_below_its_reserve_is_full_until_there_is_room() {
        let (mut gate, _folder, _queued) = gate(Limits { disk_reserve: u64::MAX, ..ROOM }).await;
        assert_eq!(gate.admission(None), Admission::Disk);
        Arc::get_mut(&mut gate).unwrap().limits.get_mut().disk_reserve = 1;
        gate.look_at_disk();
        assert_eq!(gate.admission(None), Admission::Open);
    }

    #[tokio::test]
    async fn new_messages_get_half_of_the_memory_and_those_under_way_all() {
        let (gate, _folder, _queued) = gate(ROOM).await;
        assert_eq!(gate.admission(Some(50)), Admission::Open);
        assert_eq!(gate.admission(Some(51)), Admission::Memory);
        let (mut one, mut two) = (Held::none(Arc::clone(&gate)), Held::none(Arc::clone(&gate)));
        assert!(one.set(50));
        assert_eq!(gate.admission(None), Admission::Open);
        assert!(two.set(50));
        assert_eq!(gate.admission(None), Admission::Memory);
        assert!(!two.set(51), "one above");
        assert!(two.set(10), "who gives back is never told to");
        drop(one);
        assert_eq!(gate.receiving(), 10);
        drop(two);
        assert_eq!(gate.receiving(), 0);
    }
}
