//! What scripts can call: every function with its signature and what it does, so that the
//! definitions for editors and the manual are made from what is there.

use rhai::FuncRegistration;
use rhai::Module;
use rhai::RhaiNativeFunc;
use rhai::Shared;
use rhai::Variant;
use rhai::packages::ArithmeticPackage;
use rhai::packages::BasicArrayPackage;
use rhai::packages::BasicFnPackage;
use rhai::packages::BasicIteratorPackage;
use rhai::packages::BasicMapPackage;
use rhai::packages::BasicMathPackage;
use rhai::packages::BasicStringPackage;
use rhai::packages::LogicPackage;
use rhai::packages::MoreStringPackage;
use rhai::packages::Package;

mod bounded;
mod objects;
mod outside;
mod tools;
mod verdicts;
mod views;

/// One function that scripts can call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// As it is written: `log.info(line: string)`.
    pub signature: &'static str,
    /// What it does.
    pub doc: &'static str,
}

/// All that the host offers.
#[derive(Clone, Debug)]
pub struct Surface {
    /// For the interpreter.
    pub module: Shared<Module>,
    /// For people.
    pub entries: Vec<Entry>,
}

/// Fills a surface.
#[derive(Debug)]
struct Builder {
    module: Module,
    entries: Vec<Entry>,
}

/// Names of scripts that mean something of the host; a script may not take them for its own.
pub const NAMES: &[&str] = &[
    "log", "kv", "http", "metrics", "text", "time", "hash", "address", "html", "list", "secrets",
    "config", "data",
];

/// Direct access to the fields of views that scripts name, so that none is looked for in vain.
pub fn getters<'a>(module: &mut Module, names: impl Iterator<Item = &'a str>) {
    views::getters(module, names);
}

impl Surface {
    /// All of it.
    pub fn new() -> Self {
        let mut builder = Builder { module: language(), entries: Vec::new() };
        bounded::register(&mut builder);
        outside::register(&mut builder);
        tools::register(&mut builder);
        verdicts::register(&mut builder);
        views::register(&mut builder);
        objects::register(&mut builder);
        builder.module.register_lazy_functions();
        builder.module.build_index();
        Self { module: Shared::new(builder.module), entries: builder.entries }
    }
}

/// The parts of the language that scripts have, in one module: the interpreter looks through all
/// modules for each function. The core package is left out: its `sleep` blocks a thread.
fn language() -> Module {
    let mut module = Module::new();
    ArithmeticPackage::init(&mut module);
    LogicPackage::init(&mut module);
    BasicMathPackage::init(&mut module);
    BasicStringPackage::init(&mut module);
    MoreStringPackage::init(&mut module);
    BasicIteratorPackage::init(&mut module);
    BasicArrayPackage::init(&mut module);
    BasicMapPackage::init(&mut module);
    BasicFnPackage::init(&mut module);
    module
}

impl Default for Surface {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// A function, under the name in its signature.
    fn add<A: 'static, const N: usize, const X: bool, R, const F: bool, FUNC>(
        &mut self,
        signature: &'static str,
        doc: &'static str,
        function: FUNC,
    ) where
        R: Variant + Clone,
        FUNC: RhaiNativeFunc<A, N, X, R, F> + Send + Sync + 'static,
    {
        self.entries.push(Entry { signature, doc });
        let head = signature.split('(').next().unwrap_or_default();
        let name = head.rsplit('.').next().unwrap_or_default();
        self.also(name, function);
    }

    /// The same function for another type of argument, or one that replaces the interpreter's own.
    fn also<A: 'static, const N: usize, const X: bool, R, const F: bool, FUNC>(
        &mut self,
        name: &str,
        function: FUNC,
    ) where
        R: Variant + Clone,
        FUNC: RhaiNativeFunc<A, N, X, R, F> + Send + Sync + 'static,
    {
        // Volatile: nothing of the host is worked out when a script is compiled.
        FuncRegistration::new(name)
            .in_global_namespace()
            .with_purity(true)
            .with_volatility(true)
            .set_into_module(&mut self.module, function);
    }
}
