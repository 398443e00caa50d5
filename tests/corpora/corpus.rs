//! How many bounces of other mail systems are read as they are meant (`tests/corpora`).

use std::path::Path;

use serde::Deserialize;

use maily_core::bounce::classify::Rules;
use maily_core::bounce::read::kind::Kind;
use maily_core::bounce::read::read;

#[derive(Deserialize)]
struct Row {
    file: String,
    kind: String,
    recipients: Vec<Wanted>,
}

#[derive(Deserialize)]
struct Wanted {
    address: String,
    #[serde(default)]
    also_accept: Vec<String>,
    class: String,
    reason: Option<String>,
}

impl Wanted {
    fn is(&self, address: &str) -> bool {
        let mut names = self.also_accept.iter().chain([&self.address]);
        names.any(|name| name.eq_ignore_ascii_case(address))
    }
}

/// Whom the rows are about, who of them was found, who with the right class and reason.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    mails: usize,
    kinds: usize,
    sets: usize,
    recipients: usize,
    classes: usize,
    reasons: usize,
}

fn count() -> Count {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpora");
    let rules = Rules::shipped().expect("the rules that ship");
    let mut count = Count::default();
    for line in std::fs::read_to_string(folder.join("bounces.jsonl")).expect("a list").lines() {
        let row: Row = serde_json::from_str(line).expect("a row");
        let got = read(&std::fs::read(folder.join(&row.file)).expect("a mail"), &rules);
        let about = ["bounce", "delay"].contains(&row.kind.as_str());
        let found = [Kind::Bounce, Kind::Delay].contains(&got.kind);
        count.mails += 1;
        count.kinds += usize::from(got.kind.name() == row.kind || (about && found));
        if !about {
            assert!(!found, "{} suppresses somebody", row.file);
            continue;
        }
        let all = row.recipients.iter().all(|w| got.recipients.iter().any(|g| w.is(&g.address)));
        count.sets += usize::from(all && got.recipients.len() == row.recipients.len());
        for wanted in row.recipients.iter().filter(|wanted| wanted.class != "unknown") {
            let one = got.recipients.iter().find(|got| wanted.is(&got.address));
            let verdict = one.map(|one| one.verdict);
            let class = verdict.map(|verdict| verdict.permanence.name());
            let reason = verdict.map(|verdict| verdict.reason.word());
            count.recipients += 1;
            count.classes += usize::from(class == Some(&wanted.class));
            count.reasons += usize::from(reason.is_some() && reason == wanted.reason.as_deref());
        }
    }
    count
}

#[test]
fn bounces_of_others_are_read_at_least_as_well_as_ever() {
    let count = count();
    assert_eq!(count.kinds, count.mails, "{count:?}");
    assert!(count.sets >= 61 && count.mails == 73, "{count:?}");
    assert!(count.classes >= 63 && count.reasons >= 59 && count.recipients == 66, "{count:?}");
}
