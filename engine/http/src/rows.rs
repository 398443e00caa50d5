//! The rows of the views, drawn from what the rooms know.

use std::collections::HashMap;

use maily_api::plugin::Plugin;
use maily_core::bounce::reason::Reason;
use maily_core::clock::Timestamp;
use maily_core::queue::survey::DestinationRow;
use maily_core::queue::survey::LaneRow;
use maily_core::queue::survey::MessageRow;
use maily_core::queue::survey::SiteRow;
use maily_core::queue::survey::StreamRow;
use maily_core::queue::survey::Survey;
use maily_core::queue::survey::Tally;
use maily_core::selector::value::quoted;
use maily_events::suppression::Subject;
use maily_events::suppression::Suppression;
use maily_live::talk::SessionRow;
use maily_registry::audit_entry::Entry;
use maily_registry::audit_entry::Hash;
use maily_registry::directive::Directive;
use maily_registry::token::Token;

use crate::convert;
use crate::live;
use crate::showing;
use crate::suppressing;
use crate::views::Cell;
use crate::views::Row;

/// A word of the contract, as JSON has it.
fn word(value: impl serde::Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

fn tally(tally: &Tally) -> [Cell; 4] {
    [tally.waiting, tally.timed, tally.held, tally.in_flight].map(Cell::count)
}

pub(crate) fn queues(survey: &Survey, now: Timestamp) -> Vec<Row> {
    survey.destinations.iter().map(|row| queue(row, now)).collect()
}

fn queue(row: &DestinationRow, now: Timestamp) -> Row {
    let domain = row.domain.to_string();
    let mut cells = vec![Cell::text(domain.clone()), Cell::text(&*row.site)];
    cells.extend(tally(&row.tally));
    cells.extend(row.ages.map(Cell::count));
    cells.extend([Cell::since(now, row.oldest), Cell::text(row.cause)]);
    Row { selector: format!("domain={}", quoted(&domain)), key: domain, cells }
}

/// What is gathered of a site.
#[derive(Default)]
struct Site {
    domains: u32,
    tally: Tally,
    oldest: Option<Timestamp>,
    /// The cause of the domain with the most mail.
    cause: (u32, &'static str),
}

pub(crate) fn sites(survey: &Survey, now: Timestamp) -> Vec<Row> {
    let mut sites: HashMap<&str, Site> = HashMap::new();
    for row in &survey.destinations {
        let site = sites.entry(&row.site).or_default();
        site.domains += 1;
        site.tally.waiting += row.tally.waiting;
        site.tally.timed += row.tally.timed;
        site.tally.held += row.tally.held;
        site.tally.in_flight += row.tally.in_flight;
        site.oldest = [site.oldest, row.oldest].into_iter().flatten().min();
        site.cause = site.cause.max((row.tally.waiting, row.cause));
    }
    let paces: HashMap<&str, &SiteRow> = survey.sites.iter().map(|row| (&*row.site, row)).collect();
    let mut rows: Vec<_> = sites
        .iter()
        .map(|(name, site)| site_row(name, site, paces.get(name).copied(), now))
        .collect();
    let idle = survey.sites.iter().filter(|row| !sites.contains_key(&*row.site));
    rows.extend(idle.map(|row| site_row(&row.site, &Site::default(), Some(row), now)));
    rows
}

fn site_row(name: &str, site: &Site, pace: Option<&SiteRow>, now: Timestamp) -> Row {
    let mut cells = vec![Cell::text(name), Cell::count(site.domains)];
    cells.extend(tally(&site.tally));
    let speed = pace.map(|row| row.pace).unwrap_or_default();
    cells.extend([
        Cell::fraction(speed.delivered_per_second()),
        Cell::fraction(speed.deferred_percent()),
        Cell::fraction(speed.bounced_percent()),
        Cell::count(pace.map_or(0, |row| row.connections)),
        Cell::since(now, site.oldest),
        Cell::text(site.cause.1),
    ]);
    Row { key: name.to_owned(), selector: format!("site={}", quoted(name)), cells }
}

pub(crate) fn streams(survey: &Survey) -> Vec<Row> {
    survey.streams.iter().map(stream).collect()
}

fn stream(row: &StreamRow) -> Row {
    let (stream, pool) = (&row.stream, &*row.pool);
    let (tenant, campaign) = (&*stream.tenant, &*stream.campaign);
    let class = stream.class.name();
    let mut cells: Vec<_> = [tenant, campaign, class, pool].map(Cell::text).into();
    cells.extend(tally(&row.tally));
    let selector = format!(
        "tenant={} and campaign={} and class={class} and pool={}",
        quoted(tenant),
        quoted(campaign),
        quoted(pool)
    );
    Row { key: format!("{tenant}\n{campaign}\n{class}\n{pool}"), selector, cells }
}

pub(crate) fn sources(survey: &Survey) -> Vec<Row> {
    survey.lanes.iter().map(source).collect()
}

fn source(row: &LaneRow) -> Row {
    let state = if row.resting_until.is_some() { "resting" } else { "up" };
    let cells = vec![
        Cell::text(&*row.source),
        Cell::text(&*row.site),
        Cell::text(state),
        Cell::count(row.in_flight),
        Cell::count(row.connections),
        Cell::count(row.window),
        Cell::maybe(row.resting_until.map(|at| at.to_string())),
        Cell::text(&*row.said),
    ];
    let selector = format!("site={}", quoted(&row.site));
    Row { key: format!("{}\n{}", row.source, row.site), selector, cells }
}

pub(crate) fn message(row: &MessageRow, now: Timestamp) -> Row {
    let until = |at: Timestamp| Cell::count(at.since(now).as_secs());
    let cells = vec![
        Cell::text(row.id.to_string()),
        Cell::text(row.domain.to_string()),
        Cell::text(&*row.site),
        Cell::text(&*row.stream.tenant),
        Cell::text(&*row.stream.campaign),
        Cell::text(row.stream.class.name()),
        Cell::text(&*row.pool),
        Cell::count(now.since(row.id.made_at()).as_secs()),
        Cell::count(row.attempts),
        row.next.map_or(Cell::Nothing, until),
        until(row.expires_at),
        Cell::text(if row.in_flight { "under way" } else { row.cause }),
        Cell::text(&*row.said),
    ];
    let selector = format!("id={} and domain={}", row.id, quoted(row.domain.as_str()));
    Row { key: format!("{}\n{}", row.id, row.domain), selector, cells }
}

pub(crate) fn sessions(rows: Vec<SessionRow>, now: Timestamp) -> Vec<Row> {
    let row = |row: SessionRow| {
        let since = Cell::since(now, Some(row.since));
        let session = live::session(row);
        let cells = vec![
            Cell::text(session.session.clone()),
            Cell::text(word(session.direction)),
            Cell::text(session.peer),
            Cell::text(session.site.clone()),
            Cell::text(session.source),
            Cell::text(word(session.phase)),
            since,
            Cell::maybe(session.tls),
            Cell::count(session.messages),
            Cell::count(session.octets),
            Cell::text(session.command),
            Cell::text(session.reply),
            Cell::maybe(session.message),
        ];
        let selector = match session.site.is_empty() {
            true => String::new(),
            false => format!("site={}", quoted(&session.site)),
        };
        Row { key: session.session, selector, cells }
    };
    rows.into_iter().map(row).collect()
}

pub(crate) fn plugins(plugins: &[Plugin]) -> Vec<Row> {
    let mut rows = Vec::new();
    for plugin in plugins {
        for hook in &plugin.hooks {
            let name = format!("{}@{}", plugin.name, hook.version);
            let state = if plugin.enabled { hook.breaker.as_str() } else { "disabled" };
            let cells = vec![
                Cell::text(name.clone()),
                Cell::text(hook.hook.clone()),
                Cell::text(state),
                Cell::count(hook.calls),
                Cell::count(hook.micros.checked_div(hook.calls).unwrap_or(0)),
                Cell::count(hook.slowest_micros),
                Cell::count(hook.errors.values().sum::<u64>()),
                Cell::count(hook.cache_hits),
                Cell::text(hook.on_error.clone()),
            ];
            rows.push(Row { key: format!("{name} {}", hook.hook), selector: String::new(), cells });
        }
    }
    rows
}

pub(crate) fn bounces(counts: &[(&'static str, u64)]) -> Vec<Row> {
    let row = |(name, count): &(&'static str, u64)| {
        let reason = Reason::of_word(name)?;
        let class = format!("{:?}", reason.class()).to_lowercase();
        let cells = vec![
            Cell::text(*name),
            Cell::text(class),
            Cell::text(reason.permanence().name()),
            Cell::count(*count),
        ];
        Some(Row { key: (*name).to_owned(), selector: String::new(), cells })
    };
    counts.iter().filter(|(_, count)| *count > 0).filter_map(row).collect()
}

pub(crate) fn suppressions(all: &[(Subject, Suppression)]) -> Vec<Row> {
    let row = |(subject, known): &(Subject, Suppression)| {
        let some = |name: &str| (!name.is_empty()).then(|| name.to_owned());
        let cells = vec![
            Cell::text(&*subject.mailbox),
            Cell::maybe(some(&subject.project)),
            Cell::maybe(some(&subject.list)),
            Cell::text(word(suppressing::word(known.reason))),
            Cell::text(known.first.to_string()),
            Cell::text(known.last.to_string()),
            Cell::maybe(known.until.map(|at| at.to_string())),
            Cell::maybe(known.message.map(|id| id.to_string())),
        ];
        let key = format!("{}\n{}\n{}", subject.project, subject.list, subject.mailbox);
        Row { key, selector: String::new(), cells }
    };
    all.iter().map(row).collect()
}

pub(crate) fn jobs(directives: Vec<Directive>) -> Vec<Row> {
    let row = |directive: Directive| {
        let shown = showing::shown(directive, Vec::new());
        let cells = vec![
            Cell::text(shown.id.clone()),
            Cell::text(word(shown.verb)),
            Cell::text(shown.selector.clone()),
            Cell::text(word(shown.state)),
            Cell::count(shown.done),
            Cell::count(shown.matched),
            Cell::text(shown.at),
            Cell::maybe(shown.until),
            Cell::text(shown.author),
            Cell::text(shown.reason),
        ];
        Row { key: shown.id, selector: shown.selector, cells }
    };
    directives.into_iter().map(row).collect()
}

pub(crate) fn audit(entries: Vec<(Entry, Hash)>) -> Vec<Row> {
    let row = |entry: (Entry, Hash)| {
        let entry = convert::entry(entry);
        let cells = vec![
            Cell::count(entry.number),
            Cell::text(entry.at),
            Cell::text(entry.actor),
            Cell::text(entry.action),
            Cell::text(entry.object),
            Cell::count(u32::from(entry.outcome)),
            Cell::maybe(entry.project),
        ];
        Row { key: entry.number.to_string(), selector: String::new(), cells }
    };
    entries.into_iter().map(row).collect()
}

pub(crate) fn tokens(tokens: Vec<Token>) -> Vec<Row> {
    let row = |token: Token| {
        let token = convert::token(token);
        let cells = vec![
            Cell::text(token.id.clone()),
            Cell::maybe(token.project),
            Cell::text(word(token.role)),
            Cell::maybe(token.label),
            Cell::maybe(token.last_used_at),
            Cell::maybe(token.expires_at),
        ];
        Row { key: token.id, selector: String::new(), cells }
    };
    tokens.into_iter().map(row).collect()
}
