//! The hooks: where in the life of a message a plugin is asked, and on which terms. This is the one
//! table; HOOKS.md is made from it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

/// A place where plugins are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hook {
    /// After the data, before the 250.
    OnAccept,
    /// Facts about a contact, cached.
    OnEnrich,
    /// Whether a contact belongs to a segment.
    OnSegment,
    /// What one recipient reads.
    OnPersonalize,
    /// Which variant of an experiment a contact sees.
    OnVariant,
    /// Which pool and when.
    OnRoute,
    /// The last look before signing.
    OnSend,
    /// What an answer of a remote host means.
    OnResponse,
    /// A bounce came in.
    OnBounce,
    /// A complaint came in.
    OnComplaint,
    /// Somebody unsubscribed.
    OnUnsubscribe,
    /// Somebody opened or clicked.
    OnTrack,
    /// A batch of events of the log.
    OnEvent,
    /// A time of the manifest has come.
    OnTimer,
}

/// What a hook may reach beside its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Nothing.
    Nothing,
    /// The key-value store.
    Kv,
    /// The key-value store and, with rounds in between, other machines.
    KvAndHttp,
}

/// What happens when a plugin fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Closed: the message is refused for now (4.3.0), or waits.
    Defer,
    /// Closed: what was being built is given up.
    Abort,
    /// Open: as if there were no such plugin.
    Open,
    /// The message goes without the plugin's variables.
    #[serde(alias = "skip_vars")]
    FallbackVars,
    /// This recipient gets no message.
    SkipRecipient,
    /// The campaign stops until somebody looks.
    PauseCampaign,
    /// The same is tried again later.
    Retry,
}

/// The terms of one hook.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The hook.
    pub hook: Hook,
    /// The name of the function in a script.
    pub name: &'static str,
    /// When it is asked.
    pub when: &'static str,
    /// What it is given.
    pub input: &'static str,
    /// What it answers.
    pub output: &'static str,
    /// What it may reach.
    pub reach: Reach,
    /// How long it may take where the manifest says nothing, and at most.
    pub time: Duration,
    /// No clock, no store, no chance but a seeded one: the same input gives the same answer.
    pub pure: bool,
    /// Mail waits for it.
    pub hot: bool,
    /// What failure means where the manifest says nothing, then what else it may say.
    pub policies: &'static [Policy],
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// All hooks, in the order of [`Hook`].
pub const TABLE: [Terms; 14] = [
    Terms {
        hook: Hook::OnAccept,
        name: "on_accept",
        when: "after DATA or the API, before the 250",
        input: "`queue_id, reverse_path, recipients, headers, subject, size, ip, hello, auth, via`",
        output: "`accept()`, `reject(status, text)`, `defer(status, text)`, `hold(why)` or \
                 `discard(why)`, each with `headers` if wanted",
        reach: Reach::Kv,
        time: millis(20),
        pure: false,
        hot: true,
        policies: &[Policy::Defer, Policy::Open],
    },
    Terms {
        hook: Hook::OnEnrich,
        name: "on_enrich",
        when: "for a contact, before it is used; cached",
        input: "`contact`",
        output: "`#{ attrs }`",
        reach: Reach::KvAndHttp,
        time: millis(1_000),
        pure: false,
        hot: false,
        policies: &[Policy::Open],
    },
    Terms {
        hook: Hook::OnSegment,
        name: "on_segment",
        when: "for each contact of a segment that is built",
        input: "`segment, contact`",
        output: "`true`, `false` or a label",
        reach: Reach::Nothing,
        time: Duration::from_micros(200),
        pure: true,
        hot: true,
        policies: &[Policy::Abort, Policy::Open],
    },
    Terms {
        hook: Hook::OnPersonalize,
        name: "on_personalize",
        when: "for each recipient, before the message is rendered",
        input: "`contact, campaign, vars, message_id`",
        output: "`#{ vars, subject?, headers?, skip? }`",
        reach: Reach::Kv,
        time: millis(5),
        pure: false,
        hot: true,
        policies: &[Policy::FallbackVars, Policy::SkipRecipient, Policy::PauseCampaign],
    },
    Terms {
        hook: Hook::OnVariant,
        name: "on_variant",
        when: "for each recipient of an experiment",
        input: "`contact, experiment, variants`",
        output: "the name of a variant, or `()`",
        reach: Reach::Nothing,
        time: Duration::from_micros(200),
        pure: true,
        hot: true,
        policies: &[Policy::Open],
    },
    Terms {
        hook: Hook::OnRoute,
        name: "on_route",
        when: "when a message enters the queue",
        input: "`queue_id, reverse_path, domain, class, campaign, tenant, pool, meta`",
        output: "`#{ pool?, priority?, not_before? }`",
        reach: Reach::Kv,
        time: millis(1),
        pure: false,
        hot: true,
        policies: &[Policy::Open],
    },
    Terms {
        hook: Hook::OnSend,
        name: "on_send",
        when: "for each message, before it is signed",
        input: "`queue_id, recipient, headers, subject, html, text, meta`",
        output: "`#{ headers?, hold?, skip? }`",
        reach: Reach::Nothing,
        time: millis(2),
        pure: false,
        hot: true,
        policies: &[Policy::Defer, Policy::Open],
    },
    Terms {
        hook: Hook::OnResponse,
        name: "on_response",
        when: "for each reply of a remote host that does not take a message",
        input: "`code, status, text, site, domain, attempt, age`",
        output: "`#{ class?, retry_after?, scope? }` or `()`",
        reach: Reach::Nothing,
        time: Duration::from_micros(500),
        pure: false,
        hot: true,
        policies: &[Policy::Open],
    },
    Terms {
        hook: Hook::OnBounce,
        name: "on_bounce",
        when: "for each recipient of a bounce that came in",
        input: "`recipient, kind, status, text, contact, message_id, campaign`",
        output: "`#{ suppress?, kind?, tags? }` or `()`",
        reach: Reach::KvAndHttp,
        time: millis(1_000),
        pure: false,
        hot: false,
        policies: &[Policy::Open],
    },
    Terms {
        hook: Hook::OnComplaint,
        name: "on_complaint",
        when: "for each complaint that came in",
        input: "`recipient, kind, status, text, contact, message_id, campaign`",
        output: "`#{ suppress?, tags? }` or `()`",
        reach: Reach::KvAndHttp,
        time: millis(1_000),
        pure: false,
        hot: false,
        policies: &[Policy::Open],
    },
    Terms {
        hook: Hook::OnUnsubscribe,
        name: "on_unsubscribe",
        when: "when somebody unsubscribes",
        input: "`recipient, kind, status, text, contact, message_id, campaign`",
        output: "`#{ suppress?, tags? }` or `()`",
        reach: Reach::KvAndHttp,
        time: millis(1_000),
        pure: false,
        hot: false,
        policies: &[Policy::Open],
    },
    Terms {
        hook: Hook::OnTrack,
        name: "on_track",
        when: "after an open or a click was answered, before it is written down",
        input: "`event, contact`",
        output: "`#{ tags?, discard? }` or `()`",
        reach: Reach::Kv,
        time: millis(2),
        pure: false,
        hot: false,
        policies: &[Policy::Open],
    },
    Terms {
        hook: Hook::OnEvent,
        name: "on_event",
        when: "for each batch of the event log",
        input: "`events`",
        output: "nothing; it counts, keeps and posts",
        reach: Reach::KvAndHttp,
        time: millis(1_000),
        pure: false,
        hot: false,
        policies: &[Policy::Retry, Policy::Open],
    },
    Terms {
        hook: Hook::OnTimer,
        name: "on_timer",
        when: "at the times of the manifest",
        input: "`now, name`",
        output: "nothing",
        reach: Reach::KvAndHttp,
        time: millis(30_000),
        pure: false,
        hot: false,
        policies: &[Policy::Open],
    },
];

/// How many hooks there are.
pub const HOOKS: usize = TABLE.len();

/// A name that is no hook.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no hook `{0}`")]
pub struct UnknownHook(pub String);

impl Hook {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|terms| terms.hook)
    }

    /// Its place in the table.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Its bit in a set of hooks.
    pub const fn bit(self) -> u16 {
        1 << self as u16
    }

    /// Its terms.
    pub const fn terms(self) -> &'static Terms {
        let [accept, enrich, segment, personalize, variant, route, send, response, ..] = &TABLE;
        let [.., bounce, complaint, unsubscribe, track, event, timer] = &TABLE;
        match self {
            Self::OnAccept => accept,
            Self::OnEnrich => enrich,
            Self::OnSegment => segment,
            Self::OnPersonalize => personalize,
            Self::OnVariant => variant,
            Self::OnRoute => route,
            Self::OnSend => send,
            Self::OnResponse => response,
            Self::OnBounce => bounce,
            Self::OnComplaint => complaint,
            Self::OnUnsubscribe => unsubscribe,
            Self::OnTrack => track,
            Self::OnEvent => event,
            Self::OnTimer => timer,
        }
    }

    /// The name of its function in a script.
    pub const fn name(self) -> &'static str {
        self.terms().name
    }
}

impl Terms {
    /// What failure means where the manifest says nothing.
    pub fn policy(&self) -> Policy {
        self.policies.first().copied().unwrap_or(Policy::Open)
    }
}

impl Policy {
    /// Its name in a manifest.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Defer => "defer",
            Self::Abort => "abort",
            Self::Open => "open",
            Self::FallbackVars => "fallback_vars",
            Self::SkipRecipient => "skip_recipient",
            Self::PauseCampaign => "pause_campaign",
            Self::Retry => "retry",
        }
    }

    /// What it means while a plugin fails, for people.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Defer => "hook fails closed (mail is deferred)",
            Self::Abort => "hook fails closed (given up)",
            Self::Open => "hook fails open (as if there were no plugin)",
            Self::FallbackVars => "mail goes without its variables",
            Self::SkipRecipient => "the recipient is skipped",
            Self::PauseCampaign => "the campaign is paused",
            Self::Retry => "it is tried again",
        }
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Hook {
    type Err = UnknownHook;

    fn from_str(name: &str) -> Result<Self, UnknownHook> {
        Self::all().find(|hook| hook.name() == name).ok_or_else(|| UnknownHook(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_hooks() {
        for (index, terms) in TABLE.iter().enumerate() {
            assert_eq!(terms.hook.index(), index);
            assert_eq!(terms.hook.terms().name, terms.name);
            assert_eq!(terms.name.parse(), Ok(terms.hook));
            assert!(!terms.policies.is_empty(), "{}", terms.name);
            assert_eq!(serde_json::to_value(terms.hook).unwrap(), terms.name);
        }
        assert_eq!("on_score".parse::<Hook>(), Err(UnknownHook("on_score".to_owned())));
    }
}
