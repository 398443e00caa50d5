//! The hooks that mail does not wait for, step by step: a call is run until it is done or wants to
//! ask another machine. Whoever runs it asks, outside of this room, and gives the answer back; the
//! script is then run again from its beginning and finds the answer there. Nothing that a script
//! wants done is done before its last run.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use maily_core::clock::Timestamp;

use crate::answer::Answer;
use crate::answer::BounceAnswer;
use crate::answer::EnrichAnswer;
use crate::answer::NoAnswer;
use crate::answer::ReportAnswer;
use crate::answer::TrackAnswer;
use crate::cache::Look;
use crate::fault::Fault;
use crate::hook::Hook;
use crate::hook::Policy;
use crate::host::Memo;
use crate::http::HttpRequest;
use crate::http::HttpResponse;
use crate::input::Contact;
use crate::input::EnrichInput;
use crate::input::EventInput;
use crate::input::Input;
use crate::input::ReportInput;
use crate::input::TimerInput;
use crate::input::TrackInput;
use crate::plugin::Plugin;
use crate::plugin::Round;
use crate::set::Plugins;

/// What a call comes to.
#[derive(Debug)]
pub enum Step<O> {
    /// It is done.
    Done(Outcome<O>),
    /// It wants to ask another machine: ask, give the answer to it, and run it again.
    Wants(Outgoing),
    /// Another call asks for the same: run this one again in a moment.
    Waits,
}

/// What all plugins said.
#[derive(Debug)]
pub struct Outcome<O> {
    /// Their answers put together.
    pub answer: O,
    /// The plugins, with their versions, that had something to say.
    pub by: Vec<Box<str>>,
    /// Those that failed. They were told of already.
    pub faults: Vec<Fault>,
    /// Whether one of them has to be asked the same again later.
    pub retry: bool,
}

impl<O: Default> Default for Outcome<O> {
    fn default() -> Self {
        let (by, faults) = (Vec::new(), Vec::new());
        Self { answer: O::default(), by, faults, retry: false }
    }
}

impl<O: Merge> Outcome<O> {
    /// With what a plugin said.
    fn say(&mut self, plugin: &Plugin, answer: O) {
        if answer != O::default() {
            self.by.push(plugin.program.label().into());
        }
        self.answer.merge(answer);
    }
}

/// A request on its way out, with its secrets in their place: it is not to be written down.
#[derive(Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Whose it is.
    pub plugin: String,
    /// GET, POST and so on.
    pub method: String,
    /// The whole URL.
    pub url: String,
    /// Its host. What its name leads to must be public ([`crate::http::is_public`]).
    pub host: String,
    /// Header fields.
    pub headers: Vec<(String, String)>,
    /// What is sent.
    pub body: String,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Octets of an answer; a longer one is cut off.
    pub max_body: u64,
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.url)
    }
}

/// Answers of several plugins can be put together.
pub trait Merge: Answer + Default + PartialEq {
    /// With what a later plugin said.
    fn merge(&mut self, later: Self);
}

impl Merge for BounceAnswer {
    fn merge(&mut self, later: Self) {
        self.suppress = later.suppress.or(self.suppress);
        self.kind = later.kind.or_else(|| self.kind.take());
        self.tags.extend(later.tags);
    }
}

impl Merge for ReportAnswer {
    fn merge(&mut self, later: Self) {
        self.suppress |= later.suppress;
        self.tags.extend(later.tags);
    }
}

impl Merge for TrackAnswer {
    fn merge(&mut self, later: Self) {
        self.discard |= later.discard;
        self.tags.extend(later.tags);
    }
}

impl Merge for EnrichAnswer {
    fn merge(&mut self, later: Self) {
        self.attrs.extend(later.attrs);
    }
}

impl Merge for NoAnswer {
    fn merge(&mut self, _later: Self) {}
}

/// A hook under way: the plugins that take it, one after the other.
#[derive(Debug)]
pub struct Call<I, O> {
    hook: Hook,
    input: I,
    plugins: Vec<Arc<Plugin>>,
    at: usize,
    memo: Memo,
    asked: Option<HttpRequest>,
    /// Until when the plugin that is asked may take, with all waiting.
    deadline: Option<Timestamp>,
    flight: Option<Flight>,
    all: Outcome<O>,
}

/// Others wait for what this call finds out; they stop if it is given up.
#[derive(Debug)]
struct Flight {
    plugin: Arc<Plugin>,
    key: String,
    landed: bool,
}

impl Drop for Flight {
    fn drop(&mut self) {
        if !self.landed
            && let Some(cache) = self.plugin.cache()
        {
            let _old = cache.lock().give_up(&self.key, Timestamp::EPOCH);
        }
    }
}

/// A call of `on_enrich`.
pub type EnrichCall = Call<EnrichInput, EnrichAnswer>;
/// A call of `on_bounce`.
pub type BounceCall = Call<ReportInput, BounceAnswer>;
/// A call of `on_complaint` or `on_unsubscribe`.
pub type ReportCall = Call<ReportInput, ReportAnswer>;
/// A call of `on_track`.
pub type TrackCall = Call<TrackInput, TrackAnswer>;
/// A call of `on_event`.
pub type EventCall = Call<EventInput, NoAnswer>;
/// A call of `on_timer`.
pub type TimerCall = Call<TimerInput, NoAnswer>;

impl Plugins {
    /// Finds out about a contact, or knows it already.
    pub fn on_enrich(&self, contact: Contact) -> EnrichCall {
        self.call(Hook::OnEnrich, EnrichInput { contact })
    }

    /// A bounce came in.
    pub fn on_bounce(&self, input: ReportInput) -> BounceCall {
        self.call(Hook::OnBounce, input)
    }

    /// A complaint came in.
    pub fn on_complaint(&self, input: ReportInput) -> ReportCall {
        self.call(Hook::OnComplaint, input)
    }

    /// Somebody unsubscribed.
    pub fn on_unsubscribe(&self, input: ReportInput) -> ReportCall {
        self.call(Hook::OnUnsubscribe, input)
    }

    /// Somebody opened or clicked.
    pub fn on_track(&self, input: TrackInput) -> TrackCall {
        self.call(Hook::OnTrack, input)
    }

    /// Events of the log, for each plugin that takes them.
    pub fn on_event(&self, input: EventInput) -> EventCall {
        self.call(Hook::OnEvent, input)
    }

    /// A time has come; `name` says for which plugin's timer, by the name in its manifest or else
    /// by the plugin's own.
    pub fn on_timer(&self, input: TimerInput) -> TimerCall {
        let mut call: TimerCall = self.call(Hook::OnTimer, input);
        let name = call.input.name.clone();
        call.plugins.retain(|plugin| timer_name(plugin) == name);
        call
    }

    /// All timers: the name and how often.
    pub fn timers(&self) -> Vec<(String, Duration)> {
        let order = self.order(Hook::OnTimer);
        let every = order.iter().filter_map(|plugin| {
            let setting = plugin.program.package.manifest.hooks.get(&Hook::OnTimer)?;
            Some((timer_name(plugin), setting.every?))
        });
        every.collect()
    }

    fn call<I: Input, O: Merge>(&self, hook: Hook, input: I) -> Call<I, O> {
        let plugins = if self.takes(hook) { self.order(hook) } else { Vec::new() };
        let all = Outcome::default();
        Call {
            hook,
            input,
            plugins,
            at: 0,
            memo: Memo::new(),
            asked: None,
            deadline: None,
            flight: None,
            all,
        }
    }
}

fn timer_name(plugin: &Plugin) -> String {
    let named = plugin.seat(Hook::OnTimer).and_then(|seat| seat.name.clone());
    named.unwrap_or_else(|| plugin.program.package.manifest.name.clone())
}

impl<I: Input, O: Merge + Clone> Call<I, O> {
    /// Goes on until it is done or has to ask.
    pub fn run(&mut self, plugins: &Plugins) -> Step<O> {
        while let Some(plugin) = self.plugins.get(self.at).cloned() {
            let now = plugins.shared().clock.now();
            if self.flight.is_none() && self.memo.is_empty() {
                match self.cached(&plugin, now) {
                    Cached::Known(answer) => {
                        self.all.say(&plugin, answer);
                        self.next();
                        continue;
                    }
                    Cached::Waits => return Step::Waits,
                    Cached::Unknown => {}
                }
            }
            let time = plugin.program.package.manifest.time(self.hook);
            let deadline = *self.deadline.get_or_insert(now + time);
            if deadline <= now {
                self.late(plugins, &plugin);
                continue;
            }
            let asked = plugin.chosen(&self.input);
            match asked.ask::<I, O>(plugins.shared(), self.hook, &self.input, &mut self.memo) {
                Round::Wants(request) => {
                    let mut outgoing = outgoing(asked, &request);
                    outgoing.timeout = request.timeout.min(deadline.since(now));
                    self.asked = Some(*request);
                    return Step::Wants(outgoing);
                }
                Round::Done(Ok(ran)) => {
                    plugins.tell_odd(asked, self.hook, &ran.odd);
                    plugins.apply(asked, self.hook, ran.effects.as_deref());
                    self.land(&ran.answer, now);
                    self.all.say(asked, ran.answer);
                    self.next();
                }
                Round::Done(Err(failure)) => {
                    plugins.tell(asked, self.hook, &failure);
                    self.all.retry |= failure.policy == Policy::Retry;
                    self.all.faults.push(*failure.fault);
                    self.fall_back(&plugin, now);
                    self.next();
                }
            }
        }
        Step::Done(std::mem::take(&mut self.all))
    }

    /// What another machine answered. Without an answer, the status is 0.
    pub fn answer(&mut self, response: HttpResponse) {
        if let Some(request) = self.asked.take() {
            self.memo.push((request, response));
        }
    }

    fn next(&mut self) {
        self.at += 1;
        self.memo.clear();
        self.asked = None;
        self.deadline = None;
        self.flight = None;
    }

    /// The plugin's time is over, though it spent it waiting.
    fn late(&mut self, plugins: &Plugins, plugin: &Arc<Plugin>) {
        let message = "its time was over while it waited for others";
        let failure = plugin.late(plugins.shared(), self.hook, message);
        plugins.tell(plugin, self.hook, &failure);
        self.all.retry |= failure.policy == Policy::Retry;
        self.all.faults.push(*failure.fault);
        self.fall_back(plugin, plugins.shared().clock.now());
        self.next();
    }

    fn cached(&mut self, plugin: &Arc<Plugin>, now: Timestamp) -> Cached<O> {
        let Some(cache) = plugin.cache().filter(|_| self.hook == Hook::OnEnrich) else {
            return Cached::Unknown;
        };
        let Some(key) = self.input.cache_key(plugin.cache_key()) else { return Cached::Unknown };
        let look = cache.lock().look(&key, now);
        match look {
            Look::Fresh(attrs) | Look::Old(attrs) => {
                if let Some(seat) = plugin.seat(self.hook) {
                    seat.count.hit();
                }
                O::from_cache(attrs).map_or(Cached::Unknown, Cached::Known)
            }
            Look::Wait => Cached::Waits,
            Look::Ask => {
                self.flight = Some(Flight { plugin: Arc::clone(plugin), key, landed: false });
                Cached::Unknown
            }
        }
    }

    fn land(&mut self, answer: &O, now: Timestamp) {
        if let (Some(flight), Some(attrs)) = (&mut self.flight, answer.to_cache())
            && let Some(cache) = flight.plugin.cache()
        {
            let is_empty = attrs.is_empty();
            cache.lock().land(&flight.key, attrs, is_empty, now);
            flight.landed = true;
        }
    }

    /// An old answer is better than none.
    fn fall_back(&mut self, plugin: &Plugin, now: Timestamp) {
        if let (Some(flight), Some(cache)) = (&mut self.flight, plugin.cache()) {
            flight.landed = true;
            let old = cache.lock().give_up(&flight.key, now);
            if let Some(answer) = old.and_then(O::from_cache) {
                self.all.say(plugin, answer);
            }
        }
    }
}

enum Cached<O> {
    Known(O),
    Unknown,
    Waits,
}

fn outgoing(plugin: &Plugin, request: &HttpRequest) -> Outgoing {
    Outgoing {
        plugin: plugin.program.label().to_owned(),
        method: request.method.clone(),
        url: request.url.clone(),
        host: request.host.clone(),
        headers: plugin.program.profile.secrets.fill(&request.headers),
        body: request.body.clone(),
        timeout: request.timeout,
        max_body: request.max_body,
    }
}

impl<I, O> Call<I, O> {
    /// Whether any plugin is asked at all.
    pub fn is_idle(&self) -> bool {
        self.plugins.is_empty()
    }
}
