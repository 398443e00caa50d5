//! What whoever writes plugins needs beside cases: to begin one, to try a hook out, to measure it,
//! to read about it. It works on folders and asks no daemon.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use maily_core::clock::Clock;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use crate::dispatch;
use crate::dispatch::Terms;
use crate::fault::Fault;
use crate::hook::Hook;
use crate::host::Effects;
use crate::host::Memo;
use crate::http::HttpResponse;
use crate::kv::MemoryKv;
use crate::package;
use crate::package::Package;
use crate::plugin::Plugin;
use crate::plugin::Round;
use crate::plugin::Shared;
use crate::program::Given;
use crate::program::Program;
use crate::quantity;
use crate::watchdog::Watchdog;
use crate::worker::Base;

/// How one try went.
#[derive(Clone, Debug, Serialize)]
pub struct Tried {
    /// Name and version.
    pub plugin: String,
    /// Which hook; none if the plugin was refused.
    pub hook: Option<Hook>,
    /// What it answered.
    pub answer: Value,
    /// What it wanted done.
    pub effects: Effects,
    /// What it asked others, who did not answer.
    pub asked: Vec<String>,
    /// Why it was refused or ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<Box<Fault>>,
    /// Operations of its last run.
    pub operations: u64,
    /// Microseconds.
    pub micros: u64,
}

/// An interpreter and a store in memory, for tools.
pub fn shared(clock: Arc<dyn Clock>) -> io::Result<Shared> {
    let base = Arc::new(Base::new(Watchdog::start(Arc::clone(&clock))?));
    Ok(Shared { base, clock, kv: Arc::new(MemoryKv::default()) })
}

/// The plugins of a folder, or the folder itself if it is one.
pub fn folders(folder: &Path) -> io::Result<Vec<std::path::PathBuf>> {
    if folder.join(crate::manifest::MANIFEST).is_file() {
        return Ok(vec![folder.to_path_buf()]);
    }
    package::find(folder)
}

/// Loads a plugin with the defaults of its settings, and no secrets.
pub fn load(shared: &Shared, package: Package) -> Result<Plugin, Box<Fault>> {
    let given = Given::default();
    Program::load(&shared.base, package, &given).map(Plugin::new)
}

/// Tries a hook within its budget. Other machines do not answer.
pub fn try_hook(shared: &Shared, plugin: &Plugin, hook: Hook, input: &Value) -> Tried {
    let begin = shared.clock.now();
    let mut tried = Tried {
        plugin: plugin.program.label().to_owned(),
        hook: Some(hook),
        answer: Value::Null,
        effects: Effects::default(),
        asked: Vec::new(),
        fault: None,
        operations: 0,
        micros: 0,
    };
    let Some(seat) = plugin.seat(hook) else { return tried };
    let terms = Terms { hook, allowance: seat.allowance, now: begin };
    let mut memo = Memo::new();
    loop {
        match dispatch::run(plugin, shared, terms, input, &mut memo) {
            Ok(Round::Wants(request)) => {
                tried.asked.push(format!("{} {}", request.method, request.url));
                memo.push((*request, HttpResponse::default()));
                continue;
            }
            Ok(Round::Done(Ok(ran))) => {
                tried.answer = ran.answer;
                tried.effects = *ran.effects.unwrap_or_default();
                tried.operations = ran.operations;
            }
            Ok(Round::Done(Err(failure))) => {
                tried.effects = failure.effects;
                tried.operations = failure.fault.operations;
                tried.fault = Some(failure.fault);
            }
            Err(message) => {
                let fault = Fault::new(crate::fault::Code::Type, &tried.plugin, message);
                tried.fault = Some(Box::new(fault.within(hook)));
            }
        }
        let micros = shared.clock.now().since(begin).as_micros();
        tried.micros = u64::try_from(micros).unwrap_or(u64::MAX);
        return tried;
    }
}

/// Tries every hook of a plugin with a sample, or tells why it was refused.
pub fn try_all(shared: &Shared, folder: &Path) -> Vec<Tried> {
    let begin = shared.clock.now();
    let plugin = match Package::read(folder).and_then(|package| load(shared, package)) {
        Ok(plugin) => plugin,
        Err(fault) => {
            let micros = shared.clock.now().since(begin).as_micros();
            return vec![Tried {
                plugin: fault.plugin.clone(),
                hook: None,
                answer: Value::Null,
                effects: Effects::default(),
                asked: Vec::new(),
                fault: Some(fault),
                operations: 0,
                micros: u64::try_from(micros).unwrap_or(u64::MAX),
            }];
        }
    };
    let hooks: Vec<_> = plugin.program.package.manifest.hooks.keys().copied().collect();
    hooks.into_iter().map(|hook| try_hook(shared, &plugin, hook, &sample(hook))).collect()
}

/// How two versions compare over recorded inputs.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Replayed {
    /// How many inputs there were.
    pub inputs: usize,
    /// Of how many both made the same.
    pub same: usize,
    /// How many the new version failed at.
    pub failed: usize,
    /// How many the old version failed at.
    pub failed_before: usize,
    /// Microseconds of the new version, all together.
    pub micros: u64,
    /// Microseconds of the old version.
    pub micros_before: u64,
    /// The first differences.
    pub differences: Vec<Difference>,
}

/// One input of which two versions made different things.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// Which input, counted from 1.
    pub input: usize,
    /// What the new version answers.
    pub now: Value,
    /// What the old one answers.
    pub before: Value,
}

/// Differences that are told.
pub const DIFFERENCES_MAX: usize = 20;

/// Runs two versions over recorded inputs. Nothing is kept, sent or asked.
pub fn replay(
    shared: &Shared,
    (new, old): (&Plugin, &Plugin),
    hook: Hook,
    inputs: impl Iterator<Item = Value>,
) -> Replayed {
    let mut all = Replayed::default();
    for input in inputs {
        all.inputs += 1;
        let (now, before) =
            (try_hook(shared, new, hook, &input), try_hook(shared, old, hook, &input));
        all.failed += usize::from(now.fault.is_some());
        all.failed_before += usize::from(before.fault.is_some());
        all.micros += now.micros;
        all.micros_before += before.micros;
        let fault = |tried: &Tried| tried.fault.as_ref().map(|fault| fault.code);
        if now.answer == before.answer && fault(&now) == fault(&before) {
            all.same += 1;
        } else if all.differences.len() < DIFFERENCES_MAX {
            let told = |tried: Tried| match tried.fault {
                Some(fault) => json!({ "fault": fault.code, "message": fault.message }),
                None => tried.answer,
            };
            let (now, before) = (told(now), told(before));
            all.differences.push(Difference { input: all.inputs, now, before });
        }
    }
    all
}

/// What a hook could be given.
pub fn sample(hook: Hook) -> Value {
    let contact = json!({
        "email": "ann@example.net",
        "first_name": "Ann",
        "attrs": { "orders": 5, "country": "de" },
    });
    let headers = json!({ "from": "shop@example.net", "list-unsubscribe": "<https://x.test/u>" });
    match hook {
        Hook::OnAccept => json!({
            "queue_id": "01J9ZK3T7Q4K", "reverse_path": "bounces@example.net",
            "recipients": ["ann@example.net"], "headers": headers, "subject": "Hello",
            "size": 1_200, "ip": "192.0.2.7", "hello": "mx.example.net", "via": "smtp",
        }),
        Hook::OnEnrich => json!({ "contact": contact }),
        Hook::OnSegment => json!({ "segment": "vip", "contact": contact }),
        Hook::OnPersonalize => json!({
            "contact": contact, "campaign": "spring", "vars": { "shop": "Example" },
            "message_id": "01J9ZK3T7Q4K",
        }),
        Hook::OnVariant => {
            json!({ "contact": contact, "experiment": "subject", "variants": ["a", "b"] })
        }
        Hook::OnRoute => json!({
            "queue_id": "01J9ZK3T7Q4K", "reverse_path": "bounces@example.net",
            "domain": "example.net", "class": "bulk", "pool": "default",
        }),
        Hook::OnSend => json!({
            "queue_id": "01J9ZK3T7Q4K", "recipient": "ann@example.net", "headers": headers,
            "subject": "Hello", "html": "<p>Hello</p>", "text": "Hello",
        }),
        Hook::OnResponse => json!({
            "code": 450, "status": "4.7.1", "text": "try again later", "site": "mx.example.net",
            "domain": "example.net", "attempt": 1, "age": 60,
        }),
        Hook::OnBounce | Hook::OnComplaint | Hook::OnUnsubscribe => json!({
            "recipient": "ann@example.net", "kind": "hard", "status": "5.1.1",
            "text": "no such user", "contact": contact, "message_id": "01J9ZK3T7Q4K",
        }),
        Hook::OnTrack => json!({
            "event": { "kind": "click", "url": "https://example.net/", "campaign": "spring" },
            "contact": contact,
        }),
        Hook::OnEvent => json!({
            "events": [{ "kind": "delivered", "recipient": "ann@example.net", "at": 1 }],
        }),
        Hook::OnTimer => json!({ "now": 1_767_225_600, "name": "sample" }),
    }
}

/// Begins a plugin: a folder with a script, a manifest and one case that passes.
pub fn begin(parent: &Path, name: &str, hook: Hook) -> io::Result<std::path::PathBuf> {
    let folder = parent.join(name);
    fs::create_dir(&folder)?;
    fs::create_dir(folder.join("tests"))?;
    let setting = if hook == Hook::OnTimer { "every = \"5m\"" } else { "priority = 50" };
    let manifest = format!(
        "name = \"{name}\"\nversion = \"0.1.0\"\napi = \"1\"\n\
         description = \"What it does, in one line\"\nlicense = \"MIT\"\n\n[hooks]\n\
         {hook} = {{ {setting} }}\n\n[permissions]\ncontact_fields = [\"first_name\"]\n"
    );
    let (script, expected) = beginning(hook);
    let case = format!(
        "[[case]]\nname = \"it answers\"\nhook = \"{hook}\"\n{}{expected}\n",
        if expected.contains("Ann") { "input.contact = { first_name = \"Ann\" }\n" } else { "" }
    );
    let readme = format!("# {name}\n\nWhat it is for, what it needs, how it is set up.\n");
    for (file, text) in [
        (crate::manifest::MANIFEST, manifest),
        (package::MAIN, format!("fn {hook}(input) {{\n{script}}}\n")),
        ("tests/first.toml", case),
        ("README.md", readme),
    ] {
        fs::write(folder.join(file), text)?;
    }
    Ok(folder)
}

/// The body of a first script, and what its case expects.
const fn beginning(hook: Hook) -> (&'static str, &'static str) {
    match hook {
        Hook::OnAccept => ("    accept()\n", "expect.verdict = \"accept\""),
        Hook::OnEnrich => ("    #{ attrs: #{} }\n", "expect.attrs = {}"),
        Hook::OnSegment => ("    false\n", "expect.result = false"),
        Hook::OnPersonalize => (
            "    let name = input.contact.first_name ?? \"friend\";\n    \
             #{ vars: #{ greeting: `Hello ${name}` } }\n",
            "expect.vars.greeting = \"Hello Ann\"",
        ),
        _ => ("", "expect = {}"),
    }
}

/// README, hooks, permissions and settings of a plugin, as Markdown.
pub fn document(package: &Package) -> String {
    let manifest = &package.manifest;
    let mut text = package.readme.trim_end().to_owned();
    if text.is_empty() {
        text = format!("# {}\n\n{}", manifest.name, manifest.description);
    }
    let _written = write!(text, "\n\nVersion {}, api {}", manifest.version, manifest.api);
    if !manifest.license.is_empty() {
        let _written = write!(text, ", {}", manifest.license);
    }
    text.push_str(".\n\n## Hooks\n\n| hook | when | time | on error |\n|---|---|---|---|\n");
    for hook in manifest.hooks.keys() {
        let (when, time) = (hook.terms().when, quantity::show_duration(manifest.time(*hook)));
        let policy = manifest.policy(*hook).name();
        let _written = writeln!(text, "| `{hook}` | {when} | {time} | {policy} |");
    }
    text.push_str("\n## Permissions\n\n");
    for line in permissions(package) {
        let _written = writeln!(text, "- {line}");
    }
    if !manifest.config.schema.is_empty() {
        text.push_str("\n## Settings\n\n| setting | default | what for |\n|---|---|---|\n");
        for (name, setting) in &manifest.config.schema {
            let default = setting.default.as_ref().map_or_else(String::new, ToString::to_string);
            let _written = writeln!(text, "| `{name}` | {default} | {} |", setting.doc);
        }
    }
    text
}

/// What a plugin may do, in words.
pub fn permissions(package: &Package) -> Vec<String> {
    let permissions = &package.manifest.permissions;
    let mut lines = Vec::new();
    if permissions.log {
        lines.push("writes to its log".to_owned());
    }
    if let Some(kv) = &permissions.kv {
        let ttl = quantity::show_duration(kv.ttl);
        lines.push(format!("keeps {} octets as `{}` for {ttl}", kv.max_bytes, kv.namespace));
    }
    for http in &permissions.http {
        lines.push(format!("asks {} ({})", http.host, http.methods.join(", ")));
    }
    if !permissions.secrets.is_empty() {
        lines.push(format!("is given the secrets {}", permissions.secrets.join(", ")));
    }
    if !permissions.contact_fields.is_empty() {
        lines.push(format!("sees of a contact {}", permissions.contact_fields.join(", ")));
    }
    if permissions.metrics {
        lines.push("counts".to_owned());
    }
    if lines.is_empty() {
        lines.push("nothing but to answer".to_owned());
    }
    lines
}

/// Faults as SARIF 2.1.0, for tools that show them beside the code.
pub fn sarif(faults: &[(&Path, &Fault)]) -> Value {
    let results = faults.iter().map(|(folder, fault)| {
        let place = fault.place.clone().unwrap_or_default();
        let region = json!({
            "startLine": place.line.max(1), "startColumn": place.column.max(1),
        });
        let uri = folder.join(&place.file).to_string_lossy().into_owned();
        json!({
            "ruleId": fault.code.as_str(),
            "level": "error",
            "message": { "text": fault.message },
            "locations": [{
                "physicalLocation": { "artifactLocation": { "uri": uri }, "region": region },
            }],
        })
    });
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "maily plugin check", "rules": rules() } },
            "results": results.collect::<Vec<_>>(),
        }],
    })
}

fn rules() -> Vec<Value> {
    let mut rules = Vec::new();
    for (code, meaning) in crate::reference::CODES {
        rules.push(json!({ "id": code.as_str(), "shortDescription": { "text": meaning } }));
    }
    rules
}
