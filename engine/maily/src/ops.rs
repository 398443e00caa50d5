//! The ops listener: `/livez`, `/readyz` and `/metrics`, for machines that watch machines.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tracing::debug;

/// One thing that must hold for the daemon to be ready.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Check {
    /// Such as `spool`.
    pub name: &'static str,
    /// Whether it holds.
    pub ok: bool,
    /// Why not, or what was seen.
    pub reason: String,
}

/// What the listener asks the daemon.
pub trait Watched: Send + Sync + 'static {
    /// Whether the delivery loop still advances.
    fn alive(&self) -> bool;
    /// What must hold to take mail.
    fn checks(&self) -> Vec<Check>;
    /// All metrics in the Prometheus text format.
    fn metrics(&self) -> String;
}

/// Binds the listener; returns its address and a future that serves until dropped.
pub async fn bind(
    address: SocketAddr,
    watched: Arc<dyn Watched>,
) -> std::io::Result<(SocketAddr, impl Future<Output = ()> + Send)> {
    let listener = TcpListener::bind(address).await?;
    let local = listener.local_addr()?;
    Ok((local, serve(listener, watched)))
}

async fn serve(listener: TcpListener, watched: Arc<dyn Watched>) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                debug!(%error, "ops accept");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            }
        };
        let watched = Arc::clone(&watched);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let watched = Arc::clone(&watched);
                async move { Ok::<_, Infallible>(answer(&request, watched.as_ref())) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                debug!(%error, "ops connection");
            }
        });
    }
}

fn answer<B>(request: &Request<B>, watched: &dyn Watched) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "only GET\n".to_owned());
    }
    match request.uri().path() {
        "/livez" if watched.alive() => text(StatusCode::OK, "text/plain", "alive\n".to_owned()),
        "/livez" => {
            let stuck = "the delivery loop has not advanced\n".to_owned();
            text(StatusCode::SERVICE_UNAVAILABLE, "text/plain", stuck)
        }
        "/readyz" => {
            let checks = watched.checks();
            let ready = checks.iter().all(|check| check.ok);
            let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            let body = serde_json::json!({ "ready": ready, "checks": checks });
            text(code, "application/json", format!("{body}\n"))
        }
        "/metrics" => {
            let kind = "text/plain; version=0.0.4; charset=utf-8";
            text(StatusCode::OK, kind, watched.metrics())
        }
        _ => {
            let known = "there are /livez, /readyz and /metrics\n".to_owned();
            text(StatusCode::NOT_FOUND, "text/plain", known)
        }
    }
}

fn text(code: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Daemon(bool);

    impl Watched for Daemon {
        fn alive(&self) -> bool {
            self.0
        }

        fn checks(&self) -> Vec<Check> {
            vec![Check { name: "spool", ok: self.0, reason: "as told".to_owned() }]
        }

        fn metrics(&self) -> String {
            "maily_up 1\n".to_owned()
        }
    }

    fn get(path: &str, up: bool) -> u16 {
        let request = Request::get(path).body(()).unwrap();
        answer(&request, &Daemon(up)).status().as_u16()
    }

    #[test]
    fn health_follows_the_daemon() {
        for (path, up, code) in [
            ("/livez", true, 200),
            ("/livez", false, 503),
            ("/readyz", true, 200),
            ("/readyz?verbose", false, 503),
            ("/metrics", false, 200),
            ("/other", true, 404),
        ] {
            assert_eq!(get(path, up), code, "{path} while up is {up}");
        }
    }
}
