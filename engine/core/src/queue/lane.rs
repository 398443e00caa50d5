//! A lane: one site as seen from one egress source. What goes wrong in a lane is no reason to leave
//! another.

use crate::clock::Timestamp;
use crate::queue::action::Connection;
use crate::queue::policy::Limits;
use crate::queue::policy::SourceIndex;
use crate::queue::rate::Bucket;
use crate::queue::remark::Mark;
use crate::queue::remark::UNSAID;
use crate::queue::window::Window;

/// What an attempt said of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// It took or refused the message.
    Works,
    /// It put the message off.
    Answers,
    /// It could not be reached, or sent us away.
    Fails,
    /// Nothing: no attempt was made.
    Unknown,
}

/// Whether a lane takes a message now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// It does.
    Ready(Connection),
    /// Not before then.
    Later(Timestamp),
    /// Not before something ends that is under way in it.
    Full,
    /// Not before an operator says so.
    Suspended,
}

/// What keeps a message out of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// The lane rests after failures.
    Rest { until: Timestamp, mark: Mark, since: Timestamp },
    /// So many messages in a time, and no more.
    MessageRate { until: Timestamp },
    /// So many new connections in a time, and no more.
    ConnectionRate { until: Timestamp },
    /// There may be no more connections, and each is taken.
    Connections { most: u32 },
    /// As many are under way as the host has borne so far.
    Window { size: u32, mark: Mark, since: Timestamp },
}

/// A source's weight beside the heaviest of its pool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    pub(crate) weight: u64,
    pub(crate) heaviest: u64,
}

impl Share {
    /// Its part of a window, and at least one: so that the weights hold under load too, when every
    /// source has as much to do as it may.
    fn of(self, size: u32) -> u32 {
        let part = (u64::from(size) * self.weight).div_ceil(self.heaviest.max(1));
        u32::try_from(part).unwrap_or(size).clamp(1, size)
    }
}

#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) site: u32,
    /// The site's next lane.
    pub(crate) next: u32,
    pub(crate) source: SourceIndex,
    in_flight: u32,
    /// Connections that are open, opening or closing.
    connections: u32,
    /// Those that wait for a message and have none promised.
    idle: u32,
    window: Window,
    messages: Bucket,
    openings: Bucket,
    /// What was said when it failed last, and when.
    failed: (Mark, Timestamp),
    /// Among those whose idle connections could be closed.
    pub(crate) listed: bool,
}

impl Lane {
    pub(crate) fn new(site: u32, next: u32, source: SourceIndex, limits: &Limits) -> Self {
        Self {
            site,
            next,
            source,
            in_flight: 0,
            connections: 0,
            idle: 0,
            window: Window::new(limits.connections_initial.min(limits.connections_max)),
            messages: Bucket::default(),
            openings: Bucket::default(),
            failed: (UNSAID, Timestamp::EPOCH),
            listed: false,
        }
    }

    /// Whether it takes a message now.
    pub(crate) fn readiness(&self, limits: &Limits, now: Timestamp, share: Share) -> Readiness {
        if self.in_flight >= share.of(self.window.size()) {
            return Readiness::Full;
        }
        let mut at = self.window.resting_until().max(self.messages.ready_at(limits.message_rate));
        if self.idle == 0 {
            if self.connections >= limits.connections_max {
                return Readiness::Full;
            }
            at = at.max(self.openings.ready_at(limits.connection_rate));
        }
        if at > now {
            Readiness::Later(at)
        } else if self.idle > 0 {
            Readiness::Ready(Connection::Free)
        } else {
            Readiness::Ready(Connection::New)
        }
    }

    /// What keeps a message that cannot go; none if one could.
    pub(crate) fn obstacle(
        &self,
        limits: &Limits,
        now: Timestamp,
        share: Share,
    ) -> Option<Obstacle> {
        let window = share.of(self.window.size());
        let (mark, since) = self.failed;
        let rest = self.window.resting_until();
        let rate = self.messages.ready_at(limits.message_rate);
        let opening = self.openings.ready_at(limits.connection_rate);
        let alone = self.idle == 0;
        if rest > now {
            return Some(Obstacle::Rest { until: rest, mark, since });
        }
        if rate > now {
            return Some(Obstacle::MessageRate { until: rate });
        }
        if self.in_flight >= window || alone && self.connections >= limits.connections_max {
            return Some(match window < share.of(limits.connections_max) {
                true => Obstacle::Window { size: window, mark, since },
                false => Obstacle::Connections { most: limits.connections_max },
            });
        }
        (alone && opening > now).then_some(Obstacle::ConnectionRate { until: opening })
    }

    /// It begins anew, as if nothing had been learned: with few connections and without a rest.
    pub(crate) fn restart(&mut self, limits: &Limits) {
        self.window = Window::new(limits.connections_initial.min(limits.connections_max));
    }

    /// It goes on with no more than a few connections.
    pub(crate) const fn begin_with(&mut self, few: u32) {
        self.window.shrink_to(few);
    }

    /// Messages that are under way.
    pub(crate) const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Connections that are open, opening or closing.
    pub(crate) const fn connections(&self) -> u32 {
        self.connections
    }

    /// Until when it rests; a time that is past if it does not.
    pub(crate) const fn resting_until(&self) -> Timestamp {
        self.window.resting_until()
    }

    /// How many may be under way.
    pub(crate) const fn window(&self) -> u32 {
        self.window.size()
    }

    /// What was said when it failed last, and when.
    pub(crate) const fn failed(&self) -> (Mark, Timestamp) {
        self.failed
    }

    /// A message goes.
    pub(crate) fn take(&mut self, limits: &Limits, now: Timestamp, connection: Connection) {
        self.in_flight += 1;
        self.messages.take(now, limits.message_rate);
        match connection {
            Connection::Free => self.idle -= 1,
            Connection::New => {
                self.connections += 1;
                self.openings.take(now, limits.connection_rate);
            }
        }
    }

    /// A message comes back. True if the lane rests from now on.
    pub(crate) fn land(
        &mut self,
        limits: &Limits,
        now: Timestamp,
        health: Health,
        mark: Mark,
    ) -> bool {
        self.in_flight -= 1;
        if health == Health::Fails {
            self.failed = (mark, now);
        }
        match health {
            Health::Works => self.window.on_success(limits.connections_max),
            Health::Answers => self.window.on_answer(),
            Health::Fails => return self.window.on_failure(now),
            Health::Unknown => {}
        }
        false
    }

    /// A connection waits for a message.
    pub(crate) const fn on_free(&mut self) {
        self.idle += 1;
    }

    /// A free connection gets no more messages. False if none is free.
    pub(crate) const fn retire(&mut self) -> bool {
        if self.idle == 0 {
            return false;
        }
        self.idle -= 1;
        true
    }

    pub(crate) const fn on_closed(&mut self) {
        self.connections = self.connections.saturating_sub(1);
    }

    /// Limits changed.
    pub(crate) const fn limit(&mut self, limits: &Limits) {
        self.window.shrink_to(limits.connections_max);
    }

    pub(crate) const fn idle(&self) -> u32 {
        self.idle
    }

    /// Whether it is as if it had never been used.
    pub(crate) fn is_forgettable(&self, now: Timestamp) -> bool {
        self.in_flight == 0
            && self.connections == 0
            && self.window.resting_until() <= now
            && self.messages.is_full(now)
            && self.openings.is_full(now)
    }
}
