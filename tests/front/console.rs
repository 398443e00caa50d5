//! The console as an operator meets it: in a terminal that somebody else wrote.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use maily::sink::behaviour::Behaviour;

use crate::place::Place;
use crate::place::mail;
use crate::slow_line::SlowLine;
use crate::support::process::run;
use crate::support::process::wait_for;
use crate::support::tools::tool;
use crate::support::world::DOMAIN;

/// A terminal with the console in it.
struct Terminal {
    socket: PathBuf,
    _folder: tempfile::TempDir,
}

impl Terminal {
    fn start(place: &Place, arguments: &str, environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let this = Self { socket: folder.path().join("tmux"), _folder: folder };
        let program = env!("CARGO_BIN_EXE_maily");
        let config = place.config();
        let set: String =
            environment.iter().map(|(name, value)| format!("{name}={value} ")).collect();
        let line = format!("{set}{program} console {arguments} --config {}", config.display());
        let mut tmux = this.tmux();
        tmux.args(["-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "40", "-s", "t"]);
        run(tmux.arg(line));
        this
    }

    fn tmux(&self) -> Command {
        let mut tmux = Command::new(tool("tmux"));
        tmux.arg("-S").arg(&self.socket).env("TERM", "xterm-256color").env("LC_ALL", "C.UTF-8");
        tmux
    }

    fn keys(&self, keys: &[&str]) {
        run(self.tmux().args(["send-keys", "-t", "t"]).args(keys));
    }

    fn text(&self, text: &str) {
        run(self.tmux().args(["send-keys", "-t", "t", "-l", text]));
    }

    fn screen(&self) -> String {
        let shown = self.tmux().args(["capture-pane", "-p", "-t", "t"]).output().unwrap();
        String::from_utf8_lossy(&shown.stdout).into_owned()
    }

    /// Waits until the screen shows this; gives the screen.
    fn shows(&self, words: &str) -> String {
        let mut screen = String::new();
        wait_for(&format!("{words:?} on the screen"), || {
            screen = self.screen();
            screen.contains(words)
        });
        screen
    }

    fn is_open(&self) -> bool {
        self.tmux().args(["has-session", "-t", "t"]).output().unwrap().status.success()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _gone = self.tmux().arg("kill-server").output();
    }
}

#[test]
fn an_operator_finds_why_a_site_waits_suspends_a_domain_traces_a_message_and_undoes() {
    let place = Place::new(Behaviour::Greylist(Duration::from_secs(3_600)));
    let ids = place.inject(&mail(3));
    let frames = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("console-frames.txt");
    let record = format!("--rw --record {}", frames.display());
    let terminal = Terminal::start(&place, &record, &[]);
    let screen = terminal.shows("remote:greylisted");
    assert!(screen.contains("NEEDS ATTENTION") && screen.contains("live"), "{screen}");
    // Why?
    terminal.keys(&["w"]);
    let screen = terminal.shows("WHY IS MAIL WAITING?");
    assert!(screen.contains("450") && screen.contains(".rules:"), "{screen}");
    // Which domain, and suspend it.
    terminal.keys(&["2"]);
    terminal.shows(DOMAIN);
    terminal.keys(&["p"]);
    let screen = terminal.shows("suspend 3 messages?");
    assert!(screen.contains("no attempt is counted"), "{screen}");
    terminal.keys(&["Tab"]);
    terminal.text("they asked us");
    terminal.keys(&["Tab", "Enter"]);
    terminal.shows("u undoes it");
    let jobs = place.maily(&["jobs"]);
    assert!(jobs.contains("they asked us") && jobs.contains("[in force]"), "{jobs}");
    terminal.shows("admin");
    // A message.
    terminal.text(&format!(":trace {}", ids[0]));
    terminal.keys(&["Enter"]);
    let screen = terminal.shows("accepted");
    assert!(screen.contains("put off until") && screen.contains(DOMAIN), "{screen}");
    terminal.keys(&["P"]);
    terminal.shows("r…@");
    // Undo it.
    terminal.keys(&["Escape", "u"]);
    terminal.shows("undone");
    assert!(place.maily(&["jobs"]).contains("[undone]"));
    // What happens to mail, and what was said where it failed.
    terminal.keys(&["L"]);
    terminal.shows("nothing was said yet");
    place.inject(&mail(1));
    let screen = terminal.shows("deferred r…@");
    assert!(screen.contains("accepted r…@") && screen.contains("greylisted"), "{screen}");
    terminal.keys(&["t"]);
    let screen = terminal.shows("RCPT TO:");
    assert!(screen.contains("< 450") && screen.contains("> MAIL FROM:"), "{screen}");
    terminal.text(":suppressions");
    terminal.keys(&["Enter"]);
    terminal.shows("MAILBOX");
    terminal.keys(&["C-c"]);
    wait_for("the end of the console", || !terminal.is_open());
    let frames = std::fs::read_to_string(&frames).unwrap();
    assert!(frames.contains("WHY IS MAIL WAITING?") && frames.contains("undone"));
}

#[test]
fn in_ascii_and_without_colours_it_works_the_same_and_stays_read_only() {
    let mut place = Place::new(Behaviour::Greylist(Duration::from_secs(3_600)));
    place.inject(&mail(2));
    let terminal = Terminal::start(&place, "--ascii", &[("NO_COLOR", "1")]);
    let screen = terminal.shows("remote:greylisted");
    assert!(screen.is_ascii() && screen.contains("read-only"), "{screen}");
    let coloured = terminal.tmux().args(["capture-pane", "-e", "-p", "-t", "t"]).output().unwrap();
    let coloured = String::from_utf8_lossy(&coloured.stdout).into_owned();
    for colour in ["\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[36m", "[38;"] {
        assert!(!coloured.contains(colour), "{coloured}");
    }
    terminal.keys(&["r"]);
    terminal.shows("read-only: start with --rw");
    // The daemon goes, and comes again.
    place.daemon.signal("KILL");
    place.daemon.ended();
    terminal.shows("stale");
    place.restart();
    terminal.shows("live");
    terminal.keys(&["?"]);
    terminal.shows("sort by the next column");
    terminal.keys(&["q", "q"]);
    wait_for("the end of the console", || !terminal.is_open());
}

#[test]
fn over_a_slow_line_it_works_the_same_and_no_key_waits_for_the_daemon() {
    let place = Place::new(Behaviour::Greylist(Duration::from_secs(3_600)));
    place.inject(&mail(3));
    let line = SlowLine::to(place.api, Duration::from_millis(300));
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, place.owner()).unwrap();
    let way = format!("--rw --connect {} --token-file {}", line.address, token.display());
    let terminal = Terminal::start(&place, &way, &[]);
    terminal.shows("remote:greylisted");
    terminal.keys(&["2"]);
    terminal.shows(DOMAIN);
    terminal.keys(&["p"]);
    terminal.shows("suspend 3 messages?");
    terminal.keys(&["Tab"]);
    terminal.text("a slow day");
    terminal.keys(&["Tab", "Enter"]);
    terminal.shows("u undoes it");
    assert!(place.maily(&["jobs"]).contains("a slow day"));
    // While nothing comes through, keys do what they can, and what is shown is called old.
    line.hold(true);
    terminal.keys(&["?"]);
    terminal.shows("sort by the next column");
    terminal.keys(&["Escape", "1"]);
    terminal.shows("NEEDS ATTENTION");
    terminal.shows("stale");
    line.hold(false);
    terminal.shows("live");
    terminal.keys(&["u"]);
    terminal.shows("undone");
}
