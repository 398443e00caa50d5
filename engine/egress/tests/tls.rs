//! TLS towards next hops, by each policy, with certificates made on the spot.
#![expect(clippy::unwrap_used, reason = "a test that cannot do its part must fail")]

mod support;

use std::sync::{Arc, Mutex};

use maily_core::mail::outcome::{EnhancedStatus, Outcome};
use maily_core::smtp::client::TlsPolicy;
use maily_core::smtp::client::login::Login;
use maily_egress::connection::Connection;
use maily_egress::opening;
use maily_egress::route::Route;
use maily_egress::tls::Tls;
use maily_live::session::Live;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::support::{delivery, message, resolver, route, settings, source};

/// What a server heard, each line with whether it came under TLS.
type Heard = Arc<Mutex<Vec<(bool, String)>>>;

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap().der().clone();
    Authority { issuer: Issuer::new(params, key), certificate }
}

/// A server side with a certificate of the authority for this name, which has `expired` or not.
fn signed(authority: &Authority, name: &str, expired: bool) -> TlsAcceptor {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    if expired {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 2, 1);
    }
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &authority.issuer).unwrap();
    acceptor(certificate.der().clone(), &key)
}

fn self_signed() -> TlsAcceptor {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    acceptor(certificate.der().clone(), &key)
}

fn acceptor(certificate: CertificateDer<'static>, key: &KeyPair) -> TlsAcceptor {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// A server that takes everything; without an acceptor it does not offer STARTTLS.
async fn server(acceptor: Option<TlsAcceptor>) -> (u16, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Heard::default();
    let noted = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (acceptor, heard) = (acceptor.clone(), Arc::clone(&noted));
            tokio::spawn(async move {
                stream.write_all(b"220 hop\r\n").await.unwrap();
                let offer: &[&str] = if acceptor.is_some() { &["STARTTLS"] } else { &[] };
                let asked = talk(&mut stream, offer, &heard, false).await;
                if let (true, Some(acceptor)) = (asked, acceptor)
                    && let Ok(mut stream) = acceptor.accept(stream).await
                {
                    let offer = ["PIPELINING", "CHUNKING", "AUTH PLAIN"];
                    talk(&mut stream, &offer, &heard, true).await;
                }
            });
        }
    });
    (port, heard)
}

/// Talks until the client leaves (false) or asks for TLS (true).
async fn talk<S>(stream: &mut S, offer: &[&str], heard: &Heard, tls: bool) -> bool
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if !matches!(stream.read_line(&mut line).await, Ok(octets) if octets > 0) {
            return false;
        }
        heard.lock().unwrap().push((tls, line.clone()));
        let mut words = line.split_ascii_whitespace();
        let reply = match words.next().unwrap_or_default() {
            "EHLO" => {
                let lines: String = offer.iter().map(|word| format!("250-{word}\r\n")).collect();
                format!("250-hop\r\n{lines}250 8BITMIME\r\n")
            }
            "STARTTLS" => "220 go\r\n".to_owned(),
            "AUTH" => "235 2.7.0 welcome\r\n".to_owned(),
            "BDAT" => {
                let octets: usize = words.next().unwrap().parse().unwrap();
                let mut chunk = vec![0; octets];
                if stream.read_exact(&mut chunk).await.is_err() {
                    return false;
                }
                format!("250 2.0.0 {octets} taken\r\n")
            }
            _ => "250 2.0.0 OK\r\n".to_owned(),
        };
        if stream.write_all(reply.as_bytes()).await.is_err() || stream.flush().await.is_err() {
            return false;
        }
        if line.starts_with("STARTTLS") {
            return true;
        }
    }
}

/// Opens a session as the route says; `issuer` is who is trusted.
async fn open(route: &Route, issuer: &Authority) -> Result<Connection, Outcome> {
    let mut settings = settings(TlsPolicy::May);
    settings.tls_client = Tls::verifying(Some(vec![issuer.certificate.clone()])).unwrap();
    opening::open(&resolver(), route, &source(), &settings, &Arc::new(Live::unseen())).await
}

async fn by_policy(
    acceptor: Option<TlsAcceptor>,
    tls: TlsPolicy,
) -> (Result<Connection, Outcome>, Heard) {
    by_policy_and_issuer(acceptor, tls, &authority()).await
}

async fn by_policy_and_issuer(
    acceptor: Option<TlsAcceptor>,
    tls: TlsPolicy,
    issuer: &Authority,
) -> (Result<Connection, Outcome>, Heard) {
    let (port, heard) = server(acceptor).await;
    let route = Route { tls: Some(tls), ..route("127.0.0.1", port) };
    (open(&route, issuer).await, heard)
}

#[tokio::test]
async fn a_certificate_that_is_valid_for_the_host_is_verified() {
    let authority = authority();
    let acceptor = signed(&authority, "127.0.0.1", false);
    let (opened, heard) = by_policy_and_issuer(Some(acceptor), TlsPolicy::Verify, &authority).await;
    let mut connection = opened.ok().unwrap();
    assert!(connection.peer().tls.starts_with("TLSv1_3"), "{}", connection.peer().tls);
    // More than the buffers on the way hold, under TLS.
    let outcome = connection.deliver(delivery(&message(8 << 20))).await.remove(0).1;
    assert!(matches!(outcome, Outcome::Delivered(_)), "{outcome:?}");
    let heard = heard.lock().unwrap();
    assert!(
        heard
            .iter()
            .all(|(tls, line)| *tls || line.starts_with("EHLO") || line.starts_with("STARTTLS"))
    );
}

#[tokio::test]
async fn a_certificate_that_is_not_valid_defers_and_nothing_is_sent() {
    let trusted = authority();
    let wrong = [
        ("another name", signed(&trusted, "127.0.0.2", false)),
        ("expired", signed(&trusted, "127.0.0.1", true)),
        ("self-signed", self_signed()),
        ("of another issuer", signed(&authority(), "127.0.0.1", false)),
    ];
    for (what, acceptor) in wrong {
        let (opened, heard) =
            by_policy_and_issuer(Some(acceptor), TlsPolicy::Verify, &trusted).await;
        let outcome = opened.err().unwrap();
        assert!(matches!(outcome, Outcome::Deferred { .. }), "{what}: {outcome:?}");
        assert_eq!(outcome.diagnosis().status, EnhancedStatus::new(4, 7, 5), "{what}");
        assert!(outcome.diagnosis().text().contains("certificate"), "{what}: {outcome:?}");
        let mail = heard.lock().unwrap().iter().any(|(_, line)| line.starts_with("MAIL"));
        assert!(!mail, "{what}: sent all the same");
    }
}

#[tokio::test]
async fn any_certificate_will_do_where_only_encryption_is_asked_for() {
    for policy in [TlsPolicy::May, TlsPolicy::Require] {
        let (opened, _) = by_policy(Some(self_signed()), policy).await;
        assert!(!opened.ok().unwrap().peer().tls.is_empty(), "{policy:?}");
    }
    let (opened, heard) = by_policy(Some(self_signed()), TlsPolicy::Off).await;
    assert!(opened.ok().unwrap().peer().tls.is_empty());
    assert!(!heard.lock().unwrap().iter().any(|(_, line)| line.starts_with("STARTTLS")));
}

#[tokio::test]
async fn where_tls_must_be_a_server_without_it_gets_nothing() {
    for policy in [TlsPolicy::Require, TlsPolicy::Verify] {
        let (opened, heard) = by_policy(None, policy).await;
        let outcome = opened.err().unwrap();
        assert!(matches!(outcome, Outcome::Deferred { .. }), "{outcome:?}");
        assert_eq!(outcome.diagnosis().status, EnhancedStatus::new(4, 7, 4));
        let heard = heard.lock().unwrap();
        assert!(heard.iter().all(|(_, line)| line.starts_with("EHLO")), "{heard:?}");
    }
    let (opened, _) = by_policy(None, TlsPolicy::May).await;
    assert!(opened.is_ok(), "in clear, where TLS is a wish");
}

#[tokio::test]
async fn a_smarthost_gets_the_password_under_tls_and_before_any_mail() {
    let authority = authority();
    let (port, heard) = server(Some(signed(&authority, "127.0.0.1", false))).await;
    let login = Some(Arc::new(Login { user: "ann".into(), password: "secret".into() }));
    let route = Route { tls: Some(TlsPolicy::Verify), login, ..route("127.0.0.1", port) };
    let mut connection = open(&route, &authority).await.ok().unwrap();
    connection.deliver(delivery(&message(100))).await;
    let heard = heard.lock().unwrap();
    let at = |verb: &str| heard.iter().position(|(_, line)| line.starts_with(verb)).unwrap();
    assert_eq!(heard[at("AUTH")], (true, "AUTH PLAIN AGFubgBzZWNyZXQ=\r\n".to_owned()));
    assert!(at("AUTH") < at("MAIL"));
}
