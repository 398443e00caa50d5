//! Why mail waits, in numbers for `/metrics`: looked at every few seconds, and less often where
//! that takes longer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use maily_core::clock::Clock;
use maily_core::clock::Timestamp;
use maily_core::queue::scheduler::Scheduler;
use maily_delivery::control::Control;

use crate::metrics::Exposition;

/// The pause between two looks.
const PAUSE: Duration = Duration::from_secs(5);
/// A pause is at least so many times as long as a look.
const SPARING: u32 = 100;

/// What was seen last.
#[derive(Debug, Default)]
pub struct Waiting(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    causes: BTreeMap<&'static str, usize>,
    oldest: Option<Timestamp>,
}

impl Waiting {
    /// Looks until the dispatcher ends.
    pub async fn watch(self: Arc<Self>, control: Control, clock: Arc<dyn Clock>) {
        loop {
            let begun = clock.now();
            let look = |queue: &Scheduler, now| (queue.causes(now), queue.oldest());
            let Ok((causes, oldest)) = control.look(look).await else { return };
            self.note(causes, oldest);
            let took = clock.now().since(begun);
            tokio::time::sleep(PAUSE.max(took.saturating_mul(SPARING))).await;
        }
    }

    /// What is not there any more is told as 0 and not left out.
    fn note(&self, causes: BTreeMap<&'static str, usize>, oldest: Option<Timestamp>) {
        let mut seen = self.0.lock();
        seen.causes.values_mut().for_each(|count| *count = 0);
        seen.causes.extend(causes);
        seen.oldest = oldest;
    }

    /// Tells it.
    pub fn write(&self, text: &mut Exposition, now: Timestamp) {
        let seen = self.0.lock();
        let causes: Vec<_> = seen.causes.iter().map(|(name, n)| (*name, *n as u64)).collect();
        let help = "Messages that wait, one for each of their domains, by what holds them.";
        text.gauges("maily_waiting_messages", help, "cause", &causes);
        let oldest = seen.oldest.map_or(0.0, |at| now.since(at).as_secs_f64());
        let help = "For how long the message has waited that waits longest.";
        text.gauge("maily_oldest_waiting_seconds", help, oldest);
    }
}
