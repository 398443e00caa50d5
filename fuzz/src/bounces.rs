//! What others write to us about our mail, and the rules that say what it means.

use std::cell::OnceCell;

use maily_core::bounce::classify::Reply;
use maily_core::bounce::classify::Rules;
use maily_core::bounce::phase::Phase;
use maily_core::bounce::read::kind::Kind;
use maily_core::bounce::read::read;
use maily_core::bounce::read::status;
use maily_core::tracking::keys::Key;
use maily_core::tracking::keys::Keys;
use maily_core::tracking::return_path;

thread_local! {
    static SHIPPED: OnceCell<Rules> = const { OnceCell::new() };
}

fn keys() -> Keys {
    let key = Key::new(1, &[7; 32]).expect("a key");
    Keys::new(key, Vec::new()).expect("one key")
}

/// Any mail: who is named is named with an address, and only by mails that are about delivery.
pub fn bounce(data: &[u8]) {
    SHIPPED.with(|cell| {
        let rules = cell.get_or_init(|| Rules::shipped().expect("the rules that ship"));
        let reading = read(data, rules);
        let about = [Kind::Bounce, Kind::Delay, Kind::DsnSuccess].contains(&reading.kind);
        assert!(about || reading.recipients.is_empty(), "{reading:?}");
        for one in &reading.recipients {
            assert!(one.address.contains('@'), "{one:?}");
        }
        assert!(reading.recipients.len() <= status::RECIPIENTS_MAX);
    });
}

/// Any file of rules, and a reply to read by them.
pub fn rules(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (file, said) = text.split_once('\0').unwrap_or((&text, "550 5.1.1 user unknown"));
    let rules = match Rules::parse(file, "f") {
        Ok(rules) => rules,
        Err(error) => return assert!(error.line >= 1 && !error.what.is_empty()),
    };
    let phase = Phase::told(said);
    let reply = Reply { code: Some(550), status: None, text: said, host: "mx.example", phase };
    let verdict = rules.classify(&reply);
    let lines = file.lines().count();
    assert!(verdict.line.is_none_or(|line| (1..=lines).contains(&(line as usize))));
}

/// Any local part: only what we signed is ours.
pub fn return_path(data: &[u8]) {
    let keys = keys();
    let local = String::from_utf8_lossy(data);
    if let Ok((id, recipient)) = return_path::verify(&local, &keys) {
        assert!(local.eq_ignore_ascii_case(&return_path::mint(id, recipient, &keys)));
    }
}
