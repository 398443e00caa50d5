//! What a run of a hook needs of the interpreter, and the next run can use again: which functions
//! the calls of a script mean, and room for its variables. A run that fails leaves nothing behind.

use rhai::AST;
use rhai::Caches;
use rhai::Dynamic;
use rhai::Engine;
use rhai::EvalAltResult;
use rhai::EvalContext;
use rhai::GlobalRuntimeState;
use rhai::Scope;
use rhai::Shared;

use crate::limits;

/// Levels of calls that the interpreter counts before the first line of the function called.
pub const LEVELS: usize = 2;

/// A run's own part of an interpreter.
#[derive(Debug)]
pub struct Frame {
    global: GlobalRuntimeState,
    found: Caches,
    scope: Scope<'static>,
}

impl Frame {
    /// For an interpreter that runs these scripts.
    pub fn new(engine: &Engine, ast: &AST) -> Self {
        let mut global = engine.new_global_runtime_state();
        global.lib.push(Shared::clone(ast.shared_lib()));
        Self { global, found: Caches::new(), scope: Scope::new() }
    }

    /// Whether it was made for these scripts.
    pub fn is_for(&self, ast: &AST) -> bool {
        matches!(&*self.global.lib, [lib] if Shared::ptr_eq(lib, ast.shared_lib()))
    }

    /// Calls a function of the scripts with one value.
    pub fn call(
        &mut self,
        engine: &Engine,
        function: &str,
        argument: &mut Dynamic,
    ) -> Result<Dynamic, Box<EvalAltResult>> {
        let Self { global, found, scope } = self;
        EvalContext::new(engine, global, found, scope, None)
            .call_fn_raw(function, false, false, &mut [argument])
            .or_else(|error| match *error {
                EvalAltResult::Exit(value, _) => Ok(value),
                // The hook itself is no place that an error came from.
                EvalAltResult::ErrorInFunctionCall(name, _, inner, _) if name == function => {
                    Err(inner)
                }
                other => Err(Box::new(other)),
            })
    }

    /// Makes it ready for the next run; whether it can be.
    pub fn clear(&mut self) -> bool {
        let Self { global, found, scope } = self;
        scope.clear();
        global.truncate_imports(0);
        global.source = None;
        global.num_operations = 0;
        global.num_modules_loaded = 0;
        global.level = 0;
        global.scope_level = 0;
        global.always_search_scope = false;
        global.constants = None;
        found.rewind_fn_resolution_caches(1);
        global.lib.len() == 1 && found.fn_resolution_cache_mut().dict.len() <= limits::FOUND_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_finds_nothing_of_the_one_before() {
        let mut engine = Engine::new();
        engine.set_max_operations(100);
        let script = "fn f(n) { let a = n; for i in 0..5 { a += g(i); } if n == 7 { throw a } a }
                      fn g(n) { n * 2 }";
        let ast = engine.compile(script).unwrap();
        let mut frame = Frame::new(&engine, &ast);
        let mut called = |n: i64| {
            let answer = frame.call(&engine, "f", &mut Dynamic::from_int(n));
            assert!(frame.clear() && frame.is_for(&ast));
            answer.map(|value| value.as_int().unwrap()).map_err(|error| error.to_string())
        };
        // Each by itself is within the operations; all together are not.
        for n in [1, 2, 7, 3, 4] {
            match called(n) {
                Ok(sum) => assert_eq!(sum, n + 20),
                Err(error) => assert!(n == 7 && error.contains("27"), "{n}: {error}"),
            }
        }
        assert!(!frame.is_for(&engine.compile(script).unwrap()));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let engine = Engine::new();
        let script = "fn f(n) { for i in 0..n { try { Fn(`x${i}`).call(); } catch {} } }";
        let ast = engine.compile(script).unwrap();
        let most = i64::try_from(limits::FOUND_MAX).unwrap();
        for (n, kept) in [(most / 4, true), (most * 2, false)] {
            let mut frame = Frame::new(&engine, &ast);
            // What is asked for once only is not remembered.
            for _ in 0..2 {
                let _answer = frame.call(&engine, "f", &mut Dynamic::from_int(n)).unwrap();
            }
            assert_eq!(frame.clear(), kept, "{n}");
        }
    }
}
