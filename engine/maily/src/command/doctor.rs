//! `maily doctor`: looks at the machine, the names and the keys that a daemon stands on, and says
//! what is wrong and what to do.

use std::sync::Arc;

use serde_json::json;

use maily_core::clock::Clock;

use crate::command::serve;
use crate::doctor::{Finding, Level, certificates, machine, names};
use crate::exit::{Exit, Failure};
use crate::sending;

/// Look at all that the daemon stands on, and say what is wrong and what to do.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(after_help = "Examples:\n  maily doctor\n  \
    maily doctor --port-25-to mx.example.net     also whether mail gets out\n  \
    maily doctor --json | jq '.findings[] | select(.level==\"fail\")'\n\n\
    It asks the name servers of the configuration, and writes a file of a few octets into the\n\
    spool's folder. Exit codes: 0 nothing fails, 2 something does, 78 the configuration is wrong.")]
pub struct Arguments {
    /// A mail host to which port 25 is tried, such as mx.example.net or 192.0.2.1:25.
    #[arg(long, value_name = "HOST")]
    port_25_to: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    serve: serve::Arguments,
}

/// Looks, and tells.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub async fn run(arguments: &Arguments, clock: Arc<dyn Clock>) -> Result<Exit, Failure> {
    let config = serve::read_only(&arguments.serve)?;
    let wrong = |error| Failure::new(Exit::Config, error);
    let resolver = sending::resolver(&config, &clock).map_err(wrong)?;
    let mut findings = machine::look(&config);
    findings.extend(machine::daemon(&config).await);
    findings.extend(names::look(&config, &resolver).await);
    findings.extend(names::port_25(arguments.port_25_to.as_deref(), &config, &resolver).await);
    findings.extend(certificates::look(&config, clock.now()));
    let count = |level: Level| findings.iter().filter(|one| one.level == level).count();
    let (failed, warned) = (count(Level::Fail), count(Level::Warn));
    if arguments.json {
        let told = json!({ "failed": failed, "warned": warned, "findings": findings });
        println!("{told}");
    } else {
        findings.iter().for_each(|finding| println!("{finding}"));
        println!("{} things looked at: {failed} fail, {warned} to be seen to", findings.len());
    }
    Ok(if failed > 0 { Exit::Partial } else { Exit::Ok })
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:7} {:12} {}", self.level.word(), self.about, self.what)?;
        if !self.next.is_empty() {
            write!(f, "\n        next: {}", self.next)?;
        }
        Ok(())
    }
}
