//! What must hold for what is sent, judged without a look into the queue.

use std::collections::BTreeMap;
use std::time::Duration;

use maily_core::clock::Timestamp;
use maily_core::queue::policy::SourceIndex;

/// The least rest of a lane that does not answer.
const REST_MIN: Duration = Duration::from_secs(10);

/// So many in a time, as the operator wrote it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowed {
    pub(crate) count: u32,
    pub(crate) per: Duration,
}

/// Tokens: in any time `t` at most what `t` and a tenth of a second hold, and one.
#[derive(Clone, Copy, Debug)]
struct Tokens {
    left: f64,
    at: Timestamp,
}

impl Tokens {
    fn take(slot: &mut Option<Self>, now: Timestamp, allowed: Option<Allowed>, what: &str) {
        let Some(Allowed { count, per }) = allowed else { return };
        let per_second = f64::from(count) / per.as_secs_f64();
        let full = (per_second * 0.1).max(1.0);
        let tokens = slot.get_or_insert(Self { left: full, at: now });
        let gained = now.since(tokens.at).as_secs_f64() * per_second;
        tokens.left = (tokens.left + gained).min(full) - 1.0;
        tokens.at = now;
        assert!(tokens.left > -0.001, "more {what} than {count} in {per:?}");
    }
}

/// What an operator allows one site from one source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) connections_max: u32,
    pub(crate) messages: Option<Allowed>,
    pub(crate) openings: Option<Allowed>,
}

#[derive(Debug, Default)]
struct Seen {
    in_flight: u32,
    connections: u32,
    messages: Option<Tokens>,
    openings: Option<Tokens>,
    /// Failures in a row, and when the last attempt began.
    failures: u32,
    begun: Timestamp,
}

/// Looks at what goes to each site from each source.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    lanes: BTreeMap<(String, SourceIndex), Seen>,
}

impl Judge {
    fn seen(&mut self, site: &str, source: SourceIndex) -> &mut Seen {
        self.lanes.entry((site.to_owned(), source)).or_default()
    }

    pub(crate) fn on_attempt(
        &mut self,
        now: Timestamp,
        site: &str,
        source: SourceIndex,
        bounds: &Bounds,
    ) {
        let seen = self.seen(site, source);
        seen.in_flight += 1;
        assert!(seen.in_flight <= bounds.connections_max, "too many under way to {site}");
        Tokens::take(&mut seen.messages, now, bounds.messages, "messages");
        if seen.failures >= bounds.connections_max {
            let pause = now.since(seen.begun);
            assert!(pause >= REST_MIN, "a dead site is tried again after {pause:?}");
        }
        seen.begun = now;
    }

    /// An operator has hosts tried at once that were left alone.
    pub(crate) fn on_hurry(&mut self) {
        self.lanes.values_mut().for_each(|seen| seen.failures = 0);
    }

    /// Whether the host failed, or worked; none if it was not tried.
    pub(crate) fn on_end(&mut self, site: &str, source: SourceIndex, failed: Option<bool>) {
        let seen = self.seen(site, source);
        seen.in_flight -= 1;
        match failed {
            Some(true) => seen.failures += 1,
            Some(false) => seen.failures = 0,
            // The host does not know of it: another may follow at once.
            None => seen.begun = Timestamp::EPOCH,
        }
    }

    pub(crate) fn on_opening(
        &mut self,
        now: Timestamp,
        site: &str,
        source: SourceIndex,
        bounds: &Bounds,
    ) {
        let seen = self.seen(site, source);
        seen.connections += 1;
        assert!(seen.connections <= bounds.connections_max, "too many connections to {site}");
        Tokens::take(&mut seen.openings, now, bounds.openings, "openings");
    }

    pub(crate) fn on_closed(&mut self, site: &str, source: SourceIndex) {
        self.seen(site, source).connections -= 1;
    }
}
