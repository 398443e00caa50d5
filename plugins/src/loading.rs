//! Compiles the scripts of a plugin: looks whether they keep to the manifest, makes modules of what
//! lies in `lib/`, runs the top of each script once, and keeps its constants.

use crate::explain;
use crate::explain::Known;
use crate::fault::Code;
use crate::fault::Fault;
use crate::fault::Place;
use crate::hook::Hook;
use crate::limits;
use crate::manifest::MANIFEST;
use crate::package::MAIN;
use crate::package::Package;
use crate::script;
use crate::script::Seen;
use crate::show::Wanted;
use crate::surface::NAMES;
use crate::surface::getters;
use crate::value;
use crate::worker::Allowance;
use crate::worker::Base;
use crate::worker::Parts;
use crate::worker::Worker;
use maily_core::clock::Timestamp;
use rhai::AST;
use rhai::Dynamic;
use rhai::Engine;
use rhai::EvalAltResult;
use rhai::Module;
use rhai::OptimizationLevel;
use rhai::Position;
use rhai::Scope;
use rhai::Shared;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// What came of the scripts.
#[derive(Debug)]
pub(crate) struct Compiled {
    /// The main script, compiled.
    pub(crate) ast: AST,
    /// Names of properties that scripts can ask an input for; none if it could be any.
    pub(crate) wanted: Option<Wanted>,
    /// Whether there are closures.
    pub(crate) captures: bool,
}

/// What is being loaded.
pub(crate) struct Loading<'a> {
    base: &'a Base,
    package: &'a Package,
    label: String,
    parts: Parts,
    warnings: Vec<Fault>,
}

/// Modules within modules.
const IMPORT_DEPTH_MAX: usize = 8;

type Refused = Box<Fault>;

impl<'a> Loading<'a> {
    /// Of a plugin that was read.
    pub(crate) fn new(base: &'a Base, package: &'a Package, parts: Parts) -> Self {
        let label = parts.profile.label.clone();
        Self { base, package, label, parts, warnings: Vec::new() }
    }

    /// What its interpreters share, and what is odd.
    pub(crate) fn done(self) -> (Parts, Vec<Fault>) {
        (self.parts, self.warnings)
    }

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
    pub(crate) fn scripts(&mut self) -> Result<Compiled, Refused> {
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
        self.top(MAIN, self.package.main(), &captured)?;
        self.global();
        let mut ast = self.compile_strictly(MAIN, self.package.main())?;
        ast.set_source(MAIN);
        self.hooks(&ast)?;
        self.unused(&looks);
        let named = looks.values().flat_map(|seen| seen.properties.iter().cloned());
        let reckons = looks.values().any(|seen| seen.reckons);
        let wanted = (!reckons).then(|| Wanted::new(named.collect()));
        self.parts.merge_names();
        let captures = looks.values().any(|seen| !seen.captured.is_empty());
        Ok(Compiled { ast, wanted, captures })
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

    /// What is kept for as long as the plugin is not nested deep, and holds no closures.
    fn plain(&self, file: &str, name: &str, value: &Dynamic) -> Result<(), Refused> {
        value::to_json(value, 1).map(drop).map_err(|error| {
            let message = format!("the constant `{name}` is no plain value: {error}");
            Box::new(Fault::new(Code::Type, &self.label, message).at(Place::file(file)))
        })
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
        self.top(&file, source, &seen.captured)?;
        let worker = Worker::new(self.base, &self.parts);
        let mut ast = self.compile_strictly(&file, source)?;
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

    /// Compiles what names nothing but what the host offers, and its own.
    fn compile_strictly(&self, file: &str, source: &str) -> Result<AST, Refused> {
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
        self.compile(&strict, &known, file, source)
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

    /// The top of a script runs once; what is constant there becomes a name for all functions of
    /// the plugin.
    fn top(
        &mut self,
        file: &str,
        source: &str,
        captured: &BTreeSet<String>,
    ) -> Result<(), Refused> {
        let worker = Worker::new(self.base, &self.parts);
        let mut ast = self.compile(&worker, &Scope::new(), file, source)?;
        ast.set_source(file);
        let mut scope = Scope::new();
        worker
            .guarded(self.base, load_allowance(self.base), || {
                worker.engine().run_ast_with_scope(&mut scope, &ast)
            })
            .map_err(|error| {
                let error = EvalAltResult::ErrorInModule(file.to_owned(), error, Position::NONE);
                self.refuse(&worker, &error)
            })?;
        let mut constants = Module::new();
        for (name, is_constant, value) in scope.iter() {
            self.plain(file, name, &value)?;
            if !is_constant {
                continue;
            }
            if captured.contains(name) {
                return Err(self.captured(file, name));
            }
            if self.parts.names.iter().any(|names| names.contains_var(name)) {
                let message = format!("there is another constant `{name}` in this plugin");
                let fault = Fault::new(Code::UnknownName, &self.label, message);
                return Err(Box::new(fault.at(Place::file(file))));
            }
            constants.set_var(name, value.flatten());
        }
        constants.build_index();
        self.parts.names.push(Shared::new(constants));
        Ok(())
    }

    /// All names under `global::`, for closures.
    fn global(&mut self) {
        let mut global = Module::new();
        for names in self.parts.names.iter().chain([&self.base.surface.module]) {
            for (name, value) in names.iter_var() {
                global.set_var(name, value.clone());
            }
        }
        global.build_index();
        self.parts.modules.push(("global".to_owned(), Shared::new(global)));
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
        if manifest.hooks.contains_key(&Hook::OnVariant) {
            let message = "on_variant is never asked yet: experiments come with campaigns";
            let fault = Fault::new(Code::Manifest, &self.label, message.to_owned());
            self.warnings.push(fault.at(Place::file(MANIFEST)));
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

/// How much the top of a script may use.
pub(crate) fn load_allowance(base: &Base) -> (Allowance, Timestamp) {
    let (time, operations) = (limits::LOAD_TIME_MAX, limits::OPERATIONS_MAX);
    (Allowance { time, operations }, base.watchdog.now())
}
