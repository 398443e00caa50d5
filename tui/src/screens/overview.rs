//! All at a glance.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::text::Span;
use ratatui::widgets::Paragraph;

use maily_api::overview::Overview;
use maily_api::overview::Severity;

use crate::model::Model;
use crate::text::cell;
use crate::text::grouped;
use crate::text::harmless;
use crate::text::lasting;
use crate::text::octets;
use crate::text::spark;

/// Draws it.
pub fn draw(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let Some(overview) = &model.known.overview else {
        return frame.render_widget(Paragraph::new("asking the daemon"), area);
    };
    let wide = usize::from(area.width);
    let mut lines = rates(model, overview, wide);
    lines.extend(resources(overview, wide));
    let rest = usize::from(area.height).saturating_sub(lines.len());
    let pools = pools(model, overview);
    let sites = overview.sites.len() + 2;
    // What needs attention comes first, and takes what the others leave.
    let most = rest.saturating_sub(pools.len() + sites.min(rest / 2));
    lines.extend(attention(model, overview, most.max(2)));
    let left = usize::from(area.height).saturating_sub(lines.len() + pools.len());
    lines.extend(sites_of(model, overview, wide).into_iter().take(left));
    lines.extend(pools);
    frame.render_widget(Paragraph::new(lines), area);
}

fn rates(model: &Model, overview: &Overview, wide: usize) -> Vec<Line<'static>> {
    let ascii = model.look.ascii;
    let last = |rates: &[u64]| rates.last().copied().unwrap_or_default();
    let bars = if wide >= 100 { 16 } else { 6 };
    let part = |name: &str, rates: &[u64]| {
        format!("{name} {}/s {}", grouped(last(rates)), spark(rates, bars, ascii))
    };
    let rates = &overview.rates;
    let parts = [
        part("in", &rates.accepted),
        part("out", &rates.delivered),
        part("defer", &rates.deferred),
        part("bounce", &rates.bounced),
    ];
    let shown = if wide >= 76 { 4 } else { 2 };
    let text = parts.into_iter().take(shown).collect::<Vec<_>>().join("   ");
    vec![Line::from(format!(" {text}"))]
}

fn resources(overview: &Overview, wide: usize) -> Vec<Line<'static>> {
    let oldest = overview.oldest_seconds.map_or_else(|| "-".to_owned(), lasting);
    let (waiting, flying) = (grouped(overview.waiting), grouped(overview.in_flight));
    let resources = &overview.resources;
    let mut parts = vec![
        format!("queue {waiting} (oldest {oldest})"),
        format!("under way {flying}"),
        format!("sessions {} out / {} in", resources.sessions_out, resources.sessions_in),
        format!("disk {:.0}%", resources.disk_percent),
        format!("mem {}", octets(resources.memory_octets)),
        format!("cpu {:.0}%", resources.cpu_percent),
    ];
    if wide < 100 {
        parts.truncate(if wide < 76 { 2 } else { 4 });
    }
    vec![Line::from(format!(" {}", parts.join("   ")))]
}

fn attention(model: &Model, overview: &Overview, most: usize) -> Vec<Line<'static>> {
    let (look, ascii) = (model.look, model.look.ascii);
    let count = overview.attention.len();
    let title = format!(" NEEDS ATTENTION ({count})   ranked by messages held back");
    let mut lines = vec![Line::from(Span::styled(title, look.title()))];
    let fit = most.saturating_sub(1).max(1);
    let first = (model.cursor + 1).saturating_sub(fit);
    for (place, one) in overview.attention.iter().enumerate().skip(first).take(fit) {
        let (sign, style) = match one.severity {
            Severity::Problem => ("!", look.bad()),
            Severity::Intended => ("=", look.odd()),
            Severity::Warning => ("~", look.odd()),
        };
        let style = if place == model.cursor { look.cursor() } else { style };
        let since = one.since.as_ref().map(|at| format!("   since {}", model.time(at)));
        let text = format!(
            " {sign} {} {}  {}{}",
            cell(&grouped(one.held), 10, true),
            harmless(&one.subject, ascii),
            harmless(&one.text, ascii),
            since.unwrap_or_default()
        );
        lines.push(Line::from(Span::styled(text, style)));
    }
    if count == 0 {
        lines.push(Line::from(Span::styled(" nothing", look.good())));
    }
    lines
}

fn sites_of(model: &Model, overview: &Overview, wide: usize) -> Vec<Line<'static>> {
    let ascii = model.look.ascii;
    let title = " TOP SITES by waiting".to_owned();
    let mut lines = vec![Line::from(Span::styled(title, model.look.title()))];
    let narrow = wide < 76;
    let name = if narrow { 24 } else { 34 };
    let head = match narrow {
        true => format!("   {} {:>10}  {}", cell("site", name, false), "waiting", "binds"),
        false => format!(
            "   {} {:>10} {:>8} {:>7} {:>6}  {}",
            cell("site", name, false),
            "waiting",
            "out/s",
            "defer%",
            "conns",
            "what binds"
        ),
    };
    lines.push(Line::from(Span::styled(head, model.look.quiet())));
    for site in &overview.sites {
        let label = match site.domains {
            1 => harmless(&site.site, ascii),
            many => format!("{} ({many})", harmless(&site.site, ascii)),
        };
        let label = if site.site.is_empty() { "(not looked up)".to_owned() } else { label };
        let (label, waiting) = (cell(&label, name, false), grouped(site.waiting));
        let binds = harmless(&site.binds, ascii);
        lines.push(Line::from(match narrow {
            true => format!("   {label} {waiting:>10}  {binds}"),
            false => format!(
                "   {label} {waiting:>10} {:>8.1} {:>7.1} {:>6}  {binds}",
                site.out_per_second, site.defer_percent, site.connections
            ),
        }));
    }
    lines
}

fn pools(model: &Model, overview: &Overview) -> Vec<Line<'static>> {
    let ascii = model.look.ascii;
    let mut text = " POOLS".to_owned();
    let mut rests = false;
    for pool in &overview.pools {
        let resting = pool.resting.len();
        rests |= resting > 0;
        text.push_str(&format!("   {} {} sources", harmless(&pool.pool, ascii), pool.sources));
        if let Some(first) = pool.resting.first() {
            text.push_str(&format!(", {resting} rests: {}", harmless(first, ascii)));
        }
    }
    let style = if rests { model.look.odd() } else { Style::new() };
    vec![Line::from(Span::styled(text, style))]
}
