//! What the peer offers in its reply to EHLO (RFC 5321 4.1.1.1).

use crate::smtp::client::login::Mechanism;
use crate::smtp::reply::Reply;

/// What the peer offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extensions {
    /// RFC 2920.
    pub(super) pipelining: bool,
    /// RFC 3030.
    pub(super) chunking: bool,
    /// RFC 6152.
    pub(super) eight_bit: bool,
    /// RFC 6531.
    pub(super) smtputf8: bool,
    /// RFC 3461.
    pub(super) dsn: bool,
    /// RFC 3207.
    pub(super) starttls: bool,
    /// RFC 4954: the best mechanism that we speak too.
    pub(super) auth: Option<Mechanism>,
    /// RFC 1870: 0 is no limit.
    pub(super) size_max: Option<u64>,
    /// RFC 9422: the recipients of one transaction.
    pub(super) recipients_max: Option<usize>,
}

impl Extensions {
    /// Reads the keywords below the first line.
    pub(super) fn of(reply: &Reply) -> Self {
        let mut offered = Self::default();
        for line in reply.lines.iter().skip(1) {
            let (keyword, value) = line.split_once(' ').unwrap_or((line, ""));
            offered.note(&keyword.to_ascii_uppercase(), value.trim());
        }
        offered
    }

    fn note(&mut self, keyword: &str, value: &str) {
        match keyword {
            "PIPELINING" => self.pipelining = true,
            "CHUNKING" => self.chunking = true,
            "8BITMIME" => self.eight_bit = true,
            "SMTPUTF8" => self.smtputf8 = true,
            "DSN" => self.dsn = true,
            "STARTTLS" => self.starttls = true,
            "AUTH" => self.auth = Mechanism::best(value),
            "SIZE" => self.size_max = Some(value.parse().unwrap_or(0)),
            "LIMITS" => self.recipients_max = recipients_max(value),
            _ => {}
        }
    }
}

/// RFC 9422 5.2: `RCPTMAX=` a number that is not 0.
fn recipients_max(limits: &str) -> Option<usize> {
    let mut words = limits.split_ascii_whitespace();
    let number = words.find_map(|word| {
        let (name, value) = word.split_once('=')?;
        name.eq_ignore_ascii_case("RCPTMAX").then_some(value)
    });
    number?.parse().ok().filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(lines: &[&str]) -> Extensions {
        let lines = std::iter::once("mx").chain(lines.iter().copied()).map(Into::into).collect();
        Extensions::of(&Reply { code: 250, status: None, lines })
    }

    #[test]
    fn keywords_are_read_in_any_case() {
        let all = offered(&["pipelining", "Chunking", "SIZE 100", "AUTH LOGIN plain", "DSN"]);
        assert!(all.pipelining && all.chunking && all.dsn && !all.starttls);
        assert_eq!((all.size_max, all.auth), (Some(100), Some(Mechanism::Plain)));
        assert_eq!(offered(&["SIZE"]).size_max, Some(0), "RFC 1870 3: no limit is told");
        assert_eq!(offered(&["SIZE 99999999999999999999999"]).size_max, Some(0));
    }

    #[test]
    fn the_limit_of_recipients_is_read_rfc_9422() {
        assert_eq!(offered(&["LIMITS MAILMAX=5 RCPTMAX=20"]).recipients_max, Some(20));
        for odd in ["LIMITS", "LIMITS RCPTMAX=0", "LIMITS RCPTMAX=-1", "LIMITS RCPTMAX"] {
            assert_eq!(offered(&[odd]).recipients_max, None, "{odd}");
        }
    }

    #[test]
    fn the_first_line_is_a_name_and_offers_nothing() {
        let reply = Reply { code: 250, status: None, lines: vec!["PIPELINING".into()] };
        assert_eq!(Extensions::of(&reply), Extensions::default());
    }
}
