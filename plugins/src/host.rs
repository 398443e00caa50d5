//! What one run of a hook may do, what it was answered, and what it wants done afterwards. Host
//! functions find it through the interpreter's tag. Nothing is changed outside before the run is
//! over: until then a run can be thrown away and made again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use maily_core::clock::Timestamp;
use parking_lot::Mutex;
use rhai::Dynamic;
use rhai::EvalAltResult;
use rhai::NativeCallContext;
use rhai::Position;
use serde::Serialize;

use crate::fault::Code;
use crate::hook::Hook;
use crate::hook::Reach;
use crate::hook::TABLE;
use crate::http::HeaderText;
use crate::http::HttpRequest;
use crate::http::HttpResponse;
use crate::http::Refused;
use crate::http::Secrets;
use crate::kv::Change;
use crate::kv::Kv;
use crate::kv::MemoryKv;
use crate::kv::Write;
use crate::limits;
use crate::manifest::Permissions;
use crate::value::View;

/// What does not change from run to run.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Name and version.
    pub label: String,
    /// What the plugin may do.
    pub permissions: Permissions,
    /// How many lines it may log in one run.
    pub log_lines_max: u32,
    /// The tables of its `data/` folder.
    pub tables: View,
    /// The values behind its secrets.
    pub secrets: Secrets,
}

/// A line of the plugin's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogLine {
    /// How grave it is.
    pub level: Level,
    /// What it says.
    pub text: String,
}

/// How grave a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// For whoever writes the plugin.
    Debug,
    /// Good to know.
    Info,
    /// Worth a look.
    Warn,
}

impl Level {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
        }
    }
}

/// Something counted or observed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// Added to a count, or seen once.
    pub value: f64,
    /// Whether it is a count.
    pub is_count: bool,
}

/// What a run wants done once it is over.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Effects {
    /// Lines for the log.
    pub log: Vec<LogLine>,
    /// Changes of the store.
    pub kv: Vec<Write>,
    /// Counts and observations.
    pub metrics: Vec<Metric>,
}

/// An error that a host function raises: with a code, which the fault will bear.
#[derive(Clone, Debug)]
pub struct HostError {
    /// What kind.
    pub code: Code,
    /// What happened.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// Why a run was ended by the host; scripts cannot catch it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Its time is over.
    Time,
    /// Its operations are used up.
    Operations,
    /// It waits for the answer of another machine.
    Wants,
}

/// What answers a call got so far, in the order of asking.
pub type Memo = Vec<(HttpRequest, HttpResponse)>;

/// The state of one run.
#[derive(Debug)]
pub struct Host {
    /// Whose run.
    pub profile: Arc<Profile>,
    /// Of which hook.
    pub hook: Hook,
    /// The time, which stands still during a run.
    pub now: Timestamp,
    /// What others answered in earlier rounds of the same call, in the order of asking.
    pub memo: Memo,
    /// The store.
    pub kv: Arc<dyn Kv>,
    /// What is to be done afterwards.
    pub effects: Effects,
    /// What the run waits for.
    pub wanted: Option<Box<HttpRequest>>,
    /// The last host function that was called, and where.
    pub last: Option<(&'static str, Position)>,
    asked: usize,
    lines: u32,
}

/// How host functions reach the state.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Held>);

#[derive(Debug)]
struct Held {
    host: Mutex<Host>,
    /// Whether anything was done with the state since the run began: most runs do nothing with it,
    /// and it is not made ready for them.
    used: AtomicBool,
    /// The run's hook, by its place in the table.
    hook: AtomicUsize,
    /// The run's time, in microseconds.
    now: AtomicU64,
    /// Where the store is that the state has.
    kv: AtomicUsize,
}

/// What a run leaves behind.
#[derive(Debug, Default)]
pub struct Left {
    /// What it wants done, if anything.
    pub effects: Option<Box<Effects>>,
    /// What it waits for.
    pub wanted: Option<Box<HttpRequest>>,
}

impl HostError {
    /// An error.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), help: None }
    }

    /// With what to do about it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl From<HostError> for Box<EvalAltResult> {
    fn from(error: HostError) -> Self {
        Self::new(EvalAltResult::ErrorRuntime(Dynamic::from(error), Position::NONE))
    }
}

/// What a host function returns.
pub type Told<T> = Result<T, Box<EvalAltResult>>;

impl Handle {
    /// A handle of its own for a worker.
    pub fn new(profile: Arc<Profile>) -> Self {
        let host = Mutex::new(Host {
            profile,
            hook: Hook::OnTimer,
            now: Timestamp::EPOCH,
            memo: Vec::new(),
            kv: Arc::new(MemoryKv::default()),
            effects: Effects::default(),
            wanted: None,
            last: None,
            asked: 0,
            lines: 0,
        });
        Self(Arc::new(Held {
            host,
            used: AtomicBool::new(true),
            hook: AtomicUsize::new(Hook::OnTimer.index()),
            now: AtomicU64::new(0),
            kv: AtomicUsize::new(0),
        }))
    }

    /// Makes ready for a run, and lends it what others answered in earlier rounds.
    pub fn begin(&self, hook: Hook, now: Timestamp, kv: &Arc<dyn Kv>, memo: &mut Memo) {
        let held = &*self.0;
        held.hook.store(hook.index(), Ordering::Relaxed);
        held.now.store(now.as_micros(), Ordering::Relaxed);
        // The state holds its store, so nothing else comes to lie where that is.
        let place = Arc::as_ptr(kv).cast::<()>().addr();
        let is_ready = !held.used.load(Ordering::Relaxed);
        if is_ready && memo.is_empty() && held.kv.load(Ordering::Relaxed) == place {
            return;
        }
        let mut host = held.host.lock();
        host.effects = Effects::default();
        host.wanted = None;
        host.last = None;
        host.asked = 0;
        host.lines = 0;
        host.kv = Arc::clone(kv);
        held.kv.store(place, Ordering::Relaxed);
        held.used.store(!memo.is_empty(), Ordering::Relaxed);
        std::mem::swap(&mut host.memo, memo);
    }

    /// Ends the run: gives back what was lent, and takes what it leaves behind.
    pub fn end(&self, memo: &mut Memo) -> Left {
        if !self.0.used.load(Ordering::Relaxed) {
            return Left::default();
        }
        let mut host = self.0.host.lock();
        std::mem::swap(&mut host.memo, memo);
        host.memo.clear();
        let effects = std::mem::take(&mut host.effects);
        let is_none = effects == Effects::default();
        Left { effects: (!is_none).then(|| Box::new(effects)), wanted: host.wanted.take() }
    }

    /// Does something with the state. It must not call scripts.
    pub fn with<T>(&self, what: impl FnOnce(&mut Host) -> T) -> T {
        let held = &*self.0;
        let mut host = held.host.lock();
        held.used.store(true, Ordering::Relaxed);
        if let Some(terms) = TABLE.get(held.hook.load(Ordering::Relaxed)) {
            host.hook = terms.hook;
        }
        host.now = Timestamp::from_micros(held.now.load(Ordering::Relaxed));
        what(&mut host)
    }
}

/// Does something with the state of the run that called a host function.
pub fn with_host<T>(
    context: &NativeCallContext<'_>,
    name: &'static str,
    what: impl FnOnce(&mut Host) -> Told<T>,
) -> Told<T> {
    let handle = context.tag().and_then(|tag| tag.read_lock::<Handle>().map(|h| h.clone()));
    let Some(handle) = handle else {
        return Err(HostError::new(Code::Host, "the host is not there").into());
    };
    handle.with(|host| {
        host.last = Some((name, context.call_position()));
        what(host)
    })
}

impl Host {
    /// Whether the hook may do what host functions of a kind do.
    pub fn reach(&self, what: &str, needed: Reach) -> Result<(), HostError> {
        if self.hook.terms().reach >= needed {
            return Ok(());
        }
        Err(HostError::new(Code::NotHere, format!("{what} is not for {}", self.hook)))
    }

    /// Whether the hook has a clock and chance.
    pub fn impure(&self, what: &str) -> Result<(), HostError> {
        if !self.hook.terms().pure {
            return Ok(());
        }
        let message = format!("{} is pure: it has no {what}", self.hook);
        Err(HostError::new(Code::NotHere, message))
    }

    /// Writes a line. Too many are left out, and the last one says so.
    pub fn log(&mut self, level: Level, text: &str) -> Result<(), HostError> {
        if !self.profile.permissions.log {
            return Err(not_permitted("log", "log = true"));
        }
        self.lines = self.lines.saturating_add(1);
        if self.lines > self.profile.log_lines_max {
            if self.lines == self.profile.log_lines_max.saturating_add(1) {
                let text = "more lines were left out".to_owned();
                self.effects.log.push(LogLine { level: Level::Warn, text });
            }
            return Ok(());
        }
        let text: String = text.chars().take(limits::LOG_LINE_CHARACTERS_MAX).map(plain).collect();
        let text = self.profile.secrets.masked(text);
        self.effects.log.push(LogLine { level, text });
        Ok(())
    }

    /// Counts or observes.
    pub fn metric(&mut self, name: &str, value: f64, is_count: bool) -> Result<(), HostError> {
        if !self.profile.permissions.metrics {
            return Err(not_permitted("metrics", "metrics = true"));
        }
        if !crate::manifest::is_identifier(name) || !value.is_finite() {
            return Err(HostError::new(Code::Type, "a metric has a plain name and a number"));
        }
        if self.effects.metrics.len() >= limits::METRICS_MAX {
            let most = limits::METRICS_MAX;
            return Err(HostError::new(
                Code::Quota,
                format!("more than {most} metrics in one run"),
            ));
        }
        self.effects.metrics.push(Metric { name: name.to_owned(), value, is_count });
        Ok(())
    }

    /// A value of the store, as this run left it.
    pub fn kv_get(&self, key: &str) -> Result<Option<String>, HostError> {
        let terms = self.kv_terms(key)?;
        let mut more = 0_i64;
        for write in self.effects.kv.iter().rev().filter(|write| write.key == key) {
            match &write.change {
                Change::Set(value) => {
                    return Ok(Some(if more == 0 {
                        value.clone()
                    } else {
                        crate::kv::added(Some(value), more)
                    }));
                }
                Change::Add(by) => more = more.saturating_add(*by),
                Change::Remove if more == 0 => return Ok(None),
                Change::Remove => return Ok(Some(more.to_string())),
            }
        }
        let stored = self
            .kv
            .get(&terms.namespace, key, self.now)
            .map_err(|error| HostError::new(Code::Host, error.to_string()))?;
        let touched = self.effects.kv.iter().any(|write| write.key == key);
        Ok(if touched { Some(crate::kv::added(stored.as_deref(), more)) } else { stored })
    }

    /// Remembers a change of the store.
    pub fn kv_write(
        &mut self,
        key: &str,
        change: Change,
        ttl: Option<Duration>,
    ) -> Result<(), HostError> {
        self.kv_terms(key)?;
        if let Change::Set(value) = &change
            && value.len() > limits::KV_VALUE_OCTETS_MAX
        {
            return Err(HostError::new(Code::Quota, "a value of the store has at most 16 KiB"));
        }
        if self.effects.kv.len() >= limits::KV_WRITES_MAX {
            let most = limits::KV_WRITES_MAX;
            let message = format!("more than {most} changes of the store in one run");
            return Err(HostError::new(Code::Quota, message));
        }
        self.effects.kv.push(Write { key: key.to_owned(), change, ttl });
        Ok(())
    }

    fn kv_terms(&self, key: &str) -> Result<&crate::manifest::KvPermission, HostError> {
        let Some(terms) = &self.profile.permissions.kv else {
            let wanted = "kv = { namespace = \"…\", max_bytes = \"1MB\", ttl = \"30d\" }";
            return Err(not_permitted("kv", wanted));
        };
        self.reach("kv", Reach::Kv)?;
        if key.is_empty() || key.len() > limits::KV_KEY_OCTETS_MAX {
            return Err(HostError::new(Code::Quota, "a key of the store has 1 to 256 octets"));
        }
        Ok(terms)
    }

    /// Asks another machine: the answer if it is there already, or an end of this run.
    pub fn ask(
        &mut self,
        method: &str,
        url: &str,
        headers: Vec<(String, HeaderText)>,
        body: &str,
    ) -> Told<HttpResponse> {
        let permitted = &self.profile.permissions.http;
        let request = HttpRequest::try_new(method, url, headers, body, permitted);
        let request = request.map_err(refused)?;
        self.reach("http", Reach::KvAndHttp)?;
        let index = self.asked;
        self.asked += 1;
        if let Some((asked, answer)) = self.memo.get(index) {
            if *asked == request {
                return Ok(answer.clone());
            }
            // The script took another way than last time: what follows is asked anew.
            self.memo.truncate(index);
        }
        if index >= limits::HTTP_CALLS_MAX {
            let most = limits::HTTP_CALLS_MAX;
            let message = format!("more than {most} calls of http in one run");
            return Err(HostError::new(Code::Quota, message).into());
        }
        self.wanted = Some(Box::new(request));
        Err(Box::new(EvalAltResult::ErrorTerminated(Dynamic::from(Stop::Wants), Position::NONE)))
    }

    /// Whether a table of the plugin has a row.
    pub fn table_has(&self, table: &str, key: &str) -> Result<bool, HostError> {
        let found = self.profile.tables.get(table).ok();
        match found.as_ref().and_then(|table| table.read_lock::<View>().map(|view| view.has(key))) {
            Some(has) => Ok(has),
            None => Err(HostError::new(Code::UnknownName, format!("there is no data/{table}"))),
        }
    }
}

/// The values of secrets by name: what a script holds is only the name.
#[derive(Clone, Debug)]
pub struct SecretName {
    /// Which one.
    pub name: String,
    /// What is written before it.
    pub prefix: String,
}

/// What every refusal for want of a permission says.
pub fn not_permitted(what: &str, line: &str) -> HostError {
    HostError::new(Code::NotPermitted, format!("{what} is not permitted"))
        .with_help(format!("add to [permissions] in plugin.toml: {line}"))
}

fn refused(refused: Refused) -> Box<EvalAltResult> {
    let message = refused.to_string();
    match refused {
        Refused::Url(_) => HostError::new(Code::Type, message).into(),
        Refused::Private(_) => HostError::new(Code::ForbiddenAddress, message).into(),
        Refused::Host(host) | Refused::Method(_, host) => {
            HostError::new(Code::NotPermitted, message)
                .with_help(format!(
                    "add to [permissions] in plugin.toml: http = [{{ host = \"{host}\" }}]"
                ))
                .into()
        }
    }
}

/// A log line is one line, and steers no terminal.
fn plain(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}

/// What names stand for a map of tables: for the view of `data`.
pub fn tables_view(tables: &BTreeMap<String, crate::table::Table>) -> View {
    let mut builder = View::closed("data");
    for (name, table) in tables {
        builder = builder.with(name, crate::value::shown(name, table.value(), 1));
    }
    builder.done()
}
