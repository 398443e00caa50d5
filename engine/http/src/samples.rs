//! What was counted each second of the last minute.

use std::collections::VecDeque;

use parking_lot::Mutex;

use maily_api::overview::Rates;
use maily_core::clock::Timestamp;

use crate::vitals::Cpu;

/// Seconds whose rates are kept.
const SAMPLES: usize = 60;

/// The counts at one second: accepted, delivered, deferred, bounced.
pub(crate) type Counts = [u64; 4];

/// The counts of the last minute, and what the process took.
#[derive(Debug, Default)]
pub struct Samples(Mutex<Sampled>);

#[derive(Debug, Default)]
struct Sampled {
    counts: VecDeque<Counts>,
    cpu: VecDeque<Cpu>,
    began: Option<Timestamp>,
}

impl Samples {
    /// One more second has passed.
    pub(crate) fn note(&self, now: Timestamp, counts: Counts, cpu: Cpu) {
        let mut sampled = self.0.lock();
        sampled.began.get_or_insert(now);
        sampled.counts.push_back(counts);
        sampled.cpu.push_back(cpu);
        if sampled.counts.len() > SAMPLES + 1 {
            sampled.counts.pop_front();
            sampled.cpu.pop_front();
        }
    }

    /// CPU time a second or two ago.
    pub(crate) fn cpu(&self) -> Option<Cpu> {
        self.0.lock().cpu.iter().rev().nth(1).copied()
    }

    /// What came in and went out each second, and since when it is counted.
    pub(crate) fn rates(&self) -> (Rates, Option<Timestamp>) {
        let sampled = self.0.lock();
        let steps = sampled.counts.iter().zip(sampled.counts.iter().skip(1));
        let steps: Vec<Counts> = steps
            .map(|(before, after)| std::array::from_fn(|n| difference(before, after, n)))
            .collect();
        let of = |n: usize| steps.iter().filter_map(|step| step.get(n).copied()).collect();
        let rates = Rates { accepted: of(0), delivered: of(1), deferred: of(2), bounced: of(3) };
        (rates, sampled.began)
    }
}

fn difference(before: &Counts, after: &Counts, place: usize) -> u64 {
    let of = |counts: &Counts| counts.get(place).copied().unwrap_or_default();
    of(after).saturating_sub(of(before))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_is_kept_second_by_second() {
        let samples = Samples::default();
        for n in 0..100 {
            let now = Timestamp::from_secs(1_000 + n);
            samples.note(now, [n * n, n * 2, 0, 7], Cpu::default());
        }
        let (rates, began) = samples.rates();
        assert_eq!(began, Some(Timestamp::from_secs(1_000)));
        assert_eq!((rates.accepted.len(), rates.accepted[59]), (60, 99 + 98));
        assert!(rates.delivered.iter().all(|n| *n == 2) && rates.bounced.iter().all(|n| *n == 0));
    }
}
