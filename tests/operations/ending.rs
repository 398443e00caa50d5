//! TERM: what is under way ends, what waits stays, and the exit is 0.

use std::time::Duration;
use std::time::Instant;

use maily::sink::behaviour::Behaviour;

use crate::support::client::Client;
use crate::support::client::load;
use crate::support::daemon::Daemon;
use crate::support::process::wait_for;
use crate::support::world::World;

#[test]
fn under_load_nothing_acknowledged_is_lost_or_doubled() {
    let folder = tempfile::tempdir().unwrap();
    let slow = Behaviour::Slow(Duration::from_millis(30));
    let world = World::behaving(folder.path(), slow);
    let mut daemon = Daemon::start(folder.path(), world.dns, world.sink.port(), "");
    let address = daemon.smtp;
    let acknowledged = load(address, 6, || {
        std::thread::sleep(Duration::from_millis(500));
        daemon.signal("TERM");
        assert!(daemon.ended().success(), "{}", daemon.log());
    });
    assert!(world.came(&acknowledged).contains(&0), "nothing was left to deliver later");
    daemon.restart();
    world.each_came_once(&acknowledged);
}

#[test]
fn an_idle_session_is_told_and_a_message_that_is_being_sent_may_end() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path());
    let mut daemon = Daemon::start(folder.path(), world.dns, world.sink.port(), "");
    let (mut idle, _) = Client::connect(daemon.smtp).unwrap();
    let (mut busy, _) = Client::connect(daemon.smtp).unwrap();
    busy.say("HELO client.example\r\n");
    busy.say("MAIL FROM:<>\r\n");
    busy.say("RCPT TO:<r1@sink.example>\r\n");
    assert!(busy.say("DATA\r\n").starts_with("354"));
    daemon.signal("TERM");
    let goodbye = idle.reply();
    assert!(goodbye.starts_with("421 4.3.2"), "{goodbye}");
    let taken = busy.say("Message-ID: <1@client.example>\r\n\r\nlate\r\n.\r\n");
    assert!(taken.starts_with("250"), "{taken}");
    assert!(daemon.ended().success(), "{}", daemon.log());
    daemon.restart();
    world.each_came_once(&[1]);
}

#[test]
fn the_bound_holds_for_a_client_that_never_ends() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path());
    let mut daemon = Daemon::start(folder.path(), world.dns, world.sink.port(), "");
    daemon.write("10.toml", "drain_timeout = \"300ms\"\n");
    daemon.hang_up("the configuration was read again", 1);
    let (mut busy, _) = Client::connect(daemon.smtp).unwrap();
    busy.say("HELO client.example\r\nMAIL FROM:<>\r\nRCPT TO:<r1@sink.example>\r\nDATA\r\n");
    daemon.signal("TERM");
    assert!(daemon.ended().success(), "{}", daemon.log());
    assert!(daemon.log().contains("not all sessions ended in time"), "{}", daemon.log());
}

#[test]
fn a_second_term_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path());
    let mut daemon = Daemon::start(folder.path(), world.dns, world.sink.port(), "");
    daemon.write("10.toml", "drain_timeout = \"1h\"\n");
    daemon.hang_up("the configuration was read again", 1);
    let (mut busy, _) = Client::connect(daemon.smtp).unwrap();
    busy.say("HELO client.example\r\n");
    busy.say("MAIL FROM:<>\r\n");
    busy.say("RCPT TO:<r1@sink.example>\r\n");
    assert!(busy.say("DATA\r\n").starts_with("354"));
    let begun = Instant::now();
    daemon.signal("TERM");
    wait_for("the first TERM", || daemon.log().contains("ending: no new mail"));
    daemon.signal("TERM");
    assert!(daemon.ended().success(), "{}", daemon.log());
    assert!(begun.elapsed() < Duration::from_secs(600), "an hour was not waited for");
}
