//! Directives as they are shown: with what they do and do not, and the same by the command line.

use maily_api::directive;
use maily_api::directive::DirectiveState;
use maily_api::directive::Part;
use maily_api::directive::Sample;
use maily_core::selector::value::quoted;
use maily_registry::directive::Directive;
use maily_registry::directive::State as Stage;
use maily_registry::directive::Verb;

const fn verb(verb: Verb) -> directive::Verb {
    match verb {
        Verb::Suspend => directive::Verb::Suspend,
        Verb::Resume => directive::Verb::Resume,
        Verb::Hold => directive::Verb::Hold,
        Verb::Release => directive::Verb::Release,
        Verb::Retry => directive::Verb::Retry,
        Verb::Bounce => directive::Verb::Bounce,
        Verb::Drop => directive::Verb::Drop,
        Verb::Move => directive::Verb::Move,
    }
}

const fn state(state: Stage) -> DirectiveState {
    match state {
        Stage::InForce => DirectiveState::InForce,
        Stage::Pending => DirectiveState::Pending,
        Stage::Working => DirectiveState::Working,
        Stage::Done => DirectiveState::Done,
        Stage::Undone => DirectiveState::Undone,
        Stage::Over => DirectiveState::Over,
    }
}

pub(crate) fn shown(directive: Directive, samples: Vec<Sample>) -> directive::Directive {
    let part = |(name, count): &(Box<str>, u64)| Part { name: name.to_string(), count: *count };
    directive::Directive {
        id: directive.name(),
        verb: verb(directive.verb),
        selector: directive.selector.to_string(),
        reason: directive.reason.to_string(),
        author: directive.author.to_string(),
        at: directive.at.to_string(),
        state: state(directive.state),
        until: directive.until.map(|at| at.to_string()),
        future: directive.future,
        pool: directive.pool.as_deref().map(ToOwned::to_owned),
        matched: directive.matched,
        in_flight: directive.in_flight,
        done: directive.done,
        effect: effect(&directive),
        sites: directive.sites.iter().map(part).collect(),
        samples,
        command: command(&directive),
    }
}

/// What a directive does, and what it does not.
fn effect(directive: &Directive) -> Vec<String> {
    let Directive { matched, in_flight, future, .. } = directive;
    let mut effect = match directive.verb {
        Verb::Suspend => vec![
            "nothing of it is sent, also of what comes later, until it is resumed".to_owned(),
            "no attempt is counted; what is too old is given up all the same".to_owned(),
        ],
        Verb::Resume => vec!["suspensions that say the same end: mail goes bit by bit".to_owned()],
        Verb::Hold => vec![
            format!("{matched} messages are not sent until they are released"),
            "mail that comes later goes on; what is too old is given up all the same".to_owned(),
        ],
        Verb::Release => vec!["what is held of it goes, bit by bit".to_owned()],
        Verb::Retry => vec![
            "what waits for its time is tried now; hosts that were left alone are tried".to_owned(),
            "what was asked to be sent later, and what is held, stays".to_owned(),
        ],
        Verb::Bounce => vec![
            format!("{matched} messages are given up, with a report 5.7.1 to each sender"),
            "recipients are not suppressed".to_owned(),
        ],
        Verb::Drop => vec![
            format!("{matched} messages are removed, and nobody is told but the event log"),
            "recipients are not suppressed".to_owned(),
        ],
        Verb::Move => vec![format!(
            "{matched} messages go by the pool {}",
            directive.pool.as_deref().unwrap_or_default()
        )],
    };
    if *in_flight > 0 {
        effect.push(format!("{in_flight} are under way, and go on"));
    }
    if *future && directive.verb != Verb::Suspend {
        effect.push("mail that comes later too, until it is taken back".to_owned());
    }
    if let (Verb::Bounce | Verb::Drop, Some(until)) = (directive.verb, directive.until) {
        effect.push(format!("they are held until {until}, and it can be undone until then"));
    }
    effect
}

/// The same by the command line.
fn command(directive: &Directive) -> String {
    let argument = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let mut command =
        format!("maily {} {}", verb(directive.verb).word(), argument(&directive.selector));
    if !directive.reason.is_empty() {
        command.push_str(&format!(" --reason {}", argument(&directive.reason)));
    }
    if let Some(pool) = &directive.pool {
        command.push_str(&format!(" --pool {}", quoted(pool)));
    }
    if let Some(until) = directive.until {
        let name = match directive.verb {
            Verb::Bounce | Verb::Drop => "--window",
            _ => "--for",
        };
        command.push_str(&format!(" {name} {}s", until.since(directive.at).as_secs()));
    }
    if directive.future && directive.verb != Verb::Suspend {
        command.push_str(" --future");
    }
    command
}
