//! The commands of one transaction as one text, with what the reply to each will answer.

use std::collections::VecDeque;
use std::fmt::Write;
use std::ops::Range;

use bytes::Bytes;

use crate::mail::envelope::Notify;
use crate::mail::envelope::Recipient;
use crate::mail::envelope::Ret;
use crate::smtp::client::expect::Expect;
use crate::smtp::client::extensions::Extensions;
use crate::smtp::delivery::Delivery;
use crate::smtp::xtext;

/// Octets of a command on the average, for the first guess at a text's size.
const COMMAND_OCTETS: usize = 80;

/// What is still to be said of one transaction.
#[derive(Debug, Default)]
pub(super) struct Script {
    text: Bytes,
    commands: VecDeque<(Expect, usize)>,
}

/// What the commands say beside the delivery.
pub(super) struct Manner<'a> {
    pub(super) extensions: &'a Extensions,
    pub(super) eight_bit: bool,
    /// The transaction before was left open: RSET first.
    pub(super) reset: bool,
}

impl Script {
    /// `MAIL`, a `RCPT` for each recipient in the range, then `BDAT` if it is offered, else `DATA`.
    pub(super) fn new(delivery: &Delivery, range: Range<usize>, manner: &Manner<'_>) -> Self {
        let mut text = String::with_capacity(COMMAND_OCTETS * (range.len() + 2));
        let mut commands = VecDeque::with_capacity(range.len() + 3);
        let mut from = 0;
        let mut end = |text: &mut String, expect| {
            *text += "\r\n";
            commands.push_back((expect, text.len() - from));
            from = text.len();
        };
        if manner.reset {
            text += "RSET";
            end(&mut text, Expect::Reset);
        }
        mail(&mut text, delivery, manner);
        end(&mut text, Expect::Mail);
        let recipients = delivery.recipients.get(range.clone()).unwrap_or_default();
        for (index, (_, recipient)) in range.zip(recipients) {
            say(&mut text, format_args!("RCPT TO:<{}>", recipient.forward_path));
            if manner.extensions.dsn {
                dsn(&mut text, recipient);
            }
            end(&mut text, Expect::Rcpt(index));
        }
        if manner.extensions.chunking {
            say(&mut text, format_args!("BDAT {} LAST", delivery.content.wire_octets()));
            end(&mut text, Expect::Chunk);
        } else {
            text += "DATA";
            end(&mut text, Expect::Data);
        }
        Self { text: text.into(), commands }
    }

    /// The next command's meaning and its octets.
    pub(super) fn next(&mut self) -> Option<(Expect, usize)> {
        self.commands.pop_front()
    }

    /// Takes so many octets of the text.
    pub(super) fn take(&mut self, octets: usize) -> Bytes {
        self.text.split_to(octets.min(self.text.len()))
    }

    /// Whether only the message is left to be sent.
    pub(super) fn is_at_content(&self) -> bool {
        matches!(self.commands.front(), Some((Expect::Data | Expect::Chunk, _)))
    }

    /// Leaves the rest unsaid.
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.commands.clear();
    }
}

fn say(text: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _infallible = text.write_fmt(words);
}

fn mail(text: &mut String, delivery: &Delivery, manner: &Manner<'_>) {
    say(text, format_args!("MAIL FROM:<{}>", delivery.reverse_path));
    if manner.extensions.size_max.is_some() {
        say(text, format_args!(" SIZE={}", delivery.content.wire_octets()));
    }
    if manner.eight_bit {
        *text += " BODY=8BITMIME";
    }
    if delivery.needs_smtputf8() {
        *text += " SMTPUTF8";
    }
    if !manner.extensions.dsn {
        return;
    }
    match delivery.ret {
        Some(Ret::Full) => *text += " RET=FULL",
        Some(Ret::Headers) => *text += " RET=HDRS",
        None => {}
    }
    if let Some(id) = &delivery.envelope_id {
        say(text, format_args!(" ENVID={}", xtext::encode(id)));
    }
}

/// RFC 3461 5.2: NOTIFY and ORCPT as they were given.
fn dsn(text: &mut String, recipient: &Recipient) {
    match recipient.notify {
        Notify::Unspecified => {}
        Notify::Never => *text += " NOTIFY=NEVER",
        Notify::On { success, failure, delay } => {
            let words = [(success, "SUCCESS"), (failure, "FAILURE"), (delay, "DELAY")];
            let words: Vec<_> = words.iter().filter(|(on, _)| *on).map(|(_, word)| *word).collect();
            say(text, format_args!(" NOTIFY={}", words.join(",")));
        }
    }
    if let Some(original) = &recipient.original {
        let address = xtext::encode(&original.address);
        say(text, format_args!(" ORCPT={};{address}", original.address_type));
    }
}
