//! `maily bounces unknown` and `rule test`: replies of the past, read from the event log beside a
//! running daemon or from a stopped one's folder.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use serde_json::json;

use maily_config::value;
use maily_core::bounce::classify::{Rules, Verdict};
use maily_core::bounce::template::template;
use maily_core::clock::Timestamp;
use maily_core::event::{Event, What};
use maily_core::mail::outcome::Outcome;
use maily_events::log;

use crate::command::tracked::shown;
use crate::exit::{Exit, Failure};

/// Which replies.
#[derive(Debug, clap::Args)]
pub struct Past {
    /// The folder of the event log.
    #[arg(long, value_name = "FOLDER", default_value = "/var/lib/maily/events")]
    events: PathBuf,
    /// How far back, such as 24h or 7d.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = time)]
    since: Duration,
    /// Print an object for each, on a line.
    #[arg(long)]
    json: bool,
}

fn time(text: &str) -> Result<Duration, String> {
    value::parse_duration(text).ok_or_else(|| "write it as 12h or 30d".to_owned())
}

/// Replies that say the same.
#[derive(Debug, Default)]
struct Group {
    count: u64,
    example: String,
    sites: BTreeMap<String, u64>,
}

impl Past {
    /// Hands out each reply of a host that did not take a message: its site, its host, and what
    /// became of the message.
    fn each(
        &self,
        now: Timestamp,
        mut see: impl FnMut(&str, &str, &Outcome),
    ) -> Result<(), Failure> {
        let from = now - self.since;
        let done = log::search(
            &self.events,
            from,
            |about| !about.is_acceptance,
            |event: Event| {
                let What::Attempted(attempted) = &event.what else { return };
                if event.at < from {
                    return;
                }
                let host = attempted.peer.as_ref().map_or("", |peer| &*peer.host);
                for one in &attempted.recipients {
                    let replied = one.outcome.diagnosis().code.is_some();
                    if replied && one.outcome.scope().is_some() {
                        see(&attempted.site, host, &one.outcome);
                    }
                }
            },
        );
        done.map(drop).map_err(|error| Failure::new(Exit::Io, anyhow!(error)))
    }
}

/// Prints the replies that no rule knows, those that came most often first.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub fn unknown(past: &Past, rules: &Rules, now: Timestamp) -> Result<Exit, Failure> {
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    past.each(now, |site, host, outcome| {
        if rules.of_outcome(outcome, host).is_some_and(|verdict| verdict.line.is_none()) {
            let said = outcome.diagnosis().to_string();
            let group = groups.entry(template(&said)).or_default();
            group.count += 1;
            *group.sites.entry(site.to_owned()).or_default() += 1;
            if group.example.is_empty() {
                group.example = said;
            }
        }
    })?;
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, group)| std::cmp::Reverse(group.count));
    for (template, group) in &groups {
        let most = group.sites.iter().max_by_key(|(_, count)| **count);
        let most = most.map_or("", |(site, _)| site);
        if past.json {
            let (count, sites) = (group.count, &group.sites);
            println!(
                "{}",
                json!({
                    "count": count, "template": template, "example": group.example, "sites": sites,
                })
            );
        } else {
            println!("{:>8}  {}  (most from {most})", group.count, shown(template));
        }
    }
    Ok(if groups.is_empty() { Exit::Nothing } else { Exit::Ok })
}

/// Prints what other rules would have made of replies, those that came most often first.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub fn compare(past: &Past, old: &Rules, new: &Rules, now: Timestamp) -> Result<Exit, Failure> {
    let (mut all, mut changed) = (0_u64, BTreeMap::<(String, String), Group>::new());
    past.each(now, |site, host, outcome| {
        all += 1;
        let verdicts = old.of_outcome(outcome, host).zip(new.of_outcome(outcome, host));
        let Some((before, after)) = verdicts else { return };
        if (before.reason, before.permanence) != (after.reason, after.permanence) {
            let group = changed.entry((words(&before, old), words(&after, new))).or_default();
            group.count += 1;
            *group.sites.entry(site.to_owned()).or_default() += 1;
            if group.example.is_empty() {
                group.example = outcome.diagnosis().to_string();
            }
        }
    })?;
    let mut changed: Vec<_> = changed.into_iter().collect();
    changed.sort_by_key(|(_, group)| std::cmp::Reverse(group.count));
    for ((before, after), group) in &changed {
        if past.json {
            println!(
                "{}",
                json!({
                    "count": group.count, "before": before, "after": after,
                    "example": group.example, "sites": group.sites,
                })
            );
        } else {
            let example = shown(&group.example);
            println!("{:>8}  {before} -> {after}\n          {example}", group.count);
        }
    }
    let count: u64 = changed.iter().map(|(_, group)| group.count).sum();
    eprintln!("{count} of {all} replies would be read otherwise");
    Ok(Exit::Ok)
}

fn words(verdict: &Verdict, rules: &Rules) -> String {
    let place = rules.place(verdict);
    let place = if place.is_empty() { "no rule".to_owned() } else { place };
    format!("{} {} ({place})", verdict.permanence.name(), verdict.reason)
}
