//! `maily sink`: a test server that receives, counts and forgets.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;

use maily_core::clock::Clock;

use crate::exit::{Exit, Failure};
use crate::sink::behaviour::Behaviour;
use crate::sink::ledger::Ledger;
use crate::sink::session::Sink;
use crate::tls;

/// Receive mail, count it and throw it away: something to send to while testing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    maily sink --keep /tmp/mail               take all mail on 127.0.0.1:2526, keep it\n  \
    maily sink --behave reject:0.1 --json     refuse a tenth of the recipients")]
pub struct Arguments {
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:2526")]
    listen: SocketAddr,
    /// How to behave: accept, greylist:SECONDS, throttle:MESSAGES, reject:SHARE,
    /// slow:MILLISECONDS or cut:MESSAGES.
    #[arg(long, value_name = "BEHAVIOUR", default_value = "accept")]
    behave: Behaviour,
    /// Offer STARTTLS with a certificate made on the spot.
    #[arg(long)]
    tls: bool,
    /// End after this many messages.
    #[arg(long, value_name = "N")]
    messages: Option<u64>,
    /// Keep each Message-ID and recipient, and count what came more than once.
    #[arg(long)]
    remember: bool,
    /// Keep each message: N.eml is the message, N.envelope the commands it came with.
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
    /// Print the counts as one JSON object at the end.
    #[arg(long)]
    json: bool,
}

/// Serves until interrupted, or until the messages asked for have come.
pub async fn run(arguments: Arguments, clock: Arc<dyn Clock>) -> Result<Exit, Failure> {
    let ledger = Arc::new(match &arguments.keep {
        Some(folder) => {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))
                .map_err(|error| Failure::new(Exit::Io, error))?;
            Ledger::keeping(folder.clone())
        }
        None => Ledger::default(),
    });
    let sink = Sink {
        name: "sink.maily.example".into(),
        behaviour: arguments.behave.clone(),
        ledger: Arc::clone(&ledger),
        tls: if arguments.tls { Some(tls::self_signed("sink.maily.example")?) } else { None },
        clock,
        remember: arguments.remember,
    };
    let (address, serve) = sink
        .bind(arguments.listen)
        .await
        .with_context(|| format!("cannot listen on {}", arguments.listen))
        .map_err(|error| Failure::new(Exit::Unavailable, error))?;
    eprintln!("sink listens on {address}; end it with Ctrl-C");
    tokio::select! {
        () = serve => {}
        () = enough(&ledger, arguments.messages) => {}
        end = tokio::signal::ctrl_c() => end.context("signals")?,
    }
    print(&ledger, arguments.json);
    Ok(Exit::Ok)
}

async fn enough(ledger: &Ledger, messages: Option<u64>) {
    let Some(messages) = messages else { return std::future::pending().await };
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    while ledger.messages.load(Ordering::Relaxed) < messages {
        tick.tick().await;
    }
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
fn print(ledger: &Ledger, json: bool) {
    let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let again: u32 = ledger.taken().values().map(|times| times - 1).sum();
    let counts = [
        ("connections", read(&ledger.connections)),
        ("messages", read(&ledger.messages)),
        ("octets", read(&ledger.octets)),
        ("encrypted", read(&ledger.encrypted)),
        ("signed", read(&ledger.signed)),
        ("greylisted", read(&ledger.greylisted)),
        ("rejected", read(&ledger.rejected)),
        ("throttled", read(&ledger.throttled)),
        ("cut", read(&ledger.cut)),
        ("duplicates", again.into()),
    ];
    if json {
        let object: serde_json::Map<_, _> =
            counts.iter().map(|(name, count)| ((*name).to_owned(), (*count).into())).collect();
        println!("{}", serde_json::Value::Object(object));
    } else {
        for (name, count) in counts {
            println!("{name:>12} {count}");
        }
    }
}
