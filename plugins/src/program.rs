//! A plugin that is compiled and ready: its scripts, what its interpreters share, and those that
//! are free. It is made once; a run takes an interpreter and gives it back.

use std::sync::Arc;

use maily_core::clock::Timestamp;
use parking_lot::Mutex;
use rhai::Dynamic;
use rhai::EvalAltResult;
use rhai::Module;
use rhai::Scope;
use rhai::Shared;
use rhai::module_resolvers::StaticModuleResolver;
use serde_json::Value;

use crate::config;
use crate::explain;
use crate::explain::Known;
use crate::fault::Code;
use crate::fault::Fault;
use crate::hook::Hook;
use crate::host::Profile;
use crate::host::tables_view;
use crate::http::Secrets;
use crate::limits;
use crate::loading::Compiled;
use crate::loading::Loading;
use crate::loading::load_allowance;
use crate::package::Package;
use crate::show::Show;
use crate::stack::Stack;
use crate::value;
use crate::value::Lens;
use crate::value::View;
use crate::worker::Allowance;
use crate::worker::Base;
use crate::worker::Noted;
use crate::worker::Parts;
use crate::worker::Worker;

/// Interpreters that are kept for later.
const WORKERS_MAX: usize = 64;

/// Where one is kept.
type Place = Mutex<Option<Box<Worker>>>;

/// What a site gives a plugin.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Given {
    /// Values of its settings.
    pub settings: toml::Table,
    /// Values of its secrets.
    pub secrets: Secrets,
    /// Compiled as it is written, for tests of the interpreter's optimizer.
    pub unoptimized: bool,
}

/// A plugin that is ready.
#[derive(Debug)]
pub struct Program {
    /// The folder as it was read.
    pub package: Package,
    /// What the site gave it.
    pub given: Given,
    /// What does not change from run to run.
    pub profile: Arc<Profile>,
    /// Which fields of a contact it sees.
    pub lens: Arc<Lens>,
    /// What is not wrong, but odd.
    pub warnings: Vec<Fault>,
    parts: Parts,
    compiled: Compiled,
    /// A place is locked while the interpreter in it runs.
    workers: Box<[Place]>,
}

impl Program {
    /// Compiles a plugin, looks whether it keeps to its manifest and evaluates its constants.
    pub fn load(base: &Base, package: Package, given: &Given) -> Result<Self, Box<Fault>> {
        let manifest = &package.manifest;
        let label = manifest.label();
        let values = config::resolve(&manifest.config.schema, &given.settings)
            .map_err(|(_, message)| Box::new(Fault::new(Code::Config, &label, message)))?;
        let config = serde_json::to_value(values)
            .map_err(|error| Box::new(Fault::new(Code::Config, &label, error.to_string())))?;
        let tables = tables_view(&package.tables);
        let profile = Arc::new(Profile {
            label: label.clone(),
            permissions: manifest.permissions.clone(),
            log_lines_max: manifest.budget.log_lines.unwrap_or(limits::LOG_LINES_DEFAULT),
            tables: tables.clone(),
            secrets: given.secrets.clone(),
        });
        let memory = manifest.budget.memory.unwrap_or(limits::MEMORY_OCTETS_MAX);
        let string_octets_max = usize::try_from(memory / 16)
            .unwrap_or(usize::MAX)
            .clamp(1_024, limits::STRING_OCTETS_MAX);
        let names = vec![site_names(&config, &tables)];
        let parts = Parts {
            profile: Arc::clone(&profile),
            string_octets_max,
            names,
            modules: Vec::new(),
            library: StaticModuleResolver::new(),
            unoptimized: given.unoptimized,
        };
        let mut loading = Loading::new(base, &package, parts);
        let compiled = Stack::default().run(|| loading.scripts());
        let no_stack = |_| Box::new(Fault::new(Code::Host, &label, "no memory"));
        let compiled = compiled.map_err(no_stack)??;
        let (parts, warnings) = loading.done();
        let lens = Arc::new(Lens::new(&manifest.permissions.contact_fields));
        let workers = (0..WORKERS_MAX).map(|_| Place::default()).collect();
        let given = given.clone();
        Ok(Self { package, given, profile, lens, warnings, parts, compiled, workers })
    }

    /// Name and version.
    pub fn label(&self) -> &str {
        &self.profile.label
    }

    /// Does something with an interpreter that is free, or a new one.
    pub fn with_worker<T>(&self, base: &Base, what: impl FnOnce(&mut Worker) -> T) -> T {
        match self.workers.iter().find_map(Mutex::try_lock) {
            Some(mut place) => {
                what(place.get_or_insert_with(|| Box::new(Worker::new(base, &self.parts))))
            }
            None => what(&mut Worker::new(base, &self.parts)),
        }
    }

    /// From here on, one call after the other is run by an interpreter that notes each place it
    /// comes to: slow, but it knows where a limit ended a script.
    pub fn note_places(&self, base: &Base) -> Noted {
        let noted = Noted::default();
        let mut worker = Worker::new(base, &self.parts);
        worker.note_places(&noted);
        if let Some(first) = self.workers.first() {
            *first.lock() = Some(Box::new(worker));
        }
        noted
    }

    /// Puts the place that was noted last into a fault that bears none of its own.
    pub fn place_noted(&self, noted: &Noted, fault: &mut Fault) {
        let Some((file, position)) = noted.last() else { return };
        if let (true, Some(source)) = (fault.code.is_limit(), self.package.scripts.get(&file)) {
            let mut place = explain::place(&file, source, position);
            place.note = "it had come so far".to_owned();
            fault.place = Some(place);
        }
    }

    /// Calls a hook. It does not look at what comes out.
    pub fn call(
        &self,
        base: &Base,
        worker: &mut Worker,
        hook: Hook,
        input: Dynamic,
        (allowance, begin): (Allowance, Timestamp),
    ) -> Result<Dynamic, Box<EvalAltResult>> {
        worker.call(base, &self.compiled.ast, hook.name(), input, (allowance, begin))
    }

    /// How many operations a hook may take at most, whatever the manifest says.
    pub const fn operations_max(&self) -> u64 {
        if self.compiled.captures {
            limits::OPERATIONS_CAPTURING_MAX
        } else {
            limits::OPERATIONS_MAX
        }
    }

    /// How inputs are shown to it.
    pub fn show(&self) -> Show<'_> {
        Show::new(&self.lens, self.compiled.wanted.as_ref())
    }

    /// Whether an expression is true of an answer and its input; if not, what is wrong.
    pub fn holds(
        &self,
        base: &Base,
        expression: &str,
        answer: &Value,
        input: &Value,
    ) -> Result<(), String> {
        let evaluate = |worker: &Worker| {
            let mut scope = Scope::new();
            scope.push_dynamic("result", value::shown("result", answer, 1));
            scope.push_dynamic("input", value::shown("input", input, 1));
            let held = worker.guarded(base, load_allowance(base), || {
                worker.engine().eval_expression_with_scope::<bool>(&mut scope, expression)
            });
            held.map_err(|error| format!("`{expression}`: {error}"))
        };
        let held = self.with_worker(base, |worker| Stack::default().run(|| evaluate(worker)));
        if held.map_err(|error| error.to_string())?? {
            return Ok(());
        }
        Err(format!("`{expression}` does not hold of {answer}"))
    }

    /// A fault of what a run reported.
    pub fn explain(&self, worker: &Worker, hook: Hook, error: &EvalAltResult) -> Fault {
        let last = worker.handle.with(|host| host.last);
        let known = Known {
            label: self.label(),
            scripts: &self.package.scripts,
            last,
            operations: worker.operations(),
            function: hook.name(),
        };
        let mut fault = explain::run_error(known, error).within(hook);
        fault.message = self.profile.secrets.masked(fault.message);
        fault
    }
}

/// `config` and `data`.
fn site_names(config: &Value, tables: &View) -> Shared<Module> {
    let mut names = Module::new();
    let mut settings = View::closed("config");
    for (name, value) in config.as_object().into_iter().flatten() {
        settings = settings.with(name, value::shown(name, value, 1));
    }
    names.set_var("config", Dynamic::from(settings.done()));
    names.set_var("data", Dynamic::from(tables.clone()));
    names.build_index();
    Shared::new(names)
}
