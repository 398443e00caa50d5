//! `maily plugin test`: runs the cases of plugins, and tries those that have none.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use maily_core::clock::Clock;
use maily_plugins::cases;
use maily_plugins::cases::CaseResult;
use maily_plugins::cases::Choice;
use maily_plugins::cases::Report;
use maily_plugins::package::Package;
use maily_plugins::plugin::Shared;
use maily_plugins::workshop;
use maily_plugins::workshop::Tried;
use serde_json::json;

use crate::exit::Exit;
use crate::exit::Failure;

/// How often changed files are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// What to test.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Arguments {
    /// A plugin, or a folder of plugins.
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Only cases whose names hold this.
    #[arg(short = 'k', value_name = "TEXT", default_value = "")]
    filter: String,
    /// Find the line where a limit ended a script; slow.
    #[arg(long)]
    trace: bool,
    /// Print a JSON object for each case or try, and one for all as the last line.
    #[arg(long)]
    json: bool,
    /// Test again whenever a file changes, until interrupted.
    #[arg(long)]
    watch: bool,
}

#[derive(Default)]
struct Sum {
    plugins: usize,
    cases: usize,
    passed: usize,
    failed: usize,
}

/// Tests plugins.
pub(super) fn test(arguments: &Arguments, clock: Arc<dyn Clock>) -> Result<Exit, Failure> {
    let shared = shared(clock)?;
    if !arguments.watch {
        return once(arguments, &shared);
    }
    let mut known = Vec::new();
    loop {
        let now = stamps(&arguments.folder)?;
        if now != known {
            known = now;
            once(arguments, &shared)?;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// An interpreter for tools.
pub(super) fn shared(clock: Arc<dyn Clock>) -> Result<Shared, Failure> {
    workshop::shared(clock).map_err(|error| Failure::new(Exit::Software, error))
}

/// The plugins that are meant.
pub(super) fn folders(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    workshop::folders(folder)
        .map_err(|error| Failure::new(Exit::Io, anyhow!("{}: {error}", folder.display())))
}

fn once(arguments: &Arguments, shared: &Shared) -> Result<Exit, Failure> {
    let mut sum = Sum::default();
    for folder in folders(&arguments.folder)? {
        sum.plugins += 1;
        match Package::read(&folder) {
            Ok(package) if !package.cases.is_empty() => {
                let choice = Choice { filter: &arguments.filter, trace: arguments.trace };
                tell_report(arguments, &cases::run(shared, &package, choice), &mut sum);
            }
            _ => {
                for tried in workshop::try_all(shared, &folder) {
                    tell_tried(arguments, &tried, &mut sum);
                }
            }
        }
    }
    tell_sum(arguments, &sum);
    Ok(if sum.failed > 0 { Exit::Partial } else { Exit::Ok })
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
fn tell_report(arguments: &Arguments, report: &Report, sum: &mut Sum) {
    sum.cases += report.cases.len() + usize::from(report.refused.is_some());
    sum.passed += report.passed();
    sum.failed += report.failed();
    for case in &report.cases {
        if arguments.json {
            println!("{}", json!({ "plugin": report.plugin, "case": case }));
        } else {
            println!("{}", case_text(&report.plugin, case));
        }
    }
    if let Some(fault) = &report.refused {
        if arguments.json {
            println!("{}", json!({ "plugin": report.plugin, "refused": fault }));
        } else {
            println!("refused  {}\n{fault}", report.plugin);
        }
    }
    if !arguments.json {
        for warning in &report.warnings {
            println!("odd      {}: {}", report.plugin, warning.message);
        }
    }
}

fn case_text(plugin: &str, case: &CaseResult) -> String {
    let word = if case.passed { "ok      " } else { "FAILED  " };
    let mut text = format!(
        "{word} {plugin} {}: {} ({}, {} operations)",
        case.hook,
        case.name,
        millis(case.micros),
        case.operations
    );
    for problem in &case.problems {
        for line in problem.lines() {
            text.push_str("\n         ");
            text.push_str(line);
        }
    }
    text
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
fn tell_tried(arguments: &Arguments, tried: &Tried, sum: &mut Sum) {
    sum.cases += 1;
    let passed = tried.fault.is_none();
    sum.passed += usize::from(passed);
    sum.failed += usize::from(!passed);
    if arguments.json {
        println!("{}", json!({ "plugin": tried.plugin, "tried": tried }));
        return;
    }
    let word = match (&tried.fault, tried.hook) {
        (None, _) => "ran     ",
        (Some(_), Some(_)) => "ended   ",
        (Some(_), None) => "refused ",
    };
    let hook = tried.hook.map_or_else(String::new, |hook| format!(" {hook}"));
    let why = tried.fault.as_ref().map_or_else(String::new, |fault| {
        let line = fault.place.as_ref().map_or(0, |place| place.line);
        format!(": {} line {line}, {}", fault.code, fault.message)
    });
    println!("{word} {}{hook} after {}{why}", tried.plugin, millis(tried.micros));
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
fn tell_sum(arguments: &Arguments, sum: &Sum) {
    let Sum { plugins, cases, passed, failed } = sum;
    if arguments.json {
        let all = json!({ "plugins": plugins, "cases": cases, "passed": passed, "failed": failed });
        println!("{all}");
    } else {
        println!("{plugins} plugins, {cases} cases: {passed} passed, {failed} failed");
    }
}

/// `0.3 ms`.
pub(super) fn millis(micros: u64) -> String {
    format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100)
}

/// When the files below a folder were last written.
fn stamps(folder: &Path) -> Result<Vec<(PathBuf, std::time::SystemTime)>, Failure> {
    let mut stamps = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        let entries = std::fs::read_dir(&folder).map_err(|error| Failure::new(Exit::Io, error))?;
        for entry in entries.flatten() {
            match entry.metadata() {
                Ok(about) if about.is_dir() => open.push(entry.path()),
                Ok(about) => stamps.extend(about.modified().map(|at| (entry.path(), at))),
                // It was there a moment ago: an editor is at work.
                Err(_gone) => {}
            }
        }
    }
    stamps.sort();
    Ok(stamps)
}
