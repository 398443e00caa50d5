//! What recipients do: a browser loads the pixel, follows a link, and unsubscribes.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use maily::sink::behaviour::Behaviour;
use serde_json::json;

use crate::place::Place;
use crate::place::request;
use crate::place::soon;
use crate::support::process::run;
use crate::support::process::wait_for;
use crate::support::tools;
use crate::support::world::DOMAIN;

/// The HTML of the first message that came, and where its List-Unsubscribe leads.
fn received(place: &Place) -> (String, String) {
    let kept = place.world.kept(1);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &kept[0].message).unwrap();
    let script = "import email, email.policy, sys\n\
                  m = email.message_from_binary_file(open(sys.argv[1], 'rb'), \
                  policy=email.policy.default)\n\
                  print(m['List-Unsubscribe'].strip('<>'))\n\
                  print(m.get_body(('html',)).get_content())";
    let output = run(Command::new(tools::python()).args(["-c", script]).arg(file.path()));
    let text = String::from_utf8(output.stdout).unwrap();
    let (unsubscribe, html) = text.split_once('\n').unwrap();
    (html.to_owned(), unsubscribe.to_owned())
}

fn newsletter(place: &Place, to: &str, send_at: Option<String>) -> Vec<String> {
    let mut mail = json!({
        "from": { "email": "news@shop.example" },
        "subject": "News",
        "html": format!(
            "<html><body><p>News. <a id=\"link\" href=\"http://{}/style.css?from=mail\">More</a>\
             </p></body></html>",
            place.public
        ),
        "recipients": [{ "email": format!("{to}@{DOMAIN}") }],
        "list": "news",
        "track": { "opens": true, "clicks": true },
    });
    if let Some(send_at) = send_at {
        mail["send_at"] = json!(send_at);
    }
    place.inject(&mail)
}

#[test]
fn a_browser_opens_clicks_and_unsubscribes_and_no_more_is_sent() {
    let place = Place::new(Behaviour::Accept);
    let ids = newsletter(&place, "ann", None);
    let (html, unsubscribe) = received(&place);
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("mail.html");
    std::fs::write(&page, html).unwrap();
    // The build folder, so that CI can keep it.
    let shot = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("unsubscribe.png");
    let output = run(Command::new(tools::tool("node"))
        .arg(tools::root().join("tests/front/recipient.mjs"))
        .args([tools::tool("chromium"), tools::node_modules(), page, shot.clone()])
        .arg(&unsubscribe));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("landed style.css?from=mail"), "{said}");
    assert!(said.contains("title Unsubscribe"), "{said}");
    assert!(said.contains("after You are unsubscribed"), "{said}");
    assert!(std::fs::metadata(shot).unwrap().len() > 1_000, "a screenshot");
    wait_for("the events", || {
        let trace = place.trace(&ids[0]);
        let seen = |what: &str| trace.contains(what);
        seen("opened") && seen("clicked link 0") && seen("unsubscribed") && seen("by page")
    });
    let trace = place.trace(&ids[0]);
    assert!(!trace.contains("honeypot"), "a person does not see that link: {trace}");
    let again = newsletter(&place, "ANN", None);
    wait_for("the end of the second", || place.trace(&again[0]).contains("suppressed"));
    assert_eq!(place.world.ledger.taken().len(), 1, "nothing more was sent");
    newsletter(&place, "bob", None);
    wait_for("the mail of another", || place.world.ledger.taken().len() == 2);
}

#[test]
fn an_unsubscription_reaches_mail_that_waits_and_survives_kill_9() {
    let mut place = Place::new(Behaviour::Accept);
    newsletter(&place, "ann", None);
    let (_, unsubscribe) = received(&place);
    let path = unsubscribe.split_once("/u/").unwrap().1;
    let ask = |method: &str| {
        let form = "Content-Type: application/x-www-form-urlencoded\r\n";
        let path = format!("/u/{path}");
        request(place.public, method, &path, form, "List-Unsubscribe=One-Click").unwrap()
    };
    assert_eq!(ask("GET").status, 200);
    let waits = newsletter(&place, "ann", Some(soon(3)));
    let said = ask("POST");
    assert!(said.status == 200 && said.body.contains("You are unsubscribed"), "{said:?}");
    place.crash();
    wait_for("the end of what waited", || place.trace(&waits[0]).contains("suppressed"));
    assert_eq!(place.world.ledger.taken().len(), 1);
    assert!(place.trace(&waits[0]).contains("suppressed"));
}

#[test]
fn what_is_not_signed_by_us_leads_nowhere_and_is_no_event() {
    let place = Place::new(Behaviour::Accept);
    let ids = newsletter(&place, "ann", None);
    let (html, unsubscribe) = received(&place);
    let click = html.split('"').find(|part| part.contains("/c/")).unwrap();
    let click = click.split_once("/c/").unwrap().1.to_owned();
    let unsubscribe = unsubscribe.split_once("/u/").unwrap().1.to_owned();
    let mut tried = String::new();
    for (path, token) in [("/o/", &click), ("/u/", &click), ("/c/", &unsubscribe)] {
        writeln!(tried, "{path}{token}").unwrap();
    }
    for length in (0..click.len()).step_by(7) {
        writeln!(tried, "/c/{}", &click[..length]).unwrap();
        let mut other = click.clone().into_bytes();
        other[length] = if other[length] == b'A' { b'B' } else { b'A' };
        writeln!(tried, "/c/{}", String::from_utf8(other).unwrap()).unwrap();
    }
    writeln!(tried, "/c/{click}{}", "A".repeat(4_000)).unwrap();
    writeln!(tried, "/c/https://evil.example/\n/c/%2e%2e/admin\n/").unwrap();
    for path in tried.lines() {
        let said = request(place.public, "GET", path, "", "").unwrap();
        assert_eq!(said.status, 404, "{path}: {said:?}");
        assert!(!said.head.to_lowercase().contains("location:"), "{path}: {said:?}");
        let csp = "content-security-policy: default-src 'none'";
        assert!(said.head.contains(csp), "{said:?}");
    }
    let said = request(place.public, "GET", &format!("/c/{click}"), "", "").unwrap();
    assert_eq!(said.status, 302, "{said:?}");
    wait_for("the click", || place.trace(&ids[0]).contains("clicked"));
    assert_eq!(place.trace(&ids[0]).matches("clicked").count(), 1);
    let metrics = place.daemon.ask("/metrics").1;
    assert!(metrics.contains("maily_clicks_total{verdict=\"machine\"} 1\n"), "{metrics}");
    assert!(!metrics.contains("maily_unknown_links_total 0\n"), "{metrics}");
}

/// The tokens behind a path in the first message that came, and so many more.
fn tokens(place: &Place, count: usize, path: &str) -> Vec<String> {
    let base = format!("http://{}{path}", place.public);
    let mut found = Vec::new();
    for kept in place.world.kept(count) {
        // Quoted-printable: soft breaks go.
        let text = String::from_utf8_lossy(&kept.message).replace("=\r\n", "");
        let behind = text.split(&base).nth(1).unwrap_or_else(|| panic!("no {path}: {text}"));
        let is_token = |c: &char| c.is_ascii_alphanumeric() || "-_".contains(*c);
        found.push(behind.chars().take_while(is_token).collect());
    }
    found
}

#[test]
fn a_new_key_signs_from_the_next_hup_on_and_what_an_old_one_signed_is_good() {
    let place = Place::new(Behaviour::Accept);
    newsletter(&place, "ann", None);
    let old = tokens(&place, 1, "/o/");
    let post = request(
        place.api,
        "POST",
        "/v1/link-keys",
        &format!("Authorization: Bearer {}\r\n", place.owner()),
        "",
    );
    assert_eq!(post.unwrap().status, 204);
    place.daemon.hang_up("the configuration was read again", 1);
    newsletter(&place, "bob", None);
    let all = tokens(&place, 2, "/o/");
    // A token begins with the number of its key, whose last two bits share a letter.
    let key = |token: &String| (b'A'..=b'Z').position(|letter| letter == token.as_bytes()[2]);
    let mut keys: Vec<_> = all.iter().filter_map(key).map(|place| place / 4).collect();
    keys.sort_unstable();
    assert_eq!(keys, [1, 2], "{all:?}");
    assert!(all.contains(&old[0]));
    for token in &all {
        let said = request(place.public, "GET", &format!("/o/{token}"), "", "").unwrap();
        assert_eq!(said.status, 200);
    }
    let opened = || place.ask("GET", "/v1/events?type=message.opened", None).json();
    wait_for("both opens", || opened()["data"].as_array().unwrap().len() == 2);
}

#[test]
fn who_unsubscribes_by_mail_gets_no_more_of_it() {
    let config = "unsubscribe_mailbox = \"unsubscribe@links.example\"\n";
    let place = Place::with(Behaviour::Accept, config);
    newsletter(&place, "ann", None);
    let (_, listed) = received(&place);
    let mailto = listed.split("<mailto:").nth(1).unwrap_or_else(|| panic!("{listed}"));
    let (address, subject) = mailto.split_once("?subject=").unwrap();
    assert_eq!(address, "unsubscribe@links.example");
    let subject = subject.trim_end_matches('>').replace("%20", " ");
    let mail = |subject: &str| {
        let mut swaks = Command::new(tools::tool("swaks"));
        swaks.args(["--server", &place.daemon.smtp.to_string(), "--from", "ann@sink.example"]);
        swaks.args(["--to", address, "--header", &format!("Subject: {subject}"), "--body", "x"]);
        String::from_utf8_lossy(&swaks.output().unwrap().stdout).into_owned()
    };
    let said = mail("unsubscribe me");
    assert!(said.contains("550 5.7.1"), "{said}");
    let said = mail(&subject);
    assert!(said.contains("250 2.0.0 unsubscribed"), "{said}");
    let told = || place.ask("GET", "/v1/events?type=message.unsubscribed", None).json();
    wait_for("the event", || told()["data"][0]["data"]["how"] == "mail");
    let id = newsletter(&place, "ann", None).remove(0);
    wait_for("its end", || place.trace(&id).contains("suppressed"));
    assert_eq!(place.world.ledger.taken().len(), 1);
}
