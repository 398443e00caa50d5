//! Tests of [`super`] with real keys and threads.

use maily_core::clock::Timestamp;
use maily_core::dkim::key::SigningKey;
use maily_core::dkim::keyring::Signer;
use maily_core::event::SuppressionReason;
use maily_core::mail::address::Domain;
use maily_core::mail::address::Mailbox;
use maily_core::mail::envelope::Envelope;
use maily_core::mail::envelope::Recipient;
use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::envelope::ReversePath;
use maily_core::mail::envelope::Stream;
use maily_core::queue::action::Attempt;
use maily_core::queue::action::Connection;
use maily_core::queue::action::LaneId;
use maily_core::queue::action::Ticket;
use maily_core::queue::policy::SourceIndex;
use maily_core::render::binding::Binding;
use maily_core::render::mailing;
use maily_core::render::mailing::Mailing;
use maily_core::smtp::content::Content;
use maily_core::smtp::delivery::Delivery;
use maily_spool::body::Body;
use maily_spool::spool::Options;
use maily_spool::spool::Spool;
use maily_spool::submission::Stored;
use maily_spool::submission::Submission;

use super::*;
use crate::binding::Asked;
use crate::binding::Named;
use crate::binding::Shelf;
use crate::dropping::Addressed;

/// A clock that moves on by a second at each look, so that no two signatures are alike.
#[derive(Debug, Default)]
struct Ticking(std::sync::atomic::AtomicU64);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
    }
}

/// Nobody keeps templates, and nobody objects.
struct Nobody;

impl Shelf for Nobody {
    fn version(&self, _: &str, _: &str) -> Option<u64> {
        None
    }

    fn find(&self, _: &str, _: &str) -> Option<Named> {
        None
    }
}

impl Veto for Nobody {
    fn why_not(&self, addressed: Addressed<'_>) -> Option<Dropped> {
        let gone = addressed.to.to_string().starts_with("gone@");
        let of_news = addressed.mailing.list_name() == "news";
        (gone && of_news).then_some(Dropped::Suppressed(SuppressionReason::Unsubscribed))
    }

    fn why_nobody(&self, _: &str, _: &Mailbox) -> Option<SuppressionReason> {
        None
    }
}

/// No plugins.
fn plugins() -> Arc<Plugins> {
    Arc::new(Plugins::none(Arc::new(Ticking::default())).unwrap())
}

/// A binder over a spool of its own.
fn binder(folder: &std::path::Path) -> (Arc<Binder>, Spool) {
    let (queue, _) = mpsc::channel(1);
    let options = Options::default();
    let spool = Spool::open(folder, &options, queue).unwrap();
    let asked = Asked { shelf: Arc::new(Nobody), veto: Arc::new(Nobody), plugins: plugins() };
    let binder = Binder::new(spool.clone(), asked, "mx.example".into(), None);
    (Arc::new(binder), spool)
}

fn start(keys: bool) -> (Signing, mpsc::UnboundedReceiver<Signed>) {
    let folder = tempfile::tempdir().unwrap();
    let (binder, _) = binder(folder.path());
    start_with(keys, binder)
}

fn start_with(keys: bool, binder: Arc<Binder>) -> (Signing, mpsc::UnboundedReceiver<Signed>) {
    let mut keyring = Keyring::default();
    if keys {
        let pem = include_bytes!("../../core/src/dkim/keys/ed25519.pem");
        let key = SigningKey::from_pem(pem).unwrap();
        let domain = Domain::parse("example.net").unwrap();
        keyring.add(Signer::new(domain, "s1", key).unwrap());
    }
    let clock: Arc<dyn Clock> = Arc::new(Ticking::default());
    let tools = Tools { binder, keyring: Arc::new(keyring), plugins: plugins() };
    Signing::start(tools, 2, &clock).unwrap()
}

/// A try of message `number` at a domain, with late header fields.
fn job(number: u64, domain: &str, late: &'static str) -> Job {
    let id = QueueId::from_u64(number);
    let message = Bytes::from_static(b"From: a@example.net\r\n\r\nhello\r\n");
    let envelope = Envelope::plain(ReversePath::Null, Vec::new());
    let delivery = Delivery {
        reverse_path: envelope.reverse_path.clone(),
        recipients: Vec::new(),
        ret: None,
        envelope_id: None,
        smtputf8: false,
        content: Content { head: Bytes::from_static(late.as_bytes()), message: message.clone() },
    };
    let submission = Submission {
        id,
        accepted_at: Timestamp::EPOCH,
        expires_at: Timestamp::MAX,
        due: None,
        envelope,
        stream: Stream::default(),
        body: Body::Stored(message),
    };
    let domain = Domain::parse(domain).unwrap();
    let attempt = Attempt {
        ticket: Ticket::NONE,
        id,
        domain,
        lane: LaneId::NONE,
        source: SourceIndex(0),
        connection: Connection::New,
        number: 1,
        released: false,
    };
    let stored = Arc::new(Stored { submission, unsettled: Vec::new() });
    let found = serde_json::Map::new();
    let refused = Vec::new();
    let (alone, released, written) = (false, false, None);
    Job { attempt, stored, delivery, refused, found, alone, released, written }
}

fn head(job: &Job) -> String {
    String::from_utf8(job.delivery.content.head.to_vec()).unwrap()
}

/// The tries that come back next, all signed.
fn next(signing: &mut Signing, signed: &mut mpsc::UnboundedReceiver<Signed>) -> Vec<Job> {
    let ready = signing.on_signed(signed.blocking_recv().unwrap());
    ready.into_iter().map(|(job, result)| (result.unwrap(), job).1).collect()
}

#[test]
fn without_keys_nothing_waits() {
    let (mut signing, mut signed) = start(false);
    let sent = signing.sign(job(1, "a.example", "")).unwrap();
    assert_eq!(head(&sent), "");
    // The signers end with it; they have had nothing to do.
    drop(signing);
    assert!(signed.blocking_recv().is_none());
}

#[test]
fn other_keys_sign_what_is_tried_from_then_on() {
    let (mut signing, mut signed) = start(false);
    let (with_keys, _) = start(true);
    assert_eq!(head(&signing.sign(job(1, "a.example", "")).unwrap()), "");
    signing.retool(with_keys.tools.clone());
    assert!(signing.sign(job(1, "a.example", "")).is_none());
    let ready = next(&mut signing, &mut signed);
    assert!(head(&ready[0]).starts_with("DKIM-Signature: "));
    // A signature by the old keys is not used again.
    let without = Tools { keyring: Arc::default(), ..with_keys.tools.clone() };
    signing.retool(without);
    assert_eq!(head(&signing.sign(job(1, "a.example", "")).unwrap()), "");
}

#[test]
fn a_message_is_signed_once_for_all_its_domains_and_tries() {
    let (mut signing, mut signed) = start(true);
    for domain in ["a.example", "b.example", "c.example"] {
        assert!(signing.sign(job(1, domain, "")).is_none());
    }
    let ready = next(&mut signing, &mut signed);
    assert_eq!(ready.len(), 3);
    assert!(head(&ready[0]).starts_with("DKIM-Signature: v=1; a=ed25519-sha256;"));
    assert!(ready.iter().all(|job| head(job) == head(&ready[0])));
    let again = signing.sign(job(1, "a.example", "")).expect("a retry has its signature");
    assert_eq!(head(&again), head(&ready[0]));
    signing.forget(QueueId::from_u64(1));
    assert!(signing.sign(job(1, "a.example", "")).is_none());
    assert_ne!(head(&next(&mut signing, &mut signed)[0]), head(&ready[0]));
    assert!(signed.try_recv().is_err(), "no more was signed than that");
}

#[test]
fn other_late_header_fields_get_another_signature() {
    let (mut signing, mut signed) = start(true);
    assert!(signing.sign(job(1, "a.example", "X-To: a\r\n")).is_none());
    assert!(signing.sign(job(1, "b.example", "X-To: b\r\n")).is_none());
    let (first, second) = (next(&mut signing, &mut signed), next(&mut signing, &mut signed));
    assert_eq!((first.len(), second.len()), (1, 1));
    assert!(head(&first[0]).ends_with("\r\nX-To: a\r\n"));
    assert!(head(&second[0]).ends_with("\r\nX-To: b\r\n"));
    assert_ne!(
        head(&first[0]).trim_end_matches("a\r\n"),
        head(&second[0]).trim_end_matches("b\r\n")
    );
}

#[test]
fn beyond_the_bound_the_oldest_message_is_signed_again() {
    let (mut signing, mut signed) = start(true);
    signing.kept_max = 2;
    for number in [1, 2, 3] {
        assert!(signing.sign(job(number, "a.example", "")).is_none());
        assert_eq!(next(&mut signing, &mut signed).len(), 1);
    }
    assert!(signing.sign(job(3, "a.example", "")).is_some());
    assert!(signing.sign(job(2, "a.example", "")).is_some());
    assert!(signing.sign(job(1, "a.example", "")).is_none());
}

#[test]
fn what_cannot_be_signed_comes_back_with_all_that_waited_for_it() {
    let (mut signing, mut signed) = start(true);
    for domain in ["a.example", "b.example"] {
        assert!(signing.sign(job(1, domain, "")).is_none());
    }
    let done = signed.blocking_recv().unwrap();
    let unmade = failed(4, 7, 5, "no signature");
    let back = signing.on_signed(Signed { job: done.job, signature: Err(unmade.clone()) });
    assert_eq!(back.len(), 2);
    assert!(
        back.iter().all(|(job, result)| head(job).is_empty() && *result == Err(unmade.clone()))
    );
    assert!(signing.sign(job(1, "a.example", "")).is_none(), "and is tried anew");
}

/// A try of a message that is bound late, to this recipient.
fn late(number: u64, to: &str, template: [u8; 32], variables: &str) -> Job {
    let mut job = job(number, "a.example", "");
    let recipient = Recipient::plain(Mailbox::parse(to).unwrap());
    let binding = Binding::new("", Bytes::copy_from_slice(variables.as_bytes())).unwrap();
    let mut stored = Stored::clone(&job.stored);
    stored.submission.body = Body::Template { template, variables: binding.encode() };
    job.stored = Arc::new(stored);
    job.delivery.recipients = vec![(RecipientIndex(0), recipient)];
    job.delivery.content.message = Bytes::new();
    job
}

fn mailing(text: &str) -> Mailing {
    let named = |address: &str| mailing::NamedMailbox {
        name: "Shop".into(),
        mailbox: Mailbox::parse(address).unwrap(),
    };
    Mailing {
        project: "shop".into(),
        campaign: "".into(),
        tags: Vec::new(),
        from: named("shop@example.net"),
        reply_to: None,
        content: mailing::Content::Parts(mailing::Parts {
            subject: "Hello {{ name }}".into(),
            text: Some(text.into()),
            html: None,
            attachments: Vec::new(),
        }),
        headers: Vec::new(),
        track: mailing::Track::default(),
        list: Some(mailing::List { name: "news".into(), mailto: None }),
        meta: Vec::new(),
        segment: "".into(),
    }
}

#[tokio::test]
async fn what_is_bound_late_is_written_and_signed_at_each_try() {
    let folder = tempfile::tempdir().unwrap();
    let (binder, spool) = binder(folder.path());
    let octets = mailing("Dear {{ name }}").encode().unwrap();
    let kept = spool.put_template(octets).await.unwrap();
    let template = kept.name();
    let (mut signing, mut signed) = start_with(true, binder);
    for number in [1, 1] {
        let job = late(number, "ann@a.example", template, r#"{"name":"Ann"}"#);
        assert!(signing.sign(job).is_none());
        let mut ready = signing.on_signed(signed.recv().await.unwrap());
        let (job, made) = ready.pop().unwrap();
        assert_eq!(made, Ok(()));
        assert!(head(&job).starts_with("DKIM-Signature: "));
        let text = String::from_utf8(job.delivery.content.message.to_vec()).unwrap();
        assert!(text.contains("Subject: Hello Ann\r\n") && text.contains("Dear Ann"), "{text}");
    }
}

#[tokio::test]
async fn what_cannot_be_written_or_is_not_wanted_comes_back_unsent() {
    let folder = tempfile::tempdir().unwrap();
    let (binder, spool) = binder(folder.path());
    let octets = mailing("Dear {{ name }}").encode().unwrap();
    let kept = spool.put_template(octets).await.unwrap();
    let template = kept.name();
    let (mut signing, mut signed) = start_with(false, binder);
    let mut unmade = async |job: Job| {
        assert!(signing.sign(job).is_none());
        let (_, made) = signing.on_signed(signed.recv().await.unwrap()).pop().unwrap();
        made.unwrap_err()
    };
    let dropped = unmade(late(1, "gone@a.example", template, r#"{"name":"Ann"}"#)).await;
    assert_eq!(dropped, Unmade::Dropped(Dropped::Suppressed(SuppressionReason::Unsubscribed)));
    let Unmade::Failed(outcome) = unmade(late(2, "ann@a.example", template, "{}")).await else {
        panic!("a variable is missing");
    };
    assert!(matches!(outcome, Outcome::Bounced { .. }), "{outcome:?}");
    assert!(outcome.diagnosis().text().contains("name"), "{outcome:?}");
    let Unmade::Failed(outcome) = unmade(late(3, "ann@a.example", [7; 32], "{}")).await else {
        panic!("there is no such mailing");
    };
    assert!(matches!(outcome, Outcome::Bounced { .. }), "{outcome:?}");
}
