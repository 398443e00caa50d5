//! One plugin at work: it asks a hook once, minds the breaker, counts, and says what failure means.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use maily_core::clock::Clock;
use maily_core::clock::Timestamp;
use parking_lot::Mutex;
use rhai::Dynamic;
use rhai::EvalAltResult;

use crate::answer::Answer;
use crate::breaker::Breaker;
use crate::breaker::State;
use crate::cache::Cache;
use crate::count::Count;
use crate::explain;
use crate::fault::Code;
use crate::fault::Fault;
use crate::hashing;
use crate::hook::HOOKS;
use crate::hook::Hook;
use crate::hook::Policy;
use crate::hook::Reach;
use crate::host::Effects;
use crate::host::Left;
use crate::host::Memo;
use crate::host::Stop;
use crate::http::HttpRequest;
use crate::input::Input;
use crate::kv::Kv;
use crate::limits;
use crate::package::MAIN;
use crate::program::Program;
use crate::worker::Allowance;
use crate::worker::Base;
use crate::worker::Worker;

/// What all plugins of a process share.
#[derive(Clone)]
pub struct Shared {
    /// Interpreter parts and watchdog.
    pub base: Arc<Base>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Keeps values.
    pub kv: Arc<dyn Kv>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("kv", &self.kv).finish_non_exhaustive()
    }
}

/// A plugin and how it fares.
#[derive(Debug)]
pub struct Plugin {
    /// What is asked.
    pub program: Arc<Program>,
    seats: Arc<[Option<Seat>; HOOKS]>,
    cache: Option<Arc<Mutex<Cache<Attrs>>>>,
    /// Another version of it, which is asked for a part of all.
    candidate: Option<Candidate>,
}

/// A version of a plugin that is tried.
#[derive(Debug)]
pub struct Candidate {
    /// The version.
    pub plugin: Arc<Plugin>,
    /// For how many of a hundred.
    pub percent: u8,
}

/// What is kept of answers of `on_enrich`.
pub type Attrs = serde_json::Map<String, serde_json::Value>;

/// A plugin in one hook.
#[derive(Debug)]
pub struct Seat {
    /// Who comes first.
    pub priority: i32,
    /// For which segment, experiment or timer alone.
    pub name: Option<String>,
    /// What failure means.
    pub policy: Policy,
    /// How long and how much one call may take.
    pub allowance: Allowance,
    breaker: Mutex<Breaker>,
    /// Whether the breaker has to be asked.
    troubled: AtomicBool,
    /// What is counted.
    pub count: Count,
}

/// What one run came to.
#[derive(Debug)]
pub enum Round<O> {
    /// It is over.
    Done(Result<Ran<O>, Failure>),
    /// It waits for another machine.
    Wants(Box<HttpRequest>),
}

/// A run that went well.
#[derive(Debug, Default)]
pub struct Ran<O> {
    /// What it answered.
    pub answer: O,
    /// What it wants done, if anything.
    pub effects: Option<Box<Effects>>,
    /// Keys of the answer that nobody reads.
    pub odd: Vec<String>,
    /// Operations used.
    pub operations: u64,
}

/// A run that failed.
#[derive(Debug)]
pub struct Failure {
    /// What follows.
    pub policy: Policy,
    /// What happened.
    pub fault: Box<Fault>,
    /// Lines that it logged before; nothing else of it is kept.
    pub effects: Effects,
}

impl Plugin {
    /// A plugin that was loaded.
    pub fn new(program: Program) -> Self {
        let manifest = &program.package.manifest;
        let mut seats = [const { None }; HOOKS];
        for (hook, setting) in &manifest.hooks {
            let time = manifest.time(*hook);
            // Waiting for others is not computing: what computes for long has gone astray.
            let waits = hook.terms().reach == Reach::KvAndHttp;
            let time = if waits { time.min(limits::COMPUTE_MAX) } else { time };
            let operations = manifest.operations(*hook).min(program.operations_max());
            let seat = Seat {
                priority: setting.priority,
                name: setting.name.clone(),
                policy: manifest.policy(*hook),
                allowance: Allowance { time, operations },
                breaker: Mutex::new(Breaker::new(manifest.breaker)),
                troubled: AtomicBool::new(false),
                count: Count::default(),
            };
            if let Some(place) = seats.get_mut(hook.index()) {
                *place = Some(seat);
            }
        }
        let cache = manifest.cache.get(&Hook::OnEnrich).cloned();
        let cache = cache.map(|setting| Arc::new(Mutex::new(Cache::<Attrs>::new(setting))));
        Self { program: Arc::new(program), seats: Arc::new(seats), cache, candidate: None }
    }

    /// The same, with its counts, beside another version that is tried or none.
    #[must_use]
    pub fn beside(&self, candidate: Option<Candidate>) -> Self {
        Self {
            program: Arc::clone(&self.program),
            seats: Arc::clone(&self.seats),
            cache: self.cache.clone(),
            candidate,
        }
    }

    /// Its name, without its version.
    pub fn name(&self) -> &str {
        &self.program.package.manifest.name
    }

    /// Whether it, or a version of it that is tried, takes a hook.
    pub fn sits(&self, hook: Hook) -> bool {
        self.seat(hook).is_some() || self.tried_seat(hook).is_some()
    }

    /// Who comes first in a hook.
    pub fn priority(&self, hook: Hook) -> Option<i32> {
        self.seat(hook).or_else(|| self.tried_seat(hook)).map(|seat| seat.priority)
    }

    fn tried_seat(&self, hook: Hook) -> Option<&Seat> {
        self.candidate.as_ref().and_then(|candidate| candidate.plugin.seat(hook))
    }

    /// The version that is tried, if one is.
    pub const fn candidate(&self) -> Option<&Candidate> {
        self.candidate.as_ref()
    }

    /// Which version is asked about this: always the same for the same contact or message. What is
    /// about neither, as a timer, is for the version in use.
    pub fn chosen<I: Input>(&self, input: &I) -> &Self {
        let Some(candidate) = &self.candidate else { return self };
        let Some(key) = input.key() else { return self };
        let bucket = hashing::bucket(&format!("{}\n{key}", self.name()), 100);
        if bucket < u64::from(candidate.percent) { &candidate.plugin } else { self }
    }

    /// What it found out about contacts.
    pub fn cache(&self) -> Option<&Mutex<Cache<Attrs>>> {
        self.cache.as_deref()
    }

    /// By which field its answers are kept.
    pub fn cache_key(&self) -> &str {
        let setting = self.program.package.manifest.cache.get(&Hook::OnEnrich);
        setting.map_or("contact.email", |setting| setting.key.as_str())
    }

    /// A call took too long though it was not computing.
    pub fn late(&self, shared: &Shared, hook: Hook, message: &str) -> Failure {
        let Some(seat) = self.seat(hook) else {
            return self.failure(hook, Policy::Open, Code::Time, message);
        };
        seat.count.failed(Duration::ZERO, Code::Time);
        let mut failure = self.failure(hook, seat.policy, Code::Time, message);
        failure.fault.seen = seat.failed(shared.clock.now());
        failure.fault.follows = Some(seat.follows());
        failure
    }

    /// How it is asked in a hook, if it is.
    pub fn seat(&self, hook: Hook) -> Option<&Seat> {
        self.seats.get(hook.index()).and_then(Option::as_ref)
    }

    /// Whether it, or a version of it that is tried, is asked in a hook about this.
    pub fn takes(&self, hook: Hook, subject: Option<&str>) -> bool {
        let is_for = |seat: &Seat| match (&seat.name, subject) {
            (Some(name), Some(subject)) => name == subject,
            (Some(_), None) => false,
            (None, _) => true,
        };
        self.seat(hook).is_some_and(is_for) || self.tried_seat(hook).is_some_and(is_for)
    }

    /// Asks it once; a version that does not take the hook says nothing. What it asked others
    /// before is in `memo`.
    pub fn ask<I: Input, O: Answer>(
        &self,
        shared: &Shared,
        hook: Hook,
        input: &I,
        memo: &mut Memo,
    ) -> Round<O> {
        let is_meant = |seat: &&Seat| match (&seat.name, input.subject()) {
            (Some(name), Some(subject)) => name == subject,
            _ => true,
        };
        let Some(seat) = self.seat(hook).filter(is_meant) else {
            return Round::Done(Ok(Ran::default()));
        };
        let begin = shared.clock.now();
        // A call that goes on was let in when it began.
        if memo.is_empty() && !seat.admits(begin) {
            seat.count.refused();
            let mut failure = self.failure(hook, seat.policy, Code::Resting, "it rests");
            failure.fault.follows = Some(seat.follows());
            return Round::Done(Err(failure));
        }
        let round = self.run_at(shared, hook, input, memo, (seat.allowance, begin, begin));
        let micros = shared.clock.now().since(begin);
        match round {
            Round::Wants(request) => {
                seat.count.waited(micros);
                Round::Wants(request)
            }
            Round::Done(Ok(ran)) => {
                seat.count.succeeded(micros);
                seat.succeeded();
                Round::Done(Ok(ran))
            }
            Round::Done(Err(mut failure)) => {
                seat.count.failed(micros, failure.fault.code);
                failure.fault.seen = seat.failed(shared.clock.now());
                failure.fault.follows = Some(seat.follows());
                failure.fault.message_id = input.message_id().map(str::to_owned);
                failure.policy = seat.policy;
                Round::Done(Err(failure))
            }
        }
    }

    /// Runs a hook once, without breaker and counts.
    pub fn run<I: Input, O: Answer>(
        &self,
        shared: &Shared,
        hook: Hook,
        input: &I,
        memo: &mut Memo,
        allowance: Allowance,
        now: Timestamp,
    ) -> Round<O> {
        self.run_at(shared, hook, input, memo, (allowance, now, shared.clock.now()))
    }

    fn run_at<I: Input, O: Answer>(
        &self,
        shared: &Shared,
        hook: Hook,
        input: &I,
        memo: &mut Memo,
        (allowance, now, begin): (Allowance, Timestamp, Timestamp),
    ) -> Round<O> {
        let program = &self.program;
        program.with_worker(&shared.base, |worker| {
            let mut stack = std::mem::take(&mut worker.stack);
            let mut round = None;
            let ran = stack.run(|| {
                worker.handle.begin(hook, now, &shared.kv, memo);
                let shown = input.show(program.show());
                let allowed = (allowance, begin);
                let answered = program.call(&shared.base, worker, hook, shown, allowed);
                // Put into its place, not given back: answers are large.
                round = Some(self.round(worker, hook, answered, memo));
            });
            let round = round.unwrap_or_else(|| {
                let why = ran.err().map(|error| error.to_string()).unwrap_or_default();
                Round::Done(Err(self.failure(hook, Policy::Open, Code::Host, &why)))
            });
            // A run that was ended may have used much of its stack: that is given back to the
            // machine.
            if matches!(round, Round::Done(Ok(_)) | Round::Wants(_)) {
                worker.stack = stack;
            }
            round
        })
    }

    /// What a run came to. The value that it returned does not leave its stack.
    fn round<O: Answer>(
        &self,
        worker: &Worker,
        hook: Hook,
        answered: Result<Dynamic, Box<EvalAltResult>>,
        memo: &mut Memo,
    ) -> Round<O> {
        let Left { effects, wanted } = worker.handle.end(memo);
        match answered {
            Ok(value) => self.read(hook, value, effects, worker.operations()),
            Err(error) => match wanted {
                Some(request) if waits(&error) => Round::Wants(request),
                _ => {
                    let fault = Box::new(self.program.explain(worker, hook, &error));
                    let effects = lines_of(effects);
                    Round::Done(Err(Failure { policy: Policy::Open, fault, effects }))
                }
            },
        }
    }

    fn read<O: Answer>(
        &self,
        hook: Hook,
        value: Dynamic,
        effects: Option<Box<Effects>>,
        operations: u64,
    ) -> Round<O> {
        let mut odd = Vec::new();
        Round::Done(match O::read(value, &mut odd) {
            Ok(answer) => Ok(Ran { answer, effects, odd, operations }),
            Err(wrong) => {
                let mut failure = self.failure(hook, Policy::Open, wrong.code, &wrong.message);
                failure.effects = lines_of(effects);
                failure.fault.help = Some(format!("{hook} answers {}", hook.terms().output));
                let source = self.program.package.main();
                let place = explain::function_place(MAIN, source, hook.name());
                failure.fault.place = Some(place);
                Err(failure)
            }
        })
    }

    fn failure(&self, hook: Hook, policy: Policy, code: Code, message: &str) -> Failure {
        let fault = Box::new(Fault::new(code, self.program.label(), message).within(hook));
        Failure { policy, fault, effects: Effects::default() }
    }
}

/// What is kept of a run that failed.
fn lines_of(effects: Option<Box<Effects>>) -> Effects {
    let log = effects.map(|effects| effects.log).unwrap_or_default();
    Effects { log, ..Effects::default() }
}

/// Whether a run ended because it waits for an answer.
fn waits(error: &EvalAltResult) -> bool {
    match error {
        EvalAltResult::ErrorInFunctionCall(_, _, inner, _)
        | EvalAltResult::ErrorInModule(_, inner, _) => waits(inner),
        EvalAltResult::ErrorTerminated(token, _) => {
            token.clone().try_cast::<Stop>() == Some(Stop::Wants)
        }
        _ => false,
    }
}

impl Seat {
    /// Where its breaker stands.
    pub fn state(&self) -> State {
        self.breaker.lock().state()
    }

    fn admits(&self, now: Timestamp) -> bool {
        !self.troubled.load(Ordering::Relaxed) || self.breaker.lock().admits(now)
    }

    fn succeeded(&self) {
        if self.troubled.load(Ordering::Relaxed) {
            let mut breaker = self.breaker.lock();
            breaker.succeeded();
            self.troubled.store(breaker.state() != State::Closed, Ordering::Relaxed);
        }
    }

    fn failed(&self, now: Timestamp) -> u32 {
        let mut breaker = self.breaker.lock();
        let seen = breaker.failed(now);
        self.troubled.store(breaker.state() != State::Closed, Ordering::Relaxed);
        seen
    }

    /// What the breaker and the policy mean now, for people.
    pub fn follows(&self) -> String {
        let meaning = self.policy.meaning();
        match self.state() {
            State::Closed => meaning.to_owned(),
            State::HalfOpen => format!("breaker half open, {meaning}"),
            State::Open { until } => {
                let utc = until.to_utc();
                let (hour, minute, second) = (utc.hour, utc.minute, utc.second);
                format!("breaker open until {hour:02}:{minute:02}:{second:02}, {meaning}")
            }
        }
    }
}
