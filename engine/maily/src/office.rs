//! Where commands go that change what is registered: to the daemon, by its admin socket; or, if no
//! daemon runs, to the same routes in this process, on the registry's own folder. Both write into
//! the audit log.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::CONTENT_TYPE;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use maily_api::call::Call;
use maily_config::config::Config;
use maily_core::clock::Clock;
use maily_http::api;
use maily_http::parts::Shared;
use maily_http::presence::Presence;

use crate::exit::{Exit, Failure};
use crate::fronts;
use crate::server_events::Reader;

/// The most octets of an answer that are read.
const ANSWER_OCTETS_MAX: usize = 16 << 20;

/// Who does it.
pub enum Office {
    /// The daemon.
    Daemon(UnixStream),
    /// This process.
    Here(Arc<Shared>),
}

impl Office {
    /// The daemon, if it runs; else this process.
    pub async fn find(config: &Config, clock: &Arc<dyn Clock>) -> Result<Self, Failure> {
        if let Some(path) = &config.http.admin.listen
            && let Some(stream) = reach(path).await?
        {
            return Ok(Self::Daemon(stream));
        }
        let parts = fronts::parts(config, clock).map_err(|failure| {
            let hint = "if the daemon runs, set http.admin.listen and start it again";
            Failure::new(failure.exit, failure.error.context(hint))
        })?;
        Ok(Self::Here(Shared::new(parts)))
    }

    /// The daemon that answers at this socket, and nobody else.
    pub async fn daemon(socket: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = socket else {
            let error = anyhow!("http.admin.listen is not set: the daemon has no socket to ask at");
            return Err(Failure::new(Exit::Config, error));
        };
        let stream = reach(path).await?;
        let nobody = || anyhow!("{}: no daemon answers", path.display());
        stream.map(Self::Daemon).ok_or_else(|| Failure::new(Exit::Unavailable, nobody()))
    }

    /// Makes one call; gives what is answered.
    pub async fn run<T: DeserializeOwned>(self, call: Call<T>) -> Result<T, Failure> {
        let request = request(&call)?;
        let (status, octets) = match self {
            Self::Daemon(stream) => ask(stream, request).await?,
            Self::Here(shared) => {
                let uid = rustix::process::geteuid().as_raw();
                read(api::answer(shared, request, Presence::Local { uid }).await).await?
            }
        };
        understood(&call, status, &octets)
    }

    /// Makes one call that is answered by a stream; gives the name and the data of each event, as
    /// they come, until it ends.
    pub async fn follow(
        self,
        call: Call<()>,
        mut each: impl FnMut(&str, &str) -> anyhow::Result<()>,
    ) -> Result<(), Failure> {
        let Self::Daemon(stream) = self else {
            return Err(Failure::new(Exit::Unavailable, anyhow!("no daemon runs")));
        };
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(anyhow::Error::from)?;
        // It ends with the stream, or with this process.
        tokio::spawn(connection);
        let sent = sender.send_request(request(&call)?).await.map_err(anyhow::Error::from)?;
        if !sent.status().is_success() {
            let (status, octets) = read(sent).await?;
            return understood(&call, status, &octets);
        }
        let (mut body, mut reader) = (sent.into_body(), Reader::default());
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| anyhow!("the stream broke off: {error}"))?;
            let octets = frame.into_data().unwrap_or_default();
            for event in reader.read(&octets)? {
                each(&event.name, &event.data)?;
            }
        }
        Ok(())
    }
}

fn understood<T: DeserializeOwned>(
    call: &Call<T>,
    status: u16,
    octets: &[u8],
) -> Result<T, Failure> {
    call.read(status, octets).map_err(|error| {
        let exit = match status {
            403 => Exit::NoPermission,
            500.. => Exit::TempFail,
            _ => Exit::Data,
        };
        Failure::new(exit, error)
    })
}

/// The daemon's socket; none if nobody answers there.
async fn reach(path: &Path) -> Result<Option<UnixStream>, Failure> {
    match UnixStream::connect(path).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            let text = format!("{}: you are not in its group", path.display());
            Err(Failure::new(Exit::NoPermission, anyhow::Error::from(error).context(text)))
        }
        Err(_) => Ok(None),
    }
}

fn request<T>(call: &Call<T>) -> anyhow::Result<Request<Full<Bytes>>> {
    let mut request = Request::builder().method(call.method).uri(&call.path);
    request = request.header("host", "localhost");
    for (name, value) in &call.fields {
        request = request.header(*name, value);
    }
    if call.body.is_some() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    let body = call.body.clone().unwrap_or_default();
    request.body(Full::from(body)).context("this cannot be asked for")
}

async fn ask(stream: UnixStream, request: Request<Full<Bytes>>) -> anyhow::Result<(u16, Bytes)> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answered = async { read(sender.send_request(request).await?).await };
    tokio::select! {
        answered = answered => answered,
        ended = connection => {
            ended?;
            bail!("the daemon closed the connection")
        }
    }
}

async fn read<B>(response: Response<B>) -> anyhow::Result<(u16, Bytes)>
where
    B: hyper::body::Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), ANSWER_OCTETS_MAX).collect().await;
    let body = body.map_err(|error| anyhow!("the answer broke off: {error}"))?;
    Ok((status, body.to_bytes()))
}
