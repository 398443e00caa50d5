//! New mail on its way into the queue: where a plugin takes `on_route` it is asked first, beside
//! the loop, which waits for no script and no disk.

use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;

use tokio::sync::mpsc;

use maily_plugins::hook::Hook;
use maily_plugins::set::Plugins;
use maily_spool::spool::Spool;
use maily_spool::submission::Spooled;

use crate::hooks;
use crate::hooks::Routed;
use crate::labels::LabelCache;

/// Batches about which plugins are asked at once; what is behind them waits in its channel.
const BATCHES_MAX: usize = 2;

/// A message, and for each of its destinations how it is to go, if a plugin was asked.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The message.
    pub spooled: Spooled,
    /// In the order of its destinations.
    pub routed: Vec<Option<Routed>>,
}

/// Asks how new mail is to go.
pub struct Placing {
    plugins: Arc<Plugins>,
    spool: Spool,
    labels: LabelCache,
    placed: mpsc::UnboundedSender<Vec<Placed>>,
    underway: usize,
}

impl Placing {
    /// What it finds out comes through this channel, which holds few batches.
    pub fn new(
        plugins: Arc<Plugins>,
        spool: Spool,
        placed: mpsc::UnboundedSender<Vec<Placed>>,
    ) -> Self {
        let labels = LabelCache::new(spool.clone());
        Self { plugins, spool, labels, placed, underway: 0 }
    }

    /// Whether more can be asked about.
    pub const fn has_room(&self) -> bool {
        self.underway < BATCHES_MAX
    }

    /// The messages at once, in their order, if nobody wants to be asked; if somebody does, they
    /// come through the channel. `pool` names the one by which a tenant's mail goes.
    pub fn place<'a>(
        &mut self,
        batch: impl Iterator<Item = Spooled>,
        pool: impl Fn(&str) -> &'a str,
    ) -> Vec<Placed> {
        if !self.plugins.takes(Hook::OnRoute) {
            return batch.map(Placed::unasked).collect();
        }
        let named = |spooled: Spooled| (Box::from(pool(&spooled.stream.tenant)), spooled);
        let batch: Vec<(Box<str>, Spooled)> = batch.map(named).collect();
        let (plugins, spool, labels) =
            (Arc::clone(&self.plugins), self.spool.clone(), self.labels.clone());
        let placed = self.placed.clone();
        self.underway += 1;
        tokio::task::spawn_blocking(move || {
            let ask = |(pool, spooled): (Box<str>, Spooled)| {
                // A panic must not take the message with it: it would wait for ever.
                let asked = catch_unwind(AssertUnwindSafe(|| {
                    let stored = spool.hot(spooled.id).or_else(|| spool.get(spooled.id).ok())?;
                    Some(hooks::route(&plugins, &stored, &labels.of(&stored), &spooled, &pool))
                }));
                match asked {
                    Ok(Some(routed)) => Placed { spooled, routed },
                    Ok(None) | Err(_) => Placed::unasked(spooled),
                }
            };
            // The dispatcher is gone only when the process is.
            let _gone = placed.send(batch.into_iter().map(ask).collect());
        });
        Vec::new()
    }

    /// A batch has come through the channel.
    pub const fn on_placed(&mut self) {
        self.underway -= 1;
    }
}

impl Placed {
    fn unasked(spooled: Spooled) -> Self {
        let routed = spooled.destinations.iter().map(|_| None).collect();
        Self { spooled, routed }
    }
}
