//! The deadline of a run, by the clock on the wall. One thread waits for the earliest deadline of
//! all runs that are under way and raises the flag of what has passed its own; the interpreter
//! looks at the flag at every operation. While nothing runs, the thread sleeps.

use std::io;
use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use maily_core::clock::Clock;
use parking_lot::Condvar;
use parking_lot::Mutex;

/// No deadline.
const NEVER: u64 = u64::MAX;

/// What one worker and the watchdog share.
#[derive(Debug)]
pub struct Slot {
    /// When the run under way must end, in microseconds; `NEVER` between runs.
    deadline: AtomicU64,
    /// The last deadline that was seen to have passed: a flag that cannot be taken for another
    /// run's, since a later run of this slot has a later deadline.
    passed: AtomicU64,
    /// Operations of the run under way.
    operations: AtomicU64,
    /// How many it may take.
    operations_max: AtomicU64,
}

/// Why a run was ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Its time was over.
    Time,
    /// Its operations were used up.
    Operations,
}

/// Watches over the deadlines of all runs.
#[derive(Debug)]
pub struct Watchdog {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    slots: Mutex<Slots>,
    wake: Condvar,
    /// When the thread wakes up by itself.
    next: AtomicU64,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("next", &self.next).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Slots {
    all: Vec<Weak<Slot>>,
    closing: bool,
}

impl Slot {
    fn new() -> Self {
        Self {
            deadline: AtomicU64::new(NEVER),
            passed: AtomicU64::new(0),
            operations: AtomicU64::new(0),
            operations_max: AtomicU64::new(0),
        }
    }

    /// Counts an operation; whether the run must end here.
    pub fn tick(&self, operations: u64) -> Option<Ended> {
        self.operations.store(operations, Ordering::Relaxed);
        if self.passed.load(Ordering::Relaxed) == self.deadline.load(Ordering::Relaxed) {
            return Some(Ended::Time);
        }
        (operations > self.operations_max.load(Ordering::Relaxed)).then_some(Ended::Operations)
    }

    /// Operations of the run under way, or of the last one.
    pub fn operations(&self) -> u64 {
        self.operations.load(Ordering::Relaxed)
    }

    /// Whether the time of the run under way is over.
    pub fn is_over(&self) -> bool {
        self.passed.load(Ordering::Relaxed) == self.deadline.load(Ordering::Relaxed)
    }

    /// The run has ended.
    pub fn rest(&self) {
        self.deadline.store(NEVER, Ordering::SeqCst);
    }
}

impl Watchdog {
    /// Starts the thread.
    pub fn start(clock: Arc<dyn Clock>) -> io::Result<Self> {
        let (slots, wake) = (Mutex::new(Slots::default()), Condvar::new());
        let shared = Arc::new(Shared { clock, slots, wake, next: AtomicU64::new(NEVER) });
        let own = Arc::clone(&shared);
        thread::Builder::new().name("plugin-watchdog".to_owned()).spawn(move || own.watch())?;
        Ok(Self { shared })
    }

    /// A slot for a worker.
    pub fn slot(&self) -> Arc<Slot> {
        let slot = Arc::new(Slot::new());
        let mut slots = self.shared.slots.lock();
        slots.all.retain(|slot| slot.strong_count() > 0);
        slots.all.push(Arc::downgrade(&slot));
        slot
    }

    /// A run begins on this slot.
    pub fn begin(&self, slot: &Slot, time: Duration, operations_max: u64) {
        let now = self.shared.clock.now();
        let deadline = (now + time).as_micros();
        slot.operations.store(0, Ordering::Relaxed);
        slot.operations_max.store(operations_max, Ordering::Relaxed);
        slot.deadline.store(deadline, Ordering::SeqCst);
        if deadline < self.shared.next.load(Ordering::SeqCst) {
            let _slots = self.shared.slots.lock();
            self.shared.next.fetch_min(deadline, Ordering::SeqCst);
            self.shared.wake.notify_one();
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.shared.slots.lock().closing = true;
        self.shared.wake.notify_one();
    }
}

impl Shared {
    fn watch(&self) {
        let mut slots = self.slots.lock();
        while !slots.closing {
            // Whoever begins from here on comes for the lock and wakes us; whoever began before is
            // seen below.
            self.next.store(NEVER, Ordering::SeqCst);
            let now = self.clock.now().as_micros();
            let mut earliest = NEVER;
            for slot in slots.all.iter().filter_map(Weak::upgrade) {
                let deadline = slot.deadline.load(Ordering::SeqCst);
                if deadline <= now {
                    slot.passed.store(deadline, Ordering::Relaxed);
                } else {
                    earliest = earliest.min(deadline);
                }
            }
            if earliest == NEVER {
                self.wake.wait(&mut slots);
            } else {
                self.next.fetch_min(earliest, Ordering::SeqCst);
                let timeout = Duration::from_micros(earliest - now);
                let _timed_out = self.wake.wait_for(&mut slots, timeout);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use maily_core::clock::Timestamp;
    use std::time::SystemTime;

    struct Wall;

    impl Clock for Wall {
        fn now(&self) -> Timestamp {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
            Timestamp::from_micros(u64::try_from(since.as_micros()).unwrap())
        }
    }

    #[test]
    fn a_deadline_passes_and_the_next_run_is_not_hit_by_it() {
        let dog = Watchdog::start(Arc::new(Wall)).unwrap();
        let (slot, slow) = (dog.slot(), dog.slot());
        dog.begin(&slow, Duration::from_secs(3_600), 10);
        for _ in 0..20 {
            dog.begin(&slot, Duration::from_millis(2), 10);
            assert_eq!(slot.tick(1), None);
            while slot.tick(1).is_none() {
                thread::yield_now();
            }
            assert_eq!(slot.tick(1), Some(Ended::Time));
            slot.rest();
        }
        assert_eq!(slow.tick(10), None);
        assert_eq!(slow.tick(11), Some(Ended::Operations));
    }
}
