//! What is done from time to time, whatever the mail does.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use maily_core::clock::Clock;
use maily_events::recorder::Recorder;

/// How often events are looked at for their age.
const EVENTS_PAUSE: Duration = Duration::from_secs(600);

/// Drops events that are older than they need be: at once, from then on, and when the operator
/// decides otherwise.
pub async fn drop_old_events(
    events: Recorder,
    clock: Arc<dyn Clock>,
    mut retention: watch::Receiver<Duration>,
) {
    let mut tick = tokio::time::interval(EVENTS_PAUSE);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            Ok(()) = retention.changed() => {}
        }
        let limit = clock.now() - *retention.borrow_and_update();
        let events = events.clone();
        match tokio::task::spawn_blocking(move || events.expire(limit)).await {
            Ok(Ok(0)) => {}
            Ok(Ok(segments)) => tracing::info!(segments, %limit, "old events were dropped"),
            Ok(Err(error)) => tracing::error!(%error, "old events could not be dropped"),
            // The process ends.
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use maily_core::clock::Timestamp;
    use maily_core::event::Event;
    use maily_core::event::What;
    use maily_core::mail::id::QueueId;
    use maily_events::log;

    use super::*;

    struct Later(Timestamp);

    impl Clock for Later {
        fn now(&self) -> Timestamp {
            self.0
        }
    }

    #[tokio::test]
    async fn events_older_than_the_retention_by_the_clock_are_gone_after_a_start() {
        let dir = tempfile::tempdir().unwrap();
        for day in 0..40 {
            let recorder = Recorder::open(dir.path(), 4_096).unwrap();
            let at = Timestamp::from_secs(day * 86_400);
            let what = What::Removed { reason: "test".into() };
            recorder.record(&Event { at, id: QueueId::from_u64(day), what });
        }
        let recorder = Recorder::open(dir.path(), 4_096).unwrap();
        let clock = Arc::new(Later(Timestamp::from_secs(40 * 86_400)));
        let days = |days: u64| Duration::from_secs(days * 86_400);
        let (decide, retention) = watch::channel(days(30));
        let task = tokio::spawn(drop_old_events(recorder, clock, retention));
        let left = || {
            let mut left = Vec::new();
            log::read(dir.path(), |event| left.push(event.id.as_u64())).unwrap();
            left
        };
        while left().len() > 31 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let after_start = left();
        assert!((10..40).all(|day| after_start.contains(&day)), "{after_start:?}");
        decide.send_replace(days(10));
        while left().len() > 11 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let left = left();
        assert!((30..40).all(|day| left.contains(&day)), "{left:?}");
        task.abort();
    }
}
