//! A source of mail for the relay bench, like Postfix's smtp-source but with recipients at many
//! domains: so many sessions, one command at a time, as many messages as asked for. Fails unless
//! each message got a 250.

use std::cell::Cell;
use std::io::Write;
use std::net::SocketAddr;
use std::rc::Rc;

use anyhow::bail;
use tokio::io::AsyncBufReadExt;
use tokio::io::AsyncWriteExt;
use tokio::io::BufReader;
use tokio::net::TcpStream;

/// What to send, and how.
#[derive(Debug, clap::Parser)]
struct Arguments {
    /// The server.
    #[arg(long)]
    to: SocketAddr,
    /// Sessions at once.
    #[arg(long, default_value_t = 20)]
    sessions: u32,
    /// Messages in all.
    #[arg(long, default_value_t = 1_000)]
    messages: u64,
    /// Octets of each body.
    #[arg(long, default_value_t = 10_240)]
    octets: usize,
    /// Domains to spread the messages over.
    #[arg(long, default_value_t = 1_000)]
    domains: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Rc::new(<Arguments as clap::Parser>::parse());
    let next = Rc::new(Cell::new(0));
    let sessions = tokio::task::LocalSet::new();
    let running: Vec<_> = (0..arguments.sessions)
        .map(|_| sessions.spawn_local(session(Rc::clone(&arguments), Rc::clone(&next))))
        .collect();
    sessions.await;
    let mut taken = 0;
    for session in running {
        taken += session.await??;
    }
    writeln!(std::io::stdout(), "{taken} taken")?;
    Ok(())
}

/// One session; gives how many messages were taken in it.
async fn session(arguments: Rc<Arguments>, next: Rc<Cell<u64>>) -> anyhow::Result<u64> {
    let stream = TcpStream::connect(arguments.to).await?;
    stream.set_nodelay(true)?;
    let mut peer = Peer { stream: BufReader::new(stream), line: String::new() };
    let body = body(arguments.octets);
    peer.say("", "220").await?;
    peer.say("EHLO source.example\r\n", "250").await?;
    let mut taken = 0;
    loop {
        let number = next.get();
        if number == arguments.messages {
            peer.say("QUIT\r\n", "221").await?;
            return Ok(taken);
        }
        next.set(number + 1);
        let to = format!("user{number}@d{:04}.test", number % arguments.domains + 1);
        peer.say("MAIL FROM:<sender@sender.example>\r\n", "250").await?;
        peer.say(&format!("RCPT TO:<{to}>\r\n"), "250").await?;
        peer.say("DATA\r\n", "354").await?;
        let message = format!(
            "From: <sender@sender.example>\r\nTo: <{to}>\r\n\
             Date: Sun, 22 Nov 2026 21:00:00 +0000\r\nMessage-Id: <{number}@sender.example>\r\n\
             Subject: load {number}\r\n\r\n{body}.\r\n"
        );
        peer.say(&message, "250").await?;
        taken += 1;
    }
}

/// Lines of 72 octets.
fn body(octets: usize) -> String {
    let line = "abcdefghijklmnopqrstuvwxyz abcdefghijklmnopqrstuvwxyz abcdefghijklmnop\r\n";
    let mut body = line.repeat(octets / line.len() + 1);
    body.truncate(octets.saturating_sub(2));
    body.push_str("\r\n");
    body
}

struct Peer {
    stream: BufReader<TcpStream>,
    line: String,
}

impl Peer {
    /// Says something and reads the reply, which must begin with this code.
    async fn say(&mut self, text: &str, code: &str) -> anyhow::Result<()> {
        self.stream.get_mut().write_all(text.as_bytes()).await?;
        loop {
            self.line.clear();
            if self.stream.read_line(&mut self.line).await? == 0 {
                bail!("the server closed the connection");
            }
            if self.line.get(3..4) != Some("-") {
                break;
            }
        }
        if !self.line.starts_with(code) {
            bail!("wanted {code}, got {}", self.line.trim_end());
        }
        Ok(())
    }
}
