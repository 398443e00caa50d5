//! Who must not be written to: by a list of a project, by all of a project, or by anybody.
//!
//! A suppression is on disk before whoever asked for it is told. It is looked up at each attempt,
//! so it reaches mail that waits already.

use std::ops::Range;
use std::path::Path;

use bytes::Bytes;
use serde::Deserialize;
use serde::Serialize;

use maily_core::clock::Timestamp;
use maily_core::event::SuppressionReason;
use maily_core::mail::address::Mailbox;
use maily_core::mail::id::QueueId;
use maily_journal::journal::Options;
use maily_journal::table::OpenError;
use maily_journal::table::PutError;
use maily_journal::table::Table;

/// Octets of a project's or a list's name.
pub const NAME_OCTETS_MAX: usize = 255;
/// Suppressions on one page: a thousand, and one that shows that there are more.
pub const PAGE_MAX: usize = 1_001;

/// The format of rows that this version writes, and the one before, whose rows are whole
/// [`Suppression`]s.
const FORMAT: u8 = 2;
const FORMAT_WHOLE: u8 = 1;

/// Whom it is about, and what they are not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Whose mail; empty for everybody's.
    pub project: Box<str>,
    /// Of which list; empty for all of the project's.
    pub list: Box<str>,
    /// Who, in lower case.
    pub mailbox: Box<str>,
}

/// Why somebody must not be written to, since when, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppression {
    /// Why, as was said last.
    pub reason: SuppressionReason,
    /// The message that brought it about last; none if an operator did.
    pub message: Option<QueueId>,
    /// When it was said first.
    pub first: Timestamp,
    /// When it was said last.
    pub last: Timestamp,
    /// When it ends by itself; none if it does not.
    pub until: Option<Timestamp>,
}

/// What is said of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// When.
    pub at: Timestamp,
    /// Why it must not be written to.
    pub reason: SuppressionReason,
    /// The message that brought it about.
    pub message: Option<QueueId>,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
}

/// A change was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SuppressError {
    /// A name is longer than can be kept.
    #[error("the name of a project or list has more than {NAME_OCTETS_MAX} octets")]
    NameTooLong,
    /// It could not be written.
    #[error(transparent)]
    Put(#[from] PutError),
}

/// All who must not be written to; clones share it.
#[derive(Clone, Debug)]
pub struct Suppressions {
    table: Table,
    is_new: bool,
}

impl Subject {
    /// This mailbox, and this list of a project or, if the list is empty, all of it.
    ///
    /// Upper and lower case are one here, though RFC 5321 2.4 leaves that to the mailbox's host:
    /// who wants no more mail does not mean one spelling. Nor do quotes make another mailbox
    /// (RFC 5321 4.1.2).
    pub fn new(project: &str, list: &str, mailbox: &Mailbox) -> Self {
        let mailbox = written(mailbox).into();
        Self { project: project.into(), list: list.into(), mailbox }
    }

    pub(crate) fn key(&self) -> Result<Vec<u8>, SuppressError> {
        let mut key = prefix(&self.project, Some(&self.list))?;
        key.extend_from_slice(self.mailbox.as_bytes());
        Ok(key)
    }

    /// Where it stands among those of its project.
    pub fn cursor(&self) -> Vec<u8> {
        let list = u8::try_from(self.list.len()).unwrap_or(u8::MAX);
        [&[list], self.list.as_bytes(), self.mailbox.as_bytes()].concat()
    }

    /// The subject of a project at this place.
    pub fn of_cursor(project: &str, cursor: &[u8]) -> Option<Self> {
        let mut key = prefix(project, None).ok()?;
        key.extend_from_slice(cursor);
        Self::of_key(&key)
    }

    fn of_key(key: &[u8]) -> Option<Self> {
        let mut rest = key;
        let mut name = || {
            let (octets, more) = rest.split_first()?;
            let (name, more) = more.split_at_checked(usize::from(*octets))?;
            rest = more;
            Some(Box::from(std::str::from_utf8(name).ok()?))
        };
        let (project, list) = (name()?, name()?);
        Some(Self { project, list, mailbox: std::str::from_utf8(rest).ok()?.into() })
    }
}

/// A mailbox as it is kept.
fn written(mailbox: &Mailbox) -> String {
    let mut written = match mailbox.local_part() {
        quoted if quoted.starts_with('"') => unquoted(quoted),
        plain => plain.to_owned(),
    };
    if written.is_ascii() {
        written.make_ascii_lowercase();
    } else {
        written = written.to_lowercase();
    }
    written.push('@');
    written.push_str(mailbox.domain().as_str());
    written
}

/// A local part without its quotes, if it has any.
fn unquoted(local_part: &str) -> String {
    let inside = local_part.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let Some(inside) = inside else { return local_part.to_owned() };
    let mut out = String::with_capacity(inside.len());
    let mut characters = inside.chars();
    while let Some(character) = characters.next() {
        let escaped = if character == '\\' { characters.next() } else { None };
        out.push(escaped.unwrap_or(character));
    }
    out
}

/// Several keys, one behind the other in one piece of memory.
struct Keys(Vec<u8>);

impl Keys {
    fn with_room(octets: usize) -> Self {
        Self(Vec::with_capacity(octets + 6))
    }

    /// Where the key of this subject is. Nothing is kept under a name that is too long, nor under
    /// the empty key that stands for it.
    fn push(&mut self, project: &str, list: &str, mailbox: &str) -> Range<usize> {
        let begin = self.0.len();
        for name in [project, list] {
            let Ok(octets) = u8::try_from(name.len()) else { return 0..0 };
            self.0.push(octets);
            self.0.extend_from_slice(name.as_bytes());
        }
        self.0.extend_from_slice(mailbox.as_bytes());
        begin..self.0.len()
    }

    fn get(&self, range: Range<usize>) -> &[u8] {
        self.0.get(range).unwrap_or_default()
    }
}

/// How the keys of a project, or of one of its lists, begin.
fn prefix(project: &str, list: Option<&str>) -> Result<Vec<u8>, SuppressError> {
    let mut prefix = Vec::with_capacity(96);
    for name in std::iter::once(project).chain(list) {
        prefix.push(u8::try_from(name.len()).map_err(|_| SuppressError::NameTooLong)?);
        prefix.extend_from_slice(name.as_bytes());
    }
    Ok(prefix)
}

impl Suppressions {
    /// Opens those in this folder, which is made if missing and holds nothing else; blocks.
    pub fn open(folder: &Path, options: &Options) -> Result<Self, OpenError> {
        let is_new = !folder.is_dir();
        Ok(Self { table: Table::open(folder, options)?, is_new })
    }

    /// Whether there were none when they were opened, not even a folder for them.
    pub const fn is_new(&self) -> bool {
        self.is_new
    }

    /// From now on this subject is not written to: returns when that is on disk and synced. One
    /// that is suppressed already stays so at least as long.
    ///
    /// # Errors
    /// It was not written.
    pub async fn suppress(&self, subject: &Subject, said: Said) -> Result<(), SuppressError> {
        let (key, row) = self.row(subject, said)?;
        Ok(self.table.put(&key, row).await?)
    }

    /// The same of several subjects, all or none; up to
    /// [`CHANGES_MAX`](maily_journal::table::CHANGES_MAX).
    ///
    /// # Errors
    /// None of it was written.
    pub async fn suppress_all(
        &self,
        subjects: &[Subject],
        said: Said,
    ) -> Result<(), SuppressError> {
        let rows = subjects.iter().map(|subject| {
            let (key, row) = self.row(subject, said)?;
            Ok((Bytes::from(key), row))
        });
        Ok(self.table.put_all(rows.collect::<Result<_, SuppressError>>()?).await?)
    }

    fn row(&self, subject: &Subject, said: Said) -> Result<(Vec<u8>, Bytes), SuppressError> {
        let key = subject.key()?;
        let known = self.table.get(&key).and_then(|row| decode(&row));
        let known = known.filter(|known| known.until.is_none_or(|until| until > said.at));
        let until = match &known {
            Some(known) => known.until.zip(said.until).map(|(one, other)| one.max(other)),
            None => said.until,
        };
        let first = known.map_or(said.at, |known| known.first);
        let Said { at: last, reason, message, .. } = said;
        let row = encode(&Suppression { reason, message, first, last, until })?;
        Ok((key, row))
    }

    /// The subject may be written to again: returns when that is on disk and synced. False if it
    /// was not suppressed.
    ///
    /// # Errors
    /// It was not written.
    pub async fn release(&self, subject: &Subject) -> Result<bool, SuppressError> {
        let key = subject.key()?;
        if !self.table.contains(&key) {
            return Ok(false);
        }
        self.table.remove(&key).await?;
        Ok(true)
    }

    /// Why this mailbox is not to be sent what is for this list of a project, if it is not.
    pub fn is_suppressed(
        &self,
        now: Timestamp,
        project: &str,
        list: &str,
        mailbox: &Mailbox,
    ) -> Option<SuppressionReason> {
        if self.table.is_empty() {
            return None;
        }
        let mailbox = written(mailbox);
        let mut keys = Keys::with_room(2 * project.len() + list.len() + 3 * mailbox.len());
        let levels = [(project, list), (project, ""), ("", "")];
        let ends = levels.map(|(project, list)| keys.push(project, list, &mailbox));
        let rows = self.table.read_all(ends.map(|range| keys.get(range)), decode);
        let mut holding = rows.into_iter().flatten().flatten().filter(|found| found.holds(now));
        holding.next().map(|found| found.reason)
    }

    /// What is known of a subject, if it is suppressed or was until its time was over.
    pub fn get(&self, subject: &Subject) -> Option<Suppression> {
        decode(&self.table.get(&subject.key().ok()?)?)
    }

    /// The subjects of a project, or of one of its lists, whose mailboxes begin so if a list is
    /// given: up to `limit` of them and [`PAGE_MAX`], behind the subject `after`.
    pub fn list(
        &self,
        project: &str,
        list: Option<&str>,
        mailbox: &str,
        after: Option<&Subject>,
        limit: usize,
    ) -> Vec<(Subject, Suppression)> {
        let Ok(mut prefix) = prefix(project, list) else { return Vec::new() };
        if list.is_some() {
            prefix.extend_from_slice(mailbox.to_lowercase().as_bytes());
        }
        let after = after.and_then(|after| after.key().ok());
        let rows = self.table.scan_prefix(&prefix, after.as_deref(), limit.min(PAGE_MAX));
        rows.iter().filter_map(|(key, row)| Subject::of_key(key).zip(decode(row))).collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Writes all of them down in one piece, so that the next start is short; blocks. It comes by
    /// itself when it is due.
    ///
    /// # Errors
    /// It was not written.
    pub fn checkpoint(&self) -> std::io::Result<()> {
        self.table.checkpoint()
    }

    /// Octets of memory that most of them take, as they are packed.
    pub fn packed_octets(&self) -> usize {
        self.table.packed_octets()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}

impl Suppression {
    /// Whether it holds now.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// A row as it is kept: there may be ten million of them, and nobody asks for the microsecond.
#[derive(Serialize, Deserialize)]
struct Row {
    reason: SuppressionReason,
    message: Option<QueueId>,
    /// In seconds.
    first: u64,
    /// Seconds behind `first`.
    last: u64,
    until: Option<u64>,
}

fn encode(row: &Suppression) -> Result<Bytes, PutError> {
    let first = row.first.as_secs();
    let row = Row {
        reason: row.reason,
        message: row.message,
        first,
        last: row.last.as_secs().saturating_sub(first),
        until: row.until.map(|until| until.as_secs().saturating_sub(first)),
    };
    let encoded = postcard::to_extend(&row, vec![FORMAT]).map(Bytes::from);
    encoded.map_err(|error| PutError::Failed(error.to_string()))
}

fn decode(row: &[u8]) -> Option<Suppression> {
    let (format, rest) = row.split_first()?;
    if *format == FORMAT_WHOLE {
        return postcard::from_bytes(rest).ok();
    }
    let Row { reason, message, first, last, until } =
        (*format == FORMAT).then(|| postcard::from_bytes(rest).ok()).flatten()?;
    let at = |secs: u64| Timestamp::from_secs(first.saturating_add(secs));
    Some(Suppression { reason, message, first: at(0), last: at(last), until: until.map(at) })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_392_378);

    fn mailbox(text: &str) -> Mailbox {
        Mailbox::parse(text).unwrap()
    }

    fn open(folder: &Path) -> Suppressions {
        Suppressions::open(folder, &Options::small()).unwrap()
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().build().unwrap()
    }

    fn said(reason: SuppressionReason) -> Said {
        Said { at: NOW, reason, message: Some(QueueId::from_u64(7)), until: None }
    }

    #[test]
    fn a_row_is_for_ever_what_it_was() {
        let whole = Suppression {
            reason: SuppressionReason::Bounced,
            message: Some(QueueId::from_u64(7)),
            first: NOW,
            last: NOW + Duration::from_secs(9),
            until: Some(NOW + Duration::from_secs(90)),
        };
        let before = postcard::to_extend(&whole, vec![FORMAT_WHOLE]).unwrap();
        assert_eq!(decode(&before), Some(whole.clone()));
        let row = encode(&whole).unwrap();
        assert_eq!(&*row, [2, 2, 1, 7, 250, 134, 142, 216, 6, 9, 1, 90]);
        assert_eq!(decode(&row), Some(whole));
        assert_eq!(decode(&[3]), None);
        assert_eq!(decode(&[]), None);
    }

    #[test]
    fn quotes_make_no_other_mailbox() {
        let subject = |text: &str| Subject::new("p", "l", &Mailbox::parse(text).unwrap());
        assert_eq!(subject("\"a.b+c\"@d.example"), subject("A.b+c@d.example"));
        assert_eq!(subject("\"a\\.b\"@d.example"), subject("a.b@d.example"));
        assert_ne!(subject("\"a b\"@d.example"), subject("ab@d.example"));
    }

    #[test]
    fn a_list_a_project_and_another_spelling_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let all = open(dir.path());
        let ann = mailbox("Ann@Example.net");
        assert_eq!(all.is_suppressed(NOW, "shop", "news", &ann), None);
        let put = |subject, reason| runtime().block_on(all.suppress(&subject, said(reason)));
        put(Subject::new("shop", "news", &ann), SuppressionReason::Unsubscribed).unwrap();
        let bob = mailbox("bob@example.net");
        put(Subject::new("shop", "", &bob), SuppressionReason::Bounced).unwrap();
        drop(all);
        let all = open(dir.path());
        let is = |project, list, who: &str| all.is_suppressed(NOW, project, list, &mailbox(who));
        let unsubscribed = Some(SuppressionReason::Unsubscribed);
        assert_eq!(is("shop", "news", "aNN@example.NET"), unsubscribed);
        assert_eq!(is("shop", "receipts", "ann@example.net"), None, "another list");
        assert_eq!(is("bank", "news", "ann@example.net"), None, "another project");
        assert_eq!(is("shop", "news", "bob@example.net"), Some(SuppressionReason::Bounced));
        assert_eq!(is("shop", "", "bob@example.net"), Some(SuppressionReason::Bounced));
        assert_eq!(is("sho", "pnews", "ann@example.net"), None, "names do not run together");
        let subject = Subject::new("shop", "news", &ann);
        assert_eq!(runtime().block_on(all.release(&subject)), Ok(true));
        assert_eq!(runtime().block_on(all.release(&subject)), Ok(false));
        assert_eq!(is("shop", "news", "ann@example.net"), None);
        drop(all);
        assert_eq!(open(dir.path()).len(), 1);
    }

    #[test]
    fn one_that_ends_by_itself_does_and_never_shortens_one_that_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let all = open(dir.path());
        let ann = mailbox("ann@example.net");
        let subject = Subject::new("shop", "news", &ann);
        let hour = Duration::from_secs(3_600);
        let put = |at: Timestamp, until| {
            let said = Said { at, until, ..said(SuppressionReason::Operator) };
            runtime().block_on(all.suppress(&subject, said)).unwrap();
        };
        let holds = |at| all.is_suppressed(at, "shop", "news", &ann).is_some();
        put(NOW, Some(NOW + hour));
        put(NOW + hour / 2, Some(NOW + hour / 4));
        assert!(holds(NOW + hour / 2) && !holds(NOW + hour));
        let known = all.get(&subject).unwrap();
        assert_eq!((known.first, known.last), (NOW, NOW + hour / 2));
        // Begun anew after its end.
        put(NOW + hour * 2, None);
        put(NOW + hour * 3, Some(NOW + hour * 4));
        assert!(holds(NOW + hour * 1_000));
        assert_eq!(all.get(&subject).unwrap().first, NOW + hour * 2);
    }

    #[test]
    fn they_are_listed_page_by_page() {
        let dir = tempfile::tempdir().unwrap();
        let all = open(dir.path());
        runtime().block_on(async {
            for n in 0..25 {
                let who = mailbox(&format!("r{n:02}@example.net"));
                let list = ["news", "offers"][n % 2];
                let subject = Subject::new("shop", list, &who);
                all.suppress(&subject, said(SuppressionReason::Complained)).await.unwrap();
            }
        });
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = all.list("shop", None, "", after.as_ref(), 4);
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            seen.extend(page.into_iter().map(|(subject, _)| subject.mailbox));
        }
        seen.sort();
        assert_eq!((seen.len(), &*seen[24]), (25, "r24@example.net"));
        assert_eq!(all.list("shop", Some("news"), "R0", None, 100).len(), 5);
        assert_eq!(all.list("shop", Some("none"), "", None, 100), []);
    }

    #[test]
    fn a_name_of_255_octets_is_kept_and_a_longer_one_refused() {
        let dir = tempfile::tempdir().unwrap();
        let all = open(dir.path());
        let who = mailbox("ann@example.net");
        let long = "x".repeat(NAME_OCTETS_MAX);
        let put = |project: &str, list: &str| {
            let subject = Subject::new(project, list, &who);
            runtime().block_on(all.suppress(&subject, said(SuppressionReason::Operator)))
        };
        assert_eq!(put(&long, &long), Ok(()));
        assert!(all.is_suppressed(NOW, &long, &long, &who).is_some());
        let longer = format!("{long}x");
        assert_eq!(put(&longer, ""), Err(SuppressError::NameTooLong));
        assert_eq!(put("", &longer), Err(SuppressError::NameTooLong));
        assert_eq!(all.is_suppressed(NOW, &longer, "", &who), None);
    }

    #[test]
    fn a_page_has_no_more_than_its_limit() {
        let dir = tempfile::tempdir().unwrap();
        let all = open(dir.path());
        let row = encode(&Suppression {
            reason: SuppressionReason::Bounced,
            message: None,
            first: NOW,
            last: NOW,
            until: None,
        });
        let row = row.unwrap();
        let key = |n: usize| {
            let who = mailbox(&format!("r{n}@example.net"));
            Bytes::from(Subject::new("p", "l", &who).key().unwrap())
        };
        let rows = (0..=PAGE_MAX).map(|n| (key(n), row.clone())).collect();
        runtime().block_on(all.table.put_all(rows)).unwrap();
        assert_eq!(all.list("p", Some("l"), "", None, usize::MAX).len(), PAGE_MAX);
    }
}
