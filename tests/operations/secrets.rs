//! A secret is used and never shown: not in the log, whatever it logs, nor in metrics or answers.
//! What a stranger says is shown, and cannot pass for anything else.

use std::process::Command;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::support::client::Client;
use crate::support::daemon::Daemon;
use crate::support::world::World;

/// In every secret of this test, and in nothing else.
const CANARY: &str = "kanarienvogel";

fn login(daemon: &Daemon, user: &str, password: &str) -> String {
    let (mut client, _) = Client::connect(daemon.smtp).unwrap();
    client.say("EHLO client.example\r\n");
    let token = BASE64_STANDARD.encode(format!("\0{user}\0{password}"));
    client.say(&format!("AUTH PLAIN {token}\r\n"))
}

#[test]
fn secrets_come_from_three_places_and_are_shown_in_none() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path());
    let [file, variable, credential] =
        ["file", "variable", "credential"].map(|place| format!("{CANARY}-{place}"));
    let path = folder.path().join("secret");
    std::fs::write(&path, format!("{file}\n")).unwrap();
    let credentials = folder.path().join("credentials");
    std::fs::create_dir(&credentials).unwrap();
    std::fs::write(credentials.join("mailing"), &credential).unwrap();
    let more = format!(
        "[[user]]\nname = \"one\"\npassword = {{ file = \"{}\" }}\n\
         [[user]]\nname = \"two\"\npassword = {{ env = \"MAILY_TEST_TWO\" }}\n\
         [[user]]\nname = \"three\"\npassword = {{ credential = \"mailing\" }}\n\
         [log]\nfilter = \"trace\"\n",
        path.display()
    );
    let environment = [
        ("MAILY_TEST_TWO", variable.as_str()),
        ("CREDENTIALS_DIRECTORY", credentials.to_str().unwrap()),
    ];
    let port = world.sink.port();
    let daemon = Daemon::start_in(folder.path(), world.dns, port, &more, &environment);
    for (user, password) in [("one", &file), ("two", &variable), ("three", &credential)] {
        let right = login(&daemon, user, password);
        assert!(right.starts_with("235"), "{user}: {right}");
    }
    let wrong = login(&daemon, "one", &format!("{CANARY}-wrong"));
    assert!(wrong.starts_with("535"), "{wrong}");

    // The file is read again, and what is written out by mistake is not repeated.
    let new = format!("{CANARY}-new");
    std::fs::write(&path, &new).unwrap();
    daemon.hang_up("the configuration was read again", 1);
    assert!(login(&daemon, "one", &new).starts_with("235"));
    daemon.write("10.toml", &format!("[[user]]\nname = \"x\"\npassword = \"{CANARY}\"\n"));
    daemon.hang_up("nothing has changed", 1);

    let check = Command::new(env!("CARGO_BIN_EXE_maily"))
        .arg("check")
        .arg("--config")
        .arg(folder.path().join("maily.toml"))
        .envs(environment)
        .output()
        .unwrap();
    assert_eq!(check.status.code(), Some(78));
    let shown = [
        daemon.log(),
        daemon.ask("/metrics").1,
        daemon.ask("/readyz?verbose").1,
        String::from_utf8_lossy(&check.stdout).into_owned(),
        String::from_utf8_lossy(&check.stderr).into_owned(),
    ];
    let token = BASE64_STANDARD.encode(format!("\0one\0{file}"));
    for text in shown {
        for secret in [CANARY, &token] {
            assert!(!text.contains(secret), "{secret} is shown:\n{text}");
        }
    }
}

#[test]
fn what_a_stranger_says_stays_on_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path());
    let daemon = Daemon::start(folder.path(), world.dns, world.sink.port(), "");
    let name = "eve\r\n2026-11-25T00:00:00Z  INFO forged\u{1b}[31m";
    assert!(login(&daemon, name, "x").starts_with("535"));
    let log = daemon.log();
    assert!(log.lines().any(|line| line.contains("a wrong password")), "{log}");
    assert!(!log.contains('\u{1b}'), "{log:?}");
    assert!(!log.lines().any(|line| line.starts_with("2026-11-25T00:00:00Z")), "{log}");
}
