//! Plugins along the way of a message: one refuses at the door, one changes what is read, one
//! chooses the way, one says what a reply means; and one that fails harms nobody else.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::time::Duration;

use maily::sink::behaviour::Behaviour;
use serde_json::json;

use crate::place::Place;
use crate::place::mail;
use crate::place::request;
use crate::scripts::Scripts;
use crate::scripts::swaks;
use crate::scripts::swaks_with;
use crate::support::process::wait_for;
use crate::support::world::DOMAIN;

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
fn a_template_by_smtp_is_written_for_each_recipient_and_by_plugins() {
    let scripts = Scripts::new();
    let script = r#"
        fn on_personalize(input) {
            if input.vars.shop == "closed" { return #{ skip: "closed" }; }
            #{ vars: #{ greeting: `Dear ${input.contact.name} of ${input.vars.shop}` } }
        }"#;
    let manifest = "[hooks]\non_personalize = {}\n[permissions]\ncontact_fields = [\"name\"]\n";
    scripts.put("greeter", manifest, script);
    let place = Place::with(Behaviour::Accept, &scripts.config());
    let to = format!("ann@{DOMAIN},bob@{DOMAIN}");
    let shown = format!("To: Ann Lee <ann@{DOMAIN}>, Bob <bob@{DOMAIN}>");
    let text = "{{ greeting }}, {{ n }} left";
    let vars = |shop: &str| format!("X-Maily-Vars: {{\"shop\": \"{shop}\", \"n\": 3}}");
    let fields = [&*vars("Ulm"), &shown, "Subject: {{ greeting }}", "X-Maily-List: news"];
    let said = swaks_with(&place, &to, &fields, text);
    assert!(said.contains("250 2.0.0 queued as"), "{said}");
    let kept = place.world.kept(2);
    for name in ["Ann Lee", "Bob"] {
        let of = |text: &str| text.contains(&format!("Dear {name} of Ulm, 3 left"));
        let texts = kept.iter().map(|kept| String::from_utf8_lossy(&kept.message).into_owned());
        let text = texts.into_iter().find(|text| of(text)).unwrap_or_default();
        assert!(text.contains(&format!("Subject: Dear {name} of Ulm\r\n")), "{name}: {kept:?}");
        assert!(text.contains(&format!("To: {name} <")) || text.contains("To: \""), "{text}");
        assert!(text.contains("List-Unsubscribe: <http") && !text.contains("X-Maily"), "{text}");
    }
    let said = swaks_with(&place, &to, &[&vars("closed")], text);
    let id = said.split("queued as ").nth(1).unwrap().split_whitespace().next().unwrap();
    wait_for("its end", || place.trace(id).contains("skipped by the plugin greeter@1.0.0"));
    // What cannot be a template is refused, and says where it is wrong.
    for (field, text, wanted) in [
        ("X-Maily-Vars: [1]", "x", "/variables: not a JSON object"),
        ("X-Maily-Vars: {}", "{{ x", "/text"),
        ("X-Maily-Vars: {}\r\nX-Maily-Track: all", "x", "/track"),
    ] {
        let said = swaks_with(&place, &to, &[field], text);
        assert!(said.contains("554 5.6.0") && said.contains(wanted), "{field}: {said}");
    }
    assert_eq!(place.world.ledger.taken().len(), 2);
}

#[test]
fn a_mailing_for_a_segment_goes_to_those_whom_a_plugin_puts_there() {
    let scripts = Scripts::new();
    let manifest = "[hooks]\non_segment = { name = \"vip\" }\n\
                    [permissions]\ncontact_fields = [\"name\"]\n";
    let script = r#"fn on_segment(input) { input.contact.name == "No. 1" }"#;
    scripts.put("segments", manifest, script);
    let place = Place::with(Behaviour::Accept, &scripts.config());
    let mut vip = mail(3);
    vip["segment"] = json!("vip");
    let ids = place.inject(&vip);
    let kept = place.world.kept(1).remove(0).message;
    assert!(String::from_utf8_lossy(&kept).contains("Dear No. 1, "));
    for other in [&ids[0], &ids[2]] {
        wait_for("the others", || place.trace(other).contains("not in the segment vip"));
    }
    // Nobody is sent what nobody can say is for them.
    let vars = "X-Maily-Vars: {}";
    let said = swaks_with(&place, &format!("ann@{DOMAIN}"), &[vars, "X-Maily-Segment: none"], "x");
    let id = said.split("queued as ").nth(1).unwrap().split_whitespace().next().unwrap();
    wait_for("its wait", || place.trace(id).contains("no plugin knows the segment none"));
    assert_eq!(place.world.ledger.taken().len(), 1);
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
            if input.code == 450 { return #{ class: "permanent", scope: "recipient" }; }
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
    let manifest = "[hooks]\non_accept = {}\n";
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

/// Answers HTTP: each request's path, and this body.
fn answering(body: &'static str) -> (u16, std::sync::mpsc::Receiver<String>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let line = lines.next().unwrap().unwrap();
            let _fields =
                lines.take_while(|line| line.as_ref().is_ok_and(|l| !l.is_empty())).count();
            let _gone = tell.send(line);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all((head + body).as_bytes()).unwrap();
        }
    });
    (port, told)
}

#[test]
fn a_plugin_finds_out_about_a_recipient_once_and_the_template_says_it() {
    let (port, asked) = answering(r#"{"city":"Ulm"}"#);
    let scripts = Scripts::new();
    scripts.put(
        "finder",
        "[hooks]\non_enrich = {}\n[permissions]\ncontact_fields = [\"email\"]\n\
         http = [{ host = \"api.sink.example\", methods = [\"GET\"], timeout = \"2s\", \
         max_body = \"4KB\" }]\n\
         [cache]\non_enrich = { key = \"contact.email\", ttl = \"1h\", max = 100 }\n",
        &format!(
            r#"
            fn on_enrich(input) {{
                let said = http.get("http://api.sink.example:{port}/" + input.contact.email);
                if said.status != 200 {{ return #{{}}; }}
                #{{ attrs: #{{ city: said.json.city }} }}
            }}"#
        ),
    );
    let allow = scripts.config() + "allow_networks = [\"127.0.0.0/8\"]\n";
    let place = Place::with(Behaviour::Accept, &allow);
    let mut mail = mail(1);
    mail["subject"] = json!("Hello {{ city }}");
    place.inject(&mail);
    place.inject(&mail);
    for kept in place.world.kept(2) {
        let text = String::from_utf8_lossy(&kept.message).into_owned();
        assert!(text.contains("Subject: Hello Ulm\r\n"), "{text}\n{}", place.daemon.log());
    }
    let asked: Vec<_> = asked.try_iter().collect();
    assert_eq!(asked, ["GET /r0@sink.example HTTP/1.1"], "the second time it is known");
}

#[test]
fn a_plugin_reacts_to_an_open_and_not_twice_after_a_restart() {
    let (port, asked) = answering("{}");
    let scripts = Scripts::new();
    scripts.put(
        "watcher",
        "[hooks]\non_event = {}\n[permissions]\n\
         http = [{ host = \"api.sink.example\", methods = [\"GET\"], timeout = \"2s\", \
         max_body = \"4KB\" }]\n",
        &format!(
            r#"
            fn on_event(input) {{
                for event in input.events {{
                    if event.type != "message.opened" {{ continue; }}
                    http.get("http://api.sink.example:{port}/" + event.type);
                }}
                #{{}}
            }}"#
        ),
    );
    let allow = scripts.config() + "allow_networks = [\"127.0.0.0/8\"]\n";
    let mut place = Place::with(Behaviour::Accept, &allow);
    let mut tracked = mail(1);
    tracked["track"] = json!({ "opens": true });
    place.inject(&tracked);
    let text = String::from_utf8_lossy(&place.world.kept(1)[0].message).replace("=\r\n", "");
    let base = format!("http://{}/o/", place.public);
    let token = text.split(&base).nth(1).unwrap().split('"').next().unwrap().to_owned();
    let said = request(place.public, "GET", &format!("/o/{token}"), "", "").unwrap();
    assert_eq!(said.status, 200);
    let first = asked.recv_timeout(Duration::from_secs(20)).ok();
    let expected = Some("GET /message.opened HTTP/1.1".to_owned());
    assert_eq!(first, expected, "{}", place.daemon.log());
    let written = scripts.state().join("place");
    wait_for("the place", || written.exists());
    std::thread::sleep(Duration::from_millis(200));
    place.crash();
    let said = request(place.public, "GET", &format!("/o/{token}"), "", "").unwrap();
    assert_eq!(said.status, 200);
    let second = asked.recv_timeout(Duration::from_secs(20));
    assert!(second.is_ok(), "{}", place.daemon.log());
    assert!(asked.recv_timeout(Duration::from_secs(1)).is_err(), "each is told once");
}

#[test]
fn a_plugin_has_who_bounces_not_written_to_any_more() {
    let scripts = Scripts::new();
    scripts.put(
        "sunset",
        "[hooks]\non_bounce = {}\n",
        r#"fn on_bounce(input) { #{ suppress: input.kind == "hard" && input.status == "5.1.1" } }"#,
    );
    let place = Place::with(Behaviour::Reject(1.0), &scripts.config());
    let first = place.inject(&mail(1)).remove(0);
    wait_for("its bounce", || place.trace(&first).contains("bounced"));
    let again = || {
        let id = place.inject(&mail(1)).remove(0);
        wait_for("its end", || {
            let trace = place.trace(&id);
            trace.contains("bounced") || trace.contains("suppressed")
        });
        place.trace(&id).contains("suppressed")
    };
    wait_for("the suppression", again);
}
