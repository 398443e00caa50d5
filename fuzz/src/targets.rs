//! What is fuzzed: one function for each parser and each session, that takes any octets and panics
//! if what must hold does not. `fuzz_targets` gives them to libFuzzer; `tests/seeds.rs` runs them
//! over the seeds on every test.

pub mod bounces;
pub mod client;
pub mod front;
pub mod journal;
pub mod letters;
pub mod parsers;
pub mod render;
pub mod server;

/// A target: its name, which its folder of seeds bears too, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("server_session", server::session),
    ("client_session", client::session),
    ("reply", parsers::reply),
    ("command", parsers::command),
    ("address", parsers::address),
    ("selector", parsers::selector),
    ("proxy", parsers::proxy),
    ("xtext", parsers::xtext),
    ("header", parsers::header),
    ("config", parsers::config),
    ("journal_scan", journal::scan),
    ("spool_entry", journal::spool_entry),
    ("table_change", journal::table_change),
    ("event", journal::event),
    ("dkim", letters::dkim),
    ("dsn", letters::dsn),
    ("bounce", bounces::bounce),
    ("bounce_rules", bounces::rules),
    ("return_path", bounces::return_path),
    ("mailing", render::mailing),
    ("token", render::token),
    ("html", render::html),
    ("request", front::request),
    ("shown", front::shown),
    ("audit_entry", front::audit_entry),
];
