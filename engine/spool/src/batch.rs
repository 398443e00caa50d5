//! Taking many messages at once, and each request with an idempotency key only once.
//!
//! The record of a key goes in front of the messages that come under it, and these are written
//! behind it in few writes. So a start after a crash knows which of them were taken, and another
//! try puts the rest.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;

use maily_core::mail::id::QueueId;
use maily_journal::journal::AppendError;
use maily_journal::journal::Done;
use maily_journal::record::Draft;
use maily_journal::scan::Position;

use crate::body::Body;
use crate::entry::Entry;
use crate::error::ClaimError;
use crate::error::PutError;
use crate::hold::Claim;
use crate::hold::Hold;
use crate::index::Index;
use crate::inner::Inner;
use crate::inner::TRIES_MAX;
use crate::inner::draft;
use crate::kept::KeptTemplate;
use crate::keyed::KEY_MESSAGES_MAX;
use crate::keyed::Key;
use crate::keyed::KeyState;
use crate::spool::Spool;
use crate::submission::Spooled;
use crate::submission::Stored;
use crate::submission::Submission;

/// Messages that are given to the journal at once.
const TOGETHER: usize = 256;

/// What became of each message of a batch.
pub type Results = Vec<Result<(), PutError>>;

/// Counts the messages of a batch whose fate is not known.
struct Tally(Mutex<Counting>);

struct Counting {
    results: Results,
    left: usize,
    tell: Option<oneshot::Sender<Results>>,
}

impl Tally {
    /// For so many messages and one more record.
    fn new(messages: usize) -> (Arc<Self>, oneshot::Receiver<Results>) {
        let (tell, told) = oneshot::channel();
        let results = vec![Ok(()); messages];
        let counting = Counting { results, left: messages + 1, tell: Some(tell) };
        (Arc::new(Self(Mutex::new(counting))), told)
    }

    fn one(&self, number: usize, result: Result<(), PutError>) {
        let mut counting = self.0.lock();
        if let (Err(error), Some(place)) = (result, counting.results.get_mut(number)) {
            *place = Err(error);
        }
        counting.count();
    }

    /// The record that is no message; without it none counts.
    fn record(&self, result: Result<(), PutError>) {
        let mut counting = self.0.lock();
        if let Err(error) = result {
            counting.results.fill(Err(error));
        }
        counting.count();
    }
}

impl Counting {
    fn count(&mut self) {
        self.left = self.left.saturating_sub(1);
        if self.left == 0
            && let Some(tell) = self.tell.take()
        {
            // Whoever asked may have gone: the messages are taken all the same.
            let _gone = tell.send(std::mem::take(&mut self.results));
        }
    }
}

/// A key's record on its way. Unless it lands, nothing of the batch counts.
struct Landing {
    tally: Arc<Tally>,
    landed: bool,
    hold: Option<Arc<Hold>>,
}

impl Landing {
    fn land(mut self) {
        self.landed = true;
        drop(self.hold.take());
        self.tally.record(Ok(()));
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        if !self.landed {
            drop(self.hold.take());
            let what = "the idempotency key could not be written".to_owned();
            self.tally.record(Err(PutError::Failed(what)));
        }
    }
}

impl Spool {
    /// What is known of a key; none if it is not known, or not yet after a start.
    pub fn keyed(&self, key: &[u8; 32]) -> Option<KeyState> {
        self.inner().index().keys().state(key)
    }

    /// Takes a key for a request, or says why it need not be done, or cannot. After a start it
    /// waits until all keys are known.
    ///
    /// # Errors
    /// The key is under way, or was used for another request; or it cannot be kept.
    pub async fn claim(&self, key: Key) -> Result<Claim, ClaimError> {
        let mut reading = self.inner().keys_read.subscribe();
        let read = reading.wait_for(Option::is_some).await.is_ok_and(|read| *read == Some(true));
        if !read {
            return Err(ClaimError::Unreadable);
        }
        let (state, held) = {
            let mut index = self.inner().index();
            index.expire_keys(key.at);
            index.keys().claim(&key)?
        };
        let hold = || Hold { inner: Arc::downgrade(self.inner()), key };
        Ok(match state {
            None => Claim::New(hold()),
            Some(state) if held => Claim::Partly(hold(), state),
            Some(state) => Claim::Complete(state),
        })
    }

    /// Takes responsibility for many messages: returns when the fate of each is known, and gives it
    /// in their order. Under a key that is new their ids follow one another; under one that is
    /// partly done they are some of those that are missing, rising.
    ///
    /// If the caller stops waiting, some may be taken and some not.
    ///
    /// # Errors
    /// Nothing was taken: the ids are not those of the key.
    pub async fn put_batch(
        &self,
        hold: Option<Hold>,
        submissions: Vec<Submission>,
    ) -> Result<Results, PutError> {
        let Some(first) = submissions.first() else { return Ok(Vec::new()) };
        self.inner().index().expire_keys(first.accepted_at);
        let _kept = self.keep_templates(&submissions);
        let (tally, told) = Tally::new(submissions.len());
        let hold = hold.map(Arc::new);
        let mut appends = Vec::with_capacity(TOGETHER);
        match &hold {
            Some(hold) => appends.extend(self.begin(hold, &submissions, &tally)?),
            None => tally.record(Ok(())),
        }
        for (number, submission) in submissions.into_iter().enumerate() {
            if appends.len() >= TOGETHER {
                self.inner().journal.append_all(std::mem::take(&mut appends));
            }
            let (counting, held) = (Arc::clone(&tally), hold.clone());
            let tell = move |result: Result<(), AppendError>| {
                // Before anybody is told: who is may come again at once.
                drop(held);
                counting.one(number, result.map_err(PutError::from));
            };
            let prepared = match self.permit(&mut appends).await {
                Ok(permit) => self.prepare(submission, permit, tell),
                Err(error) => Err(error),
            };
            match prepared {
                Ok(append) => appends.push(append),
                Err(error) => tally.one(number, Err(error)),
            }
        }
        self.inner().journal.append_all(appends);
        drop(hold);
        told.await.map_err(|_| PutError::Failed("the writer has stopped".to_owned()))
    }

    /// Holds what these are rendered from: else it could go while the first of them are delivered
    /// and settled already, and the last not put.
    fn keep_templates(&self, submissions: &[Submission]) -> Vec<KeptTemplate> {
        let mut kept: Vec<KeptTemplate> = Vec::new();
        let bodies = submissions.iter().map(|submission| &submission.body);
        for body in bodies {
            let Body::Template { template, .. } = body else { continue };
            if kept.last().is_none_or(|last| last.name() != *template)
                && let Ok(number) = self.hold_template(body)
            {
                kept.push(KeptTemplate::new(self.inner(), *template, number));
            }
        }
        kept
    }

    /// A place in the queue. While there is none, what was prepared is written: it gives back those
    /// that it has.
    async fn permit(
        &self,
        appends: &mut Vec<(Draft, Done)>,
    ) -> Result<mpsc::OwnedPermit<Spooled>, PutError> {
        match self.queue().clone().try_reserve_owned() {
            Ok(permit) => Ok(permit),
            Err(TrySendError::Full(queue)) => {
                self.inner().journal.append_all(std::mem::take(appends));
                queue.reserve_owned().await.map_err(|_| PutError::stopped())
            }
            Err(TrySendError::Closed(_)) => Err(PutError::stopped()),
        }
    }

    /// The key's record, unless it is there already.
    fn begin(
        &self,
        hold: &Arc<Hold>,
        submissions: &[Submission],
        tally: &Arc<Tally>,
    ) -> Result<Option<(Draft, Done)>, PutError> {
        let key = hold.key.key;
        let (keyed, place) = {
            let mut index = self.inner().index();
            own_ids(&mut index, &key, submissions)?;
            index.keys().entry(&key).ok_or(PutError::NotOfKey)?
        };
        if place.is_some() {
            tally.record(Ok(()));
            return Ok(None);
        }
        let (tally, hold) = (Arc::clone(tally), Some(Arc::clone(hold)));
        let landing = Landing { tally, landed: false, hold };
        let draft = draft(&Entry::Keyed(keyed.clone()), &Bytes::new())?;
        let (octets, again) = (draft.octets(), draft.clone());
        let lands = move |inner: &Inner, position: Position| {
            inner.journal().raise(keyed.last().as_u64());
            inner.index().place_key(&keyed, position, octets);
            landing.land();
        };
        let inner = Arc::downgrade(self.inner());
        let done = Box::new(move |result: Result<Position, AppendError>| {
            let Some(inner) = inner.upgrade() else { return };
            match result {
                Ok(position) => lands(&inner, position),
                Err(AppendError::Closed) => {}
                // What comes behind it may be written in the next segment all the same.
                Err(_) => Inner::append_soon(&inner, again, TRIES_MAX - 1, lands),
            }
        });
        Ok(Some((draft, done)))
    }

    /// The record of a message, and what is done when its fate is known.
    pub(crate) fn prepare(
        &self,
        submission: Submission,
        permit: mpsc::OwnedPermit<Spooled>,
        tell: impl FnOnce(Result<(), AppendError>) + Send + 'static,
    ) -> Result<(Draft, Done), PutError> {
        let template = self.hold_template(&submission.body)?;
        let draft = match draft(&Entry::of(&submission), submission.body.octets()) {
            Ok(draft) => draft,
            Err(error) => {
                self.inner().index().templates().release(template);
                return Err(error);
            }
        };
        let octets = draft.octets();
        let spooled = submission.spooled();
        let unsettled = submission.everyone();
        let stored = Arc::new(Stored { submission, unsettled });
        let inner = Arc::downgrade(self.inner());
        let done = move |result: Result<Position, AppendError>| {
            let inner = inner.upgrade();
            let taken = result.map(|position| {
                if let Some(inner) = &inner {
                    inner.arrive(&stored, position, octets, template);
                }
                permit.send(spooled);
            });
            if let Some(inner) = inner.filter(|_| template > 0) {
                inner.index().templates().release(template);
            }
            tell(taken);
        };
        Ok((draft, Box::new(done)))
    }
}

/// Gives a new key the ids of these messages; of one that is known they must be missing.
fn own_ids(index: &mut Index, key: &[u8; 32], submissions: &[Submission]) -> Result<(), PutError> {
    let ids = || submissions.iter().map(|submission| submission.id);
    let rising = ids().is_sorted_by(|one, next| one < next);
    if !rising || submissions.len() > KEY_MESSAGES_MAX {
        return Err(PutError::NotOfKey);
    }
    if index.keys().state(key).is_some() {
        let lacks = ids().all(|id| index.keys().lacks(key, id));
        return if lacks { Ok(()) } else { Err(PutError::NotOfKey) };
    }
    let first = ids().next().unwrap_or(QueueId::from_u64(0));
    let follow = ids().enumerate().all(|(number, id)| id == first.after(number as u32));
    if follow && index.keys().begin(key, first, submissions.len() as u32) {
        Ok(())
    } else {
        Err(PutError::NotOfKey)
    }
}
