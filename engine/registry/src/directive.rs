//! What operators said of waiting mail: each is kept until it has ended, and for a while after
//! that, so that a restart forgets none that is in force and everybody sees what was done.

use bytes::Bytes;
use serde::Deserialize;
use serde::Serialize;

use maily_core::clock::Timestamp;
use maily_journal::change::Change;

use crate::error::RegistryError;
use crate::registry::Registry;
use crate::shelf;
use crate::shelf::Kind;

/// Directives that are kept; of those that have ended the oldest go first.
pub const DIRECTIVES_MAX: usize = 1_000;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verb {
    /// Send nothing of it, also of what comes later.
    Suspend,
    /// End suspensions.
    Resume,
    /// Send nothing of what waits now.
    Hold,
    /// Let go what is held.
    Release,
    /// Try it now.
    Retry,
    /// Give it up, and tell the sender.
    Bounce,
    /// Remove it, and tell nobody.
    Drop,
    /// Send it by another pool.
    Move,
}

/// How far a directive has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// It is in force.
    InForce,
    /// What it is about is held until its time, and then given up or removed.
    Pending,
    /// That is being done.
    Working,
    /// It is done.
    Done,
    /// It was taken back.
    Undone,
    /// Its time is over.
    Over,
}

impl State {
    /// Whether nothing more comes of it.
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Done | Self::Undone | Self::Over)
    }
}

/// What an operator said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directive {
    /// Its number: they rise.
    pub number: u32,
    /// What is to be done.
    pub verb: Verb,
    /// With which mail.
    pub selector: Box<str>,
    /// Why.
    pub reason: Box<str>,
    /// Who said so, as the audit log says it.
    pub author: Box<str>,
    /// When.
    pub at: Timestamp,
    /// When it ends by itself, or what it holds is given up.
    pub until: Option<Timestamp>,
    /// How far it has come.
    pub state: State,
    /// Whether mail that comes later is meant too.
    pub future: bool,
    /// To which pool.
    pub pool: Option<Box<str>>,
    /// Messages that it was about.
    pub matched: u64,
    /// Messages of these that were under way.
    pub in_flight: u64,
    /// Messages with which it is done.
    pub done: u64,
    /// Where they were to go, the most first.
    pub sites: Vec<(Box<str>, u64)>,
    /// The messages, where what was said of them does not last; else none.
    pub only: Option<Vec<u64>>,
}

impl Directive {
    /// Its name, such as `d-118`.
    pub fn name(&self) -> String {
        format!("d-{}", self.number)
    }
}

/// The number in a name.
pub fn number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("d-")?;
    let number: u32 = digits.parse().ok()?;
    (number.to_string() == digits).then_some(number)
}

fn key(number: u32) -> Bytes {
    shelf::key(Kind::Directive, &[&number.to_be_bytes()])
}

fn all() -> Bytes {
    shelf::key(Kind::Directive, &[])
}

impl Registry {
    /// Writes a directive down, under a number of its own; on disk when this returns.
    ///
    /// # Errors
    /// There are too many that have not ended, or it could not be written.
    pub async fn add_directive(&self, mut draft: Directive) -> Result<Directive, RegistryError> {
        let _turn = self.writing.lock().await;
        let known = self.directives();
        draft.number = known.last().map_or(1, |last| last.number.saturating_add(1));
        let mut changes = Vec::new();
        if known.len() >= DIRECTIVES_MAX {
            let Some(oldest) = known.iter().find(|one| one.state.has_ended()) else {
                return Err(RegistryError::TooMany { what: "directives", most: DIRECTIVES_MAX });
            };
            changes.push(Change::Remove(key(oldest.number)));
        }
        changes.push(shelf::put(key(draft.number), &draft)?);
        self.shelf.change(changes).await?;
        Ok(draft)
    }

    /// Notes how far a directive has come. What it was about is forgotten with its end.
    ///
    /// # Errors
    /// There is none of this number, it has ended already, or it could not be written.
    pub async fn note_directive(
        &self,
        number: u32,
        note: impl FnOnce(&mut Directive),
    ) -> Result<Directive, RegistryError> {
        let _turn = self.writing.lock().await;
        let mut directive = self.directive(number).ok_or(RegistryError::NotFound("directive"))?;
        if directive.state.has_ended() {
            return Err(RegistryError::Changed("directive"));
        }
        note(&mut directive);
        if directive.state.has_ended() {
            directive.only = None;
        }
        self.shelf.change(vec![shelf::put(key(number), &directive)?]).await?;
        Ok(directive)
    }

    /// The directive of this number.
    pub fn directive(&self, number: u32) -> Option<Directive> {
        self.shelf.get(&key(number))
    }

    /// All directives that are kept, in the order in which they were given.
    pub fn directives(&self) -> Vec<Directive> {
        self.shelf.rows(&all(), None, usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(state: State) -> Directive {
        Directive {
            number: 0,
            verb: Verb::Hold,
            selector: "domain=a.example".into(),
            reason: "test".into(),
            author: "uid:0".into(),
            at: Timestamp::from_secs(1),
            until: None,
            state,
            future: false,
            pool: None,
            matched: 2,
            in_flight: 0,
            done: 0,
            sites: vec![("a.example".into(), 2)],
            only: Some(vec![1, 2]),
        }
    }

    #[tokio::test]
    async fn directives_outlive_a_restart_and_end_once() {
        let dir = tempfile::tempdir().unwrap();
        let registry = Registry::open(dir.path()).unwrap();
        registry.add_directive(draft(State::InForce)).await.unwrap();
        let second = registry.add_directive(draft(State::Pending)).await.unwrap();
        assert_eq!(second.name(), "d-2");
        drop(registry);
        let registry = Registry::open(dir.path()).unwrap();
        assert_eq!(registry.directive(2), Some(second));
        let end = |one: &mut Directive| one.state = State::Undone;
        let ended = registry.note_directive(2, end).await.unwrap();
        assert_eq!((ended.state, ended.only), (State::Undone, None));
        let again = registry.note_directive(2, end).await;
        assert_eq!(again, Err(RegistryError::Changed("directive")));
        let none = registry.note_directive(3, end).await;
        assert_eq!(none, Err(RegistryError::NotFound("directive")));
        assert_eq!((number("d-2"), number("d-02"), number("2")), (Some(2), None, None));
    }

    #[tokio::test]
    async fn the_oldest_that_has_ended_makes_room_and_none_that_has_not() {
        let dir = tempfile::tempdir().unwrap();
        let registry = Registry::open(dir.path()).unwrap();
        let rows = (1..=DIRECTIVES_MAX as u32).map(|number| {
            let state = if number == 7 { State::Done } else { State::InForce };
            shelf::put(key(number), &Directive { number, ..draft(state) }).unwrap()
        });
        registry.shelf.change(rows.collect()).await.unwrap();
        let added = registry.add_directive(draft(State::InForce)).await.unwrap();
        assert_eq!(added.number, DIRECTIVES_MAX as u32 + 1);
        assert_eq!(registry.directive(7), None);
        let above = registry.add_directive(draft(State::InForce)).await.unwrap_err();
        assert_eq!(above, RegistryError::TooMany { what: "directives", most: DIRECTIVES_MAX });
    }
}
