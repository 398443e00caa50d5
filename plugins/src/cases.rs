//! Runs the cases of a plugin: with other machines, store and clock as the case says, and both with
//! and without the optimizer of the interpreter.

use std::sync::Arc;
use std::time::Duration;

use maily_core::clock::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::case::Case;
use crate::case::CaseFile;
use crate::case::case_place;
use crate::compare;
use crate::dispatch;
use crate::dispatch::Terms;
use crate::fault::Code;
use crate::fault::Fault;
use crate::fuzz;
use crate::hook::Hook;
use crate::host::Effects;
use crate::host::Memo;
use crate::http::HttpRequest;
use crate::http::HttpResponse;
use crate::http::Secrets;
use crate::kv::Change;
use crate::kv::Kv;
use crate::kv::MemoryKv;
use crate::kv::Write;
use crate::package::Package;
use crate::plugin::Plugin;
use crate::plugin::Round;
use crate::plugin::Shared;
use crate::program::Given;
use crate::program::Program;
use crate::worker::Allowance;
use crate::worker::Noted;

/// How long a case may take at least: a machine that is busy fails no case.
const TIME_MIN: Duration = Duration::from_secs(2);

/// How one case went.
#[derive(Clone, Debug, Serialize)]
pub struct CaseResult {
    /// The file it stands in.
    pub file: String,
    /// Its name.
    pub name: String,
    /// Which hook.
    pub hook: Hook,
    /// Whether it passed.
    pub passed: bool,
    /// What was not as expected.
    pub problems: Vec<String>,
    /// The fault it ended with, expected or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<Box<Fault>>,
    /// What it answered.
    pub answer: Value,
    /// Operations of its last run.
    pub operations: u64,
    /// Microseconds.
    pub micros: u64,
}

/// How all cases of a plugin went.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Name and version, or the folder's name.
    pub plugin: String,
    /// Why it could not be loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Box<Fault>>,
    /// What is odd.
    pub warnings: Vec<Fault>,
    /// Each case.
    pub cases: Vec<CaseResult>,
}

/// What a run of a hook came to.
#[derive(Debug, Default)]
struct Ended {
    answer: Value,
    fault: Option<Box<Fault>>,
    effects: Effects,
    odd: Vec<String>,
    operations: u64,
    /// A request that no mock answers.
    unmocked: Option<HttpRequest>,
}

impl Report {
    /// How many cases passed.
    pub fn passed(&self) -> usize {
        self.cases.iter().filter(|case| case.passed).count()
    }

    /// How many failed; a plugin that cannot be loaded counts as one.
    pub fn failed(&self) -> usize {
        self.cases.len() - self.passed() + usize::from(self.refused.is_some())
    }

    /// The first case that failed, as a fault of the plugin.
    pub fn fault(&self, package: &Package) -> Option<Fault> {
        let failed = self.cases.iter().find(|case| !case.passed)?;
        let text = package.cases.get(&failed.file).map_or("", String::as_str);
        let problem = failed.problems.first().map_or("", String::as_str);
        let message = format!("its own case `{}` fails: {problem}", failed.name);
        let place = case_place(&failed.file, text, &failed.name);
        Some(Fault::new(Code::Case, &self.plugin, message).within(failed.hook).at(place))
    }
}

/// Which cases are run, and how.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choice<'a> {
    /// Only those whose names hold this.
    pub filter: &'a str,
    /// Where a limit ends a script, its line is looked for.
    pub trace: bool,
}

/// Runs the cases of a plugin.
pub fn run(shared: &Shared, package: &Package, choice: Choice<'_>) -> Report {
    let mut report = Report { plugin: package.manifest.label(), ..Report::default() };
    for (file, text) in &package.cases {
        let parsed = match CaseFile::parse(&report.plugin, file, text) {
            Ok(parsed) => parsed,
            Err(fault) => {
                report.refused = Some(fault);
                return report;
            }
        };
        for case in parsed.cases.iter().filter(|case| case.name.contains(choice.filter)) {
            match one(shared, package, (file, case), choice.trace) {
                Ok((result, warnings)) => {
                    report.cases.push(result);
                    report.warnings = warnings;
                }
                Err(fault) => {
                    report.refused = Some(fault);
                    return report;
                }
            }
        }
    }
    report
}

fn one(
    shared: &Shared,
    package: &Package,
    (file, case): (&str, &Case),
    trace: bool,
) -> Result<(CaseResult, Vec<Fault>), Box<Fault>> {
    let begin = shared.clock.now();
    let mut result = CaseResult {
        file: file.to_owned(),
        name: case.name.clone(),
        hook: case.hook,
        passed: false,
        problems: Vec::new(),
        fault: None,
        answer: Value::Null,
        operations: 0,
        micros: 0,
    };
    let mut warnings = Vec::new();
    for optimized in [false, true] {
        let plugin = load(shared, package, case, optimized)?;
        warnings.clone_from(&plugin.program.warnings);
        let noted = trace.then(|| plugin.program.note_places(&shared.base));
        let problems = result.problems.len();
        let rounds = case.fuzz.as_ref().map_or(1, |fuzz| fuzz.cases);
        for round in 0..rounds {
            let input = match &case.fuzz {
                Some(fuzz) => {
                    let fields = &package.manifest.permissions.contact_fields;
                    fuzz::input(fuzz, round, &case.input, fields)
                }
                None => case.input.clone(),
            };
            let input = Value::Object(input);
            let run = Run { shared, plugin: &plugin, case, noted: noted.as_ref() };
            run.check(&input, &mut result);
            if result.problems.len() > problems {
                let about =
                    if case.fuzz.is_some() { format!(" with {input}") } else { String::new() };
                let how = if optimized { "" } else { " (without optimizer)" };
                result
                    .problems
                    .extend((!about.is_empty()).then_some(format!("round {round}{about}")));
                result.problems.extend((!how.is_empty()).then_some(how.trim().to_owned()));
                break;
            }
        }
        if !result.problems.is_empty() {
            break;
        }
    }
    result.passed = result.problems.is_empty();
    let micros = shared.clock.now().since(begin).as_micros();
    result.micros = u64::try_from(micros).unwrap_or(u64::MAX);
    Ok((result, warnings))
}

/// Secrets of a case are made up: real ones are not for tests.
fn load(
    shared: &Shared,
    package: &Package,
    case: &Case,
    optimized: bool,
) -> Result<Plugin, Box<Fault>> {
    let names = package.manifest.permissions.secrets.iter();
    let secrets = names.map(|name| (name.clone(), format!("secret-{name}"))).collect();
    let given = Given {
        settings: case.config.clone(),
        secrets: Secrets::new(secrets),
        unoptimized: !optimized,
    };
    Program::load(&shared.base, package.clone(), &given).map(Plugin::new)
}

struct Run<'a> {
    shared: &'a Shared,
    plugin: &'a Plugin,
    case: &'a Case,
    noted: Option<&'a Noted>,
}

impl Run<'_> {
    fn check(&self, input: &Value, result: &mut CaseResult) {
        let ended = match self.run(input) {
            Ok(ended) => ended,
            Err(problem) => {
                result.problems.push(problem);
                return;
            }
        };
        result.operations = ended.operations;
        if let Some(request) = &ended.unmocked {
            let problem = format!("nothing answers {} {}", request.method, request.url);
            result.problems.push(problem);
            return;
        }
        if !ended.odd.is_empty() {
            let (code, keys) = (Code::UnknownKey, ended.odd.join(", "));
            result.problems.push(format!("{code}: nobody reads {keys} of the answer"));
        }
        if let Some(most) = self.case.budget.max_operations
            && ended.operations > most
        {
            result.problems.push(format!("{} operations, not {most}", ended.operations));
        }
        self.compare(&ended, result);
        if let Some(invariant) = &self.case.invariant
            && ended.fault.is_none()
            && let Err(problem) =
                self.plugin.program.holds(&self.shared.base, invariant, &ended.answer, input)
        {
            result.problems.push(problem);
        }
        result.answer = ended.answer;
        result.fault = ended.fault;
    }

    fn compare(&self, ended: &Ended, result: &mut CaseResult) {
        let expect = &self.case.expect;
        let code = ended.fault.as_ref().map(|fault| fault.code.as_str());
        match (expect.get("error").and_then(Value::as_str), code) {
            (Some(wanted), Some(code)) if wanted == code => {}
            (Some(wanted), Some(code)) => {
                result.problems.push(format!("it fails with {code}, not {wanted}"));
            }
            (Some(wanted), None) => result.problems.push(format!("it does not fail with {wanted}")),
            (None, Some(_)) => {
                let fault = ended.fault.as_ref().map(ToString::to_string).unwrap_or_default();
                result.problems.push(fault);
            }
            (None, None) => {}
        }
        for (key, wanted) in expect {
            let found = match key.as_str() {
                "error" => continue,
                "log" => compare::log(&ended.effects),
                "metrics" => compare::metrics(&ended.effects),
                "kv" => compare::kv(&ended.effects),
                "result" => ended.answer.clone(),
                _ => ended.answer.get(key).cloned().unwrap_or_default(),
            };
            compare::differences(key, wanted, &found, &mut result.problems);
        }
    }

    /// Runs until it is done; requests are answered by the case.
    fn run(&self, input: &Value) -> Result<Ended, String> {
        let now = self.case.now();
        let kv: Arc<dyn Kv> = Arc::new(MemoryKv::default());
        self.fill(&*kv, now)?;
        let shared = Shared { kv, ..self.shared.clone() };
        let Some(seat) = self.plugin.seat(self.case.hook) else {
            return Err(format!("plugin.toml does not name {}", self.case.hook));
        };
        let allowance = Allowance { time: seat.allowance.time.max(TIME_MIN), ..seat.allowance };
        let terms = Terms { hook: self.case.hook, allowance, now };
        let mut memo = Memo::new();
        loop {
            match dispatch::run(self.plugin, &shared, terms, input, &mut memo)? {
                Round::Done(Ok(ran)) => {
                    let (answer, odd) = (ran.answer, ran.odd);
                    let effects = *ran.effects.unwrap_or_default();
                    let operations = ran.operations;
                    return Ok(Ended { answer, effects, odd, operations, ..Ended::default() });
                }
                Round::Done(Err(mut failure)) => {
                    if let Some(noted) = self.noted {
                        self.plugin.program.place_noted(noted, &mut failure.fault);
                    }
                    let (fault, effects) = (Some(failure.fault), failure.effects);
                    return Ok(Ended { fault, effects, ..Ended::default() });
                }
                Round::Wants(request) => {
                    let mut mocks = self.case.http.iter();
                    let found = mocks.find(|mock| mock.answers(&request.method, &request.url));
                    let Some(mock) = found else {
                        return Ok(Ended { unmocked: Some(*request), ..Ended::default() });
                    };
                    let body =
                        mock.json.as_ref().map_or_else(|| mock.body.clone(), Value::to_string);
                    memo.push((*request, HttpResponse { status: mock.status, body }));
                }
            }
        }
    }

    fn fill(&self, kv: &dyn Kv, now: Timestamp) -> Result<(), String> {
        let Some(terms) = &self.plugin.program.profile.permissions.kv else {
            return Ok(());
        };
        let write = |(key, value): (&String, &Value)| Write {
            key: key.clone(),
            change: Change::Set(value.to_string()),
            ttl: None,
        };
        let writes: Vec<_> = self.case.kv.iter().map(write).collect();
        kv.commit(terms, &writes, now).map_err(|error| error.to_string())
    }
}
