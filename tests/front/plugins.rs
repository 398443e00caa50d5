//! Plugins along the way of a message: one refuses at the door, one changes what is read, one chooses
//! the way, one says what a reply means; and one that fails harms nobody else.

use std::process::Command;
use std::time::Duration;

use maily::sink::behaviour::Behaviour;
use serde_json::json;

use crate::place::Place;
use crate::place::mail;
use crate::support::process::wait_for;
use crate::support::tools;
use crate::support::world::DOMAIN;

/// A folder of plugins.
struct Scripts(tempfile::TempDir);

impl Scripts {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, manifest: &str, script: &str) -> &Self {
        let folder = self.0.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let head = format!("name = \"{name}\"\nversion = \"1.0.0\"\napi = \"1\"\n");
        std::fs::write(folder.join("plugin.toml"), head + manifest).unwrap();
        std::fs::write(folder.join("main.rhai"), script).unwrap();
        self
    }

    fn config(&self) -> String {
        format!("[plugins]\nfolder = \"{0}\"\nstate = \"{0}-state\"\n", self.0.path().display())
    }
}

impl Drop for Scripts {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(format!("{}-state", self.0.path().display()));
    }
}

/// Hands a message in by SMTP; gives what the client printed.
fn swaks(place: &Place, to: &str, subject: &str) -> String {
    let mut command = Command::new(tools::tool("swaks"));
    command.args(["--server", &place.daemon.smtp.to_string(), "--from", "a@shop.example"]);
    command.args(["--to", to, "--header", &format!("Subject: {subject}"), "--body", "x"]);
    let output = command.output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_plugin_refuses_at_the_door_and_changes_the_header_of_what_it_lets_in() {
    let scripts = Scripts::new();
    scripts.put(
        "door",
        "[hooks]\non_accept = {}\n",
        r#"
        fn on_accept(input) {
            if input.subject.contains("casino") { return reject("5.7.1", "no casinos here"); }
            if input.subject.contains("later") { return defer("4.7.1", "not now"); }
            if input.subject.contains("void") { return discard("nobody wants it"); }
            let answer = accept();
            answer.headers = #{ "X-Door": `${input.via} ${input.recipients.len()}`, "X-Old": () };
            answer
        }"#,
    );
    let place = Place::with(Behaviour::Accept, &scripts.config());
    let to = format!("ann@{DOMAIN}");
    let said = swaks(&place, &to, "=?utf-8?q?the_casino?=");
    assert!(said.contains("550 5.7.1 no casinos here"), "{said}");
    let said = swaks(&place, &to, "later");
    assert!(said.contains("451 4.7.1 not now"), "{said}");
    let said = swaks(&place, &to, "void");
    assert!(said.contains("250 2.0.0 queued as"), "{said}");
    let id = said.split("queued as ").nth(1).unwrap().split_whitespace().next().unwrap();
    wait_for("its end", || place.trace(id).contains("discarded by the plugin door@1.0.0"));
    let said = swaks(&place, &to, "hello");
    assert!(said.contains("250 2.0.0 queued as"), "{said}");
    let mut casino = mail(2);
    casino["subject"] = json!("casino");
    let said = place.ask("POST", "/v1/messages", Some(&casino));
    assert_eq!((said.status, &said.json()["detail"]), (422, &json!("no casinos here")));
    let mut good = mail(2);
    good["headers"] = json!([{ "name": "x-old", "value": "y" }]);
    place.inject(&good);
    let texts: Vec<_> = place.world.kept(3).into_iter().map(|kept| kept.message).collect();
    let texts: Vec<_> = texts.iter().map(|text| String::from_utf8_lossy(text)).collect();
    let count = |line: &str| texts.iter().filter(|text| text.contains(line)).count();
    assert_eq!((count("X-Door: smtp 1\r\n"), count("X-Door: http 2\r\n")), (1, 2), "{texts:?}");
    assert_eq!(count("x-old"), 0);
}

#[test]
fn plugins_change_what_is_read_and_what_is_sent() {
    let scripts = Scripts::new();
    scripts
        .put(
            "greeter",
            "[hooks]\non_personalize = {}\n[permissions]\ncontact_fields = [\"*\"]\n",
            r#"
            fn on_personalize(input) {
                if input.contact.name == "No. 2" { return #{ skip: "has enough" }; }
                #{ vars: #{ name: "Dr. " + input.contact.name },
                   subject: "Really for {{ " + input.contact.name,
                   headers: #{ "X-Segment": "doctors" } }
            }"#,
        )
        .put(
            "last",
            "[hooks]\non_send = {}\n",
            r#"
            fn on_send(input) {
                if !input.html.contains("Dear Dr. No.") { return #{ skip: "no doctor" }; }
                #{ headers: #{ "X-Sent-To": input.recipient } }
            }"#,
        );
    let place = Place::with(Behaviour::Accept, &scripts.config());
    let ids = place.inject(&mail(3));
    let kept = place.world.kept(2);
    for kept in &kept {
        let text = String::from_utf8_lossy(&kept.message);
        assert!(text.contains("Subject: Really for {{ No. "), "{text}");
        assert!(text.contains("Dear Dr. No. "), "{text}");
        assert!(text.contains("X-Segment: doctors\r\n"), "{text}");
        assert!(text.contains(&format!("@{DOMAIN}\r\n")) && text.contains("X-Sent-To: "), "{text}");
        assert_eq!(text.matches("\r\nSubject:").count() + text.matches("\nSubject:").count(), 2);
    }
    wait_for("the third", || place.trace(&ids[2]).contains("skipped by the plugin greeter@1.0.0"));
    let said = swaks(&place, &format!("bob@{DOMAIN}"), "plain");
    let id = said.split("queued as ").nth(1).unwrap().split_whitespace().next().unwrap();
    wait_for("the plain one", || place.trace(id).contains("not sent by the plugin last@1.0.0"));
    assert_eq!(place.world.ledger.taken().len(), 2);
}

#[test]
fn a_plugin_chooses_the_way_and_the_time() {
    let scripts = Scripts::new();
    scripts.put(
        "router",
        "[hooks]\non_route = {}\n",
        r#"
        fn on_route(input) {
            if input.class == "bulk" { return #{ pool: "marketing" }; }
            #{}
        }"#,
    );
    let pools = "[[source]]\nname = \"one\"\naddress = \"127.0.0.1\"\n\
                 [[source]]\nname = \"two\"\naddress = \"127.0.0.2\"\n\
                 [[pool]]\nname = \"default\"\nsources = [\"one\"]\n\
                 [[pool]]\nname = \"marketing\"\nsources = [\"two\"]\n";
    let place = Place::with(Behaviour::Accept, &(scripts.config() + pools));
    let mut bulk = mail(1);
    bulk["class"] = json!("bulk");
    let (bulk, urgent) = (place.inject(&bulk).remove(0), place.inject(&mail(1)).remove(0));
    wait_for("both", || place.world.ledger.taken().len() == 2);
    wait_for("bulk", || place.trace(&bulk).contains("from two"));
    wait_for("urgent", || place.trace(&urgent).contains("from one"));
}

#[test]
fn a_plugin_says_what_a_reply_means() {
    let scripts = Scripts::new();
    scripts.put(
        "replies",
        "[hooks]\non_response = {}\n",
        r#"
        fn on_response(input) {
            if input.code == 451 { return #{ class: "permanent", scope: "recipient" }; }
            #{}
        }"#,
    );
    let place = Place::with(Behaviour::Greylist(Duration::from_secs(600)), &scripts.config());
    let id = place.inject(&mail(1)).remove(0);
    wait_for("its end", || place.trace(&id).contains("bounced"));
}

#[test]
fn a_plugin_that_fails_harms_nobody_and_one_that_is_mended_is_taken_without_a_restart() {
    let scripts = Scripts::new();
    let script = |body: &str| format!("fn on_accept(input) {{ {body} }}");
    let manifest = "[hooks]\non_accept = {}\n[budget]\ntime = \"20ms\"\noperations = 100000000\n";
    scripts.put("endless", manifest, &script("loop {}"));
    let place = Place::with(Behaviour::Accept, &scripts.config());
    let to = format!("ann@{DOMAIN}");
    let said = swaks(&place, &to, "hello");
    assert!(said.contains("451 4.3.0 temporary failure"), "closed: {said}");
    assert!(place.daemon.log().contains("main.rhai:1:"), "{}", place.daemon.log());
    // What does not compile is not taken.
    scripts.put("endless", manifest, "fn on_accept(input) { accept( }");
    place.daemon.hang_up("a plugin is not loaded", 1);
    assert!(swaks(&place, &to, "hello").contains("451 4.3.0"), "the one from before is asked");
    scripts.put("endless", manifest, &script("accept()"));
    place.daemon.hang_up("the configuration was read again", 2);
    assert!(swaks(&place, &to, "hello").contains("250 2.0.0"));
    place.world.kept(1);
}
