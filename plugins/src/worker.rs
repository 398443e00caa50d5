//! One interpreter, for one run at a time: only what is needed is in it, everything is bounded, and
//! the watchdog can end it. A plugin has as many as run at once; they share its compiled scripts.

use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::time::Duration;

use maily_core::clock::Timestamp;
use parking_lot::Mutex;
use rhai::AST;
use rhai::Dynamic;
use rhai::Engine;
use rhai::EvalAltResult;
use rhai::Module;
use rhai::OptimizationLevel;
use rhai::Position;
use rhai::Shared;
use rhai::debugger::DebuggerCommand;
use rhai::debugger::DebuggerEvent;
use rhai::module_resolvers::StaticModuleResolver;

use crate::fault::Code;
use crate::frame;
use crate::frame::Frame;
use crate::host::Handle;
use crate::host::HostError;
use crate::host::Level;
use crate::host::Profile;
use crate::host::Stop;
use crate::limits;
use crate::package::MAIN;
use crate::stack::Stack;
use crate::surface::Surface;
use crate::watchdog::Ended;
use crate::watchdog::Slot;
use crate::watchdog::Watchdog;

/// What all interpreters share.
#[derive(Debug)]
pub struct Base {
    /// The language and what the host offers.
    pub surface: Surface,
    /// Ends what takes too long.
    pub watchdog: Watchdog,
}

/// What the interpreters of one plugin share.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Whose they are.
    pub profile: Arc<Profile>,
    /// Octets of one text.
    pub string_octets_max: usize,
    /// Names that stand for values: settings, tables, constants; and getters.
    pub names: Vec<Shared<Module>>,
    /// Modules by the name that the script gave them.
    pub modules: Vec<(String, Shared<Module>)>,
    /// Modules by their path, `lib/x`.
    pub library: StaticModuleResolver,
    /// Compiled as it is written.
    pub unoptimized: bool,
}

/// An interpreter.
#[derive(Debug)]
pub struct Worker {
    engine: Engine,
    slot: Arc<Slot>,
    /// What the last run left for the next.
    frame: Option<Box<Frame>>,
    /// Where it runs; whoever runs it takes the stack and gives it back.
    pub stack: Stack,
    /// How its host functions reach the state of the run.
    pub handle: Handle,
}

/// The last place that an interpreter came to: file and position.
#[derive(Clone, Debug, Default)]
pub struct Noted(Arc<Mutex<Option<(String, Position)>>>);

impl Noted {
    /// The last place.
    pub fn last(&self) -> Option<(String, Position)> {
        self.0.lock().clone()
    }
}

/// How long and how much.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// By the clock on the wall.
    pub time: Duration,
    /// Of the interpreter.
    pub operations: u64,
}

impl Base {
    /// The parts of the language, and a watchdog.
    pub fn new(watchdog: Watchdog) -> Self {
        Self { surface: Surface::new(), watchdog }
    }
}

impl Parts {
    /// Puts all names into one module: for each function, the interpreter looks through all.
    pub fn merge_names(&mut self) {
        let mut all = Module::new();
        for names in &self.names {
            all.merge(names);
        }
        all.build_index();
        self.names = vec![Shared::new(all)];
    }
}

impl Worker {
    /// An interpreter for a plugin.
    pub fn new(base: &Base, parts: &Parts) -> Self {
        let slot = base.watchdog.slot();
        let handle = Handle::new(Arc::clone(&parts.profile));
        let mut engine = Engine::new_raw();
        engine.register_global_module(Shared::clone(&base.surface.module));
        for names in &parts.names {
            engine.register_global_module(Shared::clone(names));
        }
        for (name, module) in &parts.modules {
            engine.register_static_module(name, Shared::clone(module));
        }
        engine.set_module_resolver(parts.library.clone());
        // Shared, so that a call takes it without copying.
        engine.set_default_tag(Dynamic::from(handle.clone()).into_shared());
        bound(&mut engine, parts);
        let own = Arc::clone(&slot);
        engine.on_progress(move |operations| {
            own.tick(operations).map(|ended| {
                Dynamic::from(match ended {
                    Ended::Time => Stop::Time,
                    Ended::Operations => Stop::Operations,
                })
            })
        });
        for_the_log(&mut engine, &handle);
        Self { engine, slot, frame: None, stack: Stack::default(), handle }
    }

    /// The interpreter, to compile with.
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// From here on it compiles only what names nothing unknown.
    pub fn be_strict(&mut self) {
        self.engine.set_strict_variables(true);
    }

    /// Notes each place that it comes to.
    #[expect(deprecated, reason = "not deprecated, but marked so as what may change")]
    pub fn note_places(&mut self, noted: &Noted) {
        let noted = noted.clone();
        self.engine.register_debugger(
            |_, debugger| debugger,
            move |_, event, _, source, position| {
                // The end of a function that failed is no place of its own.
                let steps = matches!(event, DebuggerEvent::Step | DebuggerEvent::Start);
                if steps && !position.is_none() {
                    let file = source.unwrap_or(MAIN).to_owned();
                    *noted.0.lock() = Some((file, position));
                }
                Ok(DebuggerCommand::StepInto)
            },
        );
    }

    /// Operations of the last run.
    pub fn operations(&self) -> u64 {
        self.slot.operations()
    }

    /// Calls a function with one value.
    pub fn call(
        &mut self,
        base: &Base,
        ast: &AST,
        function: &str,
        mut argument: Dynamic,
        allowed: (Allowance, Timestamp),
    ) -> Result<Dynamic, Box<EvalAltResult>> {
        let kept = self.frame.take().filter(|frame| frame.is_for(ast));
        let mut frame = kept.unwrap_or_else(|| Box::new(Frame::new(&self.engine, ast)));
        let called =
            self.guarded(base, allowed, || frame.call(&self.engine, function, &mut argument));
        if called.is_ok() && frame.clear() {
            self.frame = Some(frame);
        }
        called
    }

    /// Does something with the interpreter within time and operations. A panic is an error.
    pub fn guarded<T>(
        &self,
        base: &Base,
        (allowance, begin): (Allowance, Timestamp),
        what: impl FnOnce() -> Result<T, Box<EvalAltResult>>,
    ) -> Result<T, Box<EvalAltResult>> {
        base.watchdog.begin(&self.slot, begin, allowance.time, allowance.operations);
        let done = catch_unwind(AssertUnwindSafe(what));
        self.slot.rest();
        match done {
            Ok(done) => done,
            Err(_panic) => {
                Err(HostError::new(Code::Host, "the interpreter failed in a way of its own").into())
            }
        }
    }
}

fn bound(engine: &mut Engine, parts: &Parts) {
    engine
        .set_max_call_levels(limits::CALL_DEPTH_MAX + frame::LEVELS)
        .set_max_expr_depths(limits::EXPRESSION_DEPTH_MAX, limits::EXPRESSION_DEPTH_MAX)
        .set_max_string_size(parts.string_octets_max)
        .set_max_array_size(limits::ARRAY_ITEMS_MAX)
        .set_max_map_size(limits::MAP_KEYS_MAX)
        .set_max_variables(limits::VARIABLES_MAX)
        .set_max_functions(limits::FUNCTIONS_MAX)
        .set_max_modules(limits::MODULES_MAX)
        .set_fail_on_invalid_map_property(true)
        .disable_symbol("eval")
        .disable_symbol("curry");
    if parts.unoptimized {
        engine.set_optimization_level(OptimizationLevel::None);
    }
    // Texts that are kept for reuse would outlive the run, behind one lock for all.
    engine.set_max_strings_interned(0);
}

/// `print` and `debug` go to the plugin's log, if it may have one.
fn for_the_log(engine: &mut Engine, handle: &Handle) {
    let own = handle.clone();
    engine.on_print(move |line| {
        // Without the permission there is nobody to tell.
        let _not_permitted = own.with(|host| host.log(Level::Info, line));
    });
    let own = handle.clone();
    engine.on_debug(move |line, _source, _position| {
        let _not_permitted = own.with(|host| host.log(Level::Debug, line));
    });
}
