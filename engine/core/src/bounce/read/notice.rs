//! Notices of Amazon SES that come by mail: JSON in the place of a text.

use serde::Deserialize;

use crate::bounce::read::kind::Kind;
use crate::bounce::read::status::Action;
use crate::bounce::read::status::Fate;
use crate::bounce::read::status::status;

/// Octets of a notice.
const NOTICE_OCTETS_MAX: usize = 64 * 1024;

/// What is told.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Notice {
    #[serde(alias = "eventType")]
    notification_type: Word,
    bounce: Option<Bounce>,
    delivery: Option<Delivery>,
}

#[derive(Deserialize)]
enum Word {
    Bounce,
    Complaint,
    Delivery,
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bounce {
    bounced_recipients: Vec<One>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct One {
    email_address: String,
    action: String,
    status: String,
    diagnostic_code: String,
}

#[derive(Deserialize)]
struct Delivery {
    recipients: Vec<String>,
}

/// What a text tells, if it is a notice.
pub(super) fn read(text: &str) -> Option<(Kind, Vec<Fate>)> {
    let text = text.trim();
    if !text.starts_with('{') || text.len() > NOTICE_OCTETS_MAX {
        return None;
    }
    // Lines are broken where the mail would have been too wide.
    let whole: String = text.split(['\r', '\n']).take_while(|line| *line != "--").collect();
    let mut values = serde_json::Deserializer::from_str(&whole).into_iter::<Notice>();
    let notice = values.next()?.ok()?;
    Some(match (notice.notification_type, notice.bounce, notice.delivery) {
        (Word::Bounce, Some(bounce), _) => {
            (Kind::Bounce, bounce.bounced_recipients.into_iter().filter_map(fate).collect())
        }
        (Word::Delivery, _, Some(delivery)) => {
            let done = |address: String| Fate {
                last: Some(address),
                action: Some(Action::Delivered),
                ..Fate::default()
            };
            (Kind::DsnSuccess, delivery.recipients.into_iter().map(done).collect())
        }
        (Word::Complaint, ..) => (Kind::Arf, Vec::new()),
        _ => return None,
    })
}

fn fate(one: One) -> Option<Fate> {
    let inner = one.email_address.rsplit('<').next().unwrap_or_default();
    let address = inner.trim_end_matches('>').trim();
    let said = one.diagnostic_code.split_once(';');
    Some(Fate {
        last: Some(address.contains('@').then(|| address.to_owned())?),
        action: Some(match one.action.as_str() {
            "delayed" => Action::Delayed,
            _ => Action::Failed,
        }),
        status: status(&one.status),
        diagnosis: said.map_or(&*one.diagnostic_code, |(_, said)| said.trim()).to_owned(),
        ..Fate::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_read_also_where_its_lines_are_broken() {
        let text = "{\"notificationType\":\"Bounce\",\"bounce\":{\"bounceType\":\"Permanent\",\
            \"bouncedReci\npients\":[{\"emailAddress\":\"Ann <ann@x.example>\",\
            \"action\":\"failed\",\
            \"status\":\"5.1.1\",\"diagnosticCode\":\"smtp; 550 5.1.1 no such user\"}]}}\n\n--\nx";
        let (kind, fates) = read(text).unwrap();
        assert_eq!((kind, fates.len()), (Kind::Bounce, 1));
        assert_eq!(fates[0].last.as_deref(), Some("ann@x.example"));
        assert_eq!(fates[0].diagnosis, "550 5.1.1 no such user");
        let text = r#"{"eventType":"Delivery","delivery":{"recipients":["ann@x.example"]}}"#;
        assert_eq!(read(text).unwrap().0, Kind::DsnSuccess);
    }

    #[test]
    fn any_other_json_is_none() {
        for text in ["{}", "[]", "{", "", "{\"notificationType\":\"Bounce\"}", "{\"a\":1}"] {
            assert!(read(text).is_none(), "{text}");
        }
    }
}
