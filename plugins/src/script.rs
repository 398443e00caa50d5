//! Looks through a script before it runs: which properties it names, which parts of the host it
//! uses, and whether it takes a name that is the host's.

use std::collections::BTreeSet;

use rhai::AST;
use rhai::ASTNode;
use rhai::Expr;
use rhai::Position;
use rhai::Stmt;

use crate::surface::NAMES;

/// Functions that take a map as a whole, or one of its properties by a reckoned name.
const WHOLE: &[&str] = &[
    "get",
    "contains",
    "keys",
    "values",
    "to_map",
    "to_string",
    "to_debug",
    "to_json",
    "print",
    "debug",
    "mixin",
    "merge",
    "fill_with",
    "drain",
    "retain",
    "remove",
];

/// What was seen in a script.
#[derive(Debug, Default)]
pub struct Seen {
    /// Names of properties.
    pub properties: BTreeSet<String>,
    /// Whether it reckons which property it wants, or takes a map as a whole.
    pub reckons: bool,
    /// Parts of the host that are used, and where first.
    pub uses: Vec<(String, String, Position)>,
    /// Names of the host that the script takes for its own, and where.
    pub taken: Vec<(String, Position)>,
    /// Parameters of closures, those among them that they capture.
    pub captured: BTreeSet<String>,
    /// Modules that are imported at the top: path and name.
    pub imports: Vec<(String, String, Position)>,
    /// Functions: name and number of parameters.
    pub functions: Vec<(String, usize)>,
    /// Imports whose path is no plain text.
    pub odd_imports: Vec<Position>,
}

/// Looks through a script that was compiled without optimizing.
pub fn look(ast: &AST) -> Seen {
    let mut seen = Seen::default();
    ast.walk(&mut |path: &[ASTNode<'_>]| {
        match path.last() {
            Some(ASTNode::Expr(expr)) => expression(&mut seen, expr),
            Some(ASTNode::Stmt(stmt)) => statement(&mut seen, stmt),
            _ => {}
        }
        true
    });
    for function in ast.iter_functions() {
        // A closure takes what it captures as parameters.
        if function.name.starts_with("anon$") {
            seen.captured.extend(function.params.iter().map(|param| (*param).to_owned()));
            continue;
        }
        for param in function.params.iter().filter(|param| NAMES.contains(param)) {
            seen.taken.push(((*param).to_owned(), Position::NONE));
        }
        seen.functions.push((function.name.to_owned(), function.params.len()));
    }
    seen
}

fn expression(seen: &mut Seen, expr: &Expr) {
    match expr {
        Expr::Property(property, _) => {
            seen.properties.insert(property.2.to_string());
        }
        Expr::Index(..) => seen.reckons = true,
        Expr::MethodCall(call, _) | Expr::FnCall(call, _) => {
            seen.reckons |= WHOLE.contains(&call.name.as_str());
        }
        Expr::Dot(pair, ..) => {
            let Expr::Variable(variable, ..) = &pair.lhs else { return };
            let name = variable.1.as_str();
            // `http.get(…).status` is a chain: the call is the first thing in it.
            let call = match &pair.rhs {
                Expr::Dot(inner, ..) => &inner.lhs,
                other => other,
            };
            if let (true, Expr::MethodCall(call, position)) = (NAMES.contains(&name), call) {
                seen.uses.push((name.to_owned(), call.name.to_string(), *position));
            }
        }
        _ => {}
    }
}

fn statement(seen: &mut Seen, stmt: &Stmt) {
    let mut takes = |name: &str, position: Position| {
        if NAMES.contains(&name) {
            seen.taken.push((name.to_owned(), position));
        }
    };
    match stmt {
        Stmt::Var(var, _, position) => takes(var.0.as_str(), *position),
        Stmt::For(parts, position) => {
            takes(parts.0.as_str(), *position);
            if let Some(counter) = &parts.1 {
                takes(counter.as_str(), *position);
            }
        }
        Stmt::FnCall(call, _) => seen.reckons |= WHOLE.contains(&call.name.as_str()),
        Stmt::Import(import, position) => match &import.0 {
            Expr::StringConstant(path, _) => {
                let name = import.1.as_str().to_owned();
                seen.imports.push((path.to_string(), name, *position));
            }
            _ => seen.odd_imports.push(*position),
        },
        _ => {}
    }
}
