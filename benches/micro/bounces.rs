//! What a reply means, by all rules that ship; and what a bounce of 5 kB says.

use std::hint::black_box;

use criterion::Criterion;
use criterion::Throughput;
use maily_core::bounce::classify::Reply;
use maily_core::bounce::classify::Rules;
use maily_core::bounce::phase::Phase;
use maily_core::bounce::read::read;

const REPLIES: &[(u16, &str, &str)] = &[
    (550, "5.1.1", "550 5.1.1 <ann@example.net>: Recipient address rejected: User unknown"),
    (
        421,
        "4.7.28",
        "421-4.7.28 Gmail has detected an unusual rate of unsolicited mail originating \
        from your IP address. To protect our users from spam, mail sent from your IP address has \
        been temporarily rate limited. For more information, go to 421 4.7.28 \
        https://support.google.com/mail/?p=UnsolicitedRateLimitError to review our Bulk Email \
        Senders Guidelines. d2e1a72fcca58-6e3d8a2a8d2si1234567b3a.220 - gsmtp",
    ),
    (452, "4.2.2", "452 4.2.2 The email account that you tried to reach is over quota."),
    (550, "5.0.0", "550 this says nothing that any rule has ever heard of in its life"),
];

pub(crate) fn bench(criterion: &mut Criterion) {
    let Ok(rules) = Rules::shipped() else { panic!("the rules that ship are rules") };
    let mut benches = criterion.benchmark_group("bounces");
    benches.throughput(Throughput::Elements(REPLIES.len() as u64));
    benches.bench_function("classify_4_replies", |bencher| {
        bencher.iter(|| {
            for (code, status, text) in black_box(REPLIES) {
                let (code, status, phase) = (Some(*code), status.parse().ok(), Some(Phase::Rcpt));
                black_box(rules.classify(&Reply { code, status, text, host: "mx.example", phase }));
            }
        });
    });
    let mail = report();
    benches.throughput(Throughput::Elements(1));
    benches.bench_function("read_5_kB_report", |bencher| {
        bencher.iter(|| read(black_box(mail.as_bytes()), &rules));
    });
    benches.finish();
}

/// A report as Postfix writes it, of about 5 kB.
fn report() -> String {
    let returned = "X-Header: something that was in the message that comes back\r\n".repeat(55);
    format!(
        "From: MAILER-DAEMON@mx.example (Mail Delivery System)\r\nTo: b@shop.example\r\n\
        Subject: Undelivered Mail Returned to Sender\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\r\n\r\n\
        --b\r\nContent-Type: text/plain\r\n\r\nThis is the mail system at host mx.example.\r\n\
        \r\n\
        <ann@example.net>: host mx.example.net[192.0.2.1] said: 550 \
        5.1.1 <ann@example.net>:\r\n    \
        Recipient address rejected: User unknown (in reply to RCPT TO command)\r\n\r\n\
        --b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\
        \r\n\
        Final-Recipient: rfc822; ann@example.net\r\nAction: failed\r\nStatus: 5.1.1\r\n\
        Remote-MTA: dns; mx.example.net\r\nDiagnostic-Code: smtp; 550 \
        5.1.1 <ann@example.net>:\r\n    \
        Recipient address rejected: User unknown\r\n\r\n\
        --b\r\nContent-Type: text/rfc822-headers\r\n\r\n{returned}\r\n--b--\r\n"
    )
}
