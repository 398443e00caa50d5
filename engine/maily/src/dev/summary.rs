//! What `maily dev` prints: a line a second while mail flows, and the sums at the end.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use crate::dev::sample::Acknowledged;

/// The sums of a run, in the order in which they are printed.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Messages answered with 250.
    pub accepted: u64,
    /// Of these, recipients whose message a provider has taken.
    pub delivered: u64,
    /// Of these, recipients that a provider refused for good.
    pub bounced: u64,
    /// Reports that the mailing's sender got by mail.
    pub reports: u64,
    /// Of these, recipients that wait for another attempt at this moment.
    pub deferred_now: u64,
    /// Attempts whose reply was lost.
    pub in_doubt: u64,
    /// Messages that a provider took more than once, beyond the first time.
    pub duplicates: u64,
    /// Acknowledged, and neither taken, nor refused, nor waiting.
    pub lost: u64,
    /// From the first message handed in until the last recipient was settled.
    pub seconds: f64,
}

/// Holds what was acknowledged against what the providers saw: the engine's own word counts for
/// nothing here but for what still waits.
pub fn compare(
    acknowledged: &[Acknowledged],
    taken: &HashMap<(Box<str>, Box<str>), u32>,
    refused: &HashSet<Box<str>>,
    waiting: u64,
) -> Summary {
    let mut summary = Summary { accepted: acknowledged.len() as u64, ..Summary::default() };
    let mut missing = 0;
    for sent in acknowledged {
        let key = (sent.message_id.clone(), sent.recipient.clone());
        match taken.get(&key) {
            Some(times) => {
                summary.delivered += 1;
                summary.duplicates += u64::from(times.saturating_sub(1));
            }
            None if refused.contains(&sent.recipient) => summary.bounced += 1,
            None => missing += 1,
        }
    }
    summary.deferred_now = waiting.min(missing);
    summary.lost = missing - summary.deferred_now;
    summary
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(number: u32) -> Acknowledged {
        Acknowledged {
            message_id: format!("<{number}@x>").into(),
            recipient: format!("r{number}@y").into(),
        }
    }

    #[test]
    fn what_nobody_saw_is_lost() {
        let acknowledged: Vec<_> = (0..5).map(sent).collect();
        let taken = [(0, 1), (1, 3)]
            .map(|(number, times)| ((sent(number).message_id, sent(number).recipient), times));
        let refused = HashSet::from([sent(2).recipient]);
        let summary = compare(&acknowledged, &HashMap::from(taken), &refused, 1);
        assert_eq!(
            summary,
            Summary {
                accepted: 5,
                delivered: 2,
                bounced: 1,
                deferred_now: 1,
                duplicates: 2,
                lost: 1,
                ..Summary::default()
            }
        );
    }
}
