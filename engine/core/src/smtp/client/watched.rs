//! What a session shows of itself to operators. It changes nothing.

use crate::live::Phase;
use crate::live::said::Said;
use crate::smtp::client::Client;
use crate::smtp::client::expect::Expect;
use crate::smtp::reply::Reply;

impl Client {
    /// What was said since this was last taken away.
    pub const fn said(&mut self) -> &mut Said {
        &mut self.said
    }

    /// How far it is.
    pub fn phase(&self) -> Phase {
        if self.over.is_some() {
            return Phase::Closing;
        }
        // With PIPELINING the message may be there though RCPT is not answered yet.
        if let Some(end) = self.in_flight.as_ref().and_then(|flight| flight.message_end) {
            return if end > self.written { Phase::Data } else { Phase::Reply };
        }
        match self.expected.front() {
            None if self.is_ready() => Phase::Idle,
            // STARTTLS is answered, or EHLO is and nothing was said yet.
            None => Phase::Tls,
            Some((expect, _)) => match expect {
                Expect::Greeting | Expect::Ehlo | Expect::Helo => Phase::Greeting,
                Expect::StartTls => Phase::Tls,
                Expect::AuthUser | Expect::AuthPassword | Expect::Auth => Phase::Login,
                Expect::Reset | Expect::Mail | Expect::Rcpt(_) | Expect::Data => Phase::Envelope,
                Expect::Message | Expect::Chunk => Phase::Reply,
                Expect::Quit => Phase::Closing,
            },
        }
    }

    /// Tells of a reply. One that gives our own secret back is not shown.
    pub(in crate::smtp::client) fn hear(&mut self, reply: &Reply) {
        let login = self.options.login.as_ref();
        let expected = self.expected.front().map(|(expect, _)| *expect);
        let auth = [Expect::AuthUser, Expect::AuthPassword, Expect::Auth].map(Some);
        let secrets = login
            .filter(|_| auth.contains(&expected))
            .map(|login| [login.plain(), login.encoded_password(), login.password.to_string()]);
        let gives_back = |secret: &String| {
            !secret.is_empty() && reply.lines.iter().any(|line| line.contains(secret))
        };
        if !secrets.is_some_and(|secrets| secrets.iter().any(gives_back)) {
            return self.said.reply(reply);
        }
        if !reply.is_positive() {
            self.said.fail();
        }
        self.said.note(format_args!("{}, the text has a secret and is left out", reply.code));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use bytes::BytesMut;

    use crate::clock::Timestamp;
    use crate::live::record::Record;
    use crate::mail::envelope::Recipient;
    use crate::mail::envelope::RecipientIndex;
    use crate::mail::envelope::ReversePath;
    use crate::smtp::client::Action;
    use crate::smtp::client::Options;
    use crate::smtp::client::TlsPolicy;
    use crate::smtp::client::login::Login;
    use crate::smtp::content::Content;
    use crate::smtp::delivery::Delivery;
    use crate::smtp::reply_parser::ReplyParser;

    use super::*;

    fn client(login: Option<Login>) -> Client {
        let (tls, login) = (TlsPolicy::Off, login.map(Arc::new));
        Client::new(Options { ehlo_name: "me".into(), tls, login, login_in_clear: true })
    }

    /// Feeds these replies, and writes all that is to be written.
    fn run(client: &mut Client, replies: &str) {
        let (mut input, mut parser) = (BytesMut::from(replies), ReplyParser::default());
        loop {
            while let Some(action) = client.poll() {
                if let Action::Write(pieces) = action {
                    client.on_written(pieces.concat().len());
                }
            }
            match parser.parse(&mut input).unwrap() {
                Some(reply) => client.on_reply(&reply),
                None => return,
            }
        }
    }

    fn told(client: &mut Client) -> (Vec<String>, bool) {
        let mut record = Record::new(Timestamp::EPOCH, Phase::Greeting, String::new());
        let phase = client.phase();
        record.take(client.said(), phase, Timestamp::EPOCH);
        (record.lines.behind(0).into_iter().map(|line| line.text).collect(), record.failed)
    }

    fn delivery() -> Delivery {
        Delivery {
            reverse_path: ReversePath::Null,
            recipients: vec![(RecipientIndex(0), Recipient::plain("a@b.example".parse().unwrap()))],
            ret: None,
            envelope_id: None,
            smtputf8: false,
            content: Content { head: Bytes::new(), message: Bytes::from_static(b"hidden\r\n") },
        }
    }

    #[test]
    fn a_session_tells_what_was_said_in_it_but_no_message() {
        let mut client = client(None);
        assert_eq!(client.phase(), Phase::Greeting);
        run(&mut client, "220 mx\r\n250-mx\r\n250 CHUNKING\r\n");
        assert_eq!(client.phase(), Phase::Idle);
        client.submit(delivery());
        run(&mut client, "250 ok\r\n");
        assert_eq!(client.phase(), Phase::Envelope);
        run(&mut client, "250 ok\r\n");
        assert_eq!(client.phase(), Phase::Reply);
        run(&mut client, "550-5.7.1 no \x1b[2J\r\n550 5.7.1 never\r\n");
        let (lines, failed) = told(&mut client);
        assert!(failed);
        assert_eq!(
            lines,
            [
                "220 mx",
                "EHLO me",
                "250-mx",
                "250 CHUNKING",
                "MAIL FROM:<>",
                "250 ok",
                "RCPT TO:<a@b.example>",
                "250 ok",
                "BDAT 8 LAST",
                "message of 8 octets",
                "550-5.7.1 no \u{1b}[2J",
                "550 5.7.1 never",
            ]
        );
        client.quit();
        assert_eq!(
            (client.phase(), told(&mut client)),
            (Phase::Closing, (vec!["QUIT".into()], false))
        );
    }

    #[test]
    fn a_message_that_is_not_written_yet_is_data() {
        let mut client = client(None);
        run(&mut client, "220 mx\r\n250 mx\r\n");
        client.submit(delivery());
        run(&mut client, "250 ok\r\n250 ok\r\n");
        let reply = Reply::bare(354, "go on");
        client.on_reply(&reply);
        assert_eq!(client.phase(), Phase::Data);
        run(&mut client, "");
        assert_eq!(client.phase(), Phase::Reply);
        client.on_failure("no reply in time");
        let (lines, failed) = told(&mut client);
        assert_eq!((lines.last().map(String::as_str), failed), (Some("no reply in time"), true));
        assert_eq!(client.phase(), Phase::Closing);
    }

    #[test]
    fn who_leaves_while_idle_has_not_failed() {
        let mut client = client(None);
        run(&mut client, "220 mx\r\n250 mx\r\n");
        client.on_failure("closed while idle");
        assert!(!told(&mut client).1);
    }

    #[test]
    fn no_secret_of_ours_is_told_not_even_if_it_is_given_back() {
        let login = Login { user: "ann".into(), password: "hunter2".into() };
        let secrets = [login.plain(), login.encoded_password(), "hunter2".to_owned()];
        let [plain, password, clear] = &secrets;
        for replies in [
            "250-mx\r\n250 AUTH PLAIN\r\n235 ok\r\n".to_owned(),
            format!("250-mx\r\n250 AUTH PLAIN\r\n535 what is {plain}?\r\n"),
            format!("250-mx\r\n250 AUTH PLAIN\r\n535-no\r\n535 not {clear}\r\n"),
            "250-mx\r\n250 AUTH LOGIN\r\n334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n235 ok\r\n"
                .to_owned(),
            format!("250-mx\r\n250 AUTH LOGIN\r\n334 x\r\n334 y\r\n535 {password}\r\n"),
        ] {
            let mut client = client(Some(login.clone()));
            run(&mut client, &format!("220 mx\r\n{replies}"));
            let (lines, failed) = told(&mut client);
            let all = lines.join("\n");
            assert!(all.contains("AUTH ") && all.contains("left out"), "{all}");
            assert!(!secrets.iter().any(|secret| all.contains(secret)), "{all}");
            assert_eq!(failed, !replies.contains("235"), "{all}");
        }
    }
}
