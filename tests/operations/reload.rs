//! HUP: all of a new configuration or nothing of it, and mail flows on meanwhile.

use std::process::Command;

use crate::support::client::Client;
use crate::support::client::load;
use crate::support::daemon::Daemon;
use crate::support::daemon::certificate;
use crate::support::process::run;
use crate::support::tools::tool;
use crate::support::world::World;

const READ: &str = "the configuration was read again";

fn greeting(daemon: &Daemon) -> String {
    Client::connect(daemon.smtp).unwrap().1
}

#[test]
fn a_new_configuration_holds_for_new_sessions_and_old_ones_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path());
    let daemon = Daemon::start(folder.path(), world.dns, world.sink.port(), "");
    let (mut old, greeting_before) = Client::connect(daemon.smtp).unwrap();
    assert!(greeting_before.contains("mail.maily.example"), "{greeting_before}");
    daemon.write("10.toml", "[node]\nhostname = \"new.maily.example\"\nid = 7\n");
    daemon.hang_up(READ, 1);
    assert!(greeting(&daemon).contains("new.maily.example"));
    assert!(old.say("EHLO client.example\r\n").contains("mail.maily.example"));
    assert!(old.hand_in(1));
    world.each_came_once(&[1]);
    let log = daemon.log();
    let told = "node.hostname: Domain(\"mail.maily.example\")";
    let restart = log.lines().find(|line| line.contains("node.id: 0 -> 7")).unwrap();
    assert!(restart.contains("needs a restart"), "{restart}");
    assert!(log.lines().any(|line| line.contains("node.hostname: ")), "{told} in {log}");
}

#[test]
fn a_wrong_configuration_changes_nothing_and_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path());
    let daemon = Daemon::start(folder.path(), world.dns, world.sink.port(), "");
    let wrong = "nothing has changed";
    // Each is wrong in another way, and each beside a change that would be right by itself.
    let faults = [
        ("[retri]\n", "did you mean `retry`?"),
        ("[retry]\nfactor = 0.5\n", "10.toml:3:10"),
        ("[tls]\nkey = \"/nonexistent\"\n", "no private key can be read from /nonexistent"),
        ("[log]\nfilter = \"a=b=c\"\n", "is not a filter"),
    ];
    for (number, (fault, told)) in faults.iter().enumerate() {
        let right = "node.hostname = \"new.maily.example\"\n";
        daemon.write("10.toml", &format!("{right}{fault}"));
        daemon.hang_up(wrong, number + 1);
        let log = daemon.log();
        assert!(log.contains(told), "{told}: {log}");
        assert!(greeting(&daemon).contains("mail.maily.example"), "{fault}");
        let (code, ready) = daemon.ask("/readyz?verbose");
        assert_eq!(code, 200, "it still takes mail");
        assert!(ready.contains("10.toml") || ready.contains("log.filter"), "{ready}");
    }
    daemon.write("10.toml", "");
    daemon.hang_up(READ, 1);
    assert!(!daemon.ask("/readyz?verbose").1.contains("10.toml"));
}

#[test]
fn certificates_are_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path());
    let daemon = Daemon::start(folder.path(), world.dns, world.sink.port(), "");
    let shown = || {
        let output = run(Command::new(tool("openssl"))
            .args(["s_client", "-connect", &daemon.smtps.to_string()])
            .stdin(std::process::Stdio::null()));
        let text = String::from_utf8(output.stdout).unwrap();
        let begin = text.find("-----BEGIN CERTIFICATE-----").unwrap();
        let end = text.find("-----END CERTIFICATE-----").unwrap();
        text[begin..end].split_whitespace().collect::<String>()
    };
    let on_disk = || {
        let text = std::fs::read_to_string(folder.path().join("cert.pem")).unwrap();
        text.replace("-----END CERTIFICATE-----", "").split_whitespace().collect::<String>()
    };
    let first = on_disk();
    assert_eq!(shown(), first);
    certificate(folder.path(), "mail.maily.example", daemon.smtps);
    assert_ne!(on_disk(), first);
    assert_eq!(shown(), first, "not before it is told");
    daemon.hang_up(READ, 1);
    assert_eq!(shown(), on_disk());
}

#[test]
fn mail_flows_on_while_the_configuration_changes_again_and_again() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path());
    let daemon = Daemon::start(folder.path(), world.dns, world.sink.port(), "");
    let acknowledged = load(daemon.smtp, 4, || {
        for round in 1..=20 {
            let text = format!(
                "[node]\nhostname = \"h{round}.maily.example\"\n[limits]\nconnections_max = \
                 {round}\nconnections_initial = 1\n[retry]\nfactor = {round}.0\n"
            );
            daemon.write("10.toml", &text);
            daemon.hang_up(READ, round);
        }
    });
    assert!(acknowledged.len() > 100, "{} messages show nothing", acknowledged.len());
    world.each_came_once(&acknowledged);
    assert!(greeting(&daemon).contains("h20.maily.example"));
}
