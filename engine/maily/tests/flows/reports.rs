//! What senders are told by mail, from a client's socket to the sender's mailbox.

use crate::hop::Got;
use crate::process::wait_for;
use crate::world::{Sent, World, sent};

const QUICK: &str = "delay_min = \"300ms\"\ndelay_max = \"500ms\"\n";

#[test]
fn a_refused_recipient_comes_back_to_the_sender_as_a_report() {
    let world = World::start(QUICK);
    let id = world.send(&sent(&["<gone@hop.example>"]));
    let report = world.got(&world.home, 1).remove(0);
    assert!(report.mail.starts_with("MAIL FROM:<>"), "{}", report.mail);
    assert_eq!(report.recipients, ["RCPT TO:<sender@home.example>"]);
    for line in [
        "From: Mail Delivery System <MAILER-DAEMON@mail.maily.example>",
        "In-Reply-To: <1@home.example>",
        "Auto-Submitted: auto-replied",
        "Reporting-MTA: dns; mail.maily.example",
        &format!("X-Maily-Queue-ID: {id}"),
        "Final-Recipient: rfc822; gone@hop.example",
        "Action: failed",
        "Status: 5.1.1",
        "Remote-MTA: dns; mx2.example",
        "Diagnostic-Code: smtp; 550 5.1.1 no such user here",
    ] {
        assert!(report.message.contains(&format!("\r\n{line}\r\n")), "{line}: {report:#?}");
    }
    assert!(!report.message.contains("The body."));
}

#[test]
fn a_message_refused_for_now_is_tried_again_and_nobody_is_told() {
    let world = World::start(QUICK);
    world.send(&sent(&["<once@hop.example>"]));
    let got = world.got(&world.hop, 1);
    assert_eq!(got[0].recipients, ["RCPT TO:<once@hop.example>"]);
    assert_eq!(world.home.got(), []);
}

#[test]
fn several_recipients_refused_at_once_share_a_report_that_may_hold_the_whole_message() {
    let world = World::start(QUICK);
    let sent = Sent {
        mail: "<sender@home.example> RET=FULL ENVID=job+2B7 BODY=8BITMIME",
        message: "Subject: hello\r\n\r\nf\u{fc}nf\r\n..dot\r\n",
        ..sent(&[
            "<gone1@hop.example> ORCPT=rfc822;Gone+2B1@Hop.Example",
            "<heavy@hop.example>",
            "<gone2@hop.example> NOTIFY=FAILURE",
            "<gone3@hop.example> NOTIFY=NEVER",
            "<gone4@hop.example> NOTIFY=SUCCESS,DELAY",
        ])
    };
    world.send(&sent);
    let report = world.got(&world.home, 1).remove(0);
    assert!(report.mail.contains("BODY=8BITMIME"), "{}", report.mail);
    assert!(!report.mail.contains("RET=") && !report.mail.contains("ENVID="));
    let recipients: Vec<_> =
        report.message.lines().filter(|line| line.starts_with("Final-Recipient")).collect();
    let to = |name: &str| format!("Final-Recipient: rfc822; {name}@hop.example");
    assert_eq!(recipients, [to("gone1"), to("heavy"), to("gone2")]);
    for line in [
        "Original-Envelope-Id: job+7",
        "Original-Recipient: rfc822; Gone+1@Hop.Example",
        "Diagnostic-Code: smtp; 554 5.6.0 not this",
        "Content-Type: message/rfc822",
        "f\u{fc}nf",
        ".dot",
    ] {
        assert!(report.message.contains(&format!("\r\n{line}\r\n")), "{line}: {report:#?}");
    }
}

#[test]
fn a_message_too_old_to_be_tried_again_comes_back_with_the_last_answer() {
    let world = World::start(&format!("{QUICK}expire_after = \"1s\"\n"));
    world.send(&sent(&["<later@hop.example>"]));
    let report = world.got(&world.home, 1).remove(0);
    for line in ["Action: failed", "Status: 4.4.7", "Diagnostic-Code: smtp; 450 4.2.0 not now"] {
        assert!(report.message.contains(&format!("\r\n{line}\r\n")), "{line}: {report:#?}");
    }
}

#[test]
fn a_delay_is_told_once_also_after_a_crash() {
    let mut world = World::start(&format!("{QUICK}delay_notice_after = \"600ms\"\n"));
    let id = world.send(&sent(&["<later1@hop.example>", "<later2@hop.example> NOTIFY=FAILURE"]));
    let tries = |world: &World| world.trace(&[&id]).0.matches("450 4.2.0").count();
    wait_for("a notice of the delay", || !world.home.got().is_empty());
    // The note that it was told is on disk with the next group.
    let before = tries(&world);
    wait_for("another try", || tries(&world) > before + 2);
    world.kill();
    let before = tries(&world);
    world.start_again();
    wait_for("tries after the crash", || tries(&world) > before + 4);
    let [notice] = world.home.got().try_into().unwrap();
    assert!(notice.message.contains("Action: delayed\r\nStatus: 4.2.0\r\n"), "{notice:#?}");
    assert!(notice.message.contains("Will-Retry-Until: "));
    assert!(!notice.message.contains("later2"), "who did not ask is not told of");
}

#[test]
fn kills_repeat_reports_and_lose_none() {
    const MESSAGES: u32 = 120;
    let mut world = World::start(QUICK);
    for number in 0..MESSAGES {
        let message = format!("Message-ID: <{number}@home.example>\r\n\r\nx\r\n");
        let to = ["<gone@hop.example>"];
        world.send(&Sent { message: &message, ..sent(&to) });
        if number % 20 == 19 {
            world.kill();
            world.start_again();
        }
    }
    let told = |number| {
        let field = format!("\r\nIn-Reply-To: <{number}@home.example>\r\n");
        move |got: &Got| got.message.contains(&field)
    };
    world.wait_until_empty();
    let got = world.home.got();
    let missing: Vec<_> = (0..MESSAGES).filter(|n| !got.iter().any(told(*n))).collect();
    assert!(missing.is_empty(), "{missing:?} of {} reports", got.len());
}

#[test]
fn a_success_is_told_by_us_only_where_the_next_hop_will_not() {
    let world = World::start(QUICK);
    let parameters = "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;ann@dsn.example";
    world.send(&sent(&[&format!("<ann@dsn.example> {parameters}"), "<bob@dsn.example>"]));
    let got = world.got(&world.dsn, 1).remove(0);
    assert_eq!(got.recipients[0], format!("RCPT TO:<ann@dsn.example> {parameters}"));
    world.send(&sent(&["<ann@hop.example> NOTIFY=SUCCESS", "<bob@hop.example>"]));
    let report = world.got(&world.home, 1).remove(0);
    assert!(report.message.contains("Action: relayed\r\nStatus: 2.0.0\r\n"), "{report:#?}");
    assert!(!report.message.contains("bob") && !report.message.contains("dsn.example"));
    assert_eq!(world.hop.got()[0].recipients[0], "RCPT TO:<ann@hop.example>");
}

#[test]
fn who_asked_never_to_be_told_is_not_told() {
    let world = World::start(QUICK);
    let id = world.send(&sent(&["<gone@hop.example> NOTIFY=NEVER"]));
    world.wait_until_empty();
    wait_for("the refusal in the log", || world.trace(&[&id]).0.contains("550 5.1.1"));
    assert_eq!(world.home.got(), []);
}

#[test]
fn a_report_that_cannot_be_delivered_is_the_end_of_it() {
    let world = World::start(QUICK);
    world.send(&Sent { mail: "<gone@other.example>", ..sent(&["<gone@hop.example>"]) });
    world.send(&Sent { mail: "<>", ..sent(&["<gone@hop.example>"]) });
    world.wait_until_empty();
    let refused = |what: &str| world.trace(&[what]).0.contains("550 5.1.1 no such user here");
    wait_for("the end of the report", || refused("gone@other.example"));
    let (all, _) = world.trace(&["gone@hop.example"]);
    assert_eq!(all.matches("reported").count(), 1, "{all}");
}

#[test]
fn a_dead_domain_harms_no_other() {
    let world = World::start(QUICK);
    for _ in 0..20 {
        world.send(&sent(&["<ann@dead.example>", "<ann@hop.example>"]));
    }
    wait_for("the living domain's mail", || world.hop.got().len() == 20);
    assert_eq!(world.home.got(), []);
}

#[test]
fn a_hundred_recipients_are_one_body_on_disk() {
    let world = World::start(QUICK);
    let domains = ["hop.example", "other.example", "dead.example", "dsn.example"];
    let to: Vec<_> = (0..100).map(|n| format!("<later{n}@{}>", domains[n % 4])).collect();
    let to: Vec<_> = to.iter().map(String::as_str).collect();
    let id = world.send(&sent(&to));
    wait_for("tries", || world.trace(&[&id]).0.matches("attempt 2").count() >= 4);
    let bodies: usize = std::fs::read_dir(world.folder().join("spool"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| std::fs::read(path).unwrap())
        .map(|octets| octets.windows(9).filter(|octets| octets == b"The body.").count())
        .sum();
    assert_eq!(bodies, 1);
}

#[test]
fn the_whole_life_is_told_after_a_restart_with_that_of_the_report() {
    let mut world = World::start(QUICK);
    let id = world.send(&sent(&["<once@hop.example>", "<gone@hop.example>"]));
    world.got(&world.home, 1);
    world.stop();
    world.start_again();
    for what in [&*id, "1@home.example", "<1@home.example>", "GONE@hop.example"] {
        let (life, code) = world.trace(&[what]);
        assert_eq!(code, 0, "{what}");
        let mut rest = life.as_str();
        for part in [
            "accepted from <sender@home.example> for once@hop.example, gone@hop.example by SMTP",
            "attempt 1 at hop.example by mx2.example [",
            "gone@hop.example bounced: 550 5.1.1 no such user here\n",
            "reported failed by ",
            "accepted from <> for sender@home.example as a report about ",
            "attempt 1 at home.example by mx1.example [",
            "sender@home.example delivered: 250 2.0.0 taken\n",
            "attempt 2 at hop.example",
            "once@hop.example delivered: 250 2.0.0 taken\n",
        ] {
            let at = rest.find(part).unwrap_or_else(|| panic!("{part} of {what}: {life}"));
            rest = &rest[at..];
        }
    }
    let (json, code) = world.trace(&["--json", &id]);
    let life: serde_json::Value = serde_json::from_str(&json).unwrap();
    let states = &life["recipients"];
    assert_eq!(
        (&states[0]["state"], &states[1]["state"]),
        (&"delivered".into(), &"bounced".into())
    );
    let reported = life["events"].as_array().unwrap().iter().find(|e| e["what"] == "reported");
    let reported = reported.unwrap();
    assert_eq!(reported["recipients"][0], "gone@hop.example");
    assert_eq!(reported["life"]["recipients"][0]["state"], "delivered");
    assert_eq!((life["id"].as_str(), code), (Some(&*id), 0));
    assert_eq!(world.trace(&["nobody@hop.example"]), (String::new(), 1));
    assert_eq!(world.trace(&["--json", "nobody@hop.example"]), (String::new(), 1));
}
