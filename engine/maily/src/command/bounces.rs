//! `maily bounces`: what bounce mails and replies mean, read from files without a daemon.

use std::io::BufRead;
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use serde::Deserialize;
use serde_json::{Value, json};

use maily_core::bounce::classify::{Reply, Rules};
use maily_core::bounce::phase::Phase;
use maily_core::bounce::read::status::Action;
use maily_core::bounce::read::{Reading, read};
use maily_core::clock::Timestamp;

use crate::command::replies;
use crate::command::replies::Past;
use crate::exit::{Exit, Failure};

/// Say what bounce mails and replies mean.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  maily bounces parse bounce.eml\n  \
    echo '550 5.1.1 no such user' | maily bounces classify\n  \
    maily bounces unknown --since 7d\n  maily bounces rule test new.rules\n\n\
    Exit codes: 65 an input or a rule is wrong, 74 a file cannot be read.")]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Say what mails are, and whom they speak of.
    Parse(Parse),
    /// Say what replies mean: a reply on each line of standard input.
    Classify(Classify),
    /// Show the replies of the past that no rule knows, those together that say the same.
    Unknown {
        #[command(flatten)]
        past: Past,
        #[command(flatten)]
        by: By,
    },
    /// Work on rules.
    #[command(subcommand)]
    Rule(RuleWhat),
}

#[derive(Debug, clap::Subcommand)]
enum RuleWhat {
    /// Show which replies of the past other rules would have read otherwise, and how.
    Test {
        /// The rules to try.
        rules: PathBuf,
        /// The rules that hold now; those that ship without it.
        #[arg(long, value_name = "FILE")]
        against: Option<PathBuf>,
        #[command(flatten)]
        past: Past,
    },
}

#[derive(Debug, clap::Args)]
struct Parse {
    /// Print an object for each file, on a line.
    #[arg(long)]
    jsonl: bool,
    /// Mails, each in a file (RFC 5322).
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    by: By,
}

#[derive(Debug, clap::Args)]
struct Classify {
    /// Lines are objects {text, status, reply, host}; so is what is printed.
    #[arg(long)]
    jsonl: bool,
    #[command(flatten)]
    by: By,
}

/// The rules to go by.
#[derive(Debug, clap::Args)]
struct By {
    /// A file of rules; those that ship without it.
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
}

impl By {
    fn load(&self) -> Result<Rules, Failure> {
        let Some(path) = &self.rules else {
            return Rules::shipped().map_err(|error| Failure::new(Exit::Data, anyhow!(error)));
        };
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(|| name.clone());
        let text = text.map_err(|error| Failure::new(Exit::Io, error))?;
        Rules::parse(&text, &name).map_err(|error| Failure::new(Exit::Data, anyhow!(error)))
    }
}

/// Does it.
pub fn run(arguments: &Arguments, now: Timestamp) -> Result<Exit, Failure> {
    match &arguments.what {
        What::Parse(parse) => mails(parse),
        What::Classify(classify) => lines(classify),
        What::Unknown { past, by } => replies::unknown(past, &by.load()?, now),
        What::Rule(RuleWhat::Test { rules, against, past }) => {
            let new = By { rules: Some(rules.clone()) }.load()?;
            replies::compare(past, &By { rules: against.clone() }.load()?, &new, now)
        }
    }
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
fn mails(parse: &Parse) -> Result<Exit, Failure> {
    let rules = parse.by.load()?;
    for file in &parse.files {
        let name = file.display().to_string();
        let mail = std::fs::read(file).with_context(|| name.clone());
        let reading = read(&mail.map_err(|error| Failure::new(Exit::Io, error))?, &rules);
        if parse.jsonl {
            println!("{}", object(&name, &reading));
            continue;
        }
        println!("{name}: {}", reading.kind.name());
        for one in &reading.recipients {
            let (class, reason) = (one.verdict.permanence.name(), one.verdict.reason);
            println!("    {} {class} {reason} {}", one.address, one.diagnosis);
        }
    }
    Ok(Exit::Ok)
}

fn object(file: &str, reading: &Reading) -> Value {
    let recipients = reading.recipients.iter().map(|one| {
        let outcome = match one.action {
            Action::Failed => "failed",
            Action::Delayed => "delayed",
            Action::Delivered => "delivered",
        };
        json!({
            "address": one.address,
            "class": one.verdict.permanence.name(),
            "outcome": outcome,
            "reason": one.verdict.reason.word(),
            "status": one.status.map(|status| status.to_string()),
            "confidence": one.source.confidence(),
        })
    });
    let recipients: Vec<_> = recipients.collect();
    json!({ "file": file, "kind": reading.kind.name(), "recipients": recipients })
}

/// A reply as it is handed in.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Line {
    text: String,
    status: Option<String>,
    reply: Option<String>,
    host: Option<String>,
}

impl Line {
    /// A line as a host says it: code, status and text.
    fn plain(text: &str) -> Self {
        let mut words = text.splitn(3, [' ', '-']);
        let reply = words.next().filter(|word| word.len() == 3).map(str::to_owned);
        let status = words.next().filter(|word| word.contains('.')).map(str::to_owned);
        Self { text: text.to_owned(), status, reply, host: None }
    }
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
fn lines(classify: &Classify) -> Result<Exit, Failure> {
    let rules = classify.by.load()?;
    for line in std::io::stdin().lock().lines() {
        let line = line.context("standard input")?;
        let asked = match classify.jsonl {
            true => serde_json::from_str(&line)
                .map_err(|error| Failure::new(Exit::Data, anyhow!("{error}: {line}")))?,
            false => Line::plain(&line),
        };
        let verdict = rules.classify(&Reply {
            code: asked.reply.as_deref().and_then(|code| code.parse().ok()),
            status: asked.status.as_deref().and_then(|status| status.parse().ok()),
            text: &asked.text,
            host: asked.host.as_deref().unwrap_or_default(),
            phase: Phase::told(&asked.text),
        });
        let (reason, class) = (verdict.reason, verdict.permanence.name());
        let rule = verdict.line.map(|line| format!("{}:{line}", rules.file()));
        if classify.jsonl {
            let scope = format!("{:?}", reason.scope()).to_lowercase();
            let about = format!("{:?}", reason.class());
            println!(
                "{}",
                json!({
                    "text": asked.text, "class": class, "reason": reason.word(),
                    "about": about, "scope": scope, "rule": rule,
                })
            );
        } else {
            println!("{class} {reason} {} {line}", rule.as_deref().unwrap_or("-"));
        }
    }
    Ok(Exit::Ok)
}
