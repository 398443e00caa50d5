//! Runs a dialog against the session without I/O.

use std::sync::Arc;

use bytes::Bytes;

use maily_core::clock::Timestamp;
use maily_core::mail::id::QueueIdSource;
use maily_core::mail::outcome::EnhancedStatus;
use maily_core::smtp::reply::Reply;
use maily_core::smtp::server::Action;
use maily_core::smtp::server::Server;
use maily_core::smtp::server::Transaction;
use maily_core::smtp::server::trace::Header;
use maily_core::smtp::server::trace::Stamp;

use crate::script;
use crate::script::Script;
use crate::script::Step;
use crate::world::HOST;
use crate::world::World;

/// A session and what it has said.
struct Talk<'a> {
    world: World<'a>,
    server: Server,
    ids: QueueIdSource,
    said: Vec<String>,
    message: Vec<String>,
    closed: bool,
}

/// Runs it; the error says where it failed.
pub(crate) fn run(script: &Script) -> Result<(), String> {
    let world = World(&script.with);
    let server = Server::new(Arc::new(world.server()), world.client());
    let ids = QueueIdSource::new(0);
    let (said, message) = (Vec::new(), Vec::new());
    let mut talk = Talk { world, server, ids, said, message, closed: false };
    talk.go_on();
    let greeting = talk.said.remove(0);
    assert!(greeting.starts_with("220 "), "{greeting}");
    for (number, step) in &script.steps {
        talk.step(step).map_err(|why| format!("{} (line {number}): {why}", script.name))?;
    }
    match talk.said.as_slice() {
        [] => Ok(()),
        left => Err(format!("{}: nobody wanted {left:?}", script.name)),
    }
}

impl Talk<'_> {
    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Send(octets) => {
                self.server.input().extend_from_slice(octets);
                self.go_on();
                Ok(())
            }
            // The session made it when it was asked to.
            Step::Tls => Ok(()),
            Step::Answer(wanted) => script::take(&mut self.said, wanted),
            Step::Closed if self.closed && self.said.is_empty() => Ok(()),
            Step::Closed => Err(format!("still open, said {:?}", self.said)),
            Step::Message(wanted) => script::take(&mut self.message, wanted),
        }
    }

    fn go_on(&mut self) {
        loop {
            match self.server.poll() {
                Action::Read => break,
                Action::Close => {
                    self.closed = true;
                    break;
                }
                Action::StartTls => self.server.on_tls(),
                Action::Admit { .. } => {
                    self.server.on_admission(self.world.admission().refusal().as_ref());
                }
                Action::Authenticate { user, password } => {
                    let right = &*user == "ann" && &*password == "secret";
                    self.server.on_authenticated(right.then_some(user));
                }
                Action::Accept(transaction) => {
                    let reply = self.accept(&transaction);
                    self.server.on_settled(&reply);
                }
            }
        }
        let said = String::from_utf8(std::mem::take(self.server.output())).unwrap();
        self.said.extend(said.split_terminator("\r\n").map(str::to_owned));
    }

    /// What the front door does, without a spool.
    fn accept(&mut self, transaction: &Transaction) -> Reply {
        let header = Header::read(&transaction.message);
        if header.is_loop() {
            return Reply::new(554, EnhancedStatus::new(5, 4, 6), "too many hops: a mail loop");
        }
        let now = Timestamp::from_secs(1_795_392_378);
        let (id, client) = (self.ids.next(now), self.world.client_address());
        let stamp = Stamp { host: HOST, client, id, now };
        self.message = lines(&stamp.apply(transaction, &header));
        Reply::new(250, EnhancedStatus::new(2, 0, 0), &format!("queued as {id}"))
    }
}

/// The lines of a stored message.
pub(crate) fn lines(message: &Bytes) -> Vec<String> {
    let text = String::from_utf8_lossy(message);
    text.split_terminator("\r\n").map(str::to_owned).collect()
}
