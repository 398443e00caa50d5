//! `/v1/overview`: all at a glance.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use hyper::StatusCode;

use maily_api::overview::Attention;
use maily_api::overview::Overview;
use maily_api::overview::PoolGlance;
use maily_api::overview::Resources;
use maily_api::overview::Severity;
use maily_api::overview::SiteGlance;
use maily_api::overview::Totals;
use maily_core::clock::Timestamp;
use maily_core::queue::cause::Cause;
use maily_core::queue::scheduler::Scheduler;
use maily_core::queue::survey::Survey;
use maily_core::selector::Selector;

use crate::answer::Answer;
use crate::answer::Outcome;
use crate::fault::Fault;
use crate::looking::surveyed;
use crate::mail::Mail;
use crate::parts::Shared;
use crate::plugins;
use crate::principal::Principal;
use crate::samples::Counts;
use crate::staying::Staying;
use crate::vigil;
use crate::vitals;
use crate::vitals::Cpu;

/// Sites that are shown.
const SITES: usize = 10;
/// What needs attention, at most.
const ATTENTIONS: usize = 20;

/// Looks at the counters each second, until the daemon ends.
pub async fn sample(shared: Arc<Shared>) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    loop {
        tick.tick().await;
        let Ok(mail) = shared.mail() else { return };
        let now = shared.parts.clock.now();
        shared.samples.note(now, counts(mail), Cpu::now(now));
    }
}

fn counts(mail: &Mail) -> Counts {
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let sent = &mail.sent;
    [
        read(&mail.door.counters.messages),
        read(&sent.delivered),
        read(&sent.deferred),
        read(&sent.bounced),
    ]
}

/// Show all at a glance
#[utoipa::path(
    get,
    path = "/v1/overview",
    tag = "views",
    responses((status = 200, body = Overview))
)]
pub(crate) async fn show(State(shared): State<Arc<Shared>>) -> Outcome<Answer<Overview>> {
    Ok(Answer(StatusCode::OK, draw(&shared).await?))
}

/// Follow all at a glance
///
/// An event `overview` each second.
#[utoipa::path(
    get,
    path = "/v1/overview/stream",
    tag = "views",
    responses((status = 200, description = "the stream", content_type = "text/event-stream"))
)]
pub(crate) async fn follow(
    State(shared): State<Arc<Shared>>,
    principal: Principal,
) -> Outcome<Response> {
    Ok(vigil::each_second(Staying::new(&shared, &principal)?, (), again))
}

async fn again(shared: Arc<Shared>, _: ()) -> Option<((), Option<String>)> {
    let overview = draw(&shared).await.ok()?;
    Some(((), Some(vigil::event("overview", &overview))))
}

async fn draw(shared: &Arc<Shared>) -> Result<Overview, Fault> {
    let mail = shared.mail()?;
    let (at, survey) = surveyed(shared).await?;
    let look = |queue: &Scheduler, now| queue.why(now, &Selector::all());
    let why = mail.control.look(look).await.map_err(|_| Fault::no_room("going down"))?;
    let now = shared.parts.clock.now();
    let [accepted, delivered, deferred, bounced] = counts(mail);
    let (rates, began) = shared.samples.rates();
    Ok(Overview {
        at: at.to_string(),
        node: mail.door.hostname.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        draining: *mail.draining.borrow(),
        uptime_seconds: began.map_or(0, |began| now.since(began).as_secs()),
        waiting: why.waiting as u64,
        in_flight: why.in_flight as u64,
        deferred: survey.tally.timed.into(),
        oldest_seconds: survey.oldest.map(|at| now.since(at).as_secs()),
        rates,
        totals: Totals { accepted, delivered, deferred, bounced },
        resources: resources(shared, mail, now),
        attention: attention(shared, mail, &why.causes),
        sites: sites(&survey),
        pools: pools(&survey),
    })
}

fn resources(shared: &Shared, mail: &Mail, now: Timestamp) -> Resources {
    let (disk, free) = vitals::disk(&mail.folder);
    let (descriptors, descriptors_max) = vitals::descriptors();
    let last = shared.samples.cpu();
    let taken = disk.saturating_sub(free);
    Resources {
        sessions_out: mail.sent.queue.connections.load(Ordering::Relaxed),
        sessions_in: mail.seats.taken().into(),
        spool_octets: mail.door.spool.stats().live_octets,
        disk_free_octets: free,
        disk_percent: if disk == 0 { 0.0 } else { taken as f64 * 100.0 / disk as f64 },
        memory_octets: vitals::memory(),
        cpu_percent: last.map_or(0.0, |last| Cpu::now(now).percent_since(last)),
        descriptors,
        descriptors_max,
    }
}

/// What somebody should look at: what holds mail and is not the ordinary course, what rests, and
/// what ends soon.
fn attention(shared: &Shared, mail: &Mail, causes: &[Cause]) -> Vec<Attention> {
    let ordinary = |cause: &Cause| {
        matches!(cause.name, "turn" | "window" | "ramp" | "leaving")
            || cause.name == "dns" && cause.since.is_none() && cause.place.is_empty()
    };
    let held = causes.iter().filter(|cause| !ordinary(cause)).map(|cause| Attention {
        severity: if cause.name == "admin" { Severity::Intended } else { Severity::Problem },
        subject: match cause.place.is_empty() {
            true => cause.name.to_owned(),
            false => format!("{} {}", cause.name, cause.place),
        },
        held: cause.count as u64,
        text: cause.detail.clone(),
        since: cause.since.map(|at| at.to_string()),
        selector: cause.selector.clone(),
    });
    let mut all: Vec<_> = held.collect();
    for plugin in plugins::rows(&mail.plugins) {
        for hook in plugin.hooks.iter().filter(|hook| hook.breaker != "closed") {
            all.push(warning(
                format!("plugin/{}", plugin.name),
                format!("{} rests after errors; then: {}", hook.hook, hook.on_error),
            ));
        }
    }
    if mail.gate.disk_is_low() {
        all.push(warning("disk".to_owned(), "no mail is taken: the disk is full".to_owned()));
    }
    let soon = shared.parts.clock.now() + Duration::from_secs(600);
    for directive in shared.parts.registry.directives() {
        if !directive.state.has_ended() && directive.until.is_some_and(|until| until < soon) {
            let text = format!("{} ends soon: {}", directive.selector, directive.reason);
            all.push(warning(directive.name(), text));
        }
    }
    all.sort_by_key(|one| std::cmp::Reverse(one.held));
    all.truncate(ATTENTIONS);
    all
}

fn warning(subject: String, text: String) -> Attention {
    let selector = String::new();
    Attention { severity: Severity::Warning, subject, held: 0, text, since: None, selector }
}

fn sites(survey: &Survey) -> Vec<SiteGlance> {
    let mut sites: BTreeMap<&str, (u64, u64, u32, &'static str)> = BTreeMap::new();
    for row in &survey.destinations {
        let site = sites.entry(&row.site).or_default();
        site.0 += 1;
        site.1 += u64::from(row.tally.waiting);
        if row.tally.waiting >= site.2 {
            (site.2, site.3) = (row.tally.waiting, row.cause);
        }
    }
    let mut ranked: Vec<_> = sites.into_iter().collect();
    ranked.sort_by_key(|(_, (_, waiting, ..))| std::cmp::Reverse(*waiting));
    ranked.truncate(SITES);
    let glance = |(name, (domains, waiting, _, binds)): (&str, (u64, u64, u32, &str))| {
        let known = survey.sites.iter().find(|row| *row.site == *name);
        let pace = known.map(|row| row.pace).unwrap_or_default();
        SiteGlance {
            site: name.to_owned(),
            domains,
            waiting,
            out_per_second: pace.delivered_per_second(),
            defer_percent: pace.deferred_percent(),
            connections: known.map_or(0, |row| row.connections.into()),
            binds: binds.to_owned(),
        }
    };
    ranked.into_iter().map(glance).collect()
}

fn pools(survey: &Survey) -> Vec<PoolGlance> {
    let glance = |(name, sources): &(Box<str>, Vec<Box<str>>)| {
        let rests = survey
            .lanes
            .iter()
            .filter(|lane| lane.resting_until.is_some() && sources.contains(&lane.source));
        let resting = rests.map(|lane| format!("{} at {}: {}", lane.source, lane.site, lane.said));
        PoolGlance {
            pool: name.to_string(),
            sources: sources.len() as u64,
            resting: resting.take(SITES).collect(),
        }
    };
    survey.pools.iter().map(glance).collect()
}
