//! What the dispatcher is made of, and what the operator decides.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::sync::watch;

use maily_core::queue::policy::Policy;
use maily_core::queue::scheduler::Scheduler;
use maily_events::recorder::Recorder;
use maily_spool::spool::Spool;

use crate::asking::Asker;
use crate::control::Command;
use crate::counters::Counters;
use crate::reports::Reporting;
use crate::signing::Signed;
use crate::signing::Signing;
use crate::signing::Tools;
use crate::worker::Shared;

/// What the loop is made of.
pub struct Parts {
    /// What it drives.
    pub scheduler: Scheduler,
    /// Where the messages are.
    pub spool: Spool,
    /// Where it is written down what happened.
    pub events: Recorder,
    /// What the operator decides, now and after each reload.
    pub settings: watch::Receiver<Settings>,
    /// Where it counts.
    pub counters: Arc<Counters>,
    /// Who signs, and where it comes back.
    pub signing: (Signing, mpsc::UnboundedReceiver<Signed>),
    /// Who says how mail goes, and finds out about recipients.
    pub asker: Asker,
    /// What operators say.
    pub commands: mpsc::Receiver<Command>,
}

/// How far the daemon is with its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It goes on.
    Running,
    /// Nothing more is tried; mail may still come in, and waits.
    Draining,
    /// No more mail can come in: the loop ends with the last attempt under way.
    Ending,
}

/// What the operator decides.
#[derive(Clone)]
pub struct Settings {
    /// When and how much is sent.
    pub policy: Policy,
    /// How it is sent.
    pub shared: Arc<Shared>,
    /// With what messages are written and signed.
    pub tools: Tools,
    /// How senders are told what became of it.
    pub reporting: Reporting,
}
