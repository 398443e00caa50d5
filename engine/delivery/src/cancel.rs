//! Takes mail back that has not been sent: out of the queue at once, then out of the spool, beside
//! the loop. Whoever asked is told when that is on disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::oneshot;

use maily_core::clock::Timestamp;
use maily_core::mail::address::Domain;
use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::id::QueueId;
use maily_core::queue::cancellation::Which;
use maily_core::queue::scheduler::Scheduler;
use maily_events::recorder::Recorder;
use maily_spool::error::GetError;
use maily_spool::error::PutError;
use maily_spool::spool::Spool;

use crate::attempt::recipients_at;
use crate::settle;

/// Messages that are settled before the disk is waited for.
const TOGETHER: usize = 1_000;

/// What became of what was to be taken back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Messages of which all that waited is gone, rising.
    pub gone: Vec<QueueId>,
    /// Messages of which something is under way and goes on, rising.
    pub in_flight: Vec<QueueId>,
}

/// Mail could not be taken back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CancelError {
    /// The dispatcher has ended.
    #[error("the dispatcher has ended")]
    Ended,
    /// A message could not be read: it is not sent, but may be after a restart.
    #[error(transparent)]
    Read(#[from] GetError),
    /// The spool could not be written: what was taken back may be sent after a restart.
    #[error(transparent)]
    Put(#[from] PutError),
}

/// What is to be taken back, why, and who is told.
#[derive(Debug)]
pub struct Order {
    /// What.
    pub which: Which,
    /// Who said so, and why.
    pub reason: Box<str>,
    /// Who is told.
    pub tell: oneshot::Sender<Result<Taken, CancelError>>,
}

/// Takes mail back.
#[derive(Debug)]
pub struct Canceller {
    /// Where it is settled.
    pub spool: Spool,
    /// Where it is told.
    pub events: Recorder,
}

type Gone = Vec<(QueueId, Vec<Domain>)>;

impl Canceller {
    /// Takes it out of the queue, and begins to settle it. Gives the messages that are gone.
    pub fn cancel(&self, scheduler: &mut Scheduler, now: Timestamp, order: Order) -> Vec<QueueId> {
        let cancelled = scheduler.cancel(now, &order.which);
        let mut in_flight: Vec<_> = cancelled.in_flight.into_iter().map(|(id, _)| id).collect();
        in_flight.sort_unstable();
        in_flight.dedup();
        let mut by_message: BTreeMap<QueueId, Vec<Domain>> = BTreeMap::new();
        for (id, domain) in cancelled.gone {
            by_message.entry(id).or_default().push(domain);
        }
        let gone: Vec<_> = by_message.keys().copied().collect();
        let mut over = gone.clone();
        over.retain(|id| in_flight.binary_search(id).is_err());
        let (messages, under_way) = (gone.len(), in_flight.len());
        tracing::info!(reason = %order.reason, messages, under_way, "mail was taken back");
        let taken = Taken { gone, in_flight };
        let (spool, events) = (self.spool.clone(), self.events.clone());
        tokio::spawn(async move {
            let Order { reason, tell, .. } = order;
            let all = by_message.into_iter().collect();
            let result = settle_all(spool, events, now, all, reason.into()).await;
            // Whoever asked may have gone: it is settled all the same.
            let _gone = tell.send(result.map(|()| taken));
        });
        over
    }
}

async fn settle_all(
    spool: Spool,
    events: Recorder,
    now: Timestamp,
    mut all: Gone,
    reason: Arc<str>,
) -> Result<(), CancelError> {
    let mut result = Ok(());
    while !all.is_empty() {
        let some: Gone = all.drain(..all.len().min(TOGETHER)).collect();
        let (place, log, why) = (spool.clone(), events.clone(), Arc::clone(&reason));
        let settled =
            tokio::task::spawn_blocking(move || settle_some(&place, &log, now, some, &why));
        let settled = settled.await.map_err(|_| CancelError::Ended)?;
        result = result.and_then(|()| settled.map_err(CancelError::from));
        spool.flush().await?;
    }
    result
}

/// Settles those that wait at these domains; what cannot be read is told in the end.
fn settle_some(
    spool: &Spool,
    events: &Recorder,
    now: Timestamp,
    some: Gone,
    reason: &str,
) -> Result<(), GetError> {
    let mut result = Ok(());
    for (id, domains) in some {
        let recipients = match spool.recipients(id) {
            None => continue,
            Some(1) => vec![RecipientIndex(0)],
            // Others of its recipients may be under way, or owed a report.
            Some(_) => match spool.get(id) {
                Ok(stored) => domains.iter().flat_map(|at| recipients_at(&stored, at)).collect(),
                Err(GetError::Unknown) => continue,
                Err(error) => {
                    tracing::error!(%id, %error, "a message that was taken back cannot be read");
                    result = Err(error);
                    continue;
                }
            },
        };
        settle::removed(spool, events, now, id, &recipients, reason);
    }
    result
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use tokio::sync::mpsc;

    use maily_core::event::Event;
    use maily_core::event::What;
    use maily_core::mail::address::Mailbox;
    use maily_core::mail::envelope::Envelope;
    use maily_core::mail::envelope::Recipient;
    use maily_core::mail::envelope::ReversePath;
    use maily_core::mail::envelope::Stream;
    use maily_core::queue::action::Action;
    use maily_core::queue::action::Attempt;
    use maily_core::queue::action::NewEntry;
    use maily_core::queue::policy::Policy;
    use maily_spool::body::Body;
    use maily_spool::spool::Options;
    use maily_spool::submission::Spooled;
    use maily_spool::submission::Submission;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000);

    struct World {
        canceller: Canceller,
        scheduler: Scheduler,
        queue: mpsc::Receiver<Spooled>,
    }

    impl World {
        fn open(folder: &Path) -> Self {
            let (queue, queued) = mpsc::channel(100);
            let spool = Spool::open(&folder.join("spool"), &Options::default(), queue).unwrap();
            let events = Recorder::open(&folder.join("events"), 1 << 20).unwrap();
            let canceller = Canceller { spool, events };
            let scheduler = Scheduler::new(Policy::default(), 1);
            Self { canceller, scheduler, queue: queued }
        }

        async fn put(&mut self, number: u64, campaign: &str, to: &[&str]) {
            let mailbox = |text: &&str| Recipient::plain(Mailbox::parse(text).unwrap());
            let stream = Stream { campaign: campaign.into(), ..Stream::default() };
            let submission = Submission {
                id: QueueId::from_u64(number),
                accepted_at: NOW,
                expires_at: Timestamp::MAX,
                due: None,
                envelope: Envelope::plain(ReversePath::Null, to.iter().map(mailbox).collect()),
                stream,
                body: Body::Stored("hi\r\n".into()),
            };
            self.canceller.spool.put(submission).await.unwrap();
            let spooled = self.queue.recv().await.unwrap();
            for waiting in &spooled.destinations {
                let new = NewEntry {
                    id: spooled.id,
                    domain: &waiting.domain,
                    stream: &spooled.stream,
                    expires_at: spooled.expires_at,
                    attempts: waiting.attempts,
                    due: waiting.due,
                    recipients: waiting.recipients,
                };
                self.scheduler.insert(NOW, &new);
            }
        }

        /// Has what goes to this domain sent, while all other look-ups take their time.
        fn send(&mut self, domain: &str) -> Vec<Attempt> {
            let mut attempts = Vec::new();
            while let Some(action) = self.scheduler.poll(NOW) {
                match action {
                    Action::Resolve(id, asked) if asked.as_str() == domain => {
                        self.scheduler.on_resolved(NOW, id, Ok("mx"), Duration::from_secs(60));
                    }
                    Action::Attempt(attempt) => attempts.push(attempt),
                    _ => {}
                }
            }
            attempts
        }

        async fn cancel(&mut self, which: Which) -> Result<Taken, CancelError> {
            let (tell, told) = oneshot::channel();
            let order = Order { which, reason: "a test".into(), tell };
            self.canceller.cancel(&mut self.scheduler, NOW, order);
            told.await.unwrap()
        }
    }

    fn ids(numbers: &[u64]) -> Vec<QueueId> {
        numbers.iter().copied().map(QueueId::from_u64).collect()
    }

    #[tokio::test]
    async fn what_waits_is_gone_for_good_and_what_is_under_way_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let mut world = World::open(dir.path());
        world.put(1, "spring", &["a@one.example"]).await;
        world.put(2, "spring", &["b@two.example", "c@one.example", "d@two.example"]).await;
        world.put(3, "summer", &["e@one.example"]).await;
        let under_way = world.send("two.example");
        assert_eq!(under_way.len(), 1);
        let campaign = Which::Campaign { tenant: "".into(), campaign: "spring".into() };
        let taken = world.cancel(campaign.clone()).await.unwrap();
        assert_eq!(taken, Taken { gone: ids(&[1, 2]), in_flight: ids(&[2]) });
        let nothing = world.cancel(campaign).await.unwrap();
        assert_eq!(nothing, Taken { gone: Vec::new(), in_flight: ids(&[2]) });
        let more = Which::Messages(ids(&[3, 99]).into_iter().collect());
        assert_eq!(world.cancel(more).await.unwrap().gone, ids(&[3]));
        assert_eq!(world.scheduler.counts().entries, 1);
        drop(world);
        let mut world = World::open(dir.path());
        let left = world.queue.recv().await.unwrap();
        assert_eq!((left.id, left.destinations.len()), (QueueId::from_u64(2), 1));
        let stored = world.canceller.spool.get(left.id).unwrap();
        assert_eq!(stored.unsettled, [RecipientIndex(0), RecipientIndex(2)]);
        assert_eq!(world.canceller.spool.waiting(), 1);
        drop(world);
        let mut removed = Vec::new();
        let see = |event: Event| {
            let What::Removed { reason } = event.what else { panic!("{:?}", event.what) };
            removed.push((event.id, reason));
        };
        maily_events::log::read(&dir.path().join("events"), see).unwrap();
        let wanted = ids(&[1, 2, 3]).into_iter().map(|id| (id, "a test".into()));
        assert_eq!(removed, wanted.collect::<Vec<_>>());
    }
}
