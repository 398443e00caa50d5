//! Makes a fault of what the interpreter reports: which code, which line, and what to do about it.

use std::collections::BTreeMap;

use rhai::Dynamic;
use rhai::EvalAltResult;
use rhai::LexError;
use rhai::ParseErrorType;
use rhai::Position;

use crate::fault::Code;
use crate::fault::Fault;
use crate::fault::Place;
use crate::host::HostError;
use crate::host::Stop;
use crate::package::MAIN;
use crate::value;

/// What is known about a plugin when something fails in it.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Name and version.
    pub label: &'a str,
    /// Its scripts by path.
    pub scripts: &'a BTreeMap<String, String>,
    /// The last host function that was called, and where.
    pub last: Option<(&'static str, Position)>,
    /// Operations used.
    pub operations: u64,
    /// The function that was called; empty while a script is loaded.
    pub function: &'a str,
}

/// What is wrong with the text of a script.
pub fn parse_error(known: Known<'_>, file: &str, error: &rhai::ParseError) -> Fault {
    let code = match *error.0 {
        ParseErrorType::VariableUndefined(_) | ParseErrorType::ModuleUndefined(_) => {
            Code::UnknownName
        }
        ParseErrorType::ExprTooDeep => Code::Depth,
        ParseErrorType::TooManyFunctions => Code::Names,
        ParseErrorType::LiteralTooLarge(..)
        | ParseErrorType::BadInput(LexError::StringTooLong(_)) => Code::Size,
        _ => Code::Syntax,
    };
    let fault = Fault::new(code, known.label, one_line(&error.0.to_string()));
    let fault = match known.scripts.get(file) {
        Some(source) => fault.at(place(file, source, error.1)),
        None => fault,
    };
    match &*error.0 {
        ParseErrorType::VariableUndefined(name) if name == "this" => fault,
        ParseErrorType::VariableUndefined(name) => fault.with_help(format!(
            "functions see their parameters, the constants of the plugin and what the host offers; \
             `{name}` is none of these"
        )),
        ParseErrorType::Reserved(word) if word == "eval" => {
            fault.with_help("scripts are compiled once, at load: there is no eval")
        }
        _ => fault,
    }
}

/// What went wrong in a run.
pub fn run_error(known: Known<'_>, error: &EvalAltResult) -> Fault {
    let (file, inner) = innermost(MAIN, error);
    let source = known.scripts.get(file);
    if let EvalAltResult::ErrorParsing(kind, position) = inner {
        let error = rhai::ParseError(Box::new(kind.clone()), *position);
        return parse_error(known, file, &error);
    }
    let (code, message, help) = describe(inner, known);
    let mut fault = Fault::new(code, known.label, one_line(&message));
    fault.help = help;
    if code.is_limit() {
        fault.operations = known.operations;
    }
    let position = inner.position();
    if let (Some(source), false) = (source, position.is_none()) {
        return fault.at(place(file, source, position));
    }
    // Rhai knows no place for some limits: then the last host function that was called tells how
    // far the script had come.
    if let (Some((name, position)), Some(source)) = (known.last, source)
        && !position.is_none()
    {
        let mut place = place(file, source, position);
        place.note = format!("{name} was the last call of the host");
        return fault.at(place);
    }
    fault.at(function_place(file, source.map_or("", String::as_str), known.function))
}

/// Where a function begins: as near as can be said when a limit ended it.
pub fn function_place(file: &str, source: &str, function: &str) -> Place {
    let head = format!("fn {function}(");
    match source.lines().position(|line| line.contains(&head)) {
        Some(index) if !function.is_empty() => {
            let line = source.lines().nth(index).unwrap_or_default();
            let before = line.split(&head).next().unwrap_or_default().chars().count();
            let mut place = Place::in_text(file, source, index + 1, before + 4);
            place.note = "in this function or one that it calls".to_owned();
            place
        }
        _ => Place::file(file),
    }
}

/// The error inside of all functions and modules that it came through, and its file.
fn innermost<'a>(file: &'a str, error: &'a EvalAltResult) -> (&'a str, &'a EvalAltResult) {
    match error {
        EvalAltResult::ErrorInFunctionCall(_, source, inner, _) => {
            innermost(if source.is_empty() { file } else { source }, inner)
        }
        EvalAltResult::ErrorInModule(path, inner, _) => {
            innermost(if path.is_empty() { file } else { path }, inner)
        }
        _ => (file, error),
    }
}

/// A place of a script.
pub fn place(file: &str, source: &str, position: Position) -> Place {
    let (line, column) = (position.line().unwrap_or(0), position.position().unwrap_or(0));
    Place::in_text(file, source, line, column)
}

fn describe(error: &EvalAltResult, known: Known<'_>) -> (Code, String, Option<String>) {
    use EvalAltResult as E;
    let some = |text: &str| Some(text.to_owned());
    match error {
        E::ErrorFunctionNotFound(signature, _) => unknown_function(signature),
        E::ErrorPropertyNotFound(name, _) => (
            Code::MissingProperty,
            format!("no property `{name}`"),
            Some(format!("test first: `if \"{name}\" in map {{ … }}`, or `map.get(\"{name}\")`")),
        ),
        E::ErrorDotExpr(what, _) if what.starts_with("No writable") => (
            Code::ReadOnly,
            "what the host shows cannot be changed".to_owned(),
            some("`view.to_map()` is a copy that can be changed"),
        ),
        E::ErrorDotExpr(what, _) => (
            Code::MissingProperty,
            format!("no such property: {what}"),
            some(
                "a value that may be () is tested first: `if x == () { … }`, or read by `x?.name`",
            ),
        ),
        E::ErrorIndexNotFound(index, _) => {
            (Code::MissingProperty, format!("no item {index}"), None)
        }
        E::ErrorArrayBounds(len, index, _) => {
            (Code::MissingProperty, format!("no item {index} in an array of {len}"), None)
        }
        E::ErrorStringBounds(len, index, _) => {
            (Code::MissingProperty, format!("no character {index} in a text of {len}"), None)
        }
        E::ErrorVariableNotFound(name, _) => {
            (Code::UnknownName, format!("there is no `{name}`"), None)
        }
        E::ErrorModuleNotFound(name, _) => (
            Code::Import,
            format!("there is no module `{name}`"),
            some(
                "import \"lib/name\" as name; only what lies in the plugin's lib/ can be imported",
            ),
        ),
        E::ErrorMismatchDataType(wanted, found, _)
        | E::ErrorMismatchOutputType(wanted, found, _) => {
            (Code::Type, format!("{wanted} is wanted, not {found}"), None)
        }
        E::ErrorIndexingType(kind, _) => (Code::Type, format!("no items in {kind}"), None),
        E::ErrorFor(_) => (Code::Type, "this cannot be gone through".to_owned(), None),
        E::ErrorArithmetic(text, _) => (Code::Arithmetic, text.clone(), None),
        E::ErrorAssignmentToConstant(name, _) | E::ErrorNonPureMethodCallOnConstant(name, _) => (
            Code::ReadOnly,
            format!("`{name}` cannot be changed"),
            some("what the host shows is read only; `view.to_map()` is a copy that can be changed"),
        ),
        E::ErrorTooManyOperations(_) => operations(known),
        E::ErrorDataTooLarge(what, _) => (Code::Size, format!("too large: {what}"), None),
        E::ErrorStackOverflow(_) => {
            (Code::Depth, "functions call each other too deep".to_owned(), None)
        }
        E::ErrorTooManyVariables(_) => (Code::Names, "too many variables".to_owned(), None),
        E::ErrorTooManyModules(_) => (Code::Names, "too many modules".to_owned(), None),
        E::ErrorTerminated(token, _) => stopped(token, known),
        E::ErrorRuntime(value, _) => thrown(value),
        other => (Code::Type, other.to_string(), None),
    }
}

fn unknown_function(signature: &str) -> (Code, String, Option<String>) {
    let name = signature.split([' ', '(']).next().unwrap_or_default();
    let property = name.strip_prefix("get$").or_else(|| name.strip_prefix("set$"));
    if let Some(property) = property {
        return (Code::MissingProperty, format!("no property `{property}`: {signature}"), None);
    }
    let help = match name {
        "sleep" | "timestamp" => Some("a script does not wait, and has no clock but time.now()"),
        "parse_json" => Some("an answer of http has its `json` already"),
        _ => None,
    };
    let message = format!("there is no function {signature}");
    (Code::UnknownFunction, message, help.map(str::to_owned))
}

fn operations(known: Known<'_>) -> (Code, String, Option<String>) {
    let message = format!("more than its {} operations", known.operations.saturating_sub(1));
    let help = "a loop that does not end? Otherwise set operations in [budget]";
    (Code::Operations, message, Some(help.to_owned()))
}

fn stopped(token: &Dynamic, known: Known<'_>) -> (Code, String, Option<String>) {
    match token.clone().try_cast::<Stop>() {
        Some(Stop::Operations) => operations(known),
        Some(Stop::Time) => {
            let help = "less work in this hook, or a larger time in [budget]";
            (Code::Time, "its time was over".to_owned(), Some(help.to_owned()))
        }
        _ => (Code::Host, "ended".to_owned(), None),
    }
}

fn thrown(value: &Dynamic) -> (Code, String, Option<String>) {
    if let Some(error) = value.read_lock::<HostError>() {
        return (error.code, error.message.clone(), error.help.clone());
    }
    let text = match value::to_json(value, 1) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(json) => json.to_string(),
        Err(_) => value::kind_name(value).to_owned(),
    };
    (Code::Thrown, format!("thrown: {text}"), None)
}

/// Messages are one line of bounded length.
fn one_line(text: &str) -> String {
    const CHARACTERS_MAX: usize = 300;
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(CHARACTERS_MAX).collect()
}
