//! Where producers leave their appends, and the writer takes them.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Condvar;
use parking_lot::Mutex;

use crate::record::Draft;
use crate::scan::Position;

/// Why an append was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// No room is left but the reserve.
    #[error("the disk is full")]
    Full,
    /// The write or sync failed.
    #[error("{0}")]
    Failed(String),
    /// The journal is closed.
    #[error("the journal is closed")]
    Closed,
}

/// Called once, in the writer's thread, when the fate of an append is known.
pub type Done = Box<dyn FnOnce(Result<Position, AppendError>) + Send>;

/// An append on its way.
pub(crate) struct Append {
    pub(crate) draft: Draft,
    /// Somebody waits for it.
    pub(crate) urgent: bool,
    pub(crate) done: Option<Done>,
}

struct Waiting {
    queue: VecDeque<Append>,
    urgent: usize,
    closed: bool,
}

/// Where producers leave their appends.
pub(crate) struct Inbox {
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        let waiting = Waiting { queue: VecDeque::new(), urgent: 0, closed: false };
        Self { waiting: Mutex::new(waiting), wake: Condvar::new() }
    }

    /// Leaves an append; hands it back if the journal is closed.
    pub(crate) fn push(&self, append: Append) -> Result<(), Append> {
        let mut waiting = self.waiting.lock();
        if waiting.closed {
            return Err(append);
        }
        let wake = append.urgent || waiting.queue.is_empty();
        waiting.urgent += usize::from(append.urgent);
        waiting.queue.push_back(append);
        drop(waiting);
        if wake {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Leaves several that somebody waits for, so that they are written together.
    pub(crate) fn push_all(&self, appends: Vec<Append>) -> Result<(), Vec<Append>> {
        let mut waiting = self.waiting.lock();
        if waiting.closed {
            return Err(appends);
        }
        waiting.urgent += appends.len();
        waiting.queue.extend(appends);
        drop(waiting);
        self.wake.notify_one();
        Ok(())
    }

    pub(crate) fn close(&self) {
        self.waiting.lock().closed = true;
        self.wake.notify_one();
    }

    /// All that waits. Appends that nobody waits for are given `patience` to be joined by others.
    /// None when the journal is closed and all is written.
    pub(crate) fn take(&self, patience: Duration) -> Option<VecDeque<Append>> {
        let mut waiting = self.waiting.lock();
        while waiting.queue.is_empty() {
            if waiting.closed {
                return None;
            }
            self.wake.wait(&mut waiting);
        }
        if waiting.urgent == 0 && !waiting.closed {
            self.wake.wait_for(&mut waiting, patience);
        }
        waiting.urgent = 0;
        Some(std::mem::take(&mut waiting.queue))
    }
}
