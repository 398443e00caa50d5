//! The deadline of a run, by the clock on the wall. One thread waits for the earliest deadline of
//! all runs that are under way and raises the flag of what has passed its own; the interpreter
//! looks at the flag at every operation. While nothing runs, the thread sleeps.
//!
//! A thread that the machine did not let run has not computed: a run that has done hardly anything
//! when its time is over is given as much again, but of the processor's time, for [`PATIENCE`] at
//! most. So a busy machine fails no plugin, and a slow step of a script is still ended in time.

use std::io;
use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use maily_core::clock::Clock;
use maily_core::clock::Timestamp;
use parking_lot::Condvar;
use parking_lot::Mutex;
use rustix::time::ClockId;
use rustix::time::clock_gettime;

/// How much longer a run may take at most that did hardly anything in its time.
const PATIENCE: Duration = Duration::from_millis(100);
/// Microseconds in which a run that computes does an operation at least; most do more than ten in
/// one.
const BUSY_MICROS: u64 = 10;

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
    /// When it must end though it did hardly anything.
    hard: AtomicU64,
    /// The last deadline of which the hard one has passed too.
    passed_hard: AtomicU64,
    /// From so many operations on it has computed.
    busy: AtomicU64,
    /// Microseconds of the processor that it may use when its time is over.
    extra: AtomicU64,
    /// When these are used up, by the processor's time of its thread; 0 while its time lasts.
    used_up: AtomicU64,
    /// Operations of the run under way.
    operations: AtomicU64,
    /// How many it may take.
    operations_max: AtomicU64,
    /// From so many on it is looked whether the run must end: before, neither its operations are
    /// used up nor its time is over.
    look_from: AtomicU64,
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
            hard: AtomicU64::new(NEVER),
            passed_hard: AtomicU64::new(0),
            busy: AtomicU64::new(0),
            extra: AtomicU64::new(0),
            used_up: AtomicU64::new(0),
            operations: AtomicU64::new(0),
            operations_max: AtomicU64::new(0),
            look_from: AtomicU64::new(0),
        }
    }

    /// Counts an operation; whether the run must end here.
    #[inline]
    pub fn tick(&self, operations: u64) -> Option<Ended> {
        self.operations.store(operations, Ordering::Relaxed);
        // Acquire: whoever sees it lowered also sees what has passed.
        if operations < self.look_from.load(Ordering::Acquire) {
            return None;
        }
        self.look(operations)
    }

    #[cold]
    fn look(&self, operations: u64) -> Option<Ended> {
        let deadline = self.deadline.load(Ordering::Relaxed);
        if self.passed.load(Ordering::Relaxed) == deadline
            && (operations >= self.busy.load(Ordering::Relaxed) || self.has_computed(deadline))
        {
            return Some(Ended::Time);
        }
        (operations > self.operations_max.load(Ordering::Relaxed)).then_some(Ended::Operations)
    }

    /// Whether a run whose time is over had as much of the processor again.
    fn has_computed(&self, deadline: u64) -> bool {
        let now = processor_micros();
        match self.used_up.load(Ordering::Relaxed) {
            0 => {
                let until = now.saturating_add(self.extra.load(Ordering::Relaxed)).max(1);
                self.used_up.store(until, Ordering::Relaxed);
                false
            }
            until => now >= until || self.passed_hard.load(Ordering::Relaxed) == deadline,
        }
    }

    /// Operations of the run under way, or of the last one.
    pub fn operations(&self) -> u64 {
        self.operations.load(Ordering::Relaxed)
    }

    /// The run has ended.
    pub fn rest(&self) {
        self.deadline.store(NEVER, Ordering::Relaxed);
    }
}

/// Microseconds of the processor that this thread has used. This is no time of day.
fn processor_micros() -> u64 {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    let micros = used.tv_sec.saturating_mul(1_000_000).saturating_add(used.tv_nsec / 1_000);
    u64::try_from(micros).unwrap_or(0)
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

    /// The present moment, by the clock that deadlines go by.
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// A run began on this slot, and has so much time.
    pub fn begin(&self, slot: &Slot, begin: Timestamp, time: Duration, operations_max: u64) {
        let deadline = (begin + time).as_micros();
        let hard = (begin + time + time.max(PATIENCE)).as_micros();
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        slot.busy.store(micros / BUSY_MICROS, Ordering::Relaxed);
        slot.extra.store(micros * 9 / 10, Ordering::Relaxed);
        slot.used_up.store(0, Ordering::Relaxed);
        slot.hard.store(hard, Ordering::Relaxed);
        slot.operations.store(0, Ordering::Relaxed);
        slot.operations_max.store(operations_max, Ordering::Relaxed);
        // The watchdog lowers it only after it has seen the deadline that is stored below; if it
        // still means the run before, this one looks more often than it has to.
        slot.look_from.store(operations_max.saturating_add(1), Ordering::Relaxed);
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
                if now < deadline {
                    earliest = earliest.min(deadline);
                    continue;
                }
                slot.passed.store(deadline, Ordering::Relaxed);
                slot.look_from.store(0, Ordering::Release);
                let hard = slot.hard.load(Ordering::Relaxed);
                if now < hard {
                    earliest = earliest.min(hard);
                } else {
                    slot.passed_hard.store(deadline, Ordering::Relaxed);
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
        dog.begin(&slow, dog.now(), Duration::from_secs(3_600), 10);
        for _ in 0..20 {
            dog.begin(&slot, dog.now(), Duration::from_millis(2), 10_000);
            assert_eq!(slot.tick(1), None);
            while slot.tick(500).is_none() {
                std::hint::spin_loop();
            }
            // Whoever computed is ended at once; whoever did not has as much again.
            let begin = processor_micros();
            slot.used_up.store(0, Ordering::Relaxed);
            while slot.tick(1).is_none() {
                std::hint::spin_loop();
            }
            assert!(processor_micros() - begin >= 1_700);
            assert_eq!(slot.tick(1), Some(Ended::Time));
            slot.rest();
        }
        assert_eq!(slow.tick(10), None);
        assert_eq!(slow.tick(11), Some(Ended::Operations));
    }
}
