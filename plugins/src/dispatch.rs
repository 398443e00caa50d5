//! Any hook with JSON in and JSON out: for cases, for trying things out, for events of the past.

use serde::de::DeserializeOwned;
use serde_json::Value;

use maily_core::clock::Timestamp;

use crate::answer::AcceptAnswer;
use crate::answer::Answer;
use crate::answer::BounceAnswer;
use crate::answer::EnrichAnswer;
use crate::answer::NoAnswer;
use crate::answer::PersonalizeAnswer;
use crate::answer::ReportAnswer;
use crate::answer::ResponseAnswer;
use crate::answer::RouteAnswer;
use crate::answer::SegmentAnswer;
use crate::answer::SendAnswer;
use crate::answer::TrackAnswer;
use crate::answer::VariantAnswer;
use crate::hook::Hook;
use crate::host::Memo;
use crate::input::AcceptInput;
use crate::input::EnrichInput;
use crate::input::EventInput;
use crate::input::Input;
use crate::input::PersonalizeInput;
use crate::input::ReportInput;
use crate::input::ResponseInput;
use crate::input::RouteInput;
use crate::input::SegmentInput;
use crate::input::SendInput;
use crate::input::TimerInput;
use crate::input::TrackInput;
use crate::input::VariantInput;
use crate::plugin::Plugin;
use crate::plugin::Ran;
use crate::plugin::Round;
use crate::plugin::Shared;
use crate::worker::Allowance;

/// On which terms a hook is run.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Which hook.
    pub hook: Hook,
    /// How long and how much.
    pub allowance: Allowance,
    /// The time that the script sees.
    pub now: Timestamp,
}

/// Runs a hook once. An input that does not fit the hook is an error.
pub fn run(
    plugin: &Plugin,
    shared: &Shared,
    terms: Terms,
    input: &Value,
    memo: &mut Memo,
) -> Result<Round<Value>, String> {
    let one = One { plugin, shared, terms, input };
    match terms.hook {
        Hook::OnAccept => one.run::<AcceptInput, AcceptAnswer>(memo),
        Hook::OnEnrich => one.run::<EnrichInput, EnrichAnswer>(memo),
        Hook::OnSegment => one.run::<SegmentInput, SegmentAnswer>(memo),
        Hook::OnPersonalize => one.run::<PersonalizeInput, PersonalizeAnswer>(memo),
        Hook::OnVariant => one.run::<VariantInput, VariantAnswer>(memo),
        Hook::OnRoute => one.run::<RouteInput, RouteAnswer>(memo),
        Hook::OnSend => one.run::<SendInput, SendAnswer>(memo),
        Hook::OnResponse => one.run::<ResponseInput, ResponseAnswer>(memo),
        Hook::OnBounce => one.run::<ReportInput, BounceAnswer>(memo),
        Hook::OnComplaint | Hook::OnUnsubscribe => one.run::<ReportInput, ReportAnswer>(memo),
        Hook::OnTrack => one.run::<TrackInput, TrackAnswer>(memo),
        Hook::OnEvent => one.run::<EventInput, NoAnswer>(memo),
        Hook::OnTimer => one.run::<TimerInput, NoAnswer>(memo),
    }
}

struct One<'a> {
    plugin: &'a Plugin,
    shared: &'a Shared,
    terms: Terms,
    input: &'a Value,
}

impl One<'_> {
    fn run<I: Input + DeserializeOwned, O: Answer>(
        &self,
        memo: &mut Memo,
    ) -> Result<Round<Value>, String> {
        let input: I = serde_json::from_value(self.input.clone())
            .map_err(|error| format!("the input does not fit {}: {error}", self.terms.hook))?;
        let (hook, allowance) = (self.terms.hook, self.terms.allowance);
        let round =
            self.plugin.run::<I, O>(self.shared, hook, &input, memo, allowance, self.terms.now);
        Ok(match round {
            Round::Wants(request) => Round::Wants(request),
            Round::Done(Err(failure)) => Round::Done(Err(failure)),
            Round::Done(Ok(ran)) => Round::Done(Ok(Ran {
                answer: ran.answer.to_json(),
                effects: ran.effects,
                odd: ran.odd,
                operations: ran.operations,
            })),
        })
    }
}
