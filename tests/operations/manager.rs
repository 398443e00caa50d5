//! What systemd hears (sd_notify(3)): a socket in its place listens.

use std::collections::VecDeque;
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::support::daemon::Daemon;
use crate::support::world::World;

/// The manager's end.
struct Manager {
    socket: UnixDatagram,
    heard: VecDeque<String>,
}

impl Manager {
    fn listen(path: &std::path::Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self { socket, heard: VecDeque::new() }
    }

    /// Waits for a message with a line that begins so; passes over others.
    fn hear(&mut self, begin: &str) -> String {
        loop {
            let mut octets = [0; 4_096];
            let length = self.socket.recv(&mut octets).unwrap_or_else(|error| {
                panic!("never heard {begin}: {error}; heard {:?}", self.heard)
            });
            let message = String::from_utf8(octets[..length].to_vec()).unwrap();
            self.heard.push_back(message.clone());
            if message.lines().any(|line| line.starts_with(begin)) {
                return message;
            }
        }
    }
}

#[test]
fn the_manager_hears_of_every_stage() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path());
    let path = folder.path().join("notify");
    let mut manager = Manager::listen(&path);
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "200000")];
    let port = world.sink.port();
    let mut daemon = Daemon::start_in(folder.path(), world.dns, port, "", &environment);
    let ready = manager.hear("READY=1");
    assert!(TcpStream::connect(daemon.smtp).is_ok(), "ready, and not listening");
    assert!(ready.contains(&format!("STATUS=taking mail on {}", daemon.smtp)), "{ready}");
    // Fed again and again, not once.
    manager.hear("WATCHDOG=1");
    manager.hear("WATCHDOG=1");

    daemon.write("10.toml", "[retri]\n");
    daemon.signal("HUP");
    let reloading = manager.hear("RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    let failed = manager.hear("READY=1");
    assert!(failed.contains("STATUS=reload failed, nothing has changed: "), "{failed}");
    assert_eq!(failed.lines().count(), 2, "the reason must stay on its line: {failed}");

    daemon.write("10.toml", "");
    daemon.signal("HUP");
    manager.hear("RELOADING=1");
    let ready = manager.hear("READY=1");
    assert!(ready.contains("STATUS=taking mail on"), "{ready}");

    // A session in the middle of its message: the end takes a while.
    let (mut busy, _) = crate::support::client::Client::connect(daemon.smtp).unwrap();
    busy.say("HELO client.example\r\n");
    busy.say("MAIL FROM:<>\r\n");
    busy.say("RCPT TO:<r1@sink.example>\r\n");
    assert!(busy.say("DATA\r\n").starts_with("354"));
    daemon.signal("TERM");
    manager.hear("STOPPING=1");
    manager.hear("EXTEND_TIMEOUT_USEC=15000000");
    let status = manager.hear("EXTEND_TIMEOUT_USEC=15000000");
    assert!(status.contains("STATUS=ending: 0 deliveries under way"), "{status}");
    assert!(busy.say("late\r\n.\r\n").starts_with("250"));
    assert!(daemon.ended().success());
}
