//! A client that hands in numbered messages, and remembers which got a 250.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::world::DOMAIN;

/// One connection to an SMTP server.
pub(crate) struct Client {
    stream: TcpStream,
    replies: BufReader<TcpStream>,
}

impl Client {
    /// Connects and reads the greeting; none if there is nobody.
    pub(crate) fn connect(address: SocketAddr) -> Option<(Self, String)> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.set_nodelay(true).unwrap();
        let replies = BufReader::new(stream.try_clone().unwrap());
        let mut this = Self { stream, replies };
        let greeting = this.reply();
        (!greeting.is_empty()).then_some((this, greeting))
    }

    /// The next reply, all of its lines; empty at the end.
    pub(crate) fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let before = reply.len();
            if self.replies.read_line(&mut reply).unwrap_or(0) == 0 {
                return reply;
            }
            if reply.as_bytes().get(before + 3) != Some(&b'-') {
                return reply;
            }
        }
    }

    /// Says something and gives the reply; empty if the connection is gone.
    pub(crate) fn say(&mut self, text: &str) -> String {
        match self.stream.write_all(text.as_bytes()) {
            Ok(()) => self.reply(),
            Err(_) => String::new(),
        }
    }

    /// Hands in message `number`; whether it got its 250.
    pub(crate) fn hand_in(&mut self, number: u64) -> bool {
        let body = "one line of the message\r\n".repeat(40);
        let message = format!("Message-ID: <{number}@client.example>\r\n\r\n{body}.\r\n");
        self.say("MAIL FROM:<>\r\n").starts_with("250")
            && self.say(&format!("RCPT TO:<r{number}@{DOMAIN}>\r\n")).starts_with("250")
            && self.say("DATA\r\n").starts_with("354")
            && self.say(&message).starts_with("250")
    }
}

struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Hands in mail on several connections, each opened again when it ends, until `during` is over;
/// gives the numbers that got a 250.
pub(crate) fn load(address: SocketAddr, clients: usize, during: impl FnOnce()) -> Vec<u64> {
    let (numbers, enough) = (AtomicU64::new(0), AtomicBool::new(false));
    let hand_in = || {
        let mut taken = Vec::new();
        while !enough.load(Ordering::Relaxed) {
            let Some((mut client, _)) = Client::connect(address) else {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            };
            client.say("HELO client.example\r\n");
            for _ in 0..50 {
                let number = numbers.fetch_add(1, Ordering::Relaxed);
                if enough.load(Ordering::Relaxed) || !client.hand_in(number) {
                    break;
                }
                taken.push(number);
            }
        }
        taken
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..clients).map(|_| scope.spawn(hand_in)).collect();
        // Set even if `during` fails, or the clients would never end.
        let end = End(&enough);
        during();
        drop(end);
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    })
}
