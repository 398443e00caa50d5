//! Looking at the queue: its destinations, streams and lanes, and single messages.
//!
//! What is counted comes from the ledger. Ages are known to entries alone, so a survey looks at
//! each of them once, in the order in which they lie; whoever wants surveys often keeps the last
//! one for a while.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;

use crate::clock::Timestamp;
use crate::mail::id::QueueId;
use crate::queue::destinations::Route;
use crate::queue::entries::Entry;
use crate::queue::ledger::Account;
use crate::queue::ledger::Standing;
use crate::queue::pace::Pace;
use crate::queue::scheduler::Scheduler;
use crate::queue::scheduler::selecting::Selecting;
use crate::queue::survey;
use crate::queue::survey::AGE_MINUTES;
use crate::queue::survey::AGES;
use crate::queue::survey::DESTINATIONS_MAX;
use crate::queue::survey::DestinationRow;
use crate::queue::survey::LANES_MAX;
use crate::queue::survey::LaneRow;
use crate::queue::survey::MessageRow;
use crate::queue::survey::Messages;
use crate::queue::survey::Order;
use crate::queue::survey::Preview;
use crate::queue::survey::STREAMS_MAX;
use crate::queue::survey::SiteRow;
use crate::queue::survey::StreamRow;
use crate::queue::survey::Survey;
use crate::queue::survey::Tally;
use crate::selector::Selector;

/// Sites that a preview names.
const SITES_MAX: usize = 10;
/// Messages that a preview shows.
const SAMPLES_MAX: usize = 5;

/// What is gathered of a destination.
#[derive(Default)]
struct Gathered {
    tally: Tally,
    ages: [u32; AGES],
    oldest: Option<Timestamp>,
    causes: Vec<(&'static str, u32)>,
}

impl Scheduler {
    /// The queue as it is.
    pub fn survey(&self, now: Timestamp) -> Survey {
        let mut all: HashMap<u32, Gathered> = HashMap::new();
        let mut streams: HashMap<u32, Tally> = HashMap::new();
        let mut survey = Survey::default();
        for (account, count) in self.entries.ledger().iter() {
            let tallies = [
                &mut survey.tally,
                &mut all.entry(account.destination).or_default().tally,
                streams.entry(account.flow).or_default(),
            ];
            tallies.into_iter().for_each(|tally| count_into(tally, account, count));
        }
        for (_, entry) in self.entries.each().filter(|(_, e)| e.standing != Standing::Flying) {
            let Some(gathered) = all.get_mut(&entry.destination) else { continue };
            let accepted = entry.id.made_at();
            if let Some(bucket) = gathered.ages.get_mut(bucket(now.since(accepted))) {
                *bucket += 1;
            }
            gathered.oldest = Some(gathered.oldest.map_or(accepted, |old| old.min(accepted)));
        }
        survey.oldest = all.values().filter_map(|gathered| gathered.oldest).min();
        survey.destinations_total = all.len();
        let mut ranked: Vec<_> = all.into_iter().collect();
        let by_waiting = |(_, gathered): &(u32, Gathered)| Reverse(gathered.tally.waiting);
        if ranked.len() > DESTINATIONS_MAX {
            ranked.select_nth_unstable_by_key(DESTINATIONS_MAX, by_waiting);
            ranked.truncate(DESTINATIONS_MAX);
        }
        let mut kept: HashMap<u32, Gathered> = ranked.into_iter().collect();
        for (account, count) in self.entries.ledger().iter() {
            if let Some(gathered) = kept.get_mut(&account.destination)
                && account.standing != Standing::Flying
            {
                add_cause(&mut gathered.causes, self.cause_name(now, account), count);
            }
        }
        let rows = kept.into_iter().filter_map(|(number, it)| self.destination_row(number, it));
        survey.destinations = rows.collect();
        survey.streams = self.stream_rows(streams);
        survey.sites = self.site_rows(now);
        survey.lanes = self.lane_rows(now);
        survey.pools = self.policy.pool_sources();
        survey
    }

    /// When the message was accepted that waits longest. Looks at all entries.
    pub fn oldest(&self) -> Option<Timestamp> {
        let waits = |(_, entry): &(u32, &Entry)| entry.standing != Standing::Flying;
        self.entries.each().filter(waits).map(|(_, entry)| entry.id.made_at()).min()
    }

    fn destination_row(&self, number: u32, gathered: Gathered) -> Option<DestinationRow> {
        let Gathered { tally, ages, oldest, causes } = gathered;
        Some(DestinationRow {
            domain: self.destinations.get(number)?.domain.clone(),
            site: self.site_of(number),
            tally,
            ages,
            oldest,
            cause: causes.into_iter().max_by_key(|(_, count)| *count).map_or("", |(name, _)| name),
        })
    }

    fn stream_rows(&self, tallies: HashMap<u32, Tally>) -> Vec<StreamRow> {
        let mut ranked: Vec<_> = tallies.into_iter().collect();
        ranked.sort_unstable_by_key(|(number, tally)| (Reverse(tally.waiting), *number));
        ranked.truncate(STREAMS_MAX);
        let row = |(number, tally)| {
            let info = self.streams.get(number)?;
            let pool = self.policy.pool_name(info.pool).into();
            Some(StreamRow { stream: info.stream.clone(), pool, tally })
        };
        ranked.into_iter().filter_map(row).collect()
    }

    fn site_rows(&self, now: Timestamp) -> Vec<SiteRow> {
        let row = |(site, connections, pace): (&Arc<str>, u32, Pace)| SiteRow {
            site: Arc::clone(site),
            connections,
            pace,
        };
        self.sites.paces(now).take(survey::SITES_MAX).map(row).collect()
    }

    fn lane_rows(&self, now: Timestamp) -> Vec<LaneRow> {
        let mut rows = Vec::new();
        for lane in self.sites.lanes_in_use(now).take(LANES_MAX) {
            let (mark, failed_at) = lane.failed();
            let rests = lane.resting_until();
            let said = self.remarks.get(mark).map(|kept| kept.remark.text.clone());
            rows.push(LaneRow {
                site: self.sites.name(lane.site).cloned().unwrap_or_else(|| "".into()),
                source: self.policy.source_name(lane.source).into(),
                in_flight: lane.in_flight(),
                connections: lane.connections(),
                window: lane.window(),
                resting_until: (rests > now).then_some(rests),
                failed_at: said.is_some().then_some(failed_at),
                said: said.unwrap_or_default(),
            });
        }
        rows
    }

    /// The site of a destination, as far as it is known.
    pub(crate) fn site_of(&self, destination: u32) -> Arc<str> {
        let site = match self.destinations.get(destination).map(|found| &found.route) {
            Some(Route::Site { site, .. }) => self.sites.name(*site).cloned(),
            _ => None,
        };
        site.unwrap_or_else(|| "".into())
    }

    /// Some of the selected messages: so many, behind so many others in this order.
    pub fn messages(
        &self,
        now: Timestamp,
        selector: &Selector,
        order: Order,
        offset: usize,
        limit: usize,
    ) -> Messages {
        let mut selecting = Selecting::new(selector, now);
        let (mut selected, most) = (0, offset + limit);
        // The one that goes first is on top: it is the worst of those in sight.
        let mut best: BinaryHeap<(u64, QueueId, u32)> = BinaryHeap::new();
        for (key, entry) in self.entries.each() {
            if !selecting.selects(self, entry) {
                continue;
            }
            selected += 1;
            let rank = (rank(order, entry), entry.id, key);
            if best.len() < most {
                best.push(rank);
            } else if best.peek().is_some_and(|worst| rank < *worst) {
                best.pop();
                best.push(rank);
            }
        }
        let sorted = best.into_sorted_vec();
        let in_sight = sorted.into_iter().skip(offset);
        let rows = in_sight.filter_map(|(_, _, key)| self.message_row(now, key)).collect();
        Messages { total: self.entries.len() - self.cancelled, selected, rows }
    }

    fn message_row(&self, now: Timestamp, key: u32) -> Option<MessageRow> {
        let entry = self.entries.get(key)?;
        let info = self.streams.get(entry.flow)?;
        let in_flight = entry.standing == Standing::Flying;
        Some(MessageRow {
            id: entry.id,
            domain: self.destinations.get(entry.destination)?.domain.clone(),
            site: self.site_of(entry.destination),
            stream: info.stream.clone(),
            pool: self.policy.pool_name(info.pool).into(),
            attempts: entry.attempts.into(),
            next: (entry.standing == Standing::Timed).then_some(entry.due),
            expires_at: entry.expires_at,
            in_flight,
            cause: if in_flight { "" } else { self.cause_name(now, &entry.account()) },
            said: self.remarks.get(entry.mark).map(|k| k.remark.text.clone()).unwrap_or_default(),
        })
    }

    /// What a directive with this selector would be about.
    pub fn preview(&self, now: Timestamp, selector: &Selector) -> Preview {
        let mut selecting = Selecting::new(selector, now);
        let mut preview = Preview::default();
        let mut by_destination: HashMap<u32, usize> = HashMap::new();
        for (key, entry) in self.entries.each() {
            if !selecting.selects(self, entry) {
                continue;
            }
            if entry.standing == Standing::Flying {
                preview.in_flight += 1;
                continue;
            }
            preview.waiting += 1;
            *by_destination.entry(entry.destination).or_default() += 1;
            if preview.samples.len() < SAMPLES_MAX {
                preview.samples.extend(self.message_row(now, key));
            }
        }
        preview.sites = self.by_site(by_destination);
        preview
    }

    fn by_site(&self, counts: HashMap<u32, usize>) -> Vec<(String, usize)> {
        let mut sites: HashMap<String, usize> = HashMap::new();
        for (number, count) in counts {
            let site = self.site_of(number);
            let name = match self.destinations.get(number) {
                Some(destination) if site.is_empty() => destination.domain.to_string(),
                _ => site.to_string(),
            };
            *sites.entry(name).or_default() += count;
        }
        let mut ranked: Vec<_> = sites.into_iter().collect();
        ranked.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        if ranked.len() > SITES_MAX {
            let rest = ranked.drain(SITES_MAX..).map(|(_, count)| count).sum();
            ranked.push(("others".to_owned(), rest));
        }
        ranked
    }
}

fn count_into(tally: &mut Tally, account: &Account, count: u32) {
    if account.standing == Standing::Flying {
        tally.in_flight += count;
        return;
    }
    tally.waiting += count;
    if account.hold != 0 || account.standing == Standing::Held {
        tally.held += count;
    } else if account.standing == Standing::Timed {
        tally.timed += count;
    }
}

fn add_cause(causes: &mut Vec<(&'static str, u32)>, name: &'static str, count: u32) {
    match causes.iter_mut().find(|(known, _)| *known == name) {
        Some((_, known)) => *known += count,
        None => causes.push((name, count)),
    }
}

fn bucket(age: Duration) -> usize {
    let minutes = age.as_secs() / 60;
    AGE_MINUTES.iter().position(|most| minutes < *most).unwrap_or(AGE_MINUTES.len())
}

/// Where an entry stands in an order: the least first.
const fn rank(order: Order, entry: &Entry) -> u64 {
    match order {
        Order::Oldest => entry.id.as_u64(),
        Order::Newest => u64::MAX - entry.id.as_u64(),
        Order::Attempts => u64::MAX - entry.attempts as u64,
        Order::Next => match entry.standing {
            Standing::Timed => entry.due.as_micros(),
            _ => u64::MAX,
        },
    }
}
