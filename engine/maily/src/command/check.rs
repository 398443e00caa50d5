//! `maily check`: what is wrong with a configuration, or what would run by it.

use anyhow::{Context, anyhow};

use maily_config::config::Config;
use maily_config::config::receiving::ListenerTls;
use maily_config::load;

use crate::command::serve;
use crate::exit::{Exit, Failure};
use crate::keys;
use crate::preflight;

/// What to check.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct Arguments {
    #[command(flatten)]
    serve: serve::Arguments,
    /// Read files only; do not try whether the addresses of listeners can be used.
    #[arg(long)]
    offline: bool,
}

/// Reads the configuration and says what is wrong with it, or what would run.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub fn check(arguments: &Arguments) -> Result<Exit, Failure> {
    let loaded = serve::read(&arguments.serve)?;
    if !arguments.offline {
        let (problems, notes) = preflight::addresses(&loaded);
        notes.iter().for_each(|note| eprintln!("note: {note}"));
        if !problems.is_empty() {
            let text = load::Errors(problems).to_string();
            return Err(Failure::new(Exit::Config, anyhow!(text)));
        }
    }
    // They were read a moment ago, so there are none that cannot be used.
    for signer in keys::load(&loaded.config).unwrap_or_default().signers() {
        let record = signer.key().record().context("a key has no public part")?;
        eprintln!("DKIM needs this TXT record at {signer}:\n{record}");
    }
    let places: Vec<_> = loaded.places().collect();
    println!("{}: good", places.join(", "));
    println!("{}", describe(&loaded.config));
    Ok(Exit::Ok)
}

/// What would run, in a few lines.
fn describe(config: &Config) -> String {
    let listeners = config.listener.iter().map(|listener| {
        let tls = match listener.tls {
            ListenerTls::None => "no TLS",
            ListenerTls::Starttls => "STARTTLS",
            ListenerTls::Implicit => "TLS",
        };
        format!("{} ({tls})", listener.address)
    });
    let listeners: Vec<_> = listeners.collect();
    let networks: Vec<_> = config.smtp.relay_networks.iter().map(ToString::to_string).collect();
    let networks = if networks.is_empty() { "nobody".to_owned() } else { networks.join(", ") };
    let next = match config.route.len() {
        0 => "by MX records".to_owned(),
        number => format!("by {number} routes, else by MX records"),
    };
    let ops = config.ops.listen.map_or_else(|| "nowhere".to_owned(), |at| at.to_string());
    let http = &config.http;
    let mut fronts = Vec::new();
    fronts.extend(http.public.listen.map(|at| format!("{at} (recipients)")));
    fronts.extend(http.api.listen.map(|at| format!("{at} (API)")));
    fronts.extend(http.admin.listen.as_ref().map(|at| format!("{} (operators)", at.display())));
    let fronts = if fronts.is_empty() { "nowhere".to_owned() } else { fronts.join(", ") };
    [
        format!("  is called       {}", config.node.hostname),
        format!("  takes mail on   {}", listeners.join(", ")),
        format!("  relays for      {networks}, and {} users", config.user.len()),
        format!("  keeps mail in   {}", config.spool.folder.display()),
        format!("  keeps events in {}", config.events.folder.display()),
        format!("  delivers        {next}, to port {}", config.egress.port),
        format!("  signs for       {} domains (DKIM)", config.dkim.len()),
        format!("  answers HTTP on {fronts}"),
        format!("  is watched on   {ops}"),
    ]
    .join("\n")
}
