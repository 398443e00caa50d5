//! `maily suppress`: who is not written to.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use clap::ValueEnum;
use serde::Deserialize;

use maily_api::calls;
use maily_api::suppression::{RECIPIENTS_MAX, SuppressRequest, Suppression, SuppressionReason};
use maily_config::config::Config;
use maily_core::clock::Clock;

use crate::command::serve;
use crate::exit::{Exit, Failure};
use crate::office::Office;

/// Say who is not written to, and who is again.
///
/// It asks the running daemon by its admin socket (http.admin.listen). What it says holds at once,
/// also for mail that waits, and is on disk when the command ends.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(
    after_help = "Examples:\n  maily suppress add ann@example.net --project shop --list news\n  \
    maily suppress import old.csv --project shop --reason bounced\n  \
    maily suppress export --project shop --format json > all.jsonl\n\n\
    A CSV file has a column `recipient` and may have `list`, `reason` and `until`; one without\n\
    a heading has a mailbox on each line. JSON has an object with these members on each line.\n\
    Exit codes: 65 an input is wrong, as the text says, and nothing of its batch was done;\n\
    74 a file cannot be read; 75 try again; 77 not permitted."
)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
    /// Whose mail; everybody's without.
    #[arg(long, value_name = "NAME", global = true)]
    project: Option<String>,
    #[command(flatten)]
    serve: serve::Arguments,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Do not write to these mailboxes.
    Add {
        /// The mailboxes.
        #[arg(required = true)]
        recipients: Vec<String>,
        #[command(flatten)]
        said: Said,
    },
    /// Write to this mailbox again.
    Remove {
        /// The mailbox.
        recipient: String,
        /// What was said of this list; without, what was said of all mail.
        #[arg(long, value_name = "NAME")]
        list: Option<String>,
    },
    /// Show what is known of a mailbox: of all mail and, if one is named, of a list.
    Check {
        /// The mailbox.
        recipient: String,
        /// The list.
        #[arg(long, value_name = "NAME")]
        list: Option<String>,
    },
    /// Do not write to those in a file.
    Import {
        /// The file; - is standard input.
        file: PathBuf,
        /// What it holds; by its name without.
        #[arg(long, value_name = "FORMAT")]
        format: Option<Format>,
        #[command(flatten)]
        said: Said,
    },
    /// Print all of them.
    Export {
        /// Only those of this list.
        #[arg(long, value_name = "NAME")]
        list: Option<String>,
        /// How.
        #[arg(long, value_name = "FORMAT", default_value = "csv")]
        format: Format,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Csv,
    Json,
}

/// What is said of a mailbox, if its line does not say it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, clap::Args)]
struct Said {
    /// Only mail of this list.
    #[arg(long, value_name = "NAME")]
    list: Option<String>,
    /// Why: unsubscribed, complained, bounced or operator.
    #[arg(long, value_name = "WORD", default_value = "operator")]
    reason: String,
    /// Until then (RFC 3339); for ever without.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

/// Does it.
pub async fn run(arguments: Arguments, clock: Arc<dyn Clock>) -> Result<Exit, Failure> {
    let config = serve::read_only(&arguments.serve)?;
    let desk = Desk { config, clock, project: arguments.project };
    match arguments.what {
        What::Add { recipients, said } => {
            desk.add(BTreeMap::from([(said, recipients)])).await?;
        }
        What::Remove { recipient, list } => {
            desk.ask(calls::lift_suppression(&recipient, list.as_deref())).await?;
        }
        What::Check { recipient, list } => return desk.check(&recipient, list.as_deref()).await,
        What::Import { file, format, said } => {
            let text = text(&file).map_err(|error| Failure::new(Exit::Io, error))?;
            let json = file.extension().is_some_and(|end| end == "json" || end == "jsonl");
            let format = format.unwrap_or(if json { Format::Json } else { Format::Csv });
            let lines = lines(&text, format, &said);
            desk.add(lines.map_err(|error| Failure::new(Exit::Data, error))?).await?;
        }
        What::Export { list, format } => desk.export(list.as_deref(), format).await?,
    }
    Ok(Exit::Ok)
}

/// Where it is asked for.
struct Desk {
    config: Config,
    clock: Arc<dyn Clock>,
    project: Option<String>,
}

impl Desk {
    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        call: maily_api::call::Call<T>,
    ) -> Result<T, Failure> {
        let office = Office::find(&self.config, &self.clock).await?;
        office.run(call.in_project(self.project.as_deref())).await
    }

    async fn add(&self, all: BTreeMap<Said, Vec<String>>) -> Result<(), Failure> {
        let mut count = 0_u64;
        for (said, recipients) in all {
            for some in recipients.chunks(RECIPIENTS_MAX) {
                let request = SuppressRequest {
                    recipients: some.to_vec(),
                    list: said.list.clone(),
                    reason: reason(&said.reason)
                        .map_err(|error| Failure::new(Exit::Data, error))?,
                    until: said.until.clone(),
                };
                let done = self.ask(calls::suppress(&request)).await.map_err(|failure| {
                    let told = format!("{count} were written before this batch");
                    Failure::new(failure.exit, failure.error.context(told))
                })?;
                count += u64::from(done.suppressed);
            }
        }
        eprintln!("{count} are not written to");
        Ok(())
    }

    #[expect(clippy::print_stdout, reason = "the result of the command")]
    async fn check(&self, recipient: &str, list: Option<&str>) -> Result<Exit, Failure> {
        let mut found = self.ask(calls::suppressions(None, None, Some(recipient))).await?.data;
        if list.is_some() {
            found.extend(self.ask(calls::suppressions(None, list, Some(recipient))).await?.data);
        }
        found.retain(|one| one.recipient.eq_ignore_ascii_case(recipient));
        for one in &found {
            let until = one.until.as_deref().unwrap_or("for ever");
            let of = one.list.as_deref().unwrap_or("all mail");
            let why = word(one.reason);
            println!(
                "{} {of}: {why} since {}, last {}, {until}",
                one.recipient, one.first_at, one.last_at
            );
        }
        if found.is_empty() {
            println!("{recipient}: nothing is known that keeps mail from them");
        }
        Ok(Exit::Ok)
    }

    async fn export(&self, list: Option<&str>, format: Format) -> Result<(), Failure> {
        let mut out = csv::Writer::from_writer(std::io::stdout().lock());
        let mut after = None;
        let io = |error: csv::Error| Failure::new(Exit::Io, anyhow!(error));
        if format == Format::Csv {
            out.write_record(["recipient", "list", "reason", "first_at", "last_at", "until"])
                .map_err(io)?;
        }
        loop {
            let page = self.ask(calls::suppressions(after.as_deref(), list, None)).await?;
            for one in &page.data {
                print_one(&mut out, one, format).map_err(io)?;
            }
            after = page.next;
            if after.is_none() {
                return out.flush().map_err(|error| Failure::new(Exit::Io, anyhow!(error)));
            }
        }
    }
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
fn print_one(
    out: &mut csv::Writer<std::io::StdoutLock<'_>>,
    one: &Suppression,
    format: Format,
) -> csv::Result<()> {
    if format == Format::Json {
        println!("{}", serde_json::to_string(one).unwrap_or_default());
        return Ok(());
    }
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (list, until) = (text(&one.list), text(&one.until));
    let reason = word(one.reason);
    out.write_record([&*one.recipient, &list, reason, &one.first_at, &one.last_at, &until])
}

const fn word(reason: SuppressionReason) -> &'static str {
    match reason {
        SuppressionReason::Unsubscribed => "unsubscribed",
        SuppressionReason::Complained => "complained",
        SuppressionReason::Bounced => "bounced",
        SuppressionReason::Operator => "operator",
    }
}

fn reason(word: &str) -> anyhow::Result<SuppressionReason> {
    serde_json::from_value(word.into()).with_context(|| format!("{word:?} is no reason"))
}

fn text(file: &PathBuf) -> anyhow::Result<String> {
    if file.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("standard input")?;
        return Ok(text);
    }
    std::fs::read_to_string(file).with_context(|| file.display().to_string())
}

/// A line of a file.
#[derive(Debug, Deserialize)]
struct Line {
    #[serde(alias = "email", alias = "address")]
    recipient: String,
    #[serde(default)]
    list: Option<String>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    until: Option<String>,
}

/// What the lines of a file say, those together that say the same.
fn lines(text: &str, format: Format, said: &Said) -> anyhow::Result<BTreeMap<Said, Vec<String>>> {
    let mut all: BTreeMap<Said, Vec<String>> = BTreeMap::new();
    let mut add = |line: Line| {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let said = Said {
            list: given(line.list).or_else(|| said.list.clone()),
            reason: given(line.reason).unwrap_or_else(|| said.reason.clone()),
            until: given(line.until).or_else(|| said.until.clone()),
        };
        all.entry(said).or_default().push(line.recipient);
    };
    if format == Format::Json {
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            add(serde_json::from_str(line).with_context(|| format!("line {number}"))?);
        }
        return Ok(all);
    }
    let text = text.trim_start_matches('\u{feff}');
    let first = text.lines().next().unwrap_or_default();
    let headed = !first.contains('@');
    let text = if headed { text.to_owned() } else { format!("recipient\n{text}") };
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    for (number, line) in (2..).zip(reader.deserialize()) {
        let number = number - usize::from(!headed);
        add(line.with_context(|| format!("line {number}"))?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(list: Option<&str>, reason: &str, until: Option<&str>) -> Said {
        let text = |text: &str| text.to_owned();
        Said { list: list.map(text), reason: reason.into(), until: until.map(text) }
    }

    #[test]
    fn what_lines_do_not_say_the_command_says() {
        let said = of(Some("news"), "bounced", None);
        let csv = "\u{feff}recipient, list ,reason,until\nann@x.example,,,\n\
                   bob@x.example,offers,complained,2027-01-01T00:00:00Z\ncat@x.example,,,\n";
        let all = lines(csv, Format::Csv, &said).unwrap();
        assert_eq!(all[&said], ["ann@x.example", "cat@x.example"]);
        let other = of(Some("offers"), "complained", Some("2027-01-01T00:00:00Z"));
        assert_eq!(all[&other], ["bob@x.example"]);
        let plain = lines("ann@x.example\r\nbob@x.example\r\n", Format::Csv, &said).unwrap();
        assert_eq!(plain[&said], ["ann@x.example", "bob@x.example"]);
        let json = "{\"email\":\"ann@x.example\",\"first_at\":\"x\"}\n\n";
        assert_eq!(lines(json, Format::Json, &said).unwrap()[&said], ["ann@x.example"]);
    }

    #[test]
    fn a_wrong_line_is_named() {
        let said = of(None, "operator", None);
        let error = lines("recipient,list\na@b.c,x\n\"", Format::Csv, &said).unwrap_err();
        assert!(format!("{error:#}").starts_with("line 3"), "{error:#}");
        let error = lines("{}", Format::Json, &said).unwrap_err();
        assert!(format!("{error:#}").starts_with("line 1"), "{error:#}");
        assert!(reason("gone").is_err());
    }
}
