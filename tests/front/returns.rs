//! What comes back: reports about mail that the next hop had taken, complaints, and what follows
//! from them for mail that waits. The mails are those of other mail systems; Python's smtplib
//! brings them.

use std::process::Command;

use maily::sink::behaviour::Behaviour;
use serde_json::Value;
use serde_json::json;

use crate::place::Place;
use crate::place::soon;
use crate::support::postfix::Postfix;
use crate::support::process::free;
use crate::support::process::run;
use crate::support::process::wait_for;
use crate::support::tools;
use crate::support::world::DOMAIN;

const CONFIG: &str = "unsubscribe_mailbox = \"unsubscribe@links.example\"\n\
    [bounces]\ndomain = \"b.shop.example\"\ncomplaints_mailbox = \"fbl@b.shop.example\"\n";

fn place(behaviour: Behaviour) -> Place {
    Place::with(behaviour, CONFIG)
}

fn mail(place: &Place, to: &str, list: Option<&str>, send_at: Option<String>) -> String {
    let mut mail = json!({
        "from": { "email": "news@shop.example" },
        "subject": "News",
        "text": "News.",
        "recipients": [{ "email": format!("{to}@{DOMAIN}") }],
    });
    for (name, value) in [("list", list.map(str::to_owned)), ("send_at", send_at)] {
        if let Some(value) = value {
            mail[name] = json!(value);
        }
    }
    place.inject(&mail).remove(0)
}

/// Hands in a mail from nobody, as reports come; gives what is answered, in words.
fn bring(place: &Place, to: &str, mail: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), mail.replace("\r\n", "\n").replace('\n', "\r\n")).unwrap();
    let script = "import smtplib, sys\n\
        s = smtplib.SMTP(sys.argv[1])\n\
        s.ehlo('mx.other.example')\n\
        s.mail('<>')\n\
        code, text = s.rcpt(sys.argv[2])\n\
        if code == 250:\n    code, text = s.data(open(sys.argv[3], 'rb').read())\n\
        print(code, text.decode())\n";
    let address = place.daemon.smtp.to_string();
    let mut python = Command::new(tools::python());
    let output = run(python.args(["-c", script, &address, to]).arg(file.path()));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Where reports about the message that came as this one go.
fn return_path(place: &Place, number: usize) -> String {
    let envelope = place.world.kept(number)[number - 1].envelope.clone();
    let path = envelope.split(['<', '>']).nth(1).unwrap_or_else(|| panic!("{envelope}"));
    assert!(path.starts_with("b-") && path.ends_with("@b.shop.example"), "{envelope}");
    path.to_owned()
}

/// A report as Postfix writes it.
fn report(said: &str, status: &str) -> String {
    format!(
        "From: MAILER-DAEMON@mx.other.example (Mail Delivery System)\n\
         Subject: Undelivered Mail Returned to Sender\nAuto-Submitted: auto-replied\n\
         MIME-Version: 1.0\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\n\n\
         --b\nContent-Type: text/plain\n\nThis is the mail system at host mx.other.example.\n\n\
         <other@hidden.example>: {said}\n\n\
         --b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.other.example\n\n\
         Final-Recipient: rfc822; other@hidden.example\nAction: failed\nStatus: {status}\n\
         Diagnostic-Code: smtp; {said}\n\n\
         --b\nContent-Type: text/rfc822-headers\n\nSubject: News\n\n--b--\n"
    )
}

const GONE: &str = "550 5.1.1 <other@hidden.example>: User unknown (in reply to RCPT TO command)";

fn events(place: &Place, kind: &str) -> Vec<Value> {
    let said = place.ask("GET", &format!("/v1/events?type=message.{kind}"), None).json();
    said["data"].as_array().unwrap().iter().map(|event| event["data"].clone()).collect()
}

/// Mail to somebody is not sent any more.
fn assert_suppressed(place: &Place, to: &str, list: Option<&str>) {
    let sent = place.world.ledger.taken().len();
    let id = mail(place, to, list, None);
    wait_for(&format!("the end of mail to {to}"), || {
        let trace = place.trace(&id);
        trace.contains("suppressed") || trace.contains("delivered")
    });
    assert!(place.trace(&id).contains("suppressed"), "{to}: {}", place.trace(&id));
    assert_eq!(place.world.ledger.taken().len(), sent);
}

#[test]
fn a_report_that_comes_later_reaches_mail_that_waits_and_a_forged_one_nobody() {
    let mut place = place(Behaviour::Accept);
    let id = mail(&place, "ann", None, None);
    let path = return_path(&place, 1);
    let waits = mail(&place, "ann", None, Some(soon(6)));
    // Nobody else is given up by who knows how such addresses look.
    for at in [2, 10, 30, 61] {
        let mut forged = path.clone().into_bytes();
        forged[at] = if forged[at] == b'0' { b'1' } else { b'0' };
        let forged = String::from_utf8(forged).unwrap();
        let said = bring(&place, &forged, &report(GONE, "5.1.1"));
        assert_eq!(said, "550 5.1.1 no mail of ours has this return path", "{forged}");
    }
    let away = "From: ann@sink.example\nSubject: Out of office\nAuto-Submitted: auto-replied\n\n\
                Back on Monday.\n";
    assert_eq!(bring(&place, &path, away), "250 2.0.0 noted");
    let said = bring(&place, &path, "From: a@b.example\nSubject: hello\n\nHello!\n");
    assert!(said.starts_with("550 5.7.1"), "{said}");
    let full = report("552 5.2.2 mailbox full", "5.2.2");
    assert_eq!(bring(&place, &path.to_uppercase(), &full), "250 2.0.0 noted");
    wait_for("the first event", || !events(&place, "bounced").is_empty());
    assert_eq!(bring(&place, &path, &report(GONE, "5.1.1")), "250 2.0.0 noted");
    // What was acknowledged is on disk.
    place.crash();
    wait_for("the events", || events(&place, "bounced").len() == 2);
    let told = events(&place, "bounced");
    assert_eq!((&told[0]["reason"], &told[0]["hard"]), (&json!("mailboxfull"), &json!(false)));
    assert_eq!((&told[1]["reason"], &told[1]["hard"]), (&json!("userunknown"), &json!(true)));
    assert_eq!(told[1]["recipient"], format!("ann@{DOMAIN}"), "by the return path alone");
    assert_eq!(
        (&told[1]["message"], &told[1]["known_as"]),
        (&json!(id), &json!("other@hidden.example"))
    );
    assert!(told[1]["rule"].as_str().unwrap().starts_with("bounces.rules:"), "{told:?}");
    assert!(place.trace(&id).contains("came back ann@"), "{}", place.trace(&id));
    wait_for("the end of what waited", || place.trace(&waits).contains("suppressed"));
    assert_eq!(place.world.ledger.taken().len(), 1);
}

#[test]
fn who_is_refused_is_not_written_to_again() {
    let place = place(Behaviour::Reject(1.0));
    let id = mail(&place, "ann", None, None);
    wait_for("the refusal", || !events(&place, "bounced").is_empty());
    let told = events(&place, "bounced").remove(0);
    assert_eq!(
        (&told["message"], &told["reason"], &told["hard"]),
        (&json!(id), &json!("userunknown"), &json!(true))
    );
    // The log is followed a moment later.
    wait_for("the suppression", || {
        let id = mail(&place, "ann", None, None);
        wait_for("an end", || {
            let trace = place.trace(&id);
            trace.contains("suppressed") || trace.contains("bounced")
        });
        place.trace(&id).contains("suppressed")
    });
}

/// A complaint about a mail, with the recipient's address taken out.
fn complaint(mail: &str) -> String {
    let head = mail.split("\r\n\r\n").next().unwrap().replace("ann@sink.example", "[redacted]");
    format!(
        "From: feedback@provider.example\nSubject: complaint\nMIME-Version: 1.0\n\
         Content-Type: multipart/report; report-type=feedback-report; boundary=\"b\"\n\n\
         --b\nContent-Type: text/plain\n\nThis is a complaint.\n\n\
         --b\nContent-Type: message/feedback-report\n\n\
         Feedback-Type: abuse\nUser-Agent: Provider/1.0\nVersion: 1\n\n\
         --b\nContent-Type: message/rfc822\n\n{head}\n\nNews.\n\n--b--\n"
    )
}

#[test]
fn who_complains_gets_no_more_and_all_that_follows_is_drawn_from_the_log_again() {
    let mut place = place(Behaviour::Accept);
    let complained = mail(&place, "ann", Some("news"), None);
    let kept = String::from_utf8(place.world.kept(1)[0].message.clone()).unwrap();
    let fbl = "fbl@b.shop.example";
    let said = bring(&place, fbl, "From: x@y.example\nSubject: complaint\n\nann@sink.example\n");
    assert!(said.starts_with("550 5.7.1"), "{said}");
    assert_eq!(bring(&place, fbl, &complaint(&kept)), "250 2.0.0 noted");
    wait_for("the complaint", || !events(&place, "complained").is_empty());
    let told = events(&place, "complained").remove(0);
    assert_eq!((&told["message"], &told["complaint"]), (&json!(complained), &json!("abuse")));
    assert_eq!(
        (&told["by"], &told["recipient"]),
        (&json!("Provider/1.0"), &json!("ann@sink.example"))
    );
    // By the return path alone, where no list is named: what the provider's host wrote on top.
    mail(&place, "bob", None, None);
    let path = return_path(&place, 2);
    let kept = String::from_utf8(place.world.kept(2)[1].message.clone()).unwrap();
    let said = bring(&place, fbl, &complaint(&format!("Return-Path: <{path}>\r\n{kept}")));
    assert_eq!(said, "250 2.0.0 noted");
    // One more who is gone, and one who unsubscribed.
    mail(&place, "cat", None, None);
    let path = return_path(&place, 3);
    assert_eq!(bring(&place, &path, &report(GONE, "5.1.1")), "250 2.0.0 noted");
    mail(&place, "dan", Some("news"), None);
    let kept = String::from_utf8(place.world.kept(4)[3].message.clone()).unwrap();
    let unsubscribe = kept.replace("\r\n ", " ");
    let token = unsubscribe.split("/u/").nth(1).unwrap().split('>').next().unwrap();
    let wish = format!("From: dan@sink.example\nSubject: unsubscribe {token}\n\nplease\n");
    assert_eq!(bring(&place, "unsubscribe@links.example", &wish), "250 2.0.0 unsubscribed");
    let check = |place: &Place| {
        assert_suppressed(place, "ann", Some("other"));
        assert_suppressed(place, "bob", None);
        assert_suppressed(place, "cat", None);
        assert_suppressed(place, "dan", Some("news"));
    };
    wait_for("all events", || {
        events(&place, "complained").len() == 2 && events(&place, "bounced").len() == 1
    });
    wait_for("the judge", || std::fs::read_to_string(place.events().join("judged")).is_ok());
    check(&place);
    for lost in ["suppressions", "strikes"] {
        place.daemon.signal("TERM");
        place.daemon.ended();
        std::fs::remove_dir_all(place.events().join(lost)).unwrap();
        place.restart();
    }
    wait_for("the judge", || {
        let id = mail(&place, "dan", Some("news"), None);
        wait_for("an end", || {
            let trace = place.trace(&id);
            trace.contains("suppressed") || trace.contains("delivered")
        });
        place.trace(&id).contains("suppressed")
    });
    check(&place);
    let id = mail(&place, "dan", Some("other"), None);
    wait_for("mail of another list", || place.trace(&id).contains("delivered"));
}

#[test]
fn other_rules_are_tried_on_the_past_and_hold_from_the_next_hup_on() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("my.rules");
    std::fs::write(&rules, "# none yet\nuserunknown\n    nobody says this\n").unwrap();
    let config = format!("[bounces]\nrules = \"{}\"\n", rules.display());
    let place = Place::with(Behaviour::Reject(1.0), &config);
    mail(&place, "ann", None, None);
    mail(&place, "bob", None, None);
    wait_for("the refusals", || events(&place, "bounced").len() == 2);
    // By its number alone: no rule knows it.
    assert_eq!(events(&place, "bounced")[0]["rule"], "");
    let log = place.events().display().to_string();
    let file = rules.display().to_string();
    let bounces = |arguments: &[&str]| {
        let mut maily = Command::new(env!("CARGO_BIN_EXE_maily"));
        let output = run(maily.arg("bounces").args(arguments).args(["--events", &log]));
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let unknown = bounces(&["unknown", "--rules", &file]);
    assert!(unknown.trim_start().starts_with("2  550 5.1.1"), "{unknown}");
    let text = "suspend\n    [550]\n";
    std::fs::write(&rules, text).unwrap();
    let tried = bounces(&["rule", "test", &file]);
    assert!(tried.contains("2 of 2 replies would be read otherwise"), "{tried}");
    assert!(tried.contains(&format!("-> soft suspend ({file}:2)")), "{tried}");
    place.daemon.hang_up("the configuration was read again", 1);
    let told = events(&place, "bounced").remove(0);
    assert_eq!((&told["reason"], &told["rule"]), (&json!("suspend"), &json!(format!("{file}:2"))));
    // What is no rule changes nothing, and is named.
    std::fs::write(&rules, "suspend\n    [5x0]\n").unwrap();
    place.daemon.hang_up("my.rules:2", 1);
    assert_eq!(events(&place, "bounced")[0]["reason"], "suspend");
}

#[test]
fn postfix_takes_our_mail_and_sends_it_back_and_its_report_counts() {
    let folder = tempfile::tempdir().unwrap();
    // It takes mail for who moved away, and finds out later that there is nobody.
    let ours = free();
    let more = format!(
        "virtual_mailbox_domains = {DOMAIN}\n\
         virtual_alias_maps = inline:{{ gone@{DOMAIN}=gone@moved.example }}\n\
         transport_maps = inline:{{ {{ moved.example = error:5.1.1 user unknown }}, \
         {{ b.shop.example = smtp:[{}]:{} }} }}\n",
        ours.ip(),
        ours.port(),
    );
    let postfix = Postfix::start(folder.path(), &more);
    let config = format!(
        "{CONFIG}[[route]]\ndomain = \"{DOMAIN}\"\nhost = [\"{}\"]\n\
         [[listener]]\naddress = \"{ours}\"\n",
        postfix.address,
    );
    let place = Place::with(Behaviour::Accept, &config);
    let id = mail(&place, "gone", Some("news"), None);
    mail(&place, "here", Some("news"), None);
    wait_for("the report", || place.trace(&id).contains("came back"));
    let told = events(&place, "bounced").remove(0);
    assert_eq!((&told["message"], &told["by"]), (&json!(id), &json!("report")));
    assert_eq!((&told["reason"], &told["hard"]), (&json!("userunknown"), &json!(true)));
    assert_eq!(told["recipient"], format!("gone@{DOMAIN}"));
    let mailbox = postfix.mailbox(1);
    assert!(String::from_utf8_lossy(&mailbox[0]).contains("Return-Path: <b-"), "{mailbox:?}");
    wait_for("the judge", || {
        let said = place.ask("GET", "/v1/suppressions", None).json();
        said["data"][0]["recipient"] == format!("gone@{DOMAIN}")
    });
    let again = mail(&place, "gone", None, None);
    wait_for("an end", || place.trace(&again).contains("suppressed"));
}
