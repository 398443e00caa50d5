//! `maily top --once`: all at a glance, as text or JSON.

use std::sync::Arc;

use maily_api::calls;
use maily_api::overview::{Overview, Severity};
use maily_core::clock::Clock;

use crate::command::serve;
use crate::command::tracked::shown;
use crate::command::view::duration;
use crate::exit::{Exit, Failure};
use crate::office::Office;

/// Show all at a glance: what waits, how fast it goes, and what needs attention.
///
/// It asks the running daemon by its admin socket (http.admin.listen).
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(after_help = "Examples:\n  maily top --once\n  maily top --once --json\n  \
    maily top --inline 12\n\n\
    Exit code 75: no daemon answers.")]
pub struct Arguments {
    /// Print it once.
    #[arg(long)]
    pub(crate) once: bool,
    /// Show it below the prompt, in so many rows.
    #[arg(long, value_name = "ROWS", conflicts_with = "once",
        value_parser = clap::value_parser!(u16).range(6..))]
    pub(crate) inline: Option<u16>,
    /// Print one JSON object.
    #[arg(long, requires = "once")]
    json: bool,
    #[command(flatten)]
    pub(crate) serve: serve::Arguments,
}

/// Prints it once.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub async fn once(arguments: &Arguments, clock: Arc<dyn Clock>) -> Result<Exit, Failure> {
    let config = serve::read_only(&arguments.serve)?;
    let overview = Office::find(&config, &clock).await?.run(calls::overview()).await?;
    if arguments.json {
        println!("{}", serde_json::to_string(&overview).map_err(anyhow::Error::from)?);
    } else {
        print!("{}", text(&overview));
    }
    Ok(Exit::Ok)
}

/// All at a glance, in lines.
fn text(overview: &Overview) -> String {
    let Overview { node, version, at, waiting, in_flight, deferred, .. } = overview;
    let Overview { rates, resources, uptime_seconds, .. } = overview;
    let last = |rates: &[u64]| rates.last().copied().unwrap_or_default();
    let oldest = overview.oldest_seconds.map_or_else(|| "-".to_owned(), duration);
    let mut text = format!(
        "{node} maily {version} {at} up {}{}\n\
         in {}/s  out {}/s  deferred {}/s  bounced {}/s\n\
         waiting {waiting} (oldest {oldest})  under way {in_flight}  to be tried again {deferred}\n\
         sessions {} out, {} in  spool {} B  disk {:.0} %  memory {} MB  cpu {:.0} %\n",
        duration(*uptime_seconds),
        if overview.draining { ", going down" } else { "" },
        last(&rates.accepted),
        last(&rates.delivered),
        last(&rates.deferred),
        last(&rates.bounced),
        resources.sessions_out,
        resources.sessions_in,
        resources.spool_octets,
        resources.disk_percent,
        resources.memory_octets >> 20,
        resources.cpu_percent,
    );
    text.push_str("needs attention:\n");
    for one in &overview.attention {
        let mark = match one.severity {
            Severity::Problem => "!",
            Severity::Intended => "=",
            Severity::Warning => "~",
        };
        let (held, subject, words) = (one.held, shown(&one.subject), shown(&one.text));
        text.push_str(&format!("  {mark} {held:>9}  {subject}  {words}\n"));
    }
    text.push_str("sites:\n");
    for site in &overview.sites {
        let (waiting, out, defer) = (site.waiting, site.out_per_second, site.defer_percent);
        let (name, binds) = (shown(&site.site), &site.binds);
        text.push_str(&format!(
            "  {waiting:>9}  {out:>7.1}/s  {defer:>5.1} %  {name} ({} domains)  {binds}\n",
            site.domains
        ));
    }
    text
}
