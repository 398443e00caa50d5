//! The open connections, each with a worker: a try goes to one that is free, or to a new one.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use maily_core::queue::action::SiteId;
use maily_egress::resolve::Route;

use crate::attempt::Job;
use crate::worker;
use crate::worker::Shared;
use crate::worker::Told;

/// The connections.
pub struct Connections {
    shared: Arc<Shared>,
    told: mpsc::UnboundedSender<Told>,
    free: HashMap<SiteId, Vec<mpsc::Sender<Job>>>,
}

impl Connections {
    /// No connections; workers tell what became of their tries through this channel.
    pub fn new(shared: Arc<Shared>, told: mpsc::UnboundedSender<Told>) -> Self {
        Self { shared, told, free: HashMap::new() }
    }

    /// A worker waits for another try.
    pub fn offer(&mut self, site: SiteId, worker: mpsc::Sender<Job>) {
        self.free.entry(site).or_default().push(worker);
    }

    /// Gives a try to a worker: the one that was last free, for its connection is the surest.
    pub fn give(&mut self, route: &Route, mut job: Job) {
        while let Some(free) = self.free.get_mut(&job.attempt.site).and_then(Vec::pop) {
            match free.try_send(job) {
                Ok(()) => return,
                Err(TrySendError::Full(back) | TrySendError::Closed(back)) => job = back,
            }
        }
        let (shared, source) = (Arc::clone(&self.shared), Arc::clone(&self.shared.source));
        tokio::spawn(worker::run(shared, source, route.clone(), job, self.told.clone()));
    }
}
