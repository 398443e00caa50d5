//! The open connections, each with a worker: a try goes by one that is free, or by a new one, as
//! the scheduler says, which counts them.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use maily_core::queue::action::Connection;
use maily_core::queue::action::LaneId;
use maily_egress::route::Route;

use crate::attempt::Job;
use crate::worker;
use crate::worker::Free;
use crate::worker::Order;
use crate::worker::Shared;
use crate::worker::Told;

/// The connections.
pub struct Connections {
    shared: Arc<Shared>,
    told: mpsc::UnboundedSender<Told>,
    /// Those that are free, the one that has been so the longest at the front.
    free: HashMap<LaneId, VecDeque<Free>>,
    workers: u64,
}

impl Connections {
    /// No connections; workers tell what became of their tries through this channel.
    pub fn new(shared: Arc<Shared>, told: mpsc::UnboundedSender<Told>) -> Self {
        Self { shared, told, free: HashMap::new(), workers: 0 }
    }

    /// Opens connections by other settings from now on. Those that are open finish their try and
    /// then end.
    pub fn reload(&mut self, shared: Arc<Shared>) {
        self.shared.retired.store(true, Ordering::Relaxed);
        self.shared = shared;
    }

    /// A worker waits for an order.
    pub fn offer(&mut self, lane: LaneId, worker: Free) {
        self.free.entry(lane).or_default().push_back(worker);
    }

    /// Gives a try to a worker. The one that was last free gets it, for its connection is the
    /// surest. Gives the try back if that connection has just ended.
    pub fn give(&mut self, route: &Arc<Route>, job: Job) -> Option<Job> {
        if job.attempt.connection == Connection::Free {
            let Some(free) = self.take(job.attempt.lane, VecDeque::pop_back) else {
                return Some(job);
            };
            return match free.orders.try_send(Order::Try(Box::new(job))) {
                Err(
                    TrySendError::Full(Order::Try(job)) | TrySendError::Closed(Order::Try(job)),
                ) => Some(*job),
                _ => None,
            };
        }
        let source = self.shared.sources.get(usize::from(job.attempt.source.0));
        let Some(source) = source.cloned() else { return Some(job) };
        self.workers += 1;
        let (shared, told) = (Arc::clone(&self.shared), self.told.clone());
        tokio::spawn(worker::run(shared, self.workers, source, Arc::clone(route), job, told));
        None
    }

    /// Closes the connection of a lane that has been free the longest.
    pub fn close(&mut self, lane: LaneId) {
        if let Some(free) = self.take(lane, VecDeque::pop_front) {
            // If it ends by itself just now, that is as well.
            let _gone = free.orders.try_send(Order::Close);
        }
    }

    /// A worker has ended. True if it was free.
    pub fn on_closed(&mut self, lane: LaneId, worker: u64) -> bool {
        self.take(lane, |free| {
            let place = free.iter().position(|free| free.worker == worker)?;
            free.remove(place)
        })
        .is_some()
    }

    fn take(
        &mut self,
        lane: LaneId,
        which: impl FnOnce(&mut VecDeque<Free>) -> Option<Free>,
    ) -> Option<Free> {
        let free = self.free.get_mut(&lane)?;
        let taken = which(free);
        if free.is_empty() {
            self.free.remove(&lane);
        }
        taken
    }
}
