//! Asks plugins whether a message is taken, beside the threads that serve sessions: a script may
//! take milliseconds.

use std::sync::Arc;

use tokio::sync::Semaphore;

use maily_core::mail::outcome::EnhancedStatus;
use maily_core::mail::shown::Shown;
use maily_core::smtp::reply::Reply;
use maily_plugins::answer::Verdict;
use maily_plugins::hook::Hook;
use maily_plugins::hooks::AcceptVerdict;
use maily_plugins::hooks::FAILED_STATUS;
use maily_plugins::hooks::FAILED_TEXT;
use maily_plugins::input::AcceptInput;
use maily_plugins::set::Plugins;

/// Messages about which plugins are asked at once; others wait.
const ASKED_AT_ONCE: usize = 8;

/// Whom the front door asks; clones share it.
#[derive(Clone, Debug)]
pub struct Hooks {
    plugins: Arc<Plugins>,
    seats: Arc<Semaphore>,
}

impl Hooks {
    /// Asks these.
    pub fn new(plugins: Arc<Plugins>) -> Self {
        Self { plugins, seats: Arc::new(Semaphore::new(ASKED_AT_ONCE)) }
    }

    /// What plugins say of a message, with as much of it filled in as its octets tell; none if
    /// nobody is asked.
    pub async fn ask(
        &self,
        mut input: AcceptInput,
        message: bytes::Bytes,
    ) -> Option<AcceptVerdict> {
        if !self.plugins.takes(Hook::OnAccept) {
            return None;
        }
        let _seat = self.seats.acquire().await.ok()?;
        let plugins = Arc::clone(&self.plugins);
        let asking = tokio::task::spawn_blocking(move || {
            if !message.is_empty() {
                let shown = Shown::header(&message);
                (input.headers, input.subject) = (shown.headers, shown.subject);
            }
            plugins.on_accept(&input)
        });
        // A panic in there is a failure that nobody has judged: it must let nothing through.
        Some(asking.await.unwrap_or_else(|_| AcceptVerdict {
            verdict: Verdict::Defer { status: FAILED_STATUS.into(), text: FAILED_TEXT.into() },
            ..AcceptVerdict::default()
        }))
    }
}

/// The reply to a message that a plugin does not let in; none if it does, or discards it.
pub fn refusal(verdict: &Verdict) -> Option<Reply> {
    let reply = |code: u16, status: &str, text: &str| {
        let class = (code / 100) as u8;
        let said = status.parse().ok().filter(|said: &EnhancedStatus| said.class == class);
        Reply::new(code, said.unwrap_or_else(|| EnhancedStatus::new(class, 7, 1)), text)
    };
    Some(match verdict {
        Verdict::Accept | Verdict::Discard { .. } | Verdict::Hold { .. } => return None,
        Verdict::Reject { status, text } => reply(550, status, text),
        Verdict::Defer { status, text } => reply(451, status, text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_a_code_and_a_status_of_one_class() {
        let said = |verdict: &Verdict| refusal(verdict).map(|reply| reply.to_string());
        let reject = |status: &str| Verdict::Reject { status: status.into(), text: "no".into() };
        assert_eq!(said(&reject("5.7.9")).unwrap().trim(), "550 5.7.9 no");
        assert_eq!(said(&reject("4.7.9")).unwrap().trim(), "550 5.7.1 no");
        assert_eq!(said(&reject("x")).unwrap().trim(), "550 5.7.1 no");
        assert_eq!(said(&Verdict::Hold { why: "no link".into() }), None);
        assert_eq!(said(&Verdict::Accept), None);
        assert_eq!(said(&Verdict::Discard { why: "spam".into() }), None);
    }
}
