//! The queue as it was a moment ago: one survey for all who look.

use std::sync::Arc;
use std::time::Duration;

use maily_core::clock::Clock;
use maily_core::clock::Timestamp;
use maily_core::queue::scheduler::Scheduler;
use maily_core::queue::survey::Survey;
use maily_delivery::control::Control;
use maily_delivery::control::Ended;

/// How long a survey is good at least.
const FRESH: Duration = Duration::from_millis(900);
/// A survey is good for so many times as long as it took, so that surveys take a hundredth of the
/// time at most, however many look.
const SPARING: u32 = 100;
/// The last survey of the queue.
#[derive(Debug, Default)]
pub struct LastSurvey(tokio::sync::Mutex<Option<(Timestamp, Timestamp, Arc<Survey>)>>);

impl LastSurvey {
    /// The queue, as it was at most a moment ago; and when that was.
    pub(crate) async fn get(
        &self,
        control: &Control,
        clock: &dyn Clock,
    ) -> Result<(Timestamp, Arc<Survey>), Ended> {
        // Whoever else asks meanwhile waits here, and gets the same.
        let mut last = self.0.lock().await;
        if let Some((at, good_until, survey)) = &*last
            && clock.now() < *good_until
        {
            return Ok((*at, Arc::clone(survey)));
        }
        let begun = clock.now();
        let look = |queue: &Scheduler, now| (now, queue.survey(now));
        let (at, survey) = control.look(look).await?;
        let took = clock.now().since(begun);
        let good_until = at + took.saturating_mul(SPARING).max(FRESH);
        let survey = Arc::new(survey);
        *last = Some((at, good_until, Arc::clone(&survey)));
        Ok((at, survey))
    }
}
