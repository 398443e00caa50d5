//! `maily sessions`: the SMTP sessions of the running daemon, and what was said in them.

use std::path::PathBuf;

use maily_api::calls;
use maily_api::live::{Direction, Line, Session, Speaker, Transcript, TranscriptsQuery};

use crate::command::serve;
use crate::command::tracked::shown;
use crate::exit::{Exit, Failure};
use crate::office::Office;

/// Show the SMTP sessions that go on, in and out, and what was said in them.
///
/// It asks the running daemon by its admin socket. Messages and secrets are never shown.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(after_help = "Examples:\n  maily sessions --out\n  \
    maily sessions --follow 0006452f0a1b2c3d\n  \
    maily sessions --last --failed --site example.net\n  \
    maily sessions --close 0006452f0a1b2c3d\n\n\
    C: is the client of a session, S: its server, -- what happened beside.\n\
    Exit codes: 1 there is none, 65 there is no such session, 69 no daemon answers,\n\
    77 not permitted.")]
pub struct Arguments {
    /// Only those that came to us.
    #[arg(long = "in", conflicts_with = "out")]
    come_in: bool,
    /// Only those that we opened.
    #[arg(long)]
    out: bool,
    /// Print what is said in this session, until it is over.
    #[arg(long, value_name = "SESSION", conflicts_with_all = ["last", "close"])]
    follow: Option<String>,
    /// Print what was said in the last sessions that are over, the last of them at the end.
    #[arg(long, conflicts_with = "close")]
    last: bool,
    /// Only those in which something failed.
    #[arg(long, requires = "last")]
    failed: bool,
    /// Only those with this site.
    #[arg(long, value_name = "NAME", requires = "last")]
    site: Option<String>,
    /// Only those by this egress source.
    #[arg(long, value_name = "NAME", requires = "last")]
    source: Option<String>,
    /// End this session: one in at its next turn, one out after the message under way.
    #[arg(long, value_name = "SESSION")]
    close: Option<String>,
    /// Print JSON, a line for each.
    #[arg(long)]
    json: bool,
    /// The socket of the daemon, if the configuration is not to be read.
    #[arg(long, value_name = "SOCKET")]
    admin: Option<PathBuf>,
    #[command(flatten)]
    serve: serve::Arguments,
}

/// Shows them.
pub async fn run(arguments: Arguments) -> Result<Exit, Failure> {
    let desk = Desk {
        admin: match &arguments.admin {
            Some(path) => Some(path.clone()),
            None => serve::read_only(&arguments.serve)?.http.admin.listen,
        },
        json: arguments.json,
    };
    let direction = match (arguments.come_in, arguments.out) {
        (true, _) => Some(Direction::In),
        (_, true) => Some(Direction::Out),
        _ => None,
    };
    if let Some(session) = &arguments.close {
        desk.office().await?.run(calls::close_session(session)).await?;
        return Ok(Exit::Ok);
    }
    if let Some(session) = &arguments.follow {
        return desk.follow(session).await;
    }
    if arguments.last {
        let Arguments { site, source, failed, .. } = arguments;
        return desk.last(&TranscriptsQuery { direction, site, source, failed }).await;
    }
    desk.list(direction).await
}

/// Where it is asked for.
struct Desk {
    admin: Option<PathBuf>,
    json: bool,
}

impl Desk {
    async fn office(&self) -> Result<Office, Failure> {
        Office::daemon(self.admin.as_deref()).await
    }

    #[expect(clippy::print_stdout, reason = "the result of the command")]
    async fn list(&self, direction: Option<Direction>) -> Result<Exit, Failure> {
        let (mut after, mut exit) = (None, Exit::Nothing);
        loop {
            let call = calls::sessions(after.as_deref(), direction);
            let page = self.office().await?.run(call).await?;
            for row in page.data {
                exit = Exit::Ok;
                println!("{}", if self.json { json(&row)? } else { session(&row) });
            }
            after = page.next;
            if after.is_none() {
                return Ok(exit);
            }
        }
    }

    #[expect(clippy::print_stdout, reason = "the result of the command")]
    async fn last(&self, query: &TranscriptsQuery) -> Result<Exit, Failure> {
        let transcripts = self.office().await?.run(calls::transcripts(query)).await?;
        for told in transcripts.iter().rev() {
            if self.json {
                println!("{}", json(told)?);
                continue;
            }
            println!("{}", head(told));
            told.lines.iter().for_each(|one| println!("  {}", line(one)));
        }
        Ok(if transcripts.is_empty() { Exit::Nothing } else { Exit::Ok })
    }

    #[expect(clippy::print_stdout, reason = "the result of the command")]
    async fn follow(&self, session: &str) -> Result<Exit, Failure> {
        let office = self.office().await?;
        let each = |name: &str, data: &str| {
            if name != "line" {
                return Ok(());
            }
            let one: Line = serde_json::from_str(data)?;
            println!("{}", if self.json { serde_json::to_string(&one)? } else { line(&one) });
            Ok(())
        };
        office.follow(calls::transcript_stream(session), each).await?;
        Ok(Exit::Ok)
    }
}

fn json<T: serde::Serialize>(row: &T) -> Result<String, Failure> {
    serde_json::to_string(row).map_err(|error| anyhow::Error::from(error).into())
}

/// With whom a session is.
fn whom(direction: Direction, peer: &str, site: &str, source: &str) -> String {
    let mut text = format!("{} {peer}", direction.word());
    if !site.is_empty() {
        text.push_str(&format!(" for {site} by {source}"));
    }
    text
}

/// A session in a line.
fn session(row: &Session) -> String {
    let phase = serde_json::to_value(row.phase).unwrap_or_default();
    let mut text = format!(
        "{} {} {} since {}",
        row.session,
        whom(row.direction, &row.peer, &row.site, &row.source),
        phase.as_str().unwrap_or_default(),
        row.since,
    );
    for (name, value) in
        [("tls", &row.tls), ("user", &row.user), ("message", &row.message), ("domain", &row.domain)]
    {
        if let Some(value) = value {
            text.push_str(&format!(", {name} {value}"));
        }
    }
    let failed = if row.failed { ", failed" } else { "" };
    let Session { messages, octets, command, reply, .. } = row;
    let said = format!(", messages {messages}, octets {octets}{failed}, C: {command}, S: {reply}");
    // What others say of themselves moves no cursor and begins no line.
    text.push_str(&said);
    shown(&text)
}

fn head(told: &Transcript) -> String {
    let whom = whom(told.direction, &told.peer, &told.site, &told.source);
    let how = if told.failed { "failed" } else { "went well" };
    let cut = match told.cut {
        0 => String::new(),
        lines => format!(", {lines} lines before are cut away"),
    };
    let message = told.message.as_ref().map(|id| format!(", message {id}")).unwrap_or_default();
    shown(&format!("{} {whom} began {}{message}, {how}{cut}", told.session, told.began_at))
}

fn line(line: &Line) -> String {
    let by = match line.by {
        Speaker::Client => "C:",
        Speaker::Server => "S:",
        Speaker::Note => "--",
    };
    shown(&format!("{} {by} {}", line.at, line.text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_session_is_one_harmless_line() {
        let row: Session = serde_json::from_value(json!({
            "session": "00000000000000ff", "direction": "out", "peer": "mx [192.0.2.7]:25",
            "site": "hop.example", "source": "main", "phase": "reply",
            "since": "2026-01-01T00:00:00.000Z", "began_at": "2026-01-01T00:00:00.000Z",
            "messages": 1, "octets": 7, "command": "DATA", "reply": "354 \u{1b}[2J\r\ngo",
            "message": "0000000000001", "domain": "a.example", "failed": true,
        }))
        .unwrap();
        assert_eq!(
            session(&row),
            "00000000000000ff out mx [192.0.2.7]:25 for hop.example by main reply since \
             2026-01-01T00:00:00.000Z, message 0000000000001, domain a.example, messages 1, \
             octets 7, failed, C: DATA, S: 354 ?[2J??go"
        );
    }

    #[test]
    fn a_transcript_moves_no_cursor() {
        let one = |by| Line { at: "T".into(), by, text: "a\u{1b}]0;x\u{7}\u{9b}1m\nb".into() };
        assert_eq!(line(&one(Speaker::Server)), "T S: a?]0;x??1m?b");
        assert!(line(&one(Speaker::Client)).starts_with("T C: "));
        let told = Transcript {
            session: "1".into(),
            direction: Direction::In,
            peer: "\u{1b}c".into(),
            site: String::new(),
            source: String::new(),
            began_at: "T".into(),
            message: None,
            over: true,
            failed: false,
            cut: 3,
            lines: Vec::new(),
        };
        assert_eq!(head(&told), "1 in ?c began T, went well, 3 lines before are cut away");
    }
}
