//! What the service manager is told (sd_notify(3)). Outside systemd there is nobody to tell.

use std::time::Duration;

use sd_notify::NotifyState;

/// How often the manager is asked for more time while the daemon ends.
pub const EXTEND_EVERY: Duration = Duration::from_secs(1);
/// How much it is asked for: so long it waits for the next sign.
const EXTEND_BY: Duration = Duration::from_secs(15);

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}

/// The daemon takes mail, or does again after a reload.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(&one_line(status))]);
}

/// The configuration is being read again.
pub fn reloading() {
    let now = NotifyState::monotonic_usec_now();
    match now {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// The daemon ends.
pub fn stopping(status: &str) {
    tell(&[NotifyState::Stopping, NotifyState::Status(&one_line(status))]);
    extend(status);
}

/// It still ends, and needs a little longer.
pub fn extend(status: &str) {
    let more = u32::try_from(EXTEND_BY.as_micros()).unwrap_or(u32::MAX);
    tell(&[NotifyState::ExtendTimeoutUsec(more), NotifyState::Status(&one_line(status))]);
}

/// It is alive.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often the manager wants to hear that the daemon is alive, if it does.
pub fn watchdog() -> Option<Duration> {
    // Half of the time, as sd_watchdog_enabled(3) advises.
    sd_notify::watchdog_enabled().map(|every| every / 2)
}

/// A status is one line of the manager's protocol.
fn one_line(status: &str) -> String {
    status.replace(['\n', '\r'], " ")
}
