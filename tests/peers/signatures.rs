//! Verifiers that others wrote, dkimpy and OpenDKIM, judge our DKIM signatures on mail as it came
//! out of the wire.

use std::fmt::Write as _;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use maily_core::dkim::key::SigningKey;

use crate::support::daemon::Daemon;
use crate::support::process::run;
use crate::support::tools::python;
use crate::support::tools::tool;
use crate::support::world::DOMAIN;
use crate::support::world::World;

/// Odd messages in one run; `MAILY_SIGNED` asks for more, `MAILY_SEED` for others.
const MESSAGES: usize = 100;
/// Selector and key file.
const KEYS: [(&str, &str); 2] = [
    ("rsa", include_str!("../../engine/core/src/dkim/keys/rsa-2048.pem")),
    ("ed", include_str!("../../engine/core/src/dkim/keys/ed25519.pem")),
];

/// Octets of chance (xorshift64), from a seed that is printed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    /// Some of these, one after the other.
    fn some(&mut self, choices: &[&str], count_max: usize) -> String {
        (0..self.below(count_max + 1)).map(|_| self.of(choices)).collect()
    }
}

/// A message as odd as clients make them: folds in strange places, tabs, empty lines, eight bits,
/// lines as long as they may be, dots, no body. But no space before a colon (RFC 5322 4.5), which
/// dkimpy does not read.
fn odd_message(number: usize, chance: &mut Chance) -> String {
    let long = "x".repeat(900);
    let mut message = format!(
        "{}client.example>\r\nSubject:{}{number}\r\n",
        chance.of(&[
            "From: <a@",
            "FROM:\"Doe, Jane\"\r\n\t<jane@",
            "from:=?utf-8?q?J=C3=BCrgen?=\t <j@",
            "From: Ann (at work \\) ) <ann@news.",
        ]),
        chance.of(&["", " ", "\t", "  \t ", "\r\n ", " Größe\r\n\t", " a  b\t\tc\r\n  d "]),
    );
    let fields = [
        "To: b@sink.example\r\n",
        "to: \r\n b@sink.example,\r\n\tc@sink.example\r\n",
        "Date: Wed, 25 Nov 2026 22:00:00 +0000\r\n",
        "Message-ID:<1@client.example>\r\n",
        "MIME-Version: 1.0\r\nContent-Type: text/plain;\r\n\tcharset=\"utf-8\"\r\n",
        "Content-Transfer-Encoding: 8bit\r\n",
        "List-Unsubscribe:\t<https://client.example/u?1>,\r\n <mailto:u@client.example>\r\n",
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click \r\n",
        "References: <1@x>\r\n <2@x>\r\n\t<3@x>\r\n",
        "X-Odd:\r\n",
        "X-Odd: a:b;c=d\r\n \r\n",
        "X-Odd: ünïcode\r\n",
        "Received: from nowhere\r\n",
        "Feedback-ID: 1:2:3:me\r\n",
    ];
    message.push_str(&chance.some(&fields, 8));
    message.push_str("\r\n");
    let body = [
        "a line of text\r\n",
        "two  blanks, a\ttab and blanks at the end \t\r\n",
        "\r\n",
        "\r\n\r\n\r\n",
        " \t \r\n",
        ".\r\n",
        "..two dots\r\n",
        "\t\tindented\r\n",
        "Größe: мир\r\n",
        "From the beginning\r\n",
        &format!("{long}\r\n"),
    ];
    message.push_str(&chance.some(&body, 12));
    message
}

/// Hands in each message by SMTP.
fn hand_in(address: SocketAddr, messages: &[String]) {
    let mut stream = TcpStream::connect(address).unwrap();
    let mut replies = BufReader::new(stream.try_clone().unwrap());
    let mut say = |text: &str, code: &str| {
        stream.write_all(text.as_bytes()).unwrap();
        loop {
            let mut line = String::new();
            replies.read_line(&mut line).unwrap();
            if line.get(3..4) != Some("-") {
                assert!(line.starts_with(code), "{text}: {line}");
                return;
            }
        }
    };
    say("", "220");
    say("EHLO client.example\r\n", "250");
    for message in messages {
        say("MAIL FROM:<bounce@client.example> BODY=8BITMIME\r\n", "250");
        say(&format!("RCPT TO:<b@{DOMAIN}>\r\n"), "250");
        say("DATA\r\n", "354");
        let stuffed = message.replace("\r\n.", "\r\n..");
        say(&format!("{stuffed}.\r\n"), "250");
    }
}

/// The keys as files and their tables in the configuration.
fn keys(folder: &Path) -> String {
    let mut tables = "[smtp]\nrelay_networks = [\"127.0.0.0/8\"]\n".to_owned();
    for (selector, pem) in KEYS {
        let path = folder.join(format!("{selector}.pem"));
        std::fs::write(&path, pem).unwrap();
        let path = path.display();
        writeln!(tables, "[[dkim]]\ndomain = \"client.example\"\nselector = \"{selector}\"")
            .unwrap();
        writeln!(tables, "key = \"{path}\"").unwrap();
    }
    tables
}

/// What is published, a line `name record` for each key.
fn records(folder: &Path) -> PathBuf {
    let mut text = String::new();
    for (selector, pem) in KEYS {
        let record = SigningKey::from_pem(pem.as_bytes()).unwrap().record().unwrap();
        // OpenDKIM's test file wants no space inside a record.
        let record = record.replace(' ', "");
        writeln!(text, "{selector}._domainkey.client.example {record}").unwrap();
    }
    let path = folder.join("records");
    std::fs::write(&path, text).unwrap();
    path
}

/// What OpenDKIM says of a message.
fn opendkim(folder: &Path, records: &Path, message: &Path) -> String {
    let config = folder.join("opendkim.conf");
    let text = format!("Mode v\nSyslog no\nTestPublicKeys {}\n", records.display());
    std::fs::write(&config, text).unwrap();
    let output = run(Command::new(tool("opendkim"))
        .args(["-v", "-x", &config.display().to_string()])
        .args(["-t", &message.display().to_string()]));
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

fn number_of(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn dkimpy_and_opendkim_accept_odd_mail_after_the_wire_and_no_tampering() {
    let folder = tempfile::tempdir().unwrap();
    let seed = number_of("MAILY_SEED", 6_376);
    let count = number_of("MAILY_SIGNED", MESSAGES as u64) as usize;
    println!("MAILY_SEED={seed} MAILY_SIGNED={count}");
    let mut chance = Chance(seed.max(1));
    let messages: Vec<_> = (0..count).map(|number| odd_message(number, &mut chance)).collect();

    let world = World::start(folder.path());
    let tables = keys(folder.path());
    let daemon = Daemon::start(folder.path(), world.dns, world.sink.port(), &tables);
    hand_in(daemon.smtp, &messages);
    let kept = world.kept(count);
    assert_eq!(kept.len(), count);
    let files: Vec<_> =
        (1..=count).map(|number| folder.path().join(format!("kept/{number}.eml"))).collect();

    let records = records(folder.path());
    run(Command::new(python())
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/peers/signatures.py"))
        .arg(&records)
        .args(&files));
    for file in &files {
        let said = opendkim(folder.path(), &records, file);
        assert!(said.contains("succeeded"), "{}: {said}", file.display());
    }
    // OpenDKIM is content with one good signature: each kind is shown to it alone.
    for (file, dropped) in [(&files[0], "rsa-sha256"), (&files[1], "ed25519-sha256")] {
        let text = String::from_utf8(std::fs::read(file).unwrap()).unwrap();
        let alone = folder.path().join("alone.eml");
        std::fs::write(&alone, without(&text, dropped)).unwrap();
        let said = opendkim(folder.path(), &records, &alone);
        assert!(said.contains("succeeded"), "without {dropped}: {said}");
        std::fs::write(&alone, without(&text, dropped).replacen("Subject:", "Subject:x", 1))
            .unwrap();
        let said = opendkim(folder.path(), &records, &alone);
        assert!(!said.contains("succeeded"), "tampered, without {dropped}: {said}");
    }
}

/// The message without its signature of this algorithm.
fn without(message: &str, algorithm: &str) -> String {
    let mut parts = message.split_inclusive("\r\n").peekable();
    let mut out = String::new();
    while let Some(line) = parts.next() {
        let mut field = line.to_owned();
        while let Some(fold) = parts.next_if(|next| next.starts_with(['\t', ' '])) {
            field.push_str(fold);
        }
        if !(field.starts_with("DKIM-Signature:") && field.contains(algorithm)) {
            out.push_str(&field);
        }
    }
    out
}
