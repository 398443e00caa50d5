//! Tests of reading events: each once, of one project, wherever one begins.

use std::path::Path;

use maily_core::event::Accepted;
use maily_core::event::Attempt;
use maily_core::event::Attempted;
use maily_core::event::Origin;
use maily_core::mail::address::Domain;
use maily_core::mail::address::Mailbox;
use maily_core::mail::envelope::ForwardPath;
use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::envelope::ReversePath;
use maily_core::mail::envelope::Stream;
use maily_core::mail::id::QueueIdSource;
use maily_core::mail::outcome::Diagnosis;
use maily_core::mail::outcome::EnhancedStatus;
use maily_core::mail::outcome::Settlement;
use maily_events::recorder::Recorder;
use maily_spool::spool::Options;

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_795_392_378);

struct World {
    recorder: Recorder,
    spool: Spool,
    ids: QueueIdSource,
    _queue: tokio::sync::mpsc::Receiver<maily_spool::submission::Spooled>,
}

impl World {
    fn new(folder: &Path) -> Self {
        let (queue, queued) = tokio::sync::mpsc::channel(16);
        Self {
            recorder: Recorder::open(&folder.join("events"), 1 << 16).unwrap(),
            spool: Spool::open(&folder.join("spool"), &Options::default(), queue).unwrap(),
            ids: QueueIdSource::new(1),
            _queue: queued,
        }
    }

    /// One that knows nothing yet.
    fn reader(&self) -> Reader {
        Reader::new(
            Feed::new(&self.recorder),
            self.spool.clone(),
            Arc::new(Rules::shipped().unwrap()),
        )
    }

    async fn record(&self, at: Timestamp, id: QueueId, what: What) {
        self.recorder.record_synced(&event::Event { at, id, what }).await.unwrap();
    }

    async fn accept(&self, id: QueueId, project: &str, recipients: usize) {
        let domain = if project.is_empty() { "nobody" } else { project };
        let path = |n| ForwardPath(Mailbox::parse(&format!("r{n}@{domain}.example")).unwrap());
        let accepted = Accepted {
            reverse_path: ReversePath::Null,
            recipients: (0..recipients).map(path).collect(),
            message_id: "a@b".into(),
            octets: 1,
            stream: Stream { tenant: project.into(), ..Stream::default() },
            origin: Origin::Report(id),
        };
        self.record(NOW, id, What::Accepted(Box::new(accepted))).await;
    }

    async fn deliver(&self, id: QueueId, recipients: usize) {
        let said = Diagnosis::reply(250, EnhancedStatus::new(2, 0, 0), "taken");
        let each = |index| Attempt {
            recipient: RecipientIndex(index as u32),
            outcome: maily_core::mail::outcome::Outcome::Delivered(said.clone()),
            settlement: Settlement::Done,
        };
        let attempted = Attempted {
            domain: Domain::parse("x.example").unwrap(),
            site: "mx".into(),
            attempt: 1,
            peer: None,
            micros: 1,
            recipients: (0..recipients).map(each).collect(),
        };
        self.record(NOW, id, What::Attempted(Box::new(attempted))).await;
    }

    fn next(&mut self) -> QueueId {
        self.ids.next(NOW)
    }
}

fn of(project: &str) -> Selection {
    Selection { project: Some(project.parse().unwrap()), types: Vec::new() }
}

/// All ids behind a place in pages of so many, and to whom they belong.
fn all(reader: &Reader, mut after: EventId, limit: usize, of: &Selection) -> Vec<(String, String)> {
    let mut seen = Vec::new();
    loop {
        let told = reader.read(after, limit, of, NOW).unwrap();
        assert!(told.events.len() <= limit);
        seen.extend(told.events.iter().map(|(id, event)| {
            assert_eq!(id.to_string(), event.id);
            (event.id.clone(), event.data["recipient"].as_str().unwrap_or_default().to_owned())
        }));
        after = told.next;
        if !told.more {
            return seen;
        }
    }
}

async fn two_projects(world: &mut World) {
    for _ in 0..20 {
        for project in ["a", "b"] {
            let id = world.next();
            world.accept(id, project, 3).await;
            world.deliver(id, 3).await;
        }
    }
    let nobodys = world.next();
    world.accept(nobodys, "", 1).await;
}

#[tokio::test]
async fn each_event_comes_once_whatever_the_pages_and_wherever_one_begins() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    two_projects(&mut world).await;
    let everything = Selection::default();
    let whole = all(&world.reader(), EventId::OLDEST, 1_000, &everything);
    assert_eq!(whole.len(), 241);
    for limit in [1, 2, 7, 100] {
        assert_eq!(all(&world.reader(), EventId::OLDEST, limit, &everything), whole);
    }
    for (place, (id, _)) in whole.iter().enumerate() {
        let after = EventId::parse(id).unwrap();
        assert_eq!(all(&world.reader(), after, 50, &everything), whole[place + 1..]);
    }
    drop(world);
    let world = World::new(folder.path());
    assert_eq!(all(&world.reader(), EventId::OLDEST, 9, &everything), whole, "after a restart");
}

#[tokio::test]
async fn a_project_sees_its_own_also_from_the_middle_and_by_type() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    two_projects(&mut world).await;
    let whole = all(&world.reader(), EventId::OLDEST, 1_000, &of("a"));
    assert_eq!(whole.len(), 120);
    assert!(whole.iter().all(|(_, recipient)| recipient.ends_with("@a.example")), "{whole:?}");
    // One that begins behind an acceptance has to look it up.
    for place in [2, 3, 61, 118] {
        let after = EventId::parse(&whole[place].0).unwrap();
        assert_eq!(all(&world.reader(), after, 50, &of("a")), whole[place + 1..]);
    }
    let delivered = Selection { types: vec![EventType::Delivered], ..of("a") };
    assert_eq!(all(&world.reader(), EventId::OLDEST, 7, &delivered).len(), 60);
    assert_eq!(all(&world.reader(), EventId::OLDEST, 7, &of("c")), []);
}

#[tokio::test]
async fn what_comes_before_its_acceptance_waits_for_it_and_not_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    let (first, second) = (world.next(), world.next());
    world.deliver(first, 1).await;
    let reader = world.reader();
    let read = |after, now| {
        let told = reader.read(after, 10, &of("a"), now).unwrap();
        assert!(!told.more);
        (told.events.len(), told.next)
    };
    let (none, place) = read(EventId::OLDEST, NOW);
    assert_eq!(none, 0);
    world.accept(first, "a", 1).await;
    let (both, place) = read(place, NOW);
    assert_eq!(both, 2, "the delivery and the acceptance");
    world.deliver(second, 1).await;
    world.accept(first, "a", 1).await;
    let almost = NOW + HELD_BACK - Duration::from_micros(1);
    let (none, place) = read(place, almost);
    assert_eq!(none, 0, "nothing overtakes what is held back");
    assert_eq!(read(place, NOW + HELD_BACK).0, 1, "what is nobody's is not shown");
    let nobodys = reader.read(place, 10, &Selection::default(), NOW + HELD_BACK).unwrap();
    assert_eq!(nobodys.events[0].1.project, None);
}
