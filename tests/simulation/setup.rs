//! What the operator of a world decides, for the scheduler and for the judge.

use std::time::Duration;

use maily_core::queue::policy::InDoubt;
use maily_core::queue::policy::Limits;
use maily_core::queue::policy::Policy;
use maily_core::queue::policy::Pool;
use maily_core::queue::policy::SourceIndex;
use maily_core::queue::policy::SourceShare;
use maily_core::queue::rate::Rate;
use maily_core::queue::retry::RetryPlan;

use crate::chance::Chance;
use crate::judge::Allowed;
use crate::judge::Bounds;

/// The policy, what it allows each site, and what it allows `site0`.
pub(crate) fn policy(chance: &mut Chance, sources: u16) -> (Policy, Bounds, Bounds) {
    let (limits, bounds) = limits(chance);
    let (own, strict) = self::limits(chance);
    let share = |n| SourceShare { name: format!("out{n}").into(), weight: 1 + n * 2 };
    let all: Vec<_> = (0..sources).map(SourceIndex).collect();
    let few = all.iter().copied().take(1 + chance.roll(2) as usize).collect();
    let pool = |name: &str, sources, tenants: &[&str]| {
        let tenants = tenants.iter().map(|tenant| (*tenant).into()).collect();
        Pool { name: name.into(), sources, tenants }
    };
    let delay_min = seconds(5 + chance.roll(300));
    let policy = Policy {
        retry: RetryPlan::try_new(delay_min, delay_min * 20, 2.0, 0.2).unwrap(),
        in_doubt: if chance.once_in(3) { InDoubt::Settle } else { InDoubt::Retry },
        connections_max: 2 + chance.roll(20) as u32,
        limits,
        sites: [("site0".into(), own)].into_iter().collect(),
        sources: (0..u32::from(sources)).map(share).collect(),
        pools: vec![pool("default", all, &[]), pool("few", few, &["shop"])],
        ..Policy::default()
    };
    (policy, bounds, strict)
}

/// A rate as the scheduler has it and as the judge has it.
fn rate(chance: &mut Chance) -> (Option<Rate>, Option<Allowed>) {
    let (count, per) = match chance.roll(6) {
        0 => (1, seconds(1)),
        1 => (7, seconds(1)),
        2 => (100, seconds(1)),
        3 => (60, seconds(60)),
        _ => return (None, None),
    };
    (Rate::new(count, per), Some(Allowed { count, per }))
}

fn limits(chance: &mut Chance) -> (Limits, Bounds) {
    let connections_max = 1 + chance.roll(6) as u32;
    let (message_rate, messages) = rate(chance);
    let (connection_rate, openings) = rate(chance);
    let limits = Limits {
        connections_initial: (1 + chance.roll(5) as u32).min(connections_max),
        connections_max,
        message_rate,
        connection_rate,
    };
    (limits, Bounds { connections_max, messages, openings })
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}
