//! One connection to a sink: enough SMTP (RFC 5321, 2920, 3030, 3207) to receive from any client,
//! and the behaviour on top.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use maily_core::clock::Clock;
use maily_core::mail::message::header_fields;

use crate::sink::behaviour::Behaviour;
use crate::sink::ledger::Ledger;

/// A command line longer than this ends the session: RFC 5321 4.5.3.1.4 with room for extensions.
const LINE_OCTETS_MAX: usize = 4_096;
/// A larger message ends the session.
const MESSAGE_OCTETS_MAX: usize = 64 << 20;

/// What all sessions of one sink share.
#[derive(Clone)]
pub struct Sink {
    /// The name in the greeting.
    pub name: Arc<str>,
    /// How it behaves.
    pub behaviour: Behaviour,
    /// Where it counts.
    pub ledger: Arc<Ledger>,
    /// STARTTLS, if it is offered.
    pub tls: Option<TlsAcceptor>,
    /// Tells greylisting the time.
    pub clock: Arc<dyn Clock>,
    /// Whether each Message-ID is kept in the ledger; counting alone is cheaper.
    pub remember: bool,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Takes away the dot that was put before each dot at the beginning of a line (RFC 5321 4.5.2).
/// Only CRLF begins a line.
fn unstuffed(stuffed: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(stuffed.len());
    let mut from = usize::from(stuffed.starts_with(b"."));
    for at in memchr::memmem::find_iter(stuffed, b"\r\n.") {
        message.extend_from_slice(stuffed.get(from..at + 2).unwrap_or_default());
        from = at + 3;
    }
    message.extend_from_slice(stuffed.get(from..).unwrap_or_default());
    message
}

/// What a session does after a command.
enum Next {
    Go,
    StartTls,
    Close,
}

/// The state of one session.
pub struct Session {
    sink: Sink,
    input: BytesMut,
    output: Vec<u8>,
    encrypted: bool,
    recipients: Vec<Box<str>>,
    /// The lines of MAIL and of each RCPT that was taken.
    envelope: String,
    chunks: Vec<u8>,
    messages: u32,
}

impl Session {
    /// Serves one connection until either side ends it.
    pub async fn run(sink: Sink, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut session = Self {
            sink,
            input: BytesMut::with_capacity(16 << 10),
            output: Vec::new(),
            encrypted: false,
            recipients: Vec::new(),
            envelope: String::new(),
            chunks: Vec::new(),
            messages: 0,
        };
        session.reply(&format!("220 {} ESMTP Maily sink", session.sink.name));
        let mut stream = stream;
        if !session.talk(&mut stream).await? {
            return Ok(());
        }
        let Some(acceptor) = session.sink.tls.clone() else { return Ok(()) };
        // RFC 3207 4.2: what the client sent before TLS is forgotten.
        session.input.clear();
        session.recipients.clear();
        let mut stream = acceptor.accept(stream).await?;
        session.encrypted = true;
        session.talk(&mut stream).await?;
        Ok(())
    }

    /// Talks until the end (false) or until TLS is to start (true).
    async fn talk(&mut self, stream: &mut impl Stream) -> io::Result<bool> {
        loop {
            self.flush(stream).await?;
            let Some(line) = self.line(stream).await? else { return Ok(false) };
            match self.command(&line, stream).await? {
                Next::Go => {}
                Next::StartTls => {
                    self.flush_now(stream).await?;
                    return Ok(true);
                }
                Next::Close => {
                    self.flush_now(stream).await?;
                    stream.shutdown().await?;
                    return Ok(false);
                }
            }
        }
    }

    async fn command(&mut self, line: &str, stream: &mut impl Stream) -> io::Result<Next> {
        let verb = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" => self.greet(),
            "HELO" => self.reply(&format!("250 {}", self.sink.name)),
            "STARTTLS" if self.sink.tls.is_some() && !self.encrypted => {
                self.reply("220 2.0.0 go ahead");
                return Ok(Next::StartTls);
            }
            "MAIL" => return Ok(self.mail(line)),
            "RCPT" => self.rcpt(line),
            "DATA" if self.recipients.is_empty() => self.reply("554 5.5.1 no valid recipients"),
            "DATA" => {
                self.reply("354 go ahead");
                self.flush_now(stream).await?;
                let message = unstuffed(&self.data(stream).await?);
                return self.message(&message).await;
            }
            "BDAT" => return self.bdat(line, stream).await,
            "RSET" => {
                self.recipients.clear();
                self.chunks.clear();
                self.reply("250 2.0.0 OK");
            }
            "NOOP" => self.reply("250 2.0.0 OK"),
            "QUIT" => {
                self.reply("221 2.0.0 bye");
                return Ok(Next::Close);
            }
            _ => self.reply("500 5.5.2 not understood"),
        }
        Ok(Next::Go)
    }

    fn greet(&mut self) {
        let name = self.sink.name.clone();
        self.reply(&format!("250-{name}"));
        for keyword in ["PIPELINING", "8BITMIME", "SMTPUTF8", "CHUNKING", "ENHANCEDSTATUSCODES"] {
            self.reply(&format!("250-{keyword}"));
        }
        if self.sink.tls.is_some() && !self.encrypted {
            self.reply("250-STARTTLS");
        }
        self.reply(&format!("250 SIZE {MESSAGE_OCTETS_MAX}"));
    }

    fn mail(&mut self, line: &str) -> Next {
        self.recipients.clear();
        self.envelope = format!("{line}\n");
        self.chunks.clear();
        if let Behaviour::Throttle(messages_max) = self.sink.behaviour
            && self.messages >= messages_max
        {
            Ledger::count(&self.sink.ledger.throttled);
            self.reply("421 4.7.0 too many messages on this connection, try again later");
            return Next::Close;
        }
        self.reply("250 2.1.0 OK");
        Next::Go
    }

    fn rcpt(&mut self, line: &str) {
        let path = line.find('<').zip(line.rfind('>'));
        let recipient = path.and_then(|(open, close)| line.get(open + 1..close));
        let Some(recipient) = recipient else { return self.reply("501 5.1.3 no address") };
        if self.sink.behaviour.refuses(recipient) {
            Ledger::count(&self.sink.ledger.rejected);
            self.sink.ledger.refuse(recipient);
            return self.reply("550 5.1.1 no such user here");
        }
        if let Behaviour::Greylist(wait) = self.sink.behaviour
            && self.sink.ledger.first_seen(recipient, self.sink.clock.now()) < wait
        {
            Ledger::count(&self.sink.ledger.greylisted);
            return self.reply("450 4.7.1 greylisted, try again later");
        }
        self.recipients.push(recipient.into());
        self.envelope.push_str(line);
        self.envelope.push('\n');
        self.reply("250 2.1.5 OK");
    }

    /// The octets up to the final dot, still dot-stuffed.
    async fn data(&mut self, stream: &mut impl Stream) -> io::Result<BytesMut> {
        let mut searched: usize = 0;
        loop {
            if searched == 0 && self.input.starts_with(b".\r\n") {
                self.input.advance(3);
                return Ok(BytesMut::new());
            }
            let from = searched.saturating_sub(4);
            let tail = self.input.get(from..).unwrap_or_default();
            if let Some(at) = memchr::memmem::find(tail, b"\r\n.\r\n") {
                let message = self.input.split_to(from + at + 2);
                self.input.advance(3);
                return Ok(message);
            }
            searched = self.input.len();
            self.read(stream, MESSAGE_OCTETS_MAX).await?;
        }
    }

    async fn bdat(&mut self, line: &str, stream: &mut impl Stream) -> io::Result<Next> {
        let mut words = line.split_ascii_whitespace().skip(1);
        let size = words.next().and_then(|word| word.parse::<usize>().ok());
        let last = words.next().is_some_and(|word| word.eq_ignore_ascii_case("LAST"));
        let Some(size) = size.filter(|size| self.chunks.len() + size <= MESSAGE_OCTETS_MAX) else {
            self.reply("501 5.5.4 bad chunk size");
            return Ok(Next::Close);
        };
        while self.input.len() < size {
            self.read(stream, MESSAGE_OCTETS_MAX).await?;
        }
        let chunk = self.input.split_to(size);
        if self.recipients.is_empty() {
            self.reply("503 5.5.1 no valid recipients");
            return Ok(Next::Go);
        }
        self.chunks.extend_from_slice(&chunk);
        if !last {
            self.reply("250 2.0.0 OK");
            return Ok(Next::Go);
        }
        let message = std::mem::take(&mut self.chunks);
        self.message(&message).await
    }

    /// Counts a whole message and answers it as the behaviour says.
    async fn message(&mut self, message: &[u8]) -> io::Result<Next> {
        self.messages += 1;
        if let Behaviour::Slow(wait) = self.sink.behaviour {
            tokio::time::sleep(wait).await;
        }
        self.sink.ledger.keep(&self.envelope, message)?;
        self.note(message);
        if let Behaviour::Cut(every) = self.sink.behaviour
            && self.sink.ledger.messages.load(Ordering::Relaxed).is_multiple_of(every.into())
        {
            Ledger::count(&self.sink.ledger.cut);
            return Ok(Next::Close);
        }
        self.recipients.clear();
        self.reply("250 2.0.0 taken");
        Ok(Next::Go)
    }

    fn note(&self, message: &[u8]) {
        let ledger = &self.sink.ledger;
        Ledger::count(&ledger.messages);
        ledger.octets.fetch_add(message.len() as u64, Ordering::Relaxed);
        if self.encrypted {
            Ledger::count(&ledger.encrypted);
        }
        if !self.sink.remember {
            return;
        }
        let mut message_id = String::new();
        for field in header_fields(message) {
            if field.is("Message-ID") {
                message_id = field.unfolded();
            } else if field.is("DKIM-Signature") {
                Ledger::count(&ledger.signed);
            }
        }
        for recipient in &self.recipients {
            ledger.take(&message_id, recipient);
        }
    }

    fn reply(&mut self, text: &str) {
        self.output.extend_from_slice(text.as_bytes());
        self.output.extend_from_slice(b"\r\n");
    }

    /// Writes what waits, unless more commands wait: then the replies go out as one (RFC 2920).
    async fn flush(&mut self, stream: &mut impl Stream) -> io::Result<()> {
        if memchr::memchr(b'\n', &self.input).is_some() {
            return Ok(());
        }
        self.flush_now(stream).await
    }

    async fn flush_now(&mut self, stream: &mut impl Stream) -> io::Result<()> {
        if !self.output.is_empty() {
            stream.write_all(&self.output).await?;
            stream.flush().await?;
            self.output.clear();
        }
        Ok(())
    }

    /// The next command line without its CRLF; none at the end of input.
    async fn line(&mut self, stream: &mut impl Stream) -> io::Result<Option<String>> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.input) {
                let line = self.input.split_to(end + 1);
                return Ok(Some(String::from_utf8_lossy(line.trim_ascii_end()).into_owned()));
            }
            match self.read(stream, LINE_OCTETS_MAX).await {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    async fn read(&mut self, stream: &mut impl Stream, octets_max: usize) -> io::Result<()> {
        if self.input.len() > octets_max {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "more than the sink takes"));
        }
        self.input.reserve(16 << 10);
        if stream.read_buf(&mut self.input).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_dot_is_taken_from_the_beginning_of_each_line() {
        assert_eq!(unstuffed(b"a\n.b\r\n"), b"a\n.b\r\n");
        assert_eq!(unstuffed(b"..a\r\nb.c\r\n..\r\n...\r\n"), b".a\r\nb.c\r\n.\r\n..\r\n");
    }
}
