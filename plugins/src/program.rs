//! A plugin that is compiled and ready: its scripts, what its interpreters share, and those that
//! are free. It is made once; a run takes an interpreter and gives it back.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use maily_core::clock::Timestamp;
use parking_lot::Mutex;
use rhai::AST;
use rhai::Dynamic;
use rhai::Engine;
use rhai::EvalAltResult;
use rhai::Module;
use rhai::OptimizationLevel;
use rhai::Position;
use rhai::Scope;
use rhai::Shared;
use rhai::module_resolvers::StaticModuleResolver;
use serde_json::Value;

use crate::config;
use crate::explain;
use crate::explain::Known;
use crate::fault::Code;
use crate::fault::Fault;
use crate::fault::Place;
use crate::hook::Hook;
use crate::host::Profile;
use crate::host::tables_view;
use crate::http::Secrets;
use crate::limits;
use crate::manifest::MANIFEST;
use crate::package::MAIN;
use crate::package::Package;
use crate::script;
use crate::script::Seen;
use crate::show::Show;
use crate::surface::NAMES;
use crate::surface::getters;
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
/// Modules within modules.
const IMPORT_DEPTH_MAX: usize = 8;

/// What a site gives a plugin.
#[derive(Clone, Debug, Default)]
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
    /// What does not change from run to run.
    pub profile: Arc<Profile>,
    /// Which fields of a contact it sees.
    pub lens: Arc<Lens>,
    /// What is not wrong, but odd.
    pub warnings: Vec<Fault>,
    parts: Parts,
    ast: AST,
    /// Names of properties that its scripts can ask an input for; none if it could be any.
    wanted: Option<Vec<String>>,
    #[expect(clippy::vec_box, reason = "large, and taken and given back for each call")]
    workers: Mutex<Vec<Box<Worker>>>,
}

/// What is being loaded.
struct Loading<'a> {
    base: &'a Base,
    package: &'a Package,
    label: String,
    parts: Parts,
    warnings: Vec<Fault>,
}

type Refused = Box<Fault>;

impl Program {
    /// Compiles a plugin, looks whether it keeps to its manifest and evaluates its constants.
    pub fn load(base: &Base, package: Package, given: &Given) -> Result<Self, Refused> {
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
        let mut loading = Loading { base, package: &package, label, parts, warnings: Vec::new() };
        let (ast, wanted) = loading.scripts()?;
        let (parts, warnings) = (loading.parts, loading.warnings);
        let lens = Arc::new(Lens::new(&manifest.permissions.contact_fields));
        let workers = Mutex::new(Vec::new());
        Ok(Self { package, profile, lens, warnings, parts, ast, wanted, workers })
    }

    /// Name and version.
    pub fn label(&self) -> &str {
        &self.profile.label
    }

    /// An interpreter that is free, or a new one.
    pub fn worker(&self, base: &Base) -> Box<Worker> {
        let free = self.workers.lock().pop();
        free.unwrap_or_else(|| Box::new(Worker::new(base, &self.parts)))
    }

    /// From here on, one call after the other is run by an interpreter that notes each place it
    /// comes to: slow, but it knows where a limit ended a script.
    pub fn note_places(&self, base: &Base) -> Noted {
        let noted = Noted::default();
        let mut worker = Worker::new(base, &self.parts);
        worker.note_places(&noted);
        let mut workers = self.workers.lock();
        workers.clear();
        workers.push(Box::new(worker));
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

    /// Gives an interpreter back.
    pub fn give_back(&self, worker: Box<Worker>) {
        let mut workers = self.workers.lock();
        if workers.len() < WORKERS_MAX {
            workers.push(worker);
        }
    }

    /// Calls a hook. It does not look at what comes out.
    pub fn call(
        &self,
        base: &Base,
        worker: &Worker,
        hook: Hook,
        input: Dynamic,
        (allowance, begin): (Allowance, Timestamp),
    ) -> Result<Dynamic, Box<EvalAltResult>> {
        worker.call(base, &self.ast, hook.name(), input, (allowance, begin))
    }

    /// How inputs are shown to it.
    pub fn show(&self) -> Show<'_> {
        Show::new(&self.lens, self.wanted.as_deref())
    }

    /// Whether an expression is true of an answer and its input; if not, what is wrong.
    pub fn holds(
        &self,
        base: &Base,
        expression: &str,
        answer: &Value,
        input: &Value,
    ) -> Result<(), String> {
        let worker = self.worker(base);
        let mut scope = Scope::new();
        scope.push_dynamic("result", value::shown("result", answer, 1));
        scope.push_dynamic("input", value::shown("input", input, 1));
        let held = worker.guarded(base, load_allowance(base), || {
            worker.engine().eval_expression_with_scope::<bool>(&mut scope, expression)
        });
        self.give_back(worker);
        match held {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!("`{expression}` does not hold of {answer}")),
            Err(error) => Err(format!("`{expression}`: {error}")),
        }
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

impl Loading<'_> {
    fn known(&self) -> Known<'_> {
        Known {
            label: &self.label,
            scripts: &self.package.scripts,
            last: None,
            operations: 0,
            function: "",
        }
    }

    /// Modules first, then the main script.
    fn scripts(&mut self) -> Result<(AST, Option<Vec<String>>), Refused> {
        let mut looks = BTreeMap::new();
        for (file, source) in &self.package.scripts {
            looks.insert(file.clone(), self.look(file, source)?);
        }
        let mut properties = Module::new();
        let named = looks.values().flat_map(|seen| seen.properties.iter().map(String::as_str));
        getters(&mut properties, named);
        properties.build_index();
        self.parts.names.push(Shared::new(properties));
        for seen in looks.values() {
            for (path, _, position) in &seen.imports {
                self.module(path, *position, &looks, 0)?;
            }
        }
        let main = looks.get(MAIN).map(|seen| seen.imports.clone()).unwrap_or_default();
        for (path, name, _) in main {
            let found = self.parts.library.iter().find(|(known, _)| *known == path);
            if let Some(module) = found.map(|(_, module)| Shared::clone(module)) {
                self.parts.modules.push((name, module));
            }
        }
        let captured = looks.get(MAIN).map(|seen| seen.captured.clone()).unwrap_or_default();
        let ast = self.main(&captured)?;
        self.hooks(&ast)?;
        self.unused(&looks);
        let named = looks.values().flat_map(|seen| seen.properties.iter().cloned());
        let wanted = (!looks.values().any(|seen| seen.reckons)).then(|| named.collect());
        Ok((ast, wanted))
    }

    /// Compiles without any optimizing, so that all names are still there, and looks through it.
    fn look(&self, file: &str, source: &str) -> Result<Seen, Refused> {
        let mut engine = Engine::new_raw();
        engine.set_optimization_level(OptimizationLevel::None);
        engine.disable_symbol("eval");
        engine.set_max_expr_depths(limits::EXPRESSION_DEPTH_MAX, limits::EXPRESSION_DEPTH_MAX);
        engine.set_max_string_size(self.parts.string_octets_max);
        engine.set_max_array_size(limits::ARRAY_ITEMS_MAX);
        engine.set_max_map_size(limits::MAP_KEYS_MAX);
        engine.set_max_functions(limits::FUNCTIONS_MAX);
        let compiled = engine.compile(source);
        let ast =
            compiled.map_err(|error| Box::new(explain::parse_error(self.known(), file, &error)))?;
        let seen = script::look(&ast);
        let at = |code, message: String, position: Position| {
            let (line, column) = (position.line().unwrap_or(0), position.position().unwrap_or(0));
            let place = Place::in_text(file, source, line, column);
            Box::new(Fault::new(code, &self.label, message).at(place))
        };
        if let Some((name, position)) = seen.taken.first() {
            let message = format!("`{name}` is a name of the host; take another one");
            return Err(at(Code::UnknownName, message, *position));
        }
        if let Some(name) = seen.captured.iter().find(|name| NAMES.contains(&name.as_str())) {
            return Err(self.captured(file, name));
        }
        if let Some(position) = seen.odd_imports.first() {
            let message = "an import names its module by a plain text".to_owned();
            return Err(at(Code::Import, message, *position));
        }
        let permissions = &self.package.manifest.permissions;
        for (object, function, position) in &seen.uses {
            let (has, line) = match object.as_str() {
                "log" => (permissions.log, "log = true"),
                "kv" => (permissions.kv.is_some(), "kv = { namespace, max_bytes, ttl }"),
                "http" => (!permissions.http.is_empty(), "http = [{ host = \"…\" }]"),
                "metrics" => (permissions.metrics, "metrics = true"),
                "secrets" => (!permissions.secrets.is_empty(), "secrets = [\"…\"]"),
                _ => continue,
            };
            if !has {
                let message = format!("{object}.{function} is not permitted");
                let fault = at(Code::NotPermitted, message, *position);
                return Err(Box::new(
                    fault.with_help(format!("add to [permissions] in plugin.toml: {line}")),
                ));
            }
        }
        Ok(seen)
    }

    /// The interpreter would look for it among the variables of the function around, in vain.
    fn captured(&self, file: &str, name: &str) -> Refused {
        let message = format!("a closure does not see `{name}`");
        let fault = Fault::new(Code::UnknownName, &self.label, message).at(Place::file(file));
        Box::new(fault.with_help(format!("write global::{name} in it, or take it out before it")))
    }

    /// Makes a module of a file in `lib/`, after those that it imports itself.
    fn module(
        &mut self,
        path: &str,
        position: Position,
        looks: &BTreeMap<String, Seen>,
        depth: usize,
    ) -> Result<(), Refused> {
        if self.parts.library.contains_path(path) {
            return Ok(());
        }
        let file = format!("{path}.rhai");
        let inside = path.starts_with("lib/") && !path.contains("..");
        let found = self.package.scripts.get(&file).filter(|_| inside && depth < IMPORT_DEPTH_MAX);
        let (Some(source), Some(seen)) = (found, looks.get(&file)) else {
            let error = EvalAltResult::ErrorModuleNotFound(path.to_owned(), position);
            return Err(Box::new(explain::run_error(self.known(), &error)));
        };
        for (inner, _, position) in &seen.imports {
            self.module(inner, *position, looks, depth + 1)?;
        }
        let worker = Worker::new(self.base, &self.parts);
        let mut ast = self.compile(&worker, &Scope::new(), &file, source)?;
        ast.set_source(file.as_str());
        let made = worker.guarded(self.base, load_allowance(self.base), || {
            Module::eval_ast_as_new(Scope::new(), &ast, worker.engine())
        });
        let mut module = made.map_err(|error| {
            let inner = EvalAltResult::ErrorInModule(file.clone(), error, Position::NONE);
            self.refuse(&worker, &inner)
        })?;
        module.build_index();
        self.parts.library.insert(path, module);
        Ok(())
    }

    fn refuse(&self, worker: &Worker, error: &EvalAltResult) -> Refused {
        let last = worker.handle.with(|host| host.last);
        let known = Known { last, operations: worker.operations(), ..self.known() };
        Box::new(explain::run_error(known, error))
    }

    fn compile(
        &self,
        worker: &Worker,
        scope: &Scope<'_>,
        file: &str,
        source: &str,
    ) -> Result<AST, Refused> {
        let compiled = worker.engine().compile_with_scope(scope, source);
        compiled.map_err(|error| Box::new(explain::parse_error(self.known(), file, &error)))
    }

    /// The main script: its top runs once; what is constant there becomes a name for functions.
    fn main(&mut self, captured: &BTreeSet<String>) -> Result<AST, Refused> {
        let source = self.package.main();
        let worker = Worker::new(self.base, &self.parts);
        let ast = self.compile(&worker, &Scope::new(), MAIN, source)?;
        let mut scope = Scope::new();
        worker
            .guarded(self.base, load_allowance(self.base), || {
                worker.engine().run_ast_with_scope(&mut scope, &ast)
            })
            .map_err(|error| self.refuse(&worker, &error))?;
        let mut constants = Module::new();
        for (name, is_constant, value) in scope.iter() {
            if is_constant {
                if captured.contains(name) {
                    return Err(self.captured(MAIN, name));
                }
                constants.set_var(name, value.flatten());
            }
        }
        let mut global = constants.clone();
        for names in self.parts.names.iter().chain([&self.base.surface.module]) {
            for (name, value) in names.iter_var() {
                global.set_var(name, value.clone());
            }
        }
        global.build_index();
        constants.build_index();
        self.parts.names.push(Shared::new(constants));
        self.parts.modules.push(("global".to_owned(), Shared::new(global)));
        let mut known = Scope::new();
        for names in &self.parts.names {
            for (name, value) in names.iter_var() {
                known.push_constant_dynamic(name, value.clone());
            }
        }
        for (name, value) in self.base.surface.module.iter_var() {
            known.push_constant_dynamic(name, value.clone());
        }
        let mut strict = Worker::new(self.base, &self.parts);
        strict.be_strict();
        let mut ast = self.compile(&strict, &known, MAIN, source)?;
        ast.set_source(MAIN);
        Ok(ast)
    }

    /// Each hook of the manifest has its function, and each function like a hook its entry.
    fn hooks(&mut self, ast: &AST) -> Result<(), Refused> {
        let manifest = &self.package.manifest;
        for hook in manifest.hooks.keys() {
            let mut named = ast.iter_functions().filter(|function| function.name == hook.name());
            if !named.any(|function| function.params.len() == 1) {
                let message = format!("there is no `fn {hook}(input)`, but plugin.toml names it");
                let fault = Fault::new(Code::UnknownFunction, &self.label, message);
                return Err(Box::new(fault.at(Place::file(MAIN))));
            }
        }
        for function in ast.iter_functions() {
            let Ok(hook) = function.name.parse::<Hook>() else { continue };
            if !manifest.hooks.contains_key(&hook) {
                let message = format!("{hook} is never asked: [hooks] does not name it");
                let fault = Fault::new(Code::Manifest, &self.label, message);
                self.warnings.push(fault.at(Place::file(MANIFEST)));
            }
        }
        Ok(())
    }

    /// Permissions that no script uses: they should not be asked for.
    fn unused(&mut self, looks: &BTreeMap<String, Seen>) {
        let uses = |name: &str| looks.values().any(|seen| seen.uses.iter().any(|u| u.0 == name));
        let permissions = &self.package.manifest.permissions;
        for (name, asked) in [
            ("log", permissions.log && !self.prints()),
            ("kv", permissions.kv.is_some()),
            ("http", !permissions.http.is_empty()),
            ("metrics", permissions.metrics),
            ("secrets", !permissions.secrets.is_empty()),
        ] {
            if asked && !uses(name) {
                let message = format!("the permission `{name}` is never used");
                let fault = Fault::new(Code::NotPermitted, &self.label, message);
                self.warnings.push(fault.at(Place::file(MANIFEST)));
            }
        }
    }

    fn prints(&self) -> bool {
        self.package.scripts.values().any(|text| text.contains("print(") || text.contains("debug("))
    }
}

fn load_allowance(base: &Base) -> (Allowance, Timestamp) {
    let (time, operations) = (limits::LOAD_TIME_MAX, limits::OPERATIONS_MAX);
    (Allowance { time, operations }, base.watchdog.now())
}
