//! The sample mailing of `maily dev`: made up, but handed in by SMTP as any application would.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context;
use mail_send::SmtpClient;
use mail_send::smtp::message::{Address, Message, Parameters};
use parking_lot::Mutex;
use tokio::net::TcpStream;

use crate::dev::world::SENDER_DOMAIN;

/// Connections that hand in the mailing.
const SESSIONS: usize = 8;
/// How long a client waits for any reply of the daemon.
const REPLY_WAIT: Duration = Duration::from_secs(60);

/// One message of the mailing that the daemon has answered with 250.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Acknowledged {
    /// With its angle brackets.
    pub message_id: Box<str>,
    /// The recipient.
    pub recipient: Box<str>,
}

/// A mailing that is being handed in.
#[derive(Debug, Default)]
pub struct Sample {
    next: AtomicUsize,
    acknowledged: Mutex<Vec<Acknowledged>>,
}

impl Sample {
    /// Hands in `messages` messages, spread over the domains, and returns when all are answered.
    ///
    /// # Errors
    /// The daemon could not be reached or refused a message.
    pub async fn hand_in(
        self: &Arc<Self>,
        daemon: SocketAddr,
        messages: usize,
        domains: Arc<Vec<String>>,
    ) -> anyhow::Result<()> {
        let mut sessions = tokio::task::JoinSet::new();
        for _ in 0..SESSIONS.min(messages) {
            let sample = Arc::clone(self);
            let domains = Arc::clone(&domains);
            sessions.spawn(async move { sample.session(daemon, messages, &domains).await });
        }
        while let Some(ended) = sessions.join_next().await {
            ended.context("a client session died")??;
        }
        Ok(())
    }

    /// Messages answered with 250 so far.
    pub fn acknowledged(&self) -> Vec<Acknowledged> {
        self.acknowledged.lock().clone()
    }

    async fn session(
        &self,
        daemon: SocketAddr,
        messages: usize,
        domains: &[String],
    ) -> anyhow::Result<()> {
        let mut client = connect(daemon).await?;
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= messages {
                break;
            }
            let Some(domain) = domains.get(number % domains.len().max(1)) else { break };
            let sent = Acknowledged {
                message_id: format!("<sample-{number}@{SENDER_DOMAIN}>").into(),
                recipient: format!("reader{number}@{domain}").into(),
            };
            client
                .send(message(&sent))
                .await
                .with_context(|| format!("message {number} was not taken"))?;
            self.acknowledged.lock().push(sent);
        }
        client.quit().await.context("QUIT")
    }
}

async fn connect(daemon: SocketAddr) -> anyhow::Result<SmtpClient<TcpStream>> {
    let mut client = SmtpClient::connect(daemon, REPLY_WAIT)
        .await
        .with_context(|| format!("the daemon does not answer on {daemon}"))?;
    // Without it each message waits 40 ms for a delayed acknowledgement.
    client.stream.set_nodelay(true)?;
    client.read().await.context("greeting")?;
    client.ehlo(SENDER_DOMAIN).await.context("EHLO")?;
    Ok(client)
}

fn message(sent: &Acknowledged) -> Message<'static> {
    let body = format!(
        "From: Sample <news@{SENDER_DOMAIN}>\r\n\
         To: <{}>\r\n\
         Subject: Hello from the sample mailing\r\n\
         Message-ID: {}\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\
         X-Maily-Campaign: sample\r\n\
         X-Maily-Class: bulk\r\n\
         \r\n\
         {}",
        sent.recipient,
        sent.message_id,
        "This is one of many, and it should arrive exactly once.\r\n".repeat(40),
    );
    let address = |email: String| Address { email: email.into(), parameters: Parameters::new() };
    Message {
        mail_from: address(format!("bounces@{SENDER_DOMAIN}")),
        rcpt_to: vec![address(sent.recipient.to_string())],
        body: body.into_bytes().into(),
    }
}
