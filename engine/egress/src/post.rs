//! Posts to a URL, or asks it: what webhooks and plugins need of HTTP (RFC 9110), over TLS or in
//! clear.
//!
//! The URL is somebody else's word. Its name is looked up once, and the connection goes to an
//! address that was looked at: one inside our own network is refused unless it is listed. Redirects
//! are answers like any other; nothing follows them, and of an answer no more is read than was
//! asked for.

use std::fmt;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use bytes::BytesMut;
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::Request;
use hyper::Uri;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header;
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use rustls::pki_types::ServerName;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use maily_core::smtp::client::TlsPolicy;

use crate::guard;
use crate::resolve::Resolver;
use crate::tls::Tls;

/// All of it must be done within this time, from the look-up to the status.
pub const POST_TIMEOUT: Duration = Duration::from_secs(15);

/// Where to post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    tls: bool,
    host: Box<str>,
    port: u16,
    authority: Box<str>,
    path: Box<str>,
}

/// The text is no URL that can be posted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it must be an http or https URL with a host, without a user name")]
pub struct InvalidTarget;

impl Target {
    /// Reads a URL.
    ///
    /// # Errors
    /// It is none that can be posted to.
    pub fn parse(url: &str) -> Result<Self, InvalidTarget> {
        let uri: Uri = url.parse().map_err(|_| InvalidTarget)?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(InvalidTarget),
        };
        let authority = uri.authority().ok_or(InvalidTarget)?;
        let host = authority.host();
        if host.is_empty() || authority.as_str().contains('@') {
            return Err(InvalidTarget);
        }
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            tls,
            host: host.into(),
            port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            authority: authority.as_str().into(),
            path: path.into(),
        })
    }
}

/// Why there is no status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PostError {
    /// The host has no address that we may connect to.
    Refused,
    /// It did not come about.
    Failed(Box<str>),
    /// It took too long.
    TooSlow,
}

impl fmt::Display for PostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("its address is one that must not be connected to"),
            Self::Failed(why) => f.write_str(why),
            Self::TooSlow => write!(f, "no answer within {} s", POST_TIMEOUT.as_secs()),
        }
    }
}

fn failed(error: impl fmt::Display) -> PostError {
    PostError::Failed(error.to_string().into())
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// How (RFC 9110 9).
    pub method: &'a str,
    /// Header fields beside ours.
    pub fields: &'a [(&'a str, &'a str)],
    /// What is sent.
    pub body: Bytes,
    /// Octets of the answer's body that are read; the rest is left.
    pub answer_octets_max: usize,
}

/// What posts.
pub struct Poster {
    resolver: Resolver,
    allowed: Vec<IpNet>,
    tls: Option<Tls>,
}

impl Poster {
    /// Looks names up with this resolver, and connects to public addresses and to these networks;
    /// by https only with issuers to verify hosts by.
    pub const fn new(resolver: Resolver, allowed: Vec<IpNet>, tls: Option<Tls>) -> Self {
        Self { resolver, allowed, tls }
    }

    /// Posts JSON with these fields; gives the status of the answer.
    ///
    /// # Errors
    /// There is none.
    pub async fn post(
        &self,
        target: &Target,
        fields: &[(&str, String)],
        body: Bytes,
    ) -> Result<u16, PostError> {
        let posting = self.connect_and_post(target, fields, body);
        tokio::time::timeout(POST_TIMEOUT, posting).await.unwrap_or(Err(PostError::TooSlow))
    }

    /// Asks as told; gives the status of the answer and so much of its body.
    ///
    /// # Errors
    /// There is none within the time.
    pub async fn ask(
        &self,
        target: &Target,
        question: Question<'_>,
        timeout: Duration,
    ) -> Result<(u16, Bytes), PostError> {
        let asking = self.connect_and_ask(target, question);
        tokio::time::timeout(timeout, asking).await.unwrap_or(Err(PostError::TooSlow))
    }

    async fn connect_and_post(
        &self,
        target: &Target,
        fields: &[(&str, String)],
        body: Bytes,
    ) -> Result<u16, PostError> {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let question = Question { method: "POST", fields: &fields, body, answer_octets_max: 0 };
        self.connect_and_ask(target, question).await.map(|(status, _)| status)
    }

    async fn connect_and_ask(
        &self,
        target: &Target,
        question: Question<'_>,
    ) -> Result<(u16, Bytes), PostError> {
        let address = self.address(&target.host).await?;
        let place = SocketAddr::new(address, target.port);
        let stream = TcpStream::connect(place).await.map_err(failed)?;
        if !target.tls {
            return exchange(stream, target, question).await;
        }
        let tls = self.tls.as_ref().ok_or_else(|| failed("there are no issuers to verify by"))?;
        let config = tls.config(TlsPolicy::Verify).map_err(failed)?;
        let name = ServerName::try_from(target.host.to_string()).map_err(failed)?;
        let stream = TlsConnector::from(config).connect(name, stream).await.map_err(failed)?;
        exchange(stream, target, question).await
    }

    async fn address(&self, host: &str) -> Result<IpAddr, PostError> {
        let found = self.resolver.addresses(host).await;
        let found = found.map_err(|none| PostError::Failed(none.why.into()))?;
        let mut may = found.into_iter().filter(|one| guard::may_connect(*one, &self.allowed));
        may.next().ok_or(PostError::Refused)
    }
}

async fn exchange<S>(
    stream: S,
    target: &Target,
    question: Question<'_>,
) -> Result<(u16, Bytes), PostError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut request = Request::builder()
        .method(question.method)
        .uri(&*target.path)
        .header(header::HOST, &*target.authority)
        .header(header::USER_AGENT, concat!("Maily/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close");
    let named = |name| question.fields.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
    if !question.body.is_empty() && !named("content-type") {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    for (name, value) in question.fields {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(question.body)).map_err(failed)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let mut connection = std::pin::pin!(connection);
    let mut answered = std::pin::pin!(async {
        let answer = sender.send_request(request).await.map_err(failed)?;
        let status = answer.status().as_u16();
        let body = gather(answer.into_body(), question.answer_octets_max).await?;
        Ok((status, body))
    });
    let mut open = true;
    loop {
        tokio::select! {
            answer = &mut answered => return answer,
            // What ended it is told by the answer that does not come.
            _ = &mut connection, if open => open = false,
        }
    }
}

/// So much of a body, and no more.
async fn gather(mut body: Incoming, octets_max: usize) -> Result<Bytes, PostError> {
    let mut gathered = BytesMut::new();
    while gathered.len() < octets_max
        && let Some(frame) = body.frame().await
    {
        if let Ok(octets) = frame.map_err(failed)?.into_data() {
            let room = octets_max - gathered.len();
            gathered.extend_from_slice(octets.get(..room).unwrap_or(&octets));
        }
    }
    Ok(gathered.freeze())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use maily_core::clock::Clock;
    use maily_core::clock::Timestamp;
    use tokio::io::AsyncReadExt;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use crate::resolve::Options;
    use crate::resolve::Own;
    use crate::route::FixedRoutes;

    use super::*;

    struct Still;

    impl Clock for Still {
        fn now(&self) -> Timestamp {
            Timestamp::EPOCH
        }
    }

    fn poster(allowed: &[&str]) -> Poster {
        let options = Options {
            servers: vec!["127.0.0.1:9".parse().unwrap()],
            timeout: Duration::from_secs(1),
            port: 25,
            fixed: FixedRoutes::default(),
            own: Own::default(),
        };
        let resolver = Resolver::new(options, Arc::new(Still)).unwrap();
        Poster::new(resolver, allowed.iter().map(|net| net.parse().unwrap()).collect(), None)
    }

    /// Answers one request with this; gives what it was sent.
    async fn serve(answer: &'static str) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?a=b", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut got = Vec::new();
            while !got.ends_with(b"{}") {
                let mut octets = [0; 1_024];
                let count = stream.read(&mut octets).await.unwrap();
                got.extend_from_slice(&octets[..count]);
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(got).unwrap()
        });
        (url, serving)
    }

    #[tokio::test]
    async fn what_is_posted_arrives_and_a_redirect_is_not_followed() {
        let answer = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n";
        let (url, serving) = serve(answer).await;
        let fields = [("webhook-id", "7-0".to_owned())];
        let poster = poster(&["127.0.0.0/8"]);
        let status = poster.post(&Target::parse(&url).unwrap(), &fields, "{}".into()).await;
        assert_eq!(status, Ok(302));
        let got = serving.await.unwrap();
        assert!(got.starts_with("POST /hook?a=b HTTP/1.1\r\n"), "{got}");
        assert!(got.contains("webhook-id: 7-0\r\n") && got.contains("content-length: 2\r\n"));
    }

    #[tokio::test]
    async fn an_inner_address_is_refused_unless_it_is_listed() {
        for url in ["http://127.0.0.1:1/", "http://[::1]/", "http://169.254.169.254/latest"] {
            let status = poster(&[]).post(&Target::parse(url).unwrap(), &[], "{}".into()).await;
            assert_eq!(status, Err(PostError::Refused), "{url}");
        }
        let listed = poster(&["127.0.0.0/8"]);
        let nobody = Target::parse("http://127.0.0.1:1/").unwrap();
        let status = listed.post(&nobody, &[], "{}".into()).await;
        assert!(matches!(status, Err(PostError::Failed(_))), "nobody is there");
    }

    #[test]
    fn a_target_is_a_url_with_a_host_and_no_user() {
        let port = |url| Target::parse(url).map(|target| (target.host.to_string(), target.port));
        assert_eq!(port("https://a.example"), Ok(("a.example".into(), 443)));
        assert_eq!(port("http://[::1]:8080/x"), Ok(("::1".into(), 8080)));
        for bad in
            ["", "a.example", "/x", "ftp://a.example/", "https://u:p@a.example/", "https:///"]
        {
            assert_eq!(port(bad), Err(InvalidTarget), "{bad}");
        }
    }
}
