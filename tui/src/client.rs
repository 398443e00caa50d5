//! The other end: asks the daemon, and follows what it says, beside the loop that draws.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use anyhow::anyhow;
use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::Full;
use http_body_util::Limited;
use hyper::Request;
use hyper::Response;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use maily_api::call::Call;
use maily_api::calls;
use maily_api::live::TranscriptsQuery;

use crate::effect::Effect;
use crate::model::Screen;
use crate::sse;
use crate::sse::Reader;
use crate::tail;
use crate::tail::Tail;
use crate::update::Msg;

/// The most octets of an answer.
const ANSWER_OCTETS_MAX: usize = 16 << 20;
/// How long an answer is waited for.
const ANSWER_TIME: Duration = Duration::from_secs(20);
/// A stream that says nothing for so long is taken for dead: the daemon says something each 15 s.
const QUIET_MAX: Duration = Duration::from_secs(40);
/// How often it is asked why mail waits.
const WHY_PAUSE: Duration = Duration::from_secs(2);
/// The first pause before the daemon is tried again, and the longest.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Where the daemon is.
#[derive(Clone, Debug)]
pub enum Server {
    /// At a socket of this machine, which knows who we are.
    Socket(PathBuf),
    /// At an address, `host:port`, with a token.
    Address {
        /// Where.
        host: String,
        /// Who we are.
        token: String,
    },
}

/// Asks the daemon.
#[derive(Clone, Debug)]
pub struct Client {
    /// Where it is.
    pub server: Server,
    /// Who hears what it says.
    pub heard: mpsc::Sender<Msg>,
}

trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

impl Client {
    async fn open(&self) -> anyhow::Result<Box<dyn Wire>> {
        Ok(match &self.server {
            Server::Socket(path) => {
                let stream = UnixStream::connect(path).await;
                Box::new(stream.with_context(|| format!("no daemon at {}", path.display()))?)
            }
            Server::Address { host, .. } => {
                let stream = TcpStream::connect(host.as_str()).await;
                Box::new(stream.with_context(|| format!("no daemon at {host}"))?)
            }
        })
    }

    async fn send<T>(&self, call: &Call<T>) -> anyhow::Result<Response<Incoming>> {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(self.open().await?)).await?;
        tokio::spawn(connection);
        let (host, token) = match &self.server {
            Server::Socket(_) => ("maily", None),
            Server::Address { host, token } => (host.as_str(), Some(token)),
        };
        let mut request =
            Request::builder().method(call.method).uri(&call.path).header("host", host);
        for (name, value) in &call.fields {
            request = request.header(*name, value);
        }
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if call.body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = Full::new(Bytes::from(call.body.clone().unwrap_or_default()));
        Ok(sender.send_request(request.body(body)?).await?)
    }

    async fn ask<T: DeserializeOwned>(&self, call: Call<T>) -> anyhow::Result<T> {
        let asked = async {
            let response = self.send(&call).await?;
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), ANSWER_OCTETS_MAX).collect().await;
            let octets = body.map_err(|error| anyhow!("{error}"))?.to_bytes();
            call.read(status, &octets).map_err(|error| anyhow!("{error}"))
        };
        let late = "the daemon does not answer";
        tokio::time::timeout(ANSWER_TIME, asked).await.context(late)?
    }

    /// Who hears it may have gone: then there is nothing more to do.
    async fn tell(&self, msg: Msg) -> Option<()> {
        self.heard.send(msg).await.ok()
    }

    async fn answer<T: DeserializeOwned>(&self, call: Call<T>, msg: impl FnOnce(T) -> Msg) {
        let msg = match self.ask(call).await {
            Ok(answer) => msg(answer),
            Err(error) => Msg::Refused(format!("{error:#}")),
        };
        self.tell(msg).await;
    }

    /// Does what is to be done once.
    pub async fn once(self, effect: Effect) {
        match effect {
            Effect::Introduce => {
                self.answer(calls::whoami(), Msg::Whoami).await;
                self.answer(calls::views(), Msg::Views).await;
            }
            Effect::Direct(request) => {
                self.answer(calls::direct(&request), |d| Msg::Directive(Box::new(d))).await;
            }
            Effect::Undo(name) => {
                self.answer(calls::undo_directive(&name), |d| Msg::Directive(Box::new(d))).await;
            }
            Effect::Follow(_) | Effect::Copy(_) | Effect::Quit(_) => {}
        }
    }

    /// Follows what is on a screen, until it is stopped; comes again when the link is lost.
    pub async fn follow(self, screen: Screen) {
        let mut pause = PAUSE_MIN;
        loop {
            match self.follow_once(&screen).await {
                // There is nobody to tell any more.
                Ok(None) => return,
                Ok(Some(())) => pause = PAUSE_MIN,
                Err(error) => {
                    if self.tell(Msg::Link(Err(format!("{error:#}")))).await.is_none() {
                        return;
                    }
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn follow_once(&self, screen: &Screen) -> anyhow::Result<Option<()>> {
        match screen {
            Screen::Overview | Screen::Help => self.stream(&calls::overview_stream()).await,
            Screen::View { name, query } => self.stream(&calls::view_stream(name, query)).await,
            Screen::Why { selector } => loop {
                let why = self.ask(calls::why(Some(selector))).await?;
                if self.tell(Msg::Why(why)).await.is_none() {
                    return Ok(None);
                }
                tokio::time::sleep(WHY_PAUSE).await;
            },
            Screen::Story { message } => loop {
                let story = self.ask(calls::story(message)).await?;
                if self.tell(Msg::Story(Box::new(story))).await.is_none() {
                    return Ok(None);
                }
                tokio::time::sleep(WHY_PAUSE).await;
            },
            Screen::Tail(Tail::Session(session)) => {
                // All of it is said again when it is followed anew.
                if self.tell(Msg::Said(Vec::new(), true)).await.is_none() {
                    return Ok(None);
                }
                self.stream(&calls::transcript_stream(session)).await
            }
            Screen::Tail(Tail::Events(types)) => self.stream(&calls::event_stream(types)).await,
            Screen::Tail(Tail::Failed) => loop {
                let wish = TranscriptsQuery { failed: true, ..TranscriptsQuery::default() };
                let all = self.ask(calls::transcripts(&wish)).await?;
                let said = Msg::Said(tail::transcripts(all), true);
                if self.tell(said).await.is_none() {
                    return Ok(None);
                }
                tokio::time::sleep(WHY_PAUSE).await;
            },
        }
    }

    async fn stream(&self, call: &Call<()>) -> anyhow::Result<Option<()>> {
        let response = self.send(call).await?;
        let status = response.status().as_u16();
        let mut body = response.into_body();
        if status != 200 {
            let octets = Limited::new(body, ANSWER_OCTETS_MAX).collect().await;
            let octets = octets.map_err(|error| anyhow!("{error}"))?.to_bytes();
            call.read(status, &octets).map_err(|error| anyhow!("{error}"))?;
            return Err(anyhow!("the daemon answered with status {status}"));
        }
        if self.tell(Msg::Link(Ok(()))).await.is_none() {
            return Ok(None);
        }
        let mut reader = Reader::default();
        loop {
            let frame = tokio::time::timeout(QUIET_MAX, body.frame()).await;
            let frame = frame.context("the daemon has gone quiet")?;
            let Some(frame) = frame else { return Err(anyhow!("the daemon ended the stream")) };
            let Ok(octets) = frame?.into_data() else { continue };
            let events = reader.take(&octets).map_err(|_| anyhow!("an event is too large"))?;
            for event in events {
                if let Some(msg) = read(&event)?
                    && self.tell(msg).await.is_none()
                {
                    return Ok(None);
                }
                if event.name == "over" {
                    // There is nothing to come again for.
                    std::future::pending::<()>().await;
                }
            }
            if self.tell(Msg::Link(Ok(()))).await.is_none() {
                return Ok(None);
            }
        }
    }
}

fn read(event: &sse::Event) -> anyhow::Result<Option<Msg>> {
    let odd = "the daemon is of another version";
    Ok(Some(match event.name.as_str() {
        "overview" => Msg::Overview(serde_json::from_str(&event.data).context(odd)?),
        "window" => Msg::Window(serde_json::from_str(&event.data).context(odd)?),
        "diff" => Msg::Diff(serde_json::from_str(&event.data).context(odd)?),
        "line" => {
            let line = serde_json::from_str(&event.data).context(odd)?;
            Msg::Said(vec![tail::line(line)], false)
        }
        "over" => Msg::Said(vec![tail::over()], false),
        name if name.starts_with("message.") => {
            let event = serde_json::from_str(&event.data).context(odd)?;
            Msg::Said(vec![tail::event(&event)], false)
        }
        _ => return Ok(None),
    }))
}
